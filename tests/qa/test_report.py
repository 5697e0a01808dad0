"""The report of a test: kinds of questions, the threshold's curve, errors, records."""

import datasets
import pytest

from zoo.qa.prediction import AnsweredQuestion, Scores
from zoo.qa.report import length_of, question_word, report


def _one(
    example: int, best: str, golds: list[str], difference: float, em: float, f1: float
) -> AnsweredQuestion:
    empty = Scores(float(not golds), float(not golds))
    return AnsweredQuestion(
        example, best, 0, len(best), 0.8, 0.2, difference, golds, Scores(em, f1), empty
    )


_EXAMPLES = datasets.Dataset.from_dict(
    {
        "id": ["a", "b", "c", "d"],
        "question": ["Who sang?", "Von wem?", "In what way, and when?", "To whom?"],
        "context": ["x"] * 4,
    }
)


def _questions() -> list[AnsweredQuestion]:
    found = [
        _one(3, "Bob Lee", ["Bob"], -1.0, 0.0, 2 / 3),
        _one(0, "Ada", ["Ada", "Ada Lovelace"], -2.0, 1.0, 1.0),
        _one(2, "Eve", [], 3.0, 0.0, 0.0),
        _one(1, "", ["x y z"], float("inf"), 0.0, 0.0),
    ]
    for one in found:
        one.decide(0.5)
    return found


def test_scores_are_told_apart_by_question_word_and_length() -> None:
    tables = report(_questions(), _EXAMPLES, threshold=0.5).tables
    words = {row[0]: row[1:] for row in tables["question_words"].rows}
    assert words["who"] == (0.5, pytest.approx(5 / 6), 2)
    assert words["what"] == (1.0, 1.0, 1)
    assert words["other"] == (0.0, 0.0, 1)
    assert words["all"] == (0.5, pytest.approx(2 / 3), 4)
    assert [row[0] for row in tables["answer_lengths"].rows] == ["1", "3-5", "(no answer)"]


def test_errors_are_the_worst_first_and_records_are_in_the_order_of_the_data() -> None:
    found = report(_questions(), _EXAMPLES, threshold=0.5)
    assert [(row[0], row[3], row[4]) for row in found.tables["errors"].rows] == [
        ("b", "(no answer)", 0.0),
        ("d", "Bob Lee", 0.667),
    ]
    records = list(found.predictions)
    assert [record["id"] for record in records] == ["a", "b", "c", "d"]
    assert records[0] == {
        "example": 0,
        "id": "a",
        "question": "Who sang?",
        "prediction": "Ada",
        "start": 0,
        "end": 3,
        "golds": ["Ada", "Ada Lovelace"],
        "em": 1.0,
        "f1": 1.0,
        "probability": 0.8,
        "null_difference": -2.0,
    }
    assert records[1]["null_difference"] is None
    assert (records[2]["prediction"], records[2]["em"]) == ("", 1.0)


def test_the_curve_has_the_f1_of_each_threshold_and_marks_the_one_that_was_used() -> None:
    curve = report(_questions(), _EXAMPLES, threshold=0.5).curves["threshold"]
    assert curve.mark == 0.5
    points = dict(curve.lines["f1"])
    # Of four: c is right where it is not answered, a and d where they are; b never.
    assert max(points.values()) == pytest.approx((1 + 2 / 3 + 1) / 4)
    assert min(points.values()) == pytest.approx(1 / 4)
    assert report(_questions(), _EXAMPLES, threshold=float("inf")).curves["threshold"].mark is None


@pytest.mark.parametrize(
    ("question", "word"),
    [
        ("Who sang?", "who"),
        ("By whom was it?", "who"),
        ("How  many\nare there?", "how many"),
        ("How much is it?", "how many"),
        ("How is it?", "how"),
        ("Name the whole list", "other"),
        ("谁？", "other"),
    ],
)
def test_the_question_word_is_the_first_there_is(question: str, word: str) -> None:
    assert question_word(question) == word


@pytest.mark.parametrize(
    ("golds", "name"),
    [(["a b c", "a"], "1"), (["王力他"], "3-5"), ([], "(no answer)"), (["w " * 11], "11 or more")],
)
def test_the_shortest_answer_counts(golds: list[str], name: str) -> None:
    assert length_of(_one(0, "", golds, 0.0, 0.0, 0.0)) == name
