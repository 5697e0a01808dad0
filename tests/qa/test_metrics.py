"""Scores against other transcriptions of their definitions, and the threshold against every cut."""

import itertools
import math
import random
import re
import string
import unicodedata
import warnings
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.multiprocessing.spawn import spawn

from zoo.qa.metrics import (
    CURVE_POINTS,
    AnswerScores,
    NullThreshold,
    best_f1_threshold,
    exact_match,
    f1,
    threshold_curve,
)
from zoo.qa.normalization import AnswersIn, normalize

# Articles, punctuation of several scripts, combining marks, emoji of several code points, text
# from right to left, Han, Kana, digits, and white space that is not a space.
_FRAGMENTS = [
    *("a", "an", "the", "The", "theatre", "cat", "Cat", "U.S.", "don't", "3.5", "1,000", "x"),
    *(" ", "  ", "\t", "\u00a0", "\u3000", ".", ",", "-", "_", "$", "”", "’", "……", "。", "，"),
    *("e\u0301", "É", "\u0301", "İ", "ß", "👍🏽", "👩\u200d🚀", "שלום", "مرحبا", "हिन्दी"),
    *("北", "京", "大", "学", "北京", "東京タワー", "の", "カ", "ﾅ", "々", "《", "》", "·", "・"),
]
_texts = st.one_of(
    st.lists(st.sampled_from(_FRAGMENTS), max_size=8).map("".join), st.text(max_size=12)
)
_golds = st.lists(_texts, max_size=4)


def _squad_form(text: str) -> str:
    """SQuAD's normalisation, character by character and word by word, without expressions."""
    kept = "".join(char for char in text.lower() if char not in string.punctuation)
    # A word of Python's expressions is a run of letters, digits and underscores.
    runs = itertools.groupby(kept, key=lambda char: char.isalnum() or char == "_")
    parts = ["".join(group) for _, group in runs]
    return " ".join("".join(" " if part in {"a", "an", "the"} else part for part in parts).split())


def _squad_scores(prediction: str, golds: Sequence[str]) -> tuple[float, float]:
    """Exact match and F1 as the official script of SQuAD 2.0 has them, by removing words."""
    forms = [form for gold in golds if (form := _squad_form(gold))] or [""]
    said = _squad_form(prediction)
    best = 0.0
    for form in forms:
        words, left = said.split(), form.split()
        same = 0
        for word in words:
            if word in left:
                left.remove(word)
                same += 1
        if not words or not form.split():
            best = max(best, float(words == form.split()))
        elif same:
            precision, recall = same / len(words), same / len(form.split())
            best = max(best, 2 * precision * recall / (precision + recall))
    return float(said in forms), best


_CMRC_MARKS = {
    *("-", ":", "_", "*", "^", "/", "\\", "~", "`", "+", "="),
    *("，", "。", "：", "？", "！", "“", "”", "；", "’", "《", "》", "·", "、"),
    *("「", "」", "（", "）", "－", "～", "『", "』"),
}


def _is_single(char: str) -> bool:
    """Han or Kana, by the names of Unicode's characters."""
    name = unicodedata.name(char, "")
    return name.startswith(("CJK UNIFIED", "CJK COMPAT", "HIRAGANA", "KATAKANA"))


def _cmrc_pieces(text: str) -> list[str]:
    """Pieces of text whose other words are split at white space alone."""
    found: list[str] = []
    word = ""
    for char in text.lower().strip():
        if char in _CMRC_MARKS:
            continue
        if _is_single(char) or char.isspace():
            found += [word] * bool(word) + [char] * (not char.isspace())
            word = ""
        else:
            word += char
    return found + [word] * bool(word)


def _cmrc_f1(prediction: str, gold: str) -> float:
    """F1 by the longest run of pieces of one that is a run of the other, trying all runs."""
    said, right = _cmrc_pieces(prediction), _cmrc_pieces(gold)
    runs = {
        tuple(right[i:j]) for i in range(len(right)) for j in range(i + 1, len(right) + 1)
    }  # no empty one
    shared = [
        j - i
        for i in range(len(said))
        for j in range(i + 1, len(said) + 1)
        if tuple(said[i:j]) in runs
    ]
    if not shared:
        return 0.0
    precision, recall = max(shared) / len(said), max(shared) / len(right)
    return 2 * precision * recall / (precision + recall)


