"""Which examples go into which batch: near-equal lengths in training, each once in evaluation.

Both samplers yield lists of row numbers and are given to the loader as its `sampler` with
`batch_size=None`. They are `DistributedSampler`s and so Lightning leaves them alone under any
strategy, in a notebook too, and tells them the epoch.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch.distributed
from torch.utils.data import DistributedSampler

Lengths = npt.NDArray[np.int64]

#: Marks a batch that counts for nothing.
_FILLER = "filler"


class Filler(list[int]):
    """Rows of a batch that is computed only to keep in step with other processes."""


def mark(batch: dict[str, Any], rows: list[int]) -> dict[str, Any]:
    """The batch of some rows, marked where it is a filler."""
    return {**batch, _FILLER: True} if isinstance(rows, Filler) else batch


def is_filler(batch: Any) -> bool:
    """Whether a batch counts for nothing."""
    return isinstance(batch, dict) and batch.get(_FILLER, False)


class _BatchSampler(DistributedSampler[list[int]]):
    """What both samplers share: an epoch is a list of batches for this process."""

    def __init__(self, *, seed: int = 0):
        # Deliberately not DistributedSampler.__init__: it wants the process group at once, and
        # under Lightning that starts after the datamodule is made.
        self.seed = seed
        self.epoch = 0
        self._done = 0
        self._begin_at = 0

    def batches(self) -> list[list[int]]:
        """This process's batches of this epoch, in order."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[list[int]]:
        # A generator: Lightning asks for the iterator before it says which epoch it is for.
        begin, self._begin_at = self._begin_at, 0
        batches = self.batches()
        for self._done in range(begin + 1, len(batches) + 1):
            yield batches[self._done - 1]

    def set_epoch(self, epoch: int) -> None:
        """Begin another epoch; the one that is under way goes on where it was."""
        if epoch != self.epoch:
            self.epoch = epoch
            self._done = self._begin_at = 0

    def state_dict(self) -> dict[str, int]:
        """Where this process stands, for a checkpoint."""
        return {"epoch": self.epoch, "done": self._done}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on after the batches that were done; after the last one with the next epoch."""
        self.epoch, self._done = state["epoch"], state["done"]
        if self._done >= len(self):
            self.epoch, self._done = self.epoch + 1, 0
        self._begin_at = self._done


class LengthGroupedSampler(_BatchSampler):
    """Shuffled batches of examples of near-equal length, so that little is padded.

    Each epoch shuffles all examples, cuts them into pools of `pool` batches, sorts each pool by
    length, cuts it into batches and shuffles the batches. The last batch of an epoch may be
    smaller. Every process gets the same number of batches: a few examples (fewer than one batch
    per process) may be left out of an epoch when there are several processes, others each time.

    Args:
        lengths: Tokens of each example.
        batch_size: Examples in a batch of one process.
        pool: Batches in a pool; larger means less padding and less chance.
        seed: Fixes the order, together with the epoch.
        rows: Row number of each example, where not all rows are examples to learn from.
    """

    def __init__(
        self,
        lengths: Lengths,
        *,
        batch_size: int,
        pool: int = 50,
        seed: int = 0,
        rows: Lengths | None = None,
    ):
        super().__init__(seed=seed)
        self.lengths = lengths
        self.rows = np.arange(len(lengths)) if rows is None else rows
        self.batch_size = batch_size
        self.pool = pool

    def batches(self) -> list[list[int]]:
        """This process's batches of this epoch, in order."""
        rank, world = _rank_and_world()
        chance = np.random.default_rng([self.seed, self.epoch])
        order = chance.permutation(len(self.lengths))
        size = self.batch_size * self.pool
        batches: list[list[int]] = []
        for start in range(0, len(order), size):
            pool = order[start : start + size]
            pool = pool[np.argsort(self.lengths[pool], kind="stable")]
            batches += [
                self.rows[pool[at : at + self.batch_size]].tolist()
                for at in range(0, len(pool), self.batch_size)
            ]
        shuffled = [batches[i] for i in chance.permutation(len(batches))]
        return shuffled[rank : len(shuffled) // world * world : world]

    def __len__(self) -> int:
        _, world = _rank_and_world()
        size = self.batch_size * self.pool
        full, rest = divmod(len(self.lengths), size)
        return (full * self.pool + -(-rest // self.batch_size)) // world


class EvaluationSampler(_BatchSampler):
    """Every example exactly once, for any number of processes, longest first.

    Windows of one document go to the same process and follow each other.

    Args:
        lengths: Tokens of each row.
        documents: The document that each row is a part of.
        batch_size: Rows in a batch.
        in_step: Whether all processes must take as many steps: those with fewer batches get
            fillers (of the shortest row) after their own.
    """

    def __init__(
        self, lengths: Lengths, documents: Lengths, *, batch_size: int, in_step: bool = False
    ):
        super().__init__()
        self.lengths = lengths
        self.documents = documents
        self.batch_size = batch_size
        self.in_step = in_step

    def batches(self) -> list[list[int]]:
        """This process's batches, in order: documents are shared out, not batches."""
        rank, world = _rank_and_world()
        rows = np.flatnonzero(self.documents % world == rank) if world > 1 else None
        rows = np.arange(len(self.lengths)) if rows is None else rows
        documents = self.documents[rows]
        # A document is as long as its longest window; its windows stay together, in order.
        longest = np.zeros(int(self.documents.max(initial=-1)) + 1, dtype=np.int64)
        np.maximum.at(longest, documents, self.lengths[rows])
        rows = rows[np.lexsort((rows, documents, -longest[documents]))]
        batches = [
            rows[at : at + self.batch_size].tolist() for at in range(0, len(rows), self.batch_size)
        ]
        missing = len(self) - len(batches)
        return [*batches, *([Filler([int(self.lengths.argmin())])] * missing)]

    def __len__(self) -> int:
        rank, world = _rank_and_world()
        rows = np.bincount(self.documents % world, minlength=world)
        return -(-int(rows.max() if self.in_step else rows[rank]) // self.batch_size)


def _rank_and_world() -> tuple[int, int]:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


def padded(rows: list[list[int]], *, fill: int) -> torch.Tensor:
    """Rows of unequal length as one int64 tensor `[rows, longest]`, filled up on the right."""
    width = max((len(row) for row in rows), default=0)
    return torch.tensor([row + [fill] * (width - len(row)) for row in rows], dtype=torch.long)


__all__: list[str] = [
    "EvaluationSampler",
    "Filler",
    "LengthGroupedSampler",
    "Lengths",
    "is_filler",
    "mark",
    "padded",
]
