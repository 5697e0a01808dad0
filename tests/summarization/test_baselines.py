"""TextRank against PageRank solved as a system of equations, and the baselines' figures."""

import json
import random
import time
from collections.abc import Sequence
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.summarization.baselines import BASELINES, baseline_scores
from zoo.summarization.rouge import ROUGE, Score, rouge
from zoo.summarization.textrank import MOST_SENTENCES, textrank


def _words(sentences: Sequence[str]) -> list[list[str]]:
    return [sentence.split() for sentence in sentences]


def _exact_ranks(sentences: Sequence[str]) -> Any:
    """Ranks as the solution of r = 0.15 + 0.85 M r, M the shares of each sentence's weights."""
    words = _words(sentences)
    size = len(words)
    weights = np.zeros((size, size))
    for i in range(size):
        for j in range(size):
            if i != j and len(words[i]) * len(words[j]) > 1:
                shared = set(words[i]) & set(words[j])
                weights[i, j] = len(shared) / (log(len(words[i])) + log(len(words[j])))
    out = weights.sum(axis=0)
    shares = weights / np.where(out > 0, out, 1)
    return np.linalg.solve(np.eye(size) - 0.85 * shares, np.full(size, 0.15))


_sentences = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=7).map(" ".join)


@settings(deadline=None, max_examples=200)
@given(st.lists(_sentences, min_size=1, max_size=9), st.integers(1, 4))
def test_textrank_selects_by_the_ranks_of_its_definition(sentences: list[str], most: int) -> None:
    ranks = _exact_ranks(sentences)
    chosen = textrank(_words(sentences), most=most)
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(most, len(sentences))
    left = set(range(len(sentences))) - set(chosen)
    lowest = min(ranks[chosen])
    assert all(ranks[other] <= lowest + 1e-6 for other in left)


def test_textrank_takes_the_first_of_equals_and_never_a_sentence_without_words() -> None:
    assert textrank(_words(["", "a b", "c d", ""]), most=1) == [1]
    assert textrank(_words(["", "a b", "c d", ""]), most=9) == [1, 2]
    assert textrank(_words(["x y", "a b", "a b", "a b"]), most=2) == [1, 2]
    assert textrank([], most=3) == textrank([[], []], most=3) == []
    assert textrank(_words(["one", "one"]), most=1) == [0]  # log(1) + log(1) is 0


def test_textrank_of_a_long_document_ranks_its_first_sentences() -> None:
    draw = random.Random(0)
    sentences = [[f"w{draw.randrange(20) ** 3}" for _ in range(20)] for _ in range(5000)]
    start = time.perf_counter()
    chosen = textrank(sentences, most=3)
    assert time.perf_counter() - start < 60
    assert chosen == textrank(sentences[:MOST_SENTENCES], most=3)
    assert textrank([["word"] * 100_000, ["a", "word"]], most=1) == [0]


def _example(sentences: Sequence[str], references: Sequence[str]) -> dict[str, Any]:
    """A row of the table of examples."""
    starts = [sum(len(one) + 1 for one in sentences[:at]) for at in range(len(sentences))]
    ends = [start + len(one) for start, one in zip(starts, sentences, strict=True)]
    return {
        "source": " ".join(sentences),
        "sentence_starts": starts,
        "sentence_ends": ends,
        "references": list(references),
    }


_PARK = ["It rained.", "Dogs ran in the park.", "The park is large.", "A dog ran.", "Cats slept."]


def test_baselines_are_scored_with_the_sentences_that_they_select() -> None:
    rows = [
        _example(_PARK, ["dogs ran.", "Cats slept all day."]),
        _example(["Only one."], ["One only"]),
        _example([], ["Something"]),
        _example(["Something."], [""]),
    ]
    scores = baseline_scores(Dataset.from_list(rows), most=1, rouge_in="words", language="en")
    assert list(scores) == [f"{one}/{name}" for one in BASELINES for name in ROUGE]
    summaries = {
        "lead1": _PARK[0],
        "lead3": " ".join(_PARK[:3]),
        "textrank": _PARK[1],
        "oracle": _PARK[3],
    }
    for baseline, summary in summaries.items():
        first = rouge(summary, rows[0]["references"])
        second = rouge("Only one.", ["One only"])
        for name in ROUGE:
            expected = (first[name].f1 + second[name].f1) / 4
            assert scores[f"{baseline}/{name}"] == pytest.approx(expected), (baseline, name)


