"""What the report of a classification test shows: scores of each label, confusions, errors."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from zoo.classification.prediction import ClassifiedText
from zoo.tracking.report import ConfusionMatrix, Table, TaskReport

#: Errors that are kept for the table, and characters of their texts.
_ERRORS = 200
_LONGEST = 240
#: Labels of the confusion matrix, at most: of more only those with the most errors are drawn.
_DRAWN = 40
OTHERS = "(others)"


def report(texts: Sequence[ClassifiedText], examples: Any, *, labels: Sequence[str]) -> TaskReport:
    """Tables, confusion matrix and prediction records of a test.

    Args:
        texts: Predicted and right label of each text, in any order.
        examples: The table of examples, with `text` and `text2`, by row.
        labels: All labels, in the order of their ids.
    """
    texts = sorted(texts, key=lambda one: one.example)
    cells = Counter((one.gold, one.label) for one in texts)
    errors = sorted(
        (one for one in texts if one.gold != one.label), key=lambda one: -one.probability
    )
    return TaskReport(
        tables={
            "per_label": _per_label(cells, labels),
            "errors": Table(
                "Most confident errors",
                ("example", "gold", "predicted", "probability", "text"),
                [
                    (one.example, one.gold, one.label, round(one.probability, 3), _shown(row))
                    for one in errors[:_ERRORS]
                    for row in (examples[one.example],)
                ],
            ),
        },
        predictions=_records(texts, examples),
        confusion=_confusion(cells, labels),
        main_table="per_label" if len(labels) <= _DRAWN else None,
    )


def _per_label(cells: Counter[tuple[str, str]], labels: Sequence[str]) -> Table:
    gold: Counter[str] = Counter()
    predicted: Counter[str] = Counter()
    for (row, column), count in cells.items():
        gold[row] += count
        predicted[column] += count
    rows = []
    for label in labels:
        right = cells[label, label]
        rows.append(
            (
                label,
                right / max(predicted[label], 1),
                right / max(gold[label], 1),
                2 * right / max(predicted[label] + gold[label], 1),
                gold[label],
            )
        )
    return Table("Scores of each label", ("label", "precision", "recall", "f1", "texts"), rows)


def _confusion(cells: Counter[tuple[str, str]], labels: Sequence[str]) -> ConfusionMatrix:
    if len(labels) > _DRAWN:
        wrong: Counter[str] = Counter()
        for (gold, predicted), count in cells.items():
            if gold != predicted:
                wrong[gold] += count
                wrong[predicted] += count
        drawn = sorted(labels, key=lambda label: -wrong[label])[: _DRAWN - 1]
        names = [*(label for label in labels if label in set(drawn)), OTHERS]
        kept = set(names)
        merged: Counter[tuple[str, str]] = Counter()
        for (gold, predicted), count in cells.items():
            place = (
                gold if gold in kept else OTHERS,
                predicted if predicted in kept else OTHERS,
            )
            merged[place] += count
        cells, labels = merged, names
    return ConfusionMatrix(labels, [[cells[row, column] for column in labels] for row in labels])


def _shown(row: Any) -> str:
    text = row["text"] if row["text2"] is None else f"{row['text']} ‖ {row['text2']}"
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _records(texts: Sequence[ClassifiedText], examples: Any) -> Iterator[dict[str, Any]]:
    for one in texts:
        row = examples[one.example]
        pair = {} if row["text2"] is None else {"text2": row["text2"]}
        yield {
            "example": one.example,
            "text": row["text"],
            **pair,
            "gold": one.gold,
            "label": one.label,
            "probability": round(one.probability, 4),
        }