@given(_texts, _golds)
def test_scores_of_words_are_those_of_the_squad_script(prediction: str, golds: list[str]) -> None:
    em, overlap = _squad_scores(prediction, golds)
    assert exact_match(prediction, golds) == em
    assert f1(prediction, golds) == pytest.approx(overlap, abs=1e-12)


@given(_texts)
def test_normalising_words_is_the_definition_for_any_text(text: str) -> None:
    assert normalize(text) == _squad_form(text)


@pytest.mark.parametrize(
    ("prediction", "golds", "em", "overlap"),
    [
        ("The Cat!", ["cat"], 1.0, 1.0),
        ("the big cat", ["a cat"], 0.0, 2 / 3),  # precision 1/2, recall 1
        ("cat cat dog", ["cat dog dog"], 0.0, 2 / 3),  # two in common of three each
        ("dog", ["cat", "a dog in town"], 0.0, 0.5),  # the best gold: precision 1, recall 1/3
        ("", [], 1.0, 1.0),
        ("the", [], 1.0, 1.0),  # nothing is left of it
        ("cat", [], 0.0, 0.0),
        ("", ["cat"], 0.0, 0.0),
        ("vitamin", ["A", "vitamin A"], 1.0, 1.0),  # "A" is dropped as an article both times
        ("", ["A", "vitamin A"], 0.0, 0.0),  # and does not count as a gold answer
        ("U.S.", ["US"], 1.0, 1.0),
        ("the\u0301 cat", ["\u0301 cat"], 1.0, 1.0),  # a word ends before a combining mark
        ("“cat”", ["cat"], 0.0, 0.0),  # only ASCII punctuation is dropped
    ],
)
def test_scores_of_words_by_hand(
    prediction: str, golds: list[str], em: float, overlap: float
) -> None:
    assert exact_match(prediction, golds) == em
    assert f1(prediction, golds) == pytest.approx(overlap)


@pytest.mark.parametrize(
    ("prediction", "golds", "em", "overlap"),
    [
        ("北京大学。", ["北京大学"], 1.0, 1.0),
        ("北京的大学", ["北京大学"], 0.0, 4 / 9),  # a run of 2 of 5 and 4
        ("在北京大学", ["北京", "北京大学"], 0.0, 8 / 9),  # a run of 4 of 5 and 4
        ("2018年", ["2018"], 0.0, 2 / 3),  # "2018" is one piece
        ("IBM公司", ["ibm"], 0.0, 0.5),
        ("《红楼梦》", ["红楼梦"], 1.0, 1.0),
        ("the cat", ["cat"], 0.0, 2 / 3),  # articles stay
        ("東京タワー", ["タワー"], 0.0, 6 / 8),  # Kana are single
        ("好！", ["好!"], 0.0, 2 / 3),  # the wide mark is dropped, the ASCII one is a piece
        ("", [], 1.0, 1.0),
        ("好", [], 0.0, 0.0),
        ("", ["好"], 0.0, 0.0),
    ],
)
def test_scores_of_characters_by_hand(
    prediction: str, golds: list[str], em: float, overlap: float
) -> None:
    assert exact_match(prediction, golds, "characters") == em
    assert f1(prediction, golds, "characters") == pytest.approx(overlap)


_han = st.text(alphabet="北京大学 ab12の　カ。，《》-", max_size=10)


@given(_han, st.lists(_han, min_size=1, max_size=3))
def test_scores_of_characters_are_those_of_the_cmrc_script(
    prediction: str, golds: list[str]
) -> None:
    golds = [gold for gold in golds if _cmrc_pieces(gold)]
    if golds:
        expected = max(_cmrc_f1(prediction, gold) for gold in golds)
        assert f1(prediction, golds, "characters") == pytest.approx(expected, abs=1e-12)
        form = re.sub(f"[{re.escape(''.join(_CMRC_MARKS))}]", "", prediction.lower().strip())
        same = any(form == normalize(gold, "characters") for gold in golds)
        assert exact_match(prediction, golds, "characters") == same


