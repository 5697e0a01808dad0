"""What a test of question answering says of each question, for the comparison of runs."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.qa.metrics import f1
from zoo.tracking.comparison.outcomes import Array, Outcomes, Piece, Shown, Weights, ratio

if TYPE_CHECKING:
    from zoo.qa.normalization import AnswersIn

NONE = "(no answer)"
#: Records hold F1 with four decimals.
_ROUNDED = 5.1e-5

#: What each prediction must hold.
FIELDS: Mapping[str, type | tuple[type, ...]] = {
    "id": str,
    "question": str,
    "prediction": str,
    "golds": list,
    "em": (int, float),
    "f1": (int, float),
}


def outcomes(
    records: Sequence[Mapping[str, Any]], *, labels: Sequence[str], scored: frozenset[str]
) -> Outcomes:
    """Exact match and F1 of each question; the scores are their means."""
    em = np.array([record["em"] for record in records], dtype=np.float64)
    overlap = _overlap(records)
    has_answer = np.array([bool(record["golds"]) for record in records], dtype=np.float64)
    groups = {"": np.ones(len(records)), "has_answer_": has_answer, "no_answer_": 1 - has_answer}

    def scores(weights: Weights) -> dict[str, Array]:
        values: dict[str, Array] = {}
        for name, group in groups.items():
            if group.any():
                number = weights @ group
                values[f"{name}f1"] = ratio(weights @ (overlap * group), number)
                values[f"{name}em"] = ratio(weights @ (em * group), number)
        return values

    def show(at: int) -> Shown:
        record = records[at]
        golds = dict.fromkeys(record["golds"]) or [NONE]
        right = bool(record["em"])
        return Shown(
            record["question"],
            [Piece(gold, True) for gold in golds],
            [Piece(record["prediction"] or NONE, right)],
        )

    return Outcomes(
        scores=scores,
        main="f1",
        asked=[(record["id"], record["question"], tuple(record["golds"])) for record in records],
        quality=overlap + em,  # among equal overlaps an exact match is better
        perfect=2.0,
        show=show,
    )


def _overlap(records: Sequence[Mapping[str, Any]]) -> Array:
    """F1 without the rounding of the records, `[questions]`."""
    rounded = np.array([record["f1"] for record in records], dtype=np.float64)
    ways: tuple[AnswersIn, ...] = ("words", "characters")
    for answers_in in ways:
        exact = np.array(
            [f1(record["prediction"], record["golds"], answers_in) for record in records]
        )
        if np.abs(exact - rounded).max(initial=0.0) <= _ROUNDED:
            return exact
    return rounded
