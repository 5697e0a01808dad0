"""The report of a test with a number for each text: errors by size of the target."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from zoo.classification.prediction import ValuedText
from zoo.classification.report.shared import ERRORS, shown, texts_of
from zoo.tracking.report import Curve, Table, TaskReport

#: Groups of texts by their target, of near-equal size.
_GROUPS = 10


def regression_report(texts: Sequence[ValuedText], examples: Any) -> TaskReport:
    """Tables, a picture and prediction records of a test.

    Args:
        texts: Predicted and right number of each text, in any order.
        examples: The table of examples, with `text` and `text2`, by row.
    """
    texts = sorted(texts, key=lambda one: one.example)
    groups = [group for group in _groups(texts) if group]
    rows = [
        (
            f"{group[0].gold:.4g} to {group[-1].gold:.4g}",
            len(group),
            _mean([_gold(one) for one in group]),
            _mean([one.value for one in group]),
            _mean([abs(one.value - _gold(one)) for one in group]),
        )
        for group in groups
    ]
    errors = sorted(texts, key=lambda one: -abs(one.value - _gold(one)))
    columns = ("gold", "texts", "mean gold", "mean predicted", "mae")
    return TaskReport(
        tables={
            "per_range": Table("Scores by size of the target", columns, rows),
            "errors": Table(
                "Largest errors",
                ("example", "gold", "predicted", "text"),
                [
                    (one.example, one.gold, round(one.value, 3), shown(examples[one.example]))
                    for one in errors[:ERRORS]
                ],
            ),
        },
        predictions=_records(texts, examples),
        curves={
            "predicted_by_gold": Curve(
                "Mean prediction by size of the target",
                "mean gold",
                "mean predicted",
                {
                    "model": [(row[2], row[3]) for row in rows],
                    "perfect": [(row[2], row[2]) for row in rows],
                },
            )
        },
        main_table="per_range",
    )


def _groups(texts: Sequence[ValuedText]) -> list[list[ValuedText]]:
    """By the target, equal ones together; as many groups as there are targets, at most ten."""
    ordered = sorted(texts, key=_gold)
    targets = np.array([_gold(one) for one in ordered])
    borders = [len(ordered) * number // _GROUPS for number in range(1, _GROUPS)]
    # A border moves to where the next target begins.
    places = sorted({int(np.searchsorted(targets, targets[at])) for at in borders if len(targets)})
    edges = [0, *places, len(ordered)]
    return [ordered[begin:end] for begin, end in pairwise(edges)]


def _gold(one: ValuedText) -> float:
    return float("nan") if one.gold is None else one.gold


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def _records(texts: Sequence[ValuedText], examples: Any) -> Iterator[dict[str, Any]]:
    for one in texts:
        row = examples[one.example]
        yield {
            "example": one.example,
            **texts_of(row),
            "gold": one.gold,
            "value": one.value,
        }