@given(_texts, _golds, st.sampled_from(["words", "characters"]))
def test_scores_are_fractions_and_an_exact_match_has_full_f1(
    prediction: str, golds: list[str], answers_in: AnswersIn
) -> None:
    em, overlap = exact_match(prediction, golds, answers_in), f1(prediction, golds, answers_in)
    assert 0.0 <= overlap <= 1.0
    assert em in (0.0, 1.0)
    assert em <= overlap


def _numbers(metric: AnswerScores) -> dict[str, float]:
    return {name: value.item() for name, value in metric.compute().items()}


def test_answer_scores_are_means_of_all_and_of_each_group() -> None:
    metric = AnswerScores()
    metric.update([1.0, 0.0], [1.0, 0.5], [True, True])
    metric.update([], [], [])
    metric.update([0.0, 1.0, 1.0], [0.0, 1.0, 1.0], [False, False, False])
    assert _numbers(metric) == pytest.approx(
        {
            "em": 3 / 5,
            "f1": 3.5 / 5,
            "has_answer_em": 1 / 2,
            "has_answer_f1": 1.5 / 2,
            "no_answer_em": 2 / 3,
            "no_answer_f1": 2 / 3,
        }
    )
    metric.reset()
    metric.update([1.0], [1.0], [True])
    assert _numbers(metric) == dict.fromkeys(("em", "f1", "has_answer_em", "has_answer_f1"), 1.0)


def test_answer_scores_without_questions_are_zero() -> None:
    metric = AnswerScores()
    metric.update([], [], [])
    assert _numbers(metric) == {"em": 0.0, "f1": 0.0}


def test_scores_of_different_numbers_of_questions_are_refused() -> None:
    with pytest.raises(ValueError, match="not of the same questions"):
        AnswerScores().update([1.0], [1.0, 1.0], [True])
    with pytest.raises(ValueError, match="not of the same questions"):
        best_f1_threshold([1.0], [1.0, 1.0], [1.0])
    with pytest.raises(ValueError, match="zip"):
        NullThreshold().update([1.0], [1.0, 1.0], [1.0])


def _mean_f1(threshold: float, rows: Sequence[tuple[float, float, float]]) -> float:
    return sum(answered if d <= threshold else empty for d, answered, empty in rows) / len(rows)


_fractions = st.sampled_from([0.0, 0.25, 0.5, 1.0])
_differences = st.one_of(
    st.integers(-4, 4).map(float), st.just(math.inf), st.floats(-1e6, 1e6, width=32)
)


@given(st.lists(st.tuples(_differences, _fractions, _fractions), min_size=1, max_size=12))
def test_no_threshold_is_better_than_the_best_one(rows: list[tuple[float, float, float]]) -> None:
    threshold, best = best_f1_threshold(*zip(*rows, strict=True))
    assert math.isfinite(threshold)
    assert best == pytest.approx(_mean_f1(threshold, rows), abs=1e-12)
    finite = [d for d, _, _ in rows if d != math.inf]
    every = max(_mean_f1(cut, rows) for cut in [-math.inf, *finite])
    assert best == pytest.approx(every, abs=1e-12)


def test_the_threshold_lies_in_the_middle_of_the_widest_best_interval() -> None:
    # Answering up to 1 is right, from 5 on wrong; between them, 2 scores the same either way.
    differences = [0.0, 1.0, 2.0, 5.0]
    assert best_f1_threshold(differences, [1.0, 1.0, 0.5, 0.0], [0.0, 0.0, 0.5, 1.0]) == (
        3.0,
        3.5 / 4,
    )
    # Up to 0 and up to 2 are as good; the second interval, [2, 9), is the wider one.
    assert best_f1_threshold([0.0, 1.0, 2.0, 9.0], [1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 1.0]) == (
        5.5,
        0.75,
    )


