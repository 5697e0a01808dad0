"""The report of a test with any number of labels a text: scores of each label, errors."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from zoo.classification.prediction import MultiLabelledText
from zoo.classification.report.shared import ERRORS, Diagram, reliability, shown, texts_of
from zoo.tracking.report import Table, TaskReport

#: Labels of the table that the terminal shows, at most.
_SHOWN = 40


def multi_label_report(
    texts: Sequence[MultiLabelledText],
    examples: Any,
    *,
    thresholds: Mapping[str, float],
    diagram: Diagram = (),
) -> TaskReport:
    """Tables and prediction records of a test.

    Args:
        texts: Predicted and right labels of each text, in any order.
        examples: The table of examples, with `text` and `text2`, by row.
        thresholds: Of each label, in the order of their ids, the least probability to give it.
        diagram: Points of the reliability diagram.
    """
    texts = sorted(texts, key=lambda one: one.example)
    return TaskReport(
        tables={
            "per_label": _per_label(texts, thresholds),
            "errors": Table(
                "Most confident errors",
                ("example", "gold", "predicted", "wrong label", "probability", "text"),
                [
                    (
                        one.example,
                        ", ".join(one.gold),
                        ", ".join(one.labels),
                        label,
                        round(likely, 3),
                        shown(examples[one.example]),
                    )
                    for likely, label, one in _errors(texts)[:ERRORS]
                ],
            ),
        },
        predictions=_records(texts, examples),
        curves=reliability(diagram),
        main_table="per_label" if len(thresholds) <= _SHOWN else None,
    )


def _per_label(texts: Sequence[MultiLabelledText], thresholds: Mapping[str, float]) -> Table:
    right: Counter[str] = Counter()
    given: Counter[str] = Counter()
    wanted: Counter[str] = Counter()
    for one in texts:
        given.update(one.labels)
        wanted.update(one.gold)
        right.update(set(one.labels) & set(one.gold))
    rows = [
        (
            label,
            right[label] / max(given[label], 1),
            right[label] / max(wanted[label], 1),
            2 * right[label] / max(given[label] + wanted[label], 1),
            wanted[label],
            float(threshold),
        )
        for label, threshold in thresholds.items()
    ]
    columns = ("label", "precision", "recall", "f1", "texts", "threshold")
    return Table("Scores of each label", columns, rows)


def _errors(texts: Sequence[MultiLabelledText]) -> list[tuple[float, str, MultiLabelledText]]:
    """Labels that were given and are wrong, the most probable first."""
    wrong = [
        (likely, label, one)
        for one in texts
        for label, likely in zip(one.labels, one.probabilities, strict=True)
        if label not in one.gold
    ]
    return sorted(wrong, key=lambda error: -error[0])


def _records(texts: Sequence[MultiLabelledText], examples: Any) -> Iterator[dict[str, Any]]:
    for one in texts:
        yield {
            "example": one.example,
            **texts_of(examples[one.example]),
            "gold": one.gold,
            "labels": one.labels,
            "probabilities": [round(likely, 4) for likely in one.probabilities],
        }
