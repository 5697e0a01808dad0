"""ROUGE against the rouge-score package, on texts made for ties and on real ones."""

import csv
import json
import random
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.rouge_scorer import lcs_ind as their_common_places
from rouge_score.tokenize import tokenize as their_tokens
from scipy import stats  # type: ignore[import-untyped]

from zoo.summarization.rouge import (
    ROUGE,
    RougeIn,
    Score,
    bootstrap_interval,
    repeated_trigrams,
    rouge,
    tokens,
)
from zoo.summarization.rouge.subsequence import common_length, common_places

_ZERO = dict.fromkeys(ROUGE, Score(0.0, 0.0, 0.0))


@cache
def _scorer(stem: bool) -> Any:
    return RougeScorer(list(ROUGE), use_stemmer=stem)


def _same(mine: Mapping[str, Score], theirs: Mapping[str, Any]) -> None:
    assert list(mine) == list(ROUGE)
    for name in ROUGE:
        assert mine[name] == pytest.approx(tuple(theirs[name]), abs=1e-9), name


# Few words, so that much is shared and repeated; some of them equal by their stems only.
_WORDS = ["a", "b", "c", "run", "runs", "running", "dogs", "dog", "dying", "sky", "x1", "É", "猫"]
_texts = st.lists(
    st.tuples(st.sampled_from(_WORDS), st.sampled_from([" ", " ", " ", "\n", "\n\n", ". ", "-"])),
    max_size=24,
).map(lambda parts: "".join(word + gap for word, gap in parts))


@settings(deadline=None, max_examples=300)
@given(_texts, st.lists(_texts, min_size=1, max_size=3), st.booleans())
def test_scores_are_those_of_rouge_score(
    prediction: str, references: list[str], stem: bool
) -> None:
    mine = rouge(prediction, references, stem=stem, language=None)
    _same(mine, _scorer(stem).score_multi(references, prediction))


@given(st.text(max_size=60), st.text(max_size=60), st.booleans())
def test_scores_of_any_text_are_those_of_rouge_score(
    prediction: str, reference: str, stem: bool
) -> None:
    mine = rouge(prediction, [reference], stem=stem, language=None)
    _same(mine, _scorer(stem).score(reference, prediction))


@settings(deadline=None, max_examples=300)
@given(st.text("aeiousyzbltndg'E9 .", max_size=40))
def test_stems_are_those_of_rouge_score(text: str) -> None:
    assert tokens(text, rouge_in="words", stem=True) == their_tokens(
        text, _scorer(True)._tokenizer._stemmer
    )
    assert tokens(text, rouge_in="words", stem=False) == their_tokens(text, None)


_tokens = st.lists(st.sampled_from("abcd"), max_size=20)


@settings(deadline=None, max_examples=500)
@given(_tokens, _tokens)
def test_the_common_subsequence_is_the_one_that_rouge_score_finds(
    reference: list[str], prediction: list[str]
) -> None:
    places = sorted(common_places(reference, prediction))
    assert places == their_common_places(reference, prediction)
    assert common_length(reference, prediction) == len(places)
    assert common_length(prediction, reference) == len(places)


@pytest.mark.parametrize("sizes", [(300, 40), (40, 300), (400, 400)])
def test_a_long_common_subsequence_is_found_in_blocks(sizes: tuple[int, int]) -> None:
    draw = random.Random(1)
    reference, prediction = (draw.choices("abcdefgh", k=size) for size in sizes)
    places = sorted(common_places(reference, prediction))
    assert places == their_common_places(reference, prediction)
    assert common_length(reference, prediction) == len(places)


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("stem", [True, False])
def test_scores_of_papers_are_those_of_rouge_score(real_data: Path, stem: bool) -> None:
    scorer = _scorer(stem)
    for row in _rows(real_data / "summarization" / "scitldr_a" / "dev.jsonl")[:300]:
        # A line is a sentence for rouge-score: some predictions have several.
        prediction = "\n".join(row["source"][1:4])
        references = [text.replace(". ", ".\n").replace(", ", ",\n") for text in row["target"]]
        mine = rouge(prediction, references, stem=stem, language=None)
        _same(mine, scorer.score_multi(references, prediction))


@pytest.mark.slow
def test_scores_of_notes_are_those_of_rouge_score(real_data: Path) -> None:
    path = real_data / "summarization" / "mts_dialog" / "MTS-Dialog-ValidationSet.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 100
    for row in rows:
        dialogue, note = row["dialogue"][:2000], row["section_text"]
        mine = rouge(dialogue, [note], language=None)
        _same(mine, _scorer(True).score(note, dialogue))


@pytest.mark.parametrize(
    ("prediction", "references"),
    [("", ["a b"]), ("a b", [""]), ("", [""]), ("a b", []), ("...", ["a"]), ("\n\n", ["\n"])],
)
@pytest.mark.parametrize("rouge_in", ["words", "characters"])
def test_nothing_scores_nothing(prediction: str, references: list[str], rouge_in: RougeIn) -> None:
    assert rouge(prediction, references, rouge_in=rouge_in) == _ZERO


def test_scores_by_hand() -> None:
    scores = rouge("the cats sat here", ["the cat sat on the mat"])
    assert scores["rouge1"] == pytest.approx((3 / 4, 3 / 6, 6 / 10))  # the, cat, sat
    assert scores["rouge2"] == pytest.approx((2 / 3, 2 / 5, 4 / 8))
    assert scores["rougeL"] == scores["rougeLsum"] == scores["rouge1"]
    unstemmed = rouge("the cats sat here", ["the cat sat on the mat"], stem=False)
    assert unstemmed["rouge1"].f1 == pytest.approx(4 / 10)


