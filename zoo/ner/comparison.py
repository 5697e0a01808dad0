"""What a NER test says of each document, for the comparison of runs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from zoo.ner.encoding import Entity, entities_of
from zoo.tracking.comparison.outcomes import Array, Outcomes, Piece, Shown, Weights, ratio

#: What each prediction must hold.
FIELDS: Mapping[str, type | tuple[type, ...]] = {"tokens": list, "gold": list, "tags": list}


def outcomes(
    records: Sequence[Mapping[str, Any]], *, labels: Sequence[str], scored: frozenset[str]
) -> Outcomes:
    """Entities found, predicted and gold of each document: micro F1 is a function of their sums."""
    golds = [entities_of(record["gold"]) for record in records]
    found = [entities_of(record["tags"]) for record in records]
    types = sorted({one.type for entities in (*golds, *found) for one in entities})
    number = {name: index for index, name in enumerate(types)}
    counts = np.zeros((len(records), 3, len(types)))
    for row, gold, predicted in zip(counts, golds, found, strict=True):
        for column, entities in enumerate((set(gold) & set(predicted), predicted, gold)):
            for one in entities:
                row[column, number[one.type]] += 1
    flat = counts.reshape(len(records), 3 * len(types))

    def scores(weights: Weights) -> dict[str, Array]:
        sums = (weights @ flat).reshape(len(weights), 3, len(types))
        values = _scores(sums.sum(axis=2))
        for index, name in enumerate(types):
            values[f"f1/{name}"] = _scores(sums[:, :, index])["f1"]
        return values

    def show(at: int) -> Shown:
        tokens = records[at]["tokens"]
        return Shown(
            " ".join(tokens),
            _pieces(golds[at], found[at], tokens),
            _pieces(found[at], golds[at], tokens),
        )

    right, predicted, gold = counts.sum(axis=2).T
    return Outcomes(
        scores=scores,
        main="f1",
        asked=[(tuple(record["tokens"]), tuple(record["gold"])) for record in records],
        quality=2 * right - predicted - gold,  # less the entities that are missed or spurious
        perfect=0.0,
        show=show,
    )


def _scores(sums: Array) -> dict[str, Array]:
    right, predicted, gold = sums.T
    return {
        "f1": ratio(2 * right, predicted + gold),
        "precision": ratio(right, predicted),
        "recall": ratio(right, gold),
    }


def _pieces(
    entities: Sequence[Entity], others: Sequence[Entity], tokens: Sequence[str]
) -> list[Piece]:
    return [
        Piece(f"{one.type}: {' '.join(tokens[one.start : one.end])}", one in others)
        for one in entities
    ]
