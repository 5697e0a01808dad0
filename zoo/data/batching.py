"""Which examples go into which batch: near-equal lengths in training, each once in evaluation.

Both samplers yield lists of row numbers and are given to the loader as its `sampler` with
`batch_size=None`. They are `DistributedSampler`s and so Lightning leaves them alone under any
strategy, in a notebook too, and tells them the epoch.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch.distributed
from torch.utils.data import DistributedSampler

from zoo.errors import DataError

Lengths = npt.NDArray[np.integer[Any]]

#: The key that marks a batch that counts for nothing; tasks leave its step out.
_FILLER = "filler"
#: Lengths that differ by less than this are as good as equal to a batch of so many tokens.
_CLASS = 8


class Filler(list[int]):
    """Rows of a batch that is computed only to keep in step with other processes."""


def mark(batch: dict[str, Any], rows: list[int]) -> dict[str, Any]:
    """The batch of some rows, marked where it is a filler."""
    return {**batch, _FILLER: True} if isinstance(rows, Filler) else batch


class _Batches(Sequence[list[int]]):
    """Batches cut out of one order of rows only when they are asked for.

    As lists of numbers they would take 40 bytes a row, of a million rows in every process.

    Args:
        order: All rows, those of a batch behind each other.
        numbers: Which batches of that order these are.
        bounds: Where in the order each batch begins, and where the last one ends.
        fillers: How many fillers come after them.
        filler: The row of those.
    """

    def __init__(
        self,
        order: Lengths,
        numbers: Lengths,
        bounds: Lengths,
        *,
        fillers: int = 0,
        filler: int = 0,
    ):
        self._order, self._numbers, self._bounds = order, numbers, bounds
        self._fillers, self._filler = fillers, filler

    def __len__(self) -> int:
        return len(self._numbers) + self._fillers

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        if index >= len(self._numbers):
            if index >= len(self):
                raise IndexError(index)
            return Filler([self._filler])
        number = int(self._numbers[index])
        return self._order[self._bounds[number] : self._bounds[number + 1]].tolist()


class _BatchSampler(DistributedSampler[list[int]]):
    """What both samplers share: an epoch is a list of batches for this process."""

    def __init__(self, *, seed: int = 0):
        # Deliberately not DistributedSampler.__init__: it wants the process group at once, and
        # under Lightning that starts after the datamodule is made.
        self.seed = seed
        self.epoch = 0
        self._done = 0
        self._begin_at = 0

    def batches(self) -> Sequence[list[int]]:
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
    smaller. Several processes take batches of neighbouring lengths in the same step, so that none
    waits long for another, and are dealt them so that all get about as many tokens in an epoch.
    Every process gets the same number of batches: a few examples (fewer than one batch per process)
    may be left out of an epoch when there are several processes, others each time.

    With `max_tokens` all examples are sorted by length and cut where a batch would hold more tokens
    than that, padding included. Only examples of about equal length change places then, and every
    epoch has as many batches.

    Args:
        lengths: Tokens of each example.
        batch_size: Examples in a batch of one process.
        max_tokens: Tokens in a batch of one process, instead of `batch_size`.
        pool: Batches in a pool; larger means less padding and less chance.
        seed: Fixes the order, together with the epoch.
        rows: Row number of each example, where not all rows are examples to learn from.
    """

    def __init__(
        self,
        lengths: Lengths,
        *,
        batch_size: int,
        max_tokens: int | None = None,
        pool: int = 50,
        seed: int = 0,
        rows: Lengths | None = None,
    ):
        super().__init__(seed=seed)
        self.lengths = lengths
        self.rows = rows
        self.batch_size = batch_size
        self.max_tokens = max_tokens
        self.pool = pool

    def batches(self) -> Sequence[list[int]]:
        """This process's batches of this epoch, in order."""
        rank, world = _rank_and_world()
        chance = np.random.default_rng([self.seed, self.epoch])
        order = self._order(chance)
        bounds = self._bounds
        tokens = np.add.reduceat(self.lengths[order], bounds[:-1]) if len(order) else order
        if self.rows is not None:
            order = self.rows[order]
        steps = _steps(tokens, pool=self.pool, world=world, chance=chance)
        steps = steps[chance.permutation(len(steps))]
        return _Batches(order, steps[:, rank], bounds)

    def _order(self, chance: np.random.Generator) -> Lengths:
        order: Lengths = chance.permutation(len(self.lengths))
        if self.max_tokens is not None:
            classes = self.lengths[order] // _CLASS
            return order[np.argsort(classes, kind="stable")]
        size = self.batch_size * self.pool
        for start in range(0, len(order), size):
            pool = order[start : start + size]
            pool[:] = pool[np.argsort(self.lengths[pool], kind="stable")]
        return order

    @cached_property
    def _bounds(self) -> Lengths:
        count = len(self.lengths)
        if self.max_tokens is None:
            return np.append(np.arange(0, count, self.batch_size), count)
        return _cut(self.lengths, self.max_tokens)

    def __len__(self) -> int:
        _, world = _rank_and_world()
        return (len(self._bounds) - 1) // world

    @property
    def mean_size(self) -> float:
        """Examples in a batch, the mean."""
        return len(self.lengths) / max(1, len(self._bounds) - 1)

    def all_batches(self) -> Sequence[list[int]]:
        """The batches of all processes, in the order of their lengths with `max_tokens`."""
        order, bounds = self._order(np.random.default_rng([self.seed, self.epoch])), self._bounds
        order = order if self.rows is None else self.rows[order]
        return _Batches(order, np.arange(len(bounds) - 1), bounds)


