"""What a masked-LM test says of each block, for the comparison of runs."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from zoo.tracking.comparison.outcomes import Array, Outcomes, Piece, Shown, Weights, ratio

#: What each prediction must hold.
FIELDS: Mapping[str, type | tuple[type, ...]] = {
    "tokens": list,
    "places": list,
    "predicted": list,
    "nats": list,
    "bytes": list,
}

#: Tokens shown of a block.
_SHOWN = 80


def outcomes(
    records: Sequence[Mapping[str, Any]], *, labels: Sequence[str], scored: frozenset[str]
) -> Outcomes:
    """Cross-entropy, masked tokens, right ones and bytes of each block; scores of their sums.

    Runs with other tokenizers or other lengths of blocks are asked for other tokens, so they are
    not the same test.
    """
    golds = [[record["tokens"][place] for place in record["places"]] for record in records]
    sums = np.array(
        [
            (
                sum(record["nats"]),
                len(gold),
                sum(map(str.__eq__, gold, record["predicted"])),
                sum(record["bytes"]),
            )
            for record, gold in zip(records, golds, strict=True)
        ],
        dtype=np.float64,
    ).reshape(len(records), 4)

    def scores(weights: Weights) -> dict[str, Array]:
        nats, tokens, right, size = (weights @ sums).T
        loss = ratio(nats, tokens)
        return {
            "loss": loss,
            "perplexity": np.exp(loss),
            "accuracy": ratio(right, tokens),
            "bits_per_byte": ratio(nats, size) / math.log(2),
        }

    def show(at: int) -> Shown:
        record, gold = records[at], golds[at]
        found = record["predicted"]
        hidden = set(record["places"])
        text = " ".join(
            f"[{token}]" if place in hidden else token
            for place, token in enumerate(record["tokens"][:_SHOWN])
        )
        return Shown(
            text,
            [Piece(one, one == other) for one, other in zip(gold, found, strict=True)],
            [Piece(other, one == other) for one, other in zip(gold, found, strict=True)],
        )

    return Outcomes(
        scores=scores,
        main="loss",
        asked=[(tuple(record["tokens"]), tuple(record["places"])) for record in records],
        quality=-ratio(sums[:, 0], sums[:, 1]),
        perfect=None,
        show=show,
        lower_is_better=frozenset({"loss", "perplexity", "bits_per_byte"}),
        rounding=1e-6,
    )
