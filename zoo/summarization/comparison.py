"""What a summarization test says of each text, for the comparison of runs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from zoo.tracking.comparison.outcomes import Array, Outcomes, Piece, Shown, Weights, ratio

_SCORES = ("rougeL", "rouge1", "rouge2", "rougeLsum")

#: What each prediction must hold.
FIELDS: Mapping[str, type | tuple[type, ...]] = {
    "summary": str,
    "references": list,
    **dict.fromkeys(_SCORES, (int, float)),
}


def outcomes(
    records: Sequence[Mapping[str, Any]], *, labels: Sequence[str], scored: frozenset[str]
) -> Outcomes:
    """ROUGE of each summary; the scores are their means."""
    columns = np.array(
        [[record[name] for name in _SCORES] for record in records], dtype=np.float64
    ).reshape(-1, len(_SCORES))

    def scores(weights: Weights) -> dict[str, Array]:
        texts = weights.sum(axis=1)
        return {name: ratio(weights @ columns[:, at], texts) for at, name in enumerate(_SCORES)}

    def show(at: int) -> Shown:
        record = records[at]
        said = f"{record['summary']} (rougeL {columns[at, 0]:.3f})"
        references = [Piece(reference, None) for reference in record["references"]]
        return Shown(str(record["id"]), references, [Piece(said, None)])

    return Outcomes(
        scores=scores,
        main="rougeL",
        asked=[(str(record["id"]), tuple(record["references"])) for record in records],
        quality=columns[:, 0],
        perfect=None,
        show=show,
        rounding=5e-5,
    )
