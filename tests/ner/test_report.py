"""What the report of a test says of documents worked out by hand."""

from typing import Any

import pytest

from zoo.ner.prediction import TaggedDocument
from zoo.ner.report import NOTHING, WRONG_ENDS, report
from zoo.tracking.report import TaskReport

_EXAMPLES = [
    {"tokens": ["Ada", "Lovelace", "met", "Bo", "in", "Rome", "."]},
    {"tokens": ["New", "York", "City", "hired", "Ada"]},
    {"tokens": ["nothing", "here"]},
    {"tokens": ["Rome", "Bo"]},
]


def _document(example: int, gold: str, tags: str, scores: list[float]) -> TaggedDocument:
    return TaggedDocument(example, tags.split(), scores, gold.split())


_DOCUMENTS = [
    # PER right; Bo missed (the model was sure of O); Rome of the wrong type.
    _document(
        0,
        "B-PER I-PER O B-PER O B-LOC O",
        "B-PER I-PER O O O B-PER O",
        [0.9, 0.7, 1.0, 0.6, 1.0, 0.8, 1.0],
    ),
    # "New York" instead of "New York City"; "hired Ada" as LOC instead of "Ada" as PER.
    _document(
        1,
        "B-LOC I-LOC I-LOC O B-PER",
        "B-LOC I-LOC O B-LOC I-LOC",
        [0.5, 0.9, 0.9, 0.2, 0.4],
    ),
    # A spurious LOC.
    _document(2, "O O", "B-LOC O", [0.95, 1.0]),
    # All right.
    _document(3, "B-LOC B-PER", "B-LOC B-PER", [0.99, 0.98]),
]


@pytest.fixture
def made() -> TaskReport:
    shuffled = [_DOCUMENTS[i] for i in (2, 0, 3, 1)]
    return report(shuffled, _EXAMPLES, types=["LOC", "PER"])


def test_each_gold_entity_is_counted_against_what_was_predicted(made: TaskReport) -> None:
    assert made.confusion is not None
    assert made.confusion.names == ["LOC", "PER", WRONG_ENDS, NOTHING]
    assert made.confusion.counts == [
        [1, 1, 1, 0],  # gold LOC: Rome right, Rome as PER, New York [City]
        [1, 2, 0, 1],  # gold PER: "hired Ada" as LOC, two right, Bo missed
        [0, 0, 0, 0],
        [1, 0, 0, 0],  # the spurious LOC
    ]


def test_errors_come_by_confidence_with_their_kind_and_context(made: TaskReport) -> None:
    table = made.tables["errors"]
    assert table.columns == ("example", "kind", "gold", "predicted", "score", "context")
    assert list(table.rows) == [
        (2, "spurious", "-", "LOC: nothing", 0.95, "[nothing] here"),
        (0, "wrong type", "LOC: Rome", "PER: Rome", 0.8, "Ada Lovelace met Bo in [Rome] ."),
        (1, "wrong ends", "LOC: New York City", "LOC: New York", 0.7, "[New York City] hired Ada"),
        (0, "missed", "PER: Bo", "-", 0.6, "Ada Lovelace met [Bo] in Rome ."),
        (1, "wrong ends and type", "PER: Ada", "LOC: hired Ada", 0.3, "New York City hired [Ada]"),
    ]


def test_scores_of_each_type_are_those_worked_by_hand(made: TaskReport) -> None:
    table = made.tables[made.main_table or ""]
    assert table.columns == ("type", "precision", "recall", "f1", "entities")
    rows: dict[str, Any] = {row[0]: row[1:] for row in table.rows}
    assert list(rows) == ["LOC", "PER", "all"]
    # LOC: 1 found, 4 predicted, 3 gold. PER: 2 found, 3 predicted, 4 gold.
    assert rows["LOC"] == pytest.approx((1 / 4, 1 / 3, 2 / 7, 3))
    assert rows["PER"] == pytest.approx((2 / 3, 2 / 4, 4 / 7, 4))
    assert rows["all"] == pytest.approx((3 / 7, 3 / 7, 6 / 14, 7))


def test_records_come_in_the_order_of_the_data(made: TaskReport) -> None:
    records = list(made.predictions)
    assert [record["example"] for record in records] == [0, 1, 2, 3]
    assert records[1] == {
        "example": 1,
        "tokens": ["New", "York", "City", "hired", "Ada"],
        "gold": ["B-LOC", "I-LOC", "I-LOC", "O", "B-PER"],
        "tags": ["B-LOC", "I-LOC", "O", "B-LOC", "I-LOC"],
        "scores": [0.5, 0.9, 0.9, 0.2, 0.4],
    }


def test_one_prediction_answers_one_gold_entity_only() -> None:
    # One long prediction over two gold entities: the first is its pair, the second was missed.
    one = _document(3, "B-LOC B-LOC", "B-LOC I-LOC", [0.5, 0.5])
    made = report([one], _EXAMPLES, types=["LOC"])
    assert sorted(row[1] for row in made.tables["errors"].rows) == ["missed", "wrong ends"]
    assert made.confusion is not None
    assert made.confusion.counts[0] == [0, 1, 1]


def test_a_long_sentence_is_cut_around_the_error() -> None:
    tokens = [f"w{i}" for i in range(30)]
    gold = ["B-X" if i == 15 else "O" for i in range(30)]
    one = TaggedDocument(0, ["O"] * 30, [0.5] * 30, gold)
    made = report([one], [{"tokens": tokens}], types=["X"])
    around = "… w9 w10 w11 w12 w13 w14 [w15] w16 w17 w18 w19 w20 w21 …"
    assert made.tables["errors"].rows[0][-1] == around


def test_a_test_without_errors_or_documents_has_empty_tables() -> None:
    right = report([_DOCUMENTS[3]], _EXAMPLES, types=["LOC", "PER"])
    assert list(right.tables["errors"].rows) == []
    nothing = report([], _EXAMPLES, types=["LOC"])
    assert list(nothing.predictions) == []
    assert list(nothing.tables["per_type"].rows[-1]) == ["all", 0.0, 0.0, 0.0, 0]