def test_each_score_is_of_the_reference_that_fits_it_best() -> None:
    scores = rouge("a b c", ["c b a", "a b x y z"])
    assert scores["rouge1"].f1 == 1.0  # the first
    assert scores["rouge2"].f1 == pytest.approx(2 / 6)  # the second: one of 2 and of 4
    assert scores["rougeL"].f1 == pytest.approx(4 / 8)  # the second: two of 3 and of 5


def test_the_sentences_of_rouge_lsum_are_found_in_running_text() -> None:
    # In another order, sentence by sentence everything is found.
    scores = rouge("It rained. We left.", ["We left. It rained."])
    assert scores["rougeLsum"].f1 == 1.0
    assert scores["rougeL"].f1 == 0.5
    assert (
        rouge("It rained. We left.", ["We left. It rained."], language=None)["rougeLsum"].f1 == 0.5
    )
    scores = rouge("他走了。下雨了。", ["下雨了。他走了。"], rouge_in="characters", language="zh")
    assert (scores["rougeLsum"].f1, scores["rougeL"].f1) == (1.0, 0.5)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("北京大学。", ["北", "京", "大", "学"]),
        ("東京タワー、すごい！", [*"東京タワー", *"すごい"]),
        ("IBM公司的word2vec（2018年）", ["ibm", "公", "司", "的", "word2vec", "2018", "年"]),
        ("3.5%—A_b 👍 ...", ["3", "5", "a_b"]),
        ("한국어 문장", ["한국어", "문장"]),
        ("人々〻、々", ["人", "々", "〻", "々"]),
        ("", []),
    ],
)
def test_characters_of_chinese_and_japanese_are_tokens(text: str, found: list[str]) -> None:
    assert tokens(text, rouge_in="characters", stem=True) == found


def test_scores_in_characters_are_those_of_rouge_score_with_a_word_for_each() -> None:
    prediction, reference = "基于平方和优化的控制器设计", "一种基于优化的MRP控制器的设计方法"
    letters = sorted(set(prediction + reference) - set("MRP"))
    word = {letter: f" w{number} " for number, letter in enumerate(letters)}
    spelled = ["".join(word.get(one, one) for one in text) for text in (reference, prediction)]
    mine = rouge(prediction, [reference], rouge_in="characters", language="zh")
    _same(mine, _scorer(False).score(*spelled))
    assert mine["rougeL"].f1 > 0.5


@pytest.mark.parametrize(
    ("text", "share"),
    [("", 0.0), ("a b", 0.0), ("a b c d", 0.0), ("a b c a b c", 1 / 4), ("a a a a a", 2 / 3)],
)
def test_the_share_of_repeated_trigrams_by_hand(text: str, share: float) -> None:
    assert repeated_trigrams(text.split()) == pytest.approx(share)


def _hundred_thousand(kind: str) -> str:
    draw = random.Random(0)
    if kind == "few words":
        return " ".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=100_000))
    return " ".join(f"w{draw.randrange(30_000)}" for _ in range(100_000))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["few words", "many words"])
def test_100000_words_are_scored(kind: str) -> None:
    text = _hundred_thousand(kind)
    start = time.perf_counter()
    assert rouge(text, [text])["rougeLsum"].f1 == 1.0
    lines = text.replace(" w", "\nw").replace(" x ", "\nx ")
    assert rouge(lines, [lines])["rougeLsum"].f1 == 1.0
    assert rouge(text, ["a w1 w2"])["rouge1"].recall > 0
    assert rouge("a w1 w2", [text])["rouge1"].precision >= 1 / 3
    other = text[len(text) // 2 :] + " " + text[: len(text) // 2]
    assert rouge(other, [text])["rougeL"].f1 >= 0.49
    assert time.perf_counter() - start < 300


def test_importing_rouge_imports_neither_nltk_nor_sentencex() -> None:
    code = (
        "import sys, zoo.summarization.rouge; "
        "print('nltk' in sys.modules, 'sentencex' in sys.modules, 'rouge_score' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False", "False"]


def test_the_bootstrap_interval_is_that_of_scipy() -> None:
    values = np.random.default_rng(5).beta(2, 5, size=400)
    expected = stats.bootstrap(
        (values,), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    low, high = bootstrap_interval(list(values), samples=4000)
    # The ends themselves vary by about 0.0004 from seed to seed.
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=0.002)
    assert low < values.mean() < high
    wide = bootstrap_interval(list(values), samples=4000, level=0.99)
    assert wide[0] < low < high < wide[1]


def test_the_bootstrap_interval_is_the_same_each_time_and_however_it_is_drawn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = [0.1, 0.52, 0.93, 0.34, 0.71, 0.06]
    first = bootstrap_interval(values)
    assert bootstrap_interval(values) == first != bootstrap_interval(values, seed=1)
    monkeypatch.setattr("zoo.summarization.rouge.bootstrap._DRAWN", 20)
    assert bootstrap_interval(values) == first


@pytest.mark.parametrize(
    ("values", "interval"), [([], (0, 0)), ([0.4], (0.4, 0.4)), ([1, 1], (1, 1))]
)
def test_the_bootstrap_interval_of_what_does_not_vary(
    values: Sequence[float], interval: tuple[float, float]
) -> None:
    assert bootstrap_interval(values) == pytest.approx(interval)
