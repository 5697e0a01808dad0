"""Scores of weighted blocks against sums written out."""

import math
from typing import Any

import numpy as np
import pytest

from zoo.pretraining.comparison import outcomes


def _record(gold: str, predicted: str, nats: list[float], size: int) -> dict[str, Any]:
    return {
        "tokens": ["[CLS]", *gold.split(), "[SEP]"],
        "places": list(range(1, len(gold.split()) + 1)),
        "predicted": predicted.split(),
        "nats": nats,
        "bytes": [size] * len(nats),
    }


RECORDS = [
    _record("a b", "a c", [1.0, 2.0], 3),
    _record("d", "d", [0.5], 2),
    _record("", "", [], 1),
]


def test_weighted_scores_are_those_of_repeated_blocks() -> None:
    account = outcomes(RECORDS, labels=[], scored=frozenset())
    found = account.scores(np.array([[1.0, 1.0, 1.0], [0.0, 3.0, 2.0]]))
    assert found["loss"] == pytest.approx([3.5 / 3, 0.5])
    assert found["perplexity"] == pytest.approx([math.exp(3.5 / 3), math.exp(0.5)])
    assert found["accuracy"] == pytest.approx([2 / 3, 1.0])
    assert found["bits_per_byte"] == pytest.approx([3.5 / 8 / math.log(2), 0.25 / math.log(2)])
    assert account.quality == pytest.approx([-1.5, -0.5, 0.0])


def test_an_example_shows_its_masks_and_what_was_right() -> None:
    shown = outcomes(RECORDS, labels=[], scored=frozenset()).show(0)
    assert shown.text == "[CLS] [a] [b] [SEP]"
    assert shown.predicted == [("a", True), ("c", False)]
    assert shown.gold == [("a", True), ("b", False)]
