"""Training batches of so many tokens: what a budget makes of the data, and its largest batches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import datasets
import numpy as np
import pyarrow.compute as pc

from zoo.data.batching import Lengths

if TYPE_CHECKING:
    from zoo.data.datamodule import TextDataModule


@dataclass(frozen=True)
class Extent:
    """How much there is to learn from.

    Args:
        longest: Tokens of the longest training example.
        tokens: Tokens of all of them.
        batches: Batches of an epoch, of all processes together.
        examples: Examples in a batch, the mean.
    """

    longest: int
    tokens: int
    batches: int
    examples: float


def extent(data: "TextDataModule", max_tokens: int | None) -> Extent:
    """How much there is to learn from, in batches of so many tokens (None: of `batch_size`)."""
    sampler = data.training_sampler(max_tokens)
    batches = len(sampler.all_batches())
    return Extent(
        longest=int(sampler.lengths.max(initial=0)),
        tokens=int(sampler.lengths.sum(dtype=np.int64)),
        batches=batches,
        examples=sampler.mean_size,
    )


def largest_batches(data: "TextDataModule", max_tokens: int) -> list[dict[str, Any]]:
    """The batches of a budget that may need the most memory, each once.

    They are those with the most tokens of any kind (what is read, what is to be written), padding
    included, and the one whose attention is largest.
    """
    batches = data.training_sampler(max_tokens).all_batches()
    table = data.features("train")
    order = np.concatenate([np.asarray(batch) for batch in batches])
    sizes = np.array([len(batch) for batch in batches])
    starts = np.cumsum(sizes) - sizes
    widths = {
        name: np.maximum.reduceat(lengths[order].astype(np.int64), starts)
        for name, lengths in _list_lengths(table).items()
    }
    scores = [sizes * widest for widest in widths.values()] + [sizes * widths["input_ids"] ** 2]
    chosen = dict.fromkeys(int(score.argmax()) for score in scores)
    collate = data.collate_of("train")
    return [collate(_rows(table, batches[number])) for number in chosen]


def _list_lengths(table: datasets.Dataset) -> Mapping[str, Lengths]:
    names = [name for name, kind in table.features.items() if isinstance(kind, datasets.List)]
    return {
        name: np.asarray(pc.list_value_length(table.data.column(name)).fill_null(0), dtype=np.int32)
        for name in names
    }


def _rows(table: datasets.Dataset, rows: Sequence[int]) -> list[dict[str, Any]]:
    columns = table[list(rows)]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