def check_longest(sampler: LengthGroupedSampler) -> None:
    """Refuse a budget that not every example fits into.

    Raises:
        DataError: The longest is longer.
    """
    longest = int(sampler.lengths.max(initial=0))
    if sampler.max_tokens is not None and longest > sampler.max_tokens:
        raise DataError(
            f"--data.max_tokens {sampler.max_tokens} is less than the longest training example "
            f"({longest} tokens). Give more, or shorten examples with --data.max_length."
        )


def _cut(lengths: Lengths, most: int) -> Lengths:
    """Where to cut the examples sorted by length, so that no batch has more tokens, int64.

    It is the same whichever examples of a class of lengths come first: each counts as the longest
    of its class.
    """
    classes = lengths // _CLASS
    widths = np.zeros(int(classes.max(initial=0)) + 1, dtype=np.int64)
    np.maximum.at(widths, classes, lengths)
    sizes = np.bincount(classes, minlength=len(widths))
    bounds, begin, before = [0], 0, 0
    for width, end in zip(widths.tolist(), np.cumsum(sizes).tolist(), strict=True):
        if end == before:
            continue
        fitting = max(1, most // width)
        # What is open grows as wide as these: it is closed where it has too many rows for that.
        if before > begin and before - begin >= fitting:
            bounds.append(begin := before)
        full = range(begin + fitting, end + 1, fitting)
        bounds.extend(full)
        begin, before = bounds[-1], end
    if begin < len(lengths):
        bounds.append(len(lengths))
    return np.asarray(bounds, dtype=np.int64)


def _steps(tokens: Lengths, *, pool: int, world: int, chance: np.random.Generator) -> Lengths:
    """Which batches are done together, int64 `[steps, processes]`.

    Args:
        tokens: Real tokens of each batch; within a pool of batches about rising.
        pool: Batches in a pool.
        world: Number of processes.
        chance: Chooses what a pool leaves over: those batches go together, and what is left over
            of them is left out.
    """
    numbers = np.arange(len(tokens))
    if world == 1:
        return numbers[:, None]
    groups, left = [], []
    for start in range(0, len(tokens), pool):
        whole, over = _split(numbers[start : start + pool], world, chance)
        groups.append(whole)
        left.append(over)
    over = np.concatenate([*left, numbers[:0]])
    groups.append(_split(over[np.argsort(tokens[over], kind="stable")], world, chance)[0])
    return _dealt(np.concatenate(groups).reshape(-1, world), tokens)


def _split(numbers: Lengths, world: int, chance: np.random.Generator) -> tuple[Lengths, Lengths]:
    """As many numbers as can be shared out evenly, in order; and the others."""
    out = np.zeros(len(numbers), dtype=bool)
    out[chance.choice(len(numbers), len(numbers) % world, replace=False)] = True
    return numbers[~out], numbers[out]


def _dealt(steps: Lengths, tokens: Lengths) -> Lengths:
    """Each step's batches in the order of processes, so that these get about as many tokens.

    Where the batches of a step differ most is dealt first: the process with the fewest tokens so
    far gets the largest. Later steps, whose batches hardly differ, even out what is left.
    """
    of = tokens[steps]
    total = np.zeros(steps.shape[1], dtype=np.int64)
    dealt = np.empty_like(steps)
    for step in np.argsort(of.min(axis=1) - of.max(axis=1), kind="stable"):
        fewest_first, largest_first = np.argsort(total, kind="stable"), np.argsort(-of[step])
        dealt[step, fewest_first] = steps[step, largest_first]
        total[fewest_first] += of[step, largest_first]
    return dealt


class EvaluationSampler(_BatchSampler):
    """Every example exactly once, for any number of processes, longest first.

    Windows of one document go to the same process and follow each other. All processes take as many
    steps, since a sharded model needs them all in each, and Lightning passes over the end of an
    evaluation that has no step: those with fewer batches get fillers (of the shortest row).

    Args:
        lengths: Tokens of each row.
        documents: The document that each row is a part of.
        batch_size: Rows in a batch.
        most: Rows in a batch of shorter ones, which may hold as many tokens, padding included, as
            `batch_size` rows of the longest; None for `batch_size`.
    """

    def __init__(
        self, lengths: Lengths, documents: Lengths, *, batch_size: int, most: int | None = None
    ):
        super().__init__()
        self.lengths = lengths
        self.documents = documents
        self.batch_size = batch_size
        self.most = most or batch_size
        self._steps: dict[int, int] = {}

    def batches(self) -> Sequence[list[int]]:
        """This process's batches, in order: documents are shared out, not batches."""
        rows, bounds = self._share(*_rank_and_world())
        numbers = np.arange(len(bounds) - 1)
        fillers = len(self) - len(numbers)
        shortest = int(self.lengths.argmin()) if fillers else 0
        return _Batches(rows, numbers, bounds, fillers=fillers, filler=shortest)

    def __len__(self) -> int:
        _, world = _rank_and_world()
        if world not in self._steps:
            self._steps[world] = max(len(self._share(rank, world)[1]) - 1 for rank in range(world))
        return self._steps[world]

    def _share(self, rank: int, world: int) -> tuple[Lengths, Lengths]:
        """The rows of a process in order; where each of its batches begins, and the end."""
        rows = np.flatnonzero(self.documents % world == rank)
        documents = self.documents[rows]
        # A document is as long as its longest window; its windows stay together, in order.
        longest = np.zeros(int(self.documents.max(initial=-1)) + 1, dtype=np.int64)
        np.maximum.at(longest, documents, self.lengths[rows])
        rows = rows[np.lexsort((rows, documents, -longest[documents]))]
        tokens = self.batch_size * int(self.lengths.max(initial=0))
        bounds, width = [0], 0
        for at, length in enumerate(self.lengths[rows].tolist()):
            count, width = at - bounds[-1] + 1, max(width, length)
            if count > self.most or (count > self.batch_size and count * width > tokens):
                bounds.append(at)
                width = length
        return rows, np.array([*bounds, len(rows)] if len(rows) else [0])


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
    "check_longest",
    "mark",
    "padded",
]
