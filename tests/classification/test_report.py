"""What the report of a classification test says."""

import json

import pytest

from zoo.classification.prediction import (
    ClassificationPrediction,
    ClassificationPredictions,
    ClassifiedText,
)
from zoo.classification.report.single_label import OTHERS, single_label_report

_EXAMPLES = [
    {"text": "one", "text2": None},
    {"text": "two", "text2": None},
    {"text": "three " * 100, "text2": None},
    {"text": "four", "text2": "five"},
]
_TEXTS = [
    ClassifiedText(3, "b", 0.6, "a"),
    ClassifiedText(0, "a", 0.9, "a"),
    ClassifiedText(1, "a", 0.8, "b"),
    ClassifiedText(2, "b", 0.7, "c"),
]


def test_labels_have_precision_recall_f1_and_texts() -> None:
    made = single_label_report(_TEXTS, _EXAMPLES, labels=["a", "b", "c"])
    assert made.main_table == "per_label"
    assert [tuple(row) for row in made.tables["per_label"].rows] == [
        ("a", 0.5, 0.5, 0.5, 2),
        ("b", 0.0, 0.0, 0.0, 1),
        ("c", 0.0, 0.0, 0.0, 1),
    ]
    assert made.confusion is not None
    assert made.confusion.counts == [[1, 1, 0], [1, 0, 0], [0, 1, 0]]


def test_errors_come_the_most_confident_first_with_shortened_texts() -> None:
    rows = single_label_report(_TEXTS, _EXAMPLES, labels=["a", "b", "c"]).tables["errors"].rows
    assert [row[:4] for row in rows] == [
        (1, "b", "a", 0.8),
        (2, "c", "b", 0.7),
        (3, "a", "b", 0.6),
    ]
    assert len(rows[1][4]) == 240
    assert rows[2][4] == "four ‖ five"


def test_predictions_are_in_the_order_of_the_data() -> None:
    records = list(single_label_report(_TEXTS, _EXAMPLES, labels=["a", "b", "c"]).predictions)
    assert [record["example"] for record in records] == [0, 1, 2, 3]
    assert records[3] == {
        "example": 3,
        "text": "four",
        "text2": "five",
        "gold": "a",
        "label": "b",
        "probability": 0.6,
    }


def test_of_a_thousand_labels_the_most_confused_are_drawn_and_no_text_is_lost() -> None:
    labels = [str(number) for number in range(1000)]
    texts = [ClassifiedText(row, "7" if row == 3 else str(row), 0.5, str(row)) for row in range(50)]
    examples = [{"text": "x", "text2": None}] * 50
    made = single_label_report(texts, examples, labels=labels)
    assert made.main_table is None
    assert made.confusion is not None
    assert len(made.confusion.names) == 40
    assert {"3", "7", OTHERS} <= set(made.confusion.names)
    assert sum(map(sum, made.confusion.counts)) == 50


def test_predictions_are_plain_data_and_a_table_with_escaped_texts() -> None:
    one = ClassificationPrediction("<b> & co", None, "a<b", 0.87654)
    assert json.loads(json.dumps(one.to_dict())) == {
        "text": "<b> & co",
        "label": "a<b",
        "probability": 0.8765,
    }
    pair = ClassificationPrediction("x", "y", "a", 0.5)
    assert pair.to_dict()["text2"] == "y"
    both = ClassificationPredictions([one, pair])
    shown = both._repr_html_()
    assert "&lt;b&gt; &amp; co" in shown
    assert "<b> & co" not in shown
    assert "x<br>y" in shown
    assert both[:1][0] is one
    assert pytest.approx(0.5) == both[-1].probability
    many = ClassificationPredictions([one] * 150)
    assert "and 50 more" in many._repr_html_()
