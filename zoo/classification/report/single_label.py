"""The report of a test with one label a text: scores of each label, confusions, errors."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from zoo.classification.prediction import ClassifiedText
from zoo.classification.report.shared import ERRORS, Diagram, reliability, shown, texts_of
from zoo.tracking.report import ConfusionMatrix, Table, TaskReport

#: Labels of the confusion matrix, at most: of more only those with the most errors are drawn.
_DRAWN = 40
OTHERS = "(others)"


def single_label_report(
    texts: Sequence[ClassifiedText],
    examples: Any,
    *,
    labels: Sequence[str],
    diagram: Diagram = (),
) -> TaskReport:
    """Tables, confusion matrix and prediction records of a test.

    Args:
        texts: Predicted and right label of each text, in any order.
        examples: The table of examples, with `text` and `text2`, by row.
        labels: All labels, in the order of their ids.
        diagram: Points of the reliability diagram.
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
                    (one.example, one.gold, one.label, round(one.probability, 3), shown(row))
                    for one in errors[:ERRORS]
                    for row in (examples[one.example],)
                ],
            ),
        },
        predictions=_records(texts, examples),
        confusion=_confusion(cells, labels),
        curves=reliability(diagram),
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


def _records(texts: Sequence[ClassifiedText], examples: Any) -> Iterator[dict[str, Any]]:
    for one in texts:
        yield {
            "example": one.example,
            **texts_of(examples[one.example]),
            "gold": one.gold,
            "label": one.label,
            "probability": round(one.probability, 4),
        }