def test_an_interval_without_an_end_ends_one_beyond_the_last_question() -> None:
    assert best_f1_threshold([2.0, 4.0], [1.0, 1.0], [0.0, 0.0]) == (4.5, 1.0)
    assert best_f1_threshold([2.0, 4.0], [0.0, 0.0], [1.0, 1.0]) == (1.5, 1.0)
    assert best_f1_threshold([math.inf], [0.0], [1.0]) == (0.0, 1.0)
    assert best_f1_threshold([], [], []) == (0.0, 0.0)


def test_the_threshold_separates_neighbouring_floats() -> None:
    low = 1.0
    high = math.nextafter(low, 2.0)
    threshold, best = best_f1_threshold([low, high], [1.0, 0.0], [0.0, 1.0])
    assert low <= threshold < high
    assert best == 1.0


def _official(rows: Sequence[tuple[float, float, float]]) -> float:
    """Best mean F1 as SQuAD 2.0's script finds it: question after question, by difference.

    Its rule has no groups of equal differences, so the differences here are all different.
    """
    score = best = sum(empty for _, _, empty in rows)
    for _, answered, empty in sorted(rows):
        score += answered - empty
        best = max(best, score)
    return best / len(rows)


def test_the_best_f1_is_that_of_the_squad_script_on_many_questions() -> None:
    draw = random.Random(3)
    rows = []
    for _ in range(2000):
        has_answer = draw.random() < 0.6
        answered = draw.choice([0.0, 0.4, 1.0]) if has_answer else 0.0
        rows.append((draw.gauss(-2 if has_answer else 2, 2), answered, float(not has_answer)))
    threshold, best = best_f1_threshold(*zip(*rows, strict=True))
    assert best == pytest.approx(_official(rows))
    assert -2 < threshold < 2

    curve = threshold_curve(*zip(*rows, strict=True))
    assert (curve.threshold, curve.f1) == (threshold, best)
    assert 150 < len(curve.curve) <= CURVE_POINTS
    assert curve.curve == sorted(curve.curve)
    for at, score in curve.curve:
        assert score == pytest.approx(_mean_f1(at, rows), abs=1e-9)
    assert max(score for _, score in curve.curve) == pytest.approx(best)
    assert curve.curve[0][0] == min(rows)[0] - 1
    assert curve.curve[-1][0] == max(rows)[0]


def test_the_metric_finds_the_threshold_of_all_its_updates() -> None:
    metric = NullThreshold()
    metric.update([0.0, 1.0], [1.0, 1.0], [0.0, 0.0])
    metric.update([], [], [])
    metric.update([5.0, math.inf], [0.0, 0.0], [1.0, 1.0])
    found = metric.compute()
    assert (found.threshold, found.f1) == (3.0, 1.0)
    assert (3.0, 1.0) in found.curve
    metric.reset()
    metric.update([2.0], [1.0], [0.0])
    assert metric.compute().threshold == 2.5


def test_the_metric_without_questions_has_a_threshold_all_the_same() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert NullThreshold().compute() == (0.0, 0.0, [])


def _process(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2
    )
    threshold, scores = NullThreshold(), AnswerScores()
    # The second process has no questions, in the first round without an update even.
    for questions in range(2):
        threshold.reset()
        scores.reset()
        if rank == 0:
            threshold.update([0.0, 1.0, 5.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0])
            scores.update([1.0, 0.0], [1.0, 0.5], [True, False])
        elif questions:
            threshold.update([], [], [])
            scores.update([], [], [])
        assert threshold.compute()[:2] == (3.0, 1.0)
        assert {name: value.item() for name, value in scores.compute().items()} == {
            "em": 0.5,
            "f1": 0.75,
            "has_answer_em": 1.0,
            "has_answer_f1": 1.0,
            "no_answer_em": 0.0,
            "no_answer_f1": 0.5,
        }
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_a_process_without_questions_finds_what_the_other_found(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    spawn(_process, args=(str(tmp_path_factory.mktemp("meet")),), nprocs=2)
