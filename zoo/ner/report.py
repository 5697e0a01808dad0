"""What the report of a NER test shows: scores of each type, confusions, confident errors."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch

from zoo.ner.encoding import Entity, bio_labels, entities_of
from zoo.ner.metrics import EntityF1
from zoo.ner.prediction import TaggedDocument
from zoo.tracking.report import ConfusionMatrix, Table, TaskReport

WRONG_ENDS = "(wrong ends)"
NOTHING = "(nothing)"

#: Words shown on either side of an error.
_CONTEXT = 6
#: Errors that are kept for the tables.
_ERRORS = 200


class Error(NamedTuple):
    """One wrong, missed or spurious entity; `score` is how sure the model was."""

    example: int
    kind: str
    gold: Entity | None
    predicted: Entity | None
    score: float


def report(
    documents: Sequence[TaggedDocument], examples: Any, *, types: Sequence[str]
) -> TaskReport:
    """Tables, confusion matrix and prediction records of a test.

    Args:
        documents: Tags and gold tags of each document, in any order.
        examples: The table of examples, with `tokens`, by row.
        types: All entity types.
    """
    documents = sorted(documents, key=lambda one: one.example)
    pairs = [pair for one in documents for pair in _pairs(one)]
    names = [*types, WRONG_ENDS, NOTHING]
    cells = Counter((_row(pair), _column(pair)) for pair in pairs)
    errors = sorted((pair for pair in pairs if pair.kind != "right"), key=lambda pair: -pair.score)
    tokens = {one.example: examples[one.example]["tokens"] for one in documents}
    return TaskReport(
        tables={
            "per_type": _per_type(documents, types),
            "errors": Table(
                "Most confident errors",
                ("example", "kind", "gold", "predicted", "score", "context"),
                [_error_row(error, tokens[error.example]) for error in errors[:_ERRORS]],
            ),
        },
        predictions=_records(documents, tokens),
        confusion=ConfusionMatrix(
            names, [[cells[row, column] for column in names] for row in names]
        ),
        main_table="per_type",
    )


def _pairs(document: TaggedDocument) -> Iterator[Error]:
    """Gold and predicted entities side by side: same span first, then by overlap."""
    gold = entities_of(document.gold)
    predicted = entities_of(document.tags)
    by_span = {(entity.start, entity.end): entity for entity in predicted}
    left = set(predicted)
    unmatched = []
    for entity in gold:
        same = by_span.get((entity.start, entity.end))
        if same is None:
            unmatched.append(entity)
            continue
        left.discard(same)
        kind = "right" if same.type == entity.type else "wrong type"
        yield Error(document.example, kind, entity, same, _score(document, same))
    for entity in unmatched:
        near = max(left, key=lambda other: (_overlap(entity, other), -other.start), default=None)
        if near is None or _overlap(entity, near) == 0:
            yield Error(document.example, "missed", entity, None, _score(document, entity))
            continue
        left.discard(near)
        kind = "wrong ends" if near.type == entity.type else "wrong ends and type"
        yield Error(document.example, kind, entity, near, _score(document, near))
    for entity in sorted(left, key=lambda other: other.start):
        yield Error(document.example, "spurious", None, entity, _score(document, entity))


def _overlap(one: Entity, other: Entity) -> int:
    return max(0, min(one.end, other.end) - max(one.start, other.start))


def _score(document: TaggedDocument, entity: Entity) -> float:
    scores = document.scores[entity.start : entity.end]
    return sum(scores) / len(scores)


def _row(pair: Error) -> str:
    return pair.gold.type if pair.gold else NOTHING


def _column(pair: Error) -> str:
    if pair.predicted is None:
        return NOTHING
    return WRONG_ENDS if pair.kind == "wrong ends" else pair.predicted.type


def _per_type(documents: Sequence[TaggedDocument], types: Sequence[str]) -> Table:
    labels = bio_labels(types)
    ids = {label: index for index, label in enumerate(labels)}
    # Counted in the first process alone, of the documents of all.
    metric = EntityF1(labels, sync_on_compute=False)
    metric.update(
        torch.tensor([ids[tag] for one in documents for tag in one.tags], dtype=torch.long),
        torch.tensor([ids[tag] for one in documents for tag in one.gold], dtype=torch.long),
        torch.tensor([len(one.tags) for one in documents], dtype=torch.long),
    )
    scores: Mapping[str, Any] = metric.compute()
    rows = [
        (
            name,
            *(scores[f"{key}/{name}"].item() for key in ("precision", "recall", "f1")),
            int(scores[f"support/{name}"]),
        )
        for name in types
    ]
    total = (
        "all",
        *(scores[key].item() for key in ("precision", "recall", "f1")),
        int(metric.counts[:, 2].sum()),
    )
    columns = ("type", "precision", "recall", "f1", "entities")
    return Table("Scores of each entity type", columns, [*rows, total])


def _error_row(error: Error, tokens: Sequence[str]) -> tuple[Any, ...]:
    place = error.gold or error.predicted
    assert place is not None
    start, end = max(0, place.start - _CONTEXT), min(len(tokens), place.end + _CONTEXT)
    context = [
        *(["…"] if start else []),
        *tokens[start : place.start],
        "[" + " ".join(tokens[place.start : place.end]) + "]",
        *tokens[place.end : end],
        *(["…"] if end < len(tokens) else []),
    ]
    return (
        error.example,
        error.kind,
        _text(error.gold, tokens),
        _text(error.predicted, tokens),
        round(error.score, 3),
        " ".join(context),
    )


def _text(entity: Entity | None, tokens: Sequence[str]) -> str:
    return f"{entity.type}: {' '.join(tokens[entity.start : entity.end])}" if entity else "-"


def _records(
    documents: Sequence[TaggedDocument], tokens: Mapping[int, Sequence[str]]
) -> Iterator[dict[str, Any]]:
    for one in documents:
        yield {
            "example": one.example,
            "tokens": tokens[one.example],
            "gold": one.gold,
            "tags": one.tags,
            "scores": [round(score, 4) for score in one.scores],
        }
