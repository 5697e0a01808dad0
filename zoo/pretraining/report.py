"""What the report of a masked-LM test shows: scores by kind of token, confident errors."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import torch

from zoo.pretraining.metrics import MaskedLMScores
from zoo.pretraining.prediction import MaskedBlock
from zoo.tracking.report import Table, TaskReport

#: Tokens shown on either side of an error.
_CONTEXT = 8
#: Errors that are kept for the tables.
_ERRORS = 200


class Mask(NamedTuple):
    """One masked token and what was predicted."""

    block: MaskedBlock
    place: int
    predicted: int
    score: float
    nats: float
    size: int

    @property
    def gold(self) -> int:
        """The right token."""
        return self.block.ids[self.place]


def report(blocks: Sequence[MaskedBlock], *, tokenizer: Any) -> TaskReport:
    """Tables and prediction records of a test.

    Args:
        blocks: Blocks with their predictions, in any order.
        tokenizer: Whose tokens they are.
    """
    blocks = sorted(blocks, key=lambda one: (one.example, one.part))
    masks = [mask for block in blocks for mask in _masks(block)]
    errors = sorted(
        (mask for mask in masks if mask.predicted != mask.gold), key=lambda mask: -mask.score
    )
    return TaskReport(
        tables={
            "per_kind": _per_kind(masks, tokenizer),
            "errors": Table(
                "Most confident errors",
                ("example", "gold", "predicted", "score", "context"),
                [_error_row(error, tokenizer) for error in errors[:_ERRORS]],
            ),
        },
        predictions=_records(blocks, tokenizer),
        main_table="per_kind",
    )


def _masks(block: MaskedBlock) -> Iterator[Mask]:
    columns = (block.places, block.predicted, block.scores, block.nats, block.sizes)
    for place, predicted, score, nats, size in zip(*columns, strict=True):
        yield Mask(block, place, predicted, score, nats, size)


def _per_kind(masks: Sequence[Mask], tokenizer: Any) -> Table:
    kinds: dict[str, list[Mask]] = {"letters": [], "digits": [], "other": []}
    for mask in masks:
        text = tokenizer.decode([mask.gold])
        if any(letter.isalpha() for letter in text):
            kinds["letters"].append(mask)
        else:
            kinds["digits" if any(one.isdigit() for one in text) else "other"].append(mask)
    rows = [(name, *_scores(own), len(own)) for name, own in kinds.items() if own]
    columns = ("kind of token", "loss", "perplexity", "accuracy", "tokens")
    return Table(
        "Scores by kind of masked token", columns, [*rows, ("all", *_scores(masks), len(masks))]
    )


def _scores(masks: Iterable[Mask]) -> tuple[float, float, float]:
    masks = list(masks)
    # Counted in the first process alone, of the blocks of all.
    metric = MaskedLMScores(sync_on_compute=False)
    metric.update(
        torch.tensor([mask.nats for mask in masks], dtype=torch.float64),
        torch.tensor([mask.predicted == mask.gold for mask in masks], dtype=torch.bool),
        torch.tensor([mask.size for mask in masks], dtype=torch.long),
    )
    found = metric.compute()
    return found["loss"].item(), found["perplexity"].item(), found["accuracy"].item()


def _error_row(error: Mask, tokenizer: Any) -> tuple[Any, ...]:
    ids, place = error.block.ids, error.place
    left = tokenizer.decode(ids[max(0, place - _CONTEXT) : place])
    right = tokenizer.decode(ids[place + 1 : place + 1 + _CONTEXT])
    return (
        error.block.example,
        tokenizer.convert_ids_to_tokens(error.gold),
        tokenizer.convert_ids_to_tokens(error.predicted),
        round(error.score, 3),
        f"{left} [...] {right}",
    )


def _records(blocks: Sequence[MaskedBlock], tokenizer: Any) -> Iterator[dict[str, Any]]:
    for one in blocks:
        yield {
            "example": one.example,
            "part": one.part,
            "tokens": tokenizer.convert_ids_to_tokens(one.ids),
            "places": one.places,
            "predicted": tokenizer.convert_ids_to_tokens(one.predicted),
            "scores": [round(score, 4) for score in one.scores],
            "nats": [round(value, 6) for value in one.nats],
            "bytes": one.sizes,
        }