def test_textrank_and_the_oracle_select_as_many_sentences_as_they_may() -> None:
    rows = [_example(_PARK, ["It rained. A dog ran. Cats slept."])]
    one, all_ = (
        baseline_scores(rows, most=most, rouge_in="words", language="en") for most in (1, 3)
    )
    assert one["oracle/rouge1"] < all_["oracle/rouge1"] == 1.0
    assert one["textrank/rouge1"] != all_["textrank/rouge1"]
    assert one["lead3/rouge1"] == all_["lead3/rouge1"]


def test_baselines_of_chinese_and_of_nothing() -> None:
    rows = [_example(["天气很好。", "我们走吧。"], ["天气好"])]
    scores = baseline_scores(iter(rows), most=1, rouge_in="characters", language="zh")
    assert scores["lead1/rouge1"] == scores["oracle/rouge1"] == pytest.approx(6 / 7)
    empty = baseline_scores([], most=1, rouge_in="words", language="en")
    assert set(empty.values()) == {0.0}


def test_baselines_of_100000_words() -> None:
    text = "word " * 99_999 + "end"
    rows = [_example([text], ["a word"]), _example([text], [text])]
    start = time.perf_counter()
    scores = baseline_scores(rows, most=3, rouge_in="words", language="en")
    assert time.perf_counter() - start < 60
    assert scores["lead1/rougeL"] == pytest.approx(0.5, abs=1e-4)


def _papers(real_data: Path) -> list[dict[str, Any]]:
    path = real_data / "summarization" / "scitldr_a" / "dev.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _percent(scores: Sequence[dict[str, Score]]) -> list[float]:
    names = ("rouge1", "rouge2", "rougeL")
    return [round(100 * sum(score[name].f1 for score in scores) / len(scores), 1) for name in names]


@pytest.mark.slow
def test_baselines_of_scitldr_are_what_was_measured_elsewhere(real_data: Path) -> None:
    rows = _papers(real_data)

    def best(summary: str, references: Sequence[str]) -> dict[str, Score]:
        # There, all scores of a summary are of one reference: that of the best ROUGE-1.
        scores = (rouge(summary, [reference], language=None) for reference in references)
        return max(scores, key=lambda score: score["rouge1"].f1)

    lead = [best(row["source"][0], row["target"]) for row in rows]
    assert _percent(lead) == [30.1, 10.6, 23.0]

    # And the oracle is the sentence of the best ROUGE-1.
    oracle = [
        max(
            (best(sentence, row["target"]) for sentence in row["source"]),
            key=lambda score: score["rouge1"].f1,
        )
        for row in rows
    ]
    assert _percent(oracle) == [47.8, 24.7, 38.2]

    # There, words of TextRank were probably those between spaces, as they stand.
    chosen = (row["source"][textrank(_words(row["source"]), most=1)[0]] for row in rows)
    ranked = [best(sentence, row["target"]) for sentence, row in zip(chosen, rows, strict=True)]
    assert _percent(ranked) == pytest.approx([33.1, 10.3, 23.8], abs=0.4)


@pytest.mark.slow
def test_baselines_of_scitldr_with_the_best_reference_of_each_score(real_data: Path) -> None:
    examples = Dataset.from_list(
        [_example(row["source"], row["target"]) for row in _papers(real_data)]
    )
    scores = baseline_scores(examples, most=1, rouge_in="words", language="en")
    percent = {name: round(100 * score, 1) for name, score in scores.items()}
    # ROUGE-1 does not depend on how references are chosen.
    assert percent["lead1/rouge1"] == 30.1
    assert percent["lead1/rouge2"] >= 10.6
    assert percent["lead1/rougeL"] >= 23.0
    # Stems and lower case find more of what sentences share than words as they stand (33.1).
    assert percent["textrank/rouge1"] > 34.5
    # By the mean of ROUGE-1 and ROUGE-2, which gives up some of the one for more of the other.
    assert 47.0 < percent["oracle/rouge1"] < 47.8
    assert percent["oracle/rouge2"] > 24.7
    assert percent["oracle/rougeL"] > 38.2
