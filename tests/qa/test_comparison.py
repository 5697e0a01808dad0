"""Scores of weighted questions against means of the questions written out as often."""

from typing import Any

import numpy as np
import pytest

from zoo.qa.comparison import outcomes


def record(prediction: str, golds: list[str], em: float, f1: float) -> dict[str, Any]:
    text = {"id": "1", "question": "Who?", "prediction": prediction, "golds": golds}
    return {**text, "em": em, "f1": f1}


#: F1 by hand: all; two common words of three and of four; wrongly none; rightly none; wrongly some.
RECORDS = [
    record("Ada Lovelace", ["Ada Lovelace"], 1.0, 1.0),
    record("Ada King Lovelace", ["Augusta Ada Byron Lovelace"], 0.0, 0.5714),
    record("", ["Ada"], 0.0, 0.0),
    record("", [], 1.0, 1.0),
    record("Ada", [], 0.0, 0.0),
]


def test_scores_are_exact_though_records_are_rounded() -> None:
    values = outcomes(RECORDS, labels=[], scored=frozenset()).values()
    assert values == pytest.approx(
        {
            "f1": (1 + 4 / 7 + 1) / 5,
            "em": 2 / 5,
            "has_answer_f1": (1 + 4 / 7) / 3,
            "has_answer_em": 1 / 3,
            "no_answer_f1": 1 / 2,
            "no_answer_em": 1 / 2,
        },
        abs=1e-12,
    )


def test_weighted_scores_are_means_of_repeated_questions() -> None:
    weights = np.array([[2.0, 3.0, 0.0, 0.0, 1.0], [0.0, 0.0, 1.0, 1.0, 3.0]])
    found = outcomes(RECORDS, labels=[], scored=frozenset()).scores(weights)
    assert found["f1"] == pytest.approx([(2 + 3 * 4 / 7) / 6, 1 / 5])
    assert found["em"] == pytest.approx([2 / 6, 1 / 5])
    assert found["has_answer_f1"] == pytest.approx([(2 + 3 * 4 / 7) / 5, 0])
    assert found["no_answer_em"] == pytest.approx([0, 1 / 4])


def test_answers_that_were_compared_in_characters_are_compared_so_again() -> None:
    # A common run of two of three and four characters; in words the two share nothing.
    chinese = [record("同样力", ["同样的力"], 0.0, 0.5714)]
    assert outcomes(chinese, labels=[], scored=frozenset()).values()["f1"] == pytest.approx(4 / 7)


def test_scores_of_records_that_follow_no_rule_are_taken_as_they_are() -> None:
    other = [record("Ada", ["Ada"], 1.0, 0.25)]
    assert outcomes(other, labels=[], scored=frozenset()).values()["f1"] == 0.25


def test_a_test_without_unanswerable_questions_has_no_scores_of_them() -> None:
    values = outcomes(RECORDS[:3], labels=[], scored=frozenset()).values()
    assert "no_answer_f1" not in values
    assert values["has_answer_f1"] == values["f1"]


def test_an_example_shows_no_answer_as_such() -> None:
    shown = outcomes(RECORDS, labels=[], scored=frozenset()).show(3)
    assert shown.gold == [("(no answer)", True)]
    assert shown.predicted == [("(no answer)", True)]
