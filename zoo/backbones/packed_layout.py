"""Where each token of a padded batch lies when the padding is taken out."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

#: Sequences share a group where none is shorter than this share of the longest, or by no more than
#: so many tokens: fewer groups mean fewer calls, more groups less padding inside attention.
_SHORTEST, _TOKENS = 0.75, 8
#: Numbers of tokens are rounded up to a multiple of so many, where that adds at most a 16th.
_MULTIPLE, _ADDED = 32, 1 / 16


@dataclass(eq=False)
class Group:
    """Sequences of like length, which lie behind each other: what attention sees at once.

    Args:
        rows: Number of sequences.
        longest: Tokens of the longest.
        tokens: Tokens of all.
        device: Where they are.
        index: int64 `[rows * longest]`: for each place of the padded group its token, counted from
            the group's first; padding points at the first. None where all are of one length.
        places: int64 `[tokens]`: for each token its place in the padded group.
        mask: bool `[rows, 1, 1, longest]`: which keys are tokens.
    """

    rows: int
    longest: int
    tokens: int
    device: torch.device
    index: Tensor | None = None
    places: Tensor | None = None
    mask: Tensor | None = None
    _cache: dict[Any, Tensor] = field(default_factory=dict)

    def seen(self, window: int | None) -> Tensor | None:
        """Which keys each query sees, bool and broadcast to `[rows, 1, longest, longest]`.

        Args:
            window: Greatest distance between two tokens that see each other, if limited.

        Returns:
            None where each sees all.
        """
        if window is None or window >= self.longest - 1:
            return self.mask
        if window not in self._cache:
            place = torch.arange(self.longest, device=self.device)
            distance = (place[:, None] - place).abs()
            near = distance <= window
            # Padding that saw nothing at all would have weights that are no numbers.
            self._cache[window] = near if self.mask is None else near & self.mask | (distance == 0)
        return self._cache[window]

    def bias(self, window: int | None, dtype: torch.dtype) -> Tensor | None:
        """The same as a number to add to scores: 0, or minus infinity where a key is not seen."""
        seen = self.seen(window)
        if seen is None:
            return None
        key = (window, dtype)
        if key not in self._cache:
            bias = torch.zeros(seen.shape, dtype=dtype, device=seen.device)
            self._cache[key] = bias.masked_fill_(~seen, -math.inf)
        return self._cache[key]


@dataclass(eq=False)
class Layout:
    """The tokens of a batch without its padding, longest sequence first.

    Args:
        batch: Sequences of the padded batch.
        longest: Its length.
        index: int64 `[tokens + spare]`: each token's place in the flattened padded batch. Spare
            tokens repeat the batch's first place.
        positions: int64 `[tokens + spare]`: each token's place in its sequence.
        lengths: Of the sequences that have tokens, in the order in which they lie.
        groups: Of these sequences.
        bounds: int32 `[sequences + 1]`: where each sequence begins, and the end.
        repad_body: Whether what the encoder gives is padded again before the head reads it, as
            heads need that look at a sequence's first token or at all of them together.
    """

    batch: int
    longest: int
    index: Tensor
    positions: Tensor
    lengths: list[int]
    groups: list[Group]
    bounds: Tensor
    repad_body: bool = False

    @property
    def spare(self) -> int:
        """Tokens at the end that no sequence sees, and of which nothing is given."""
        return len(self.index) - sum(self.lengths)

    def pack(self, padded: Tensor) -> Tensor:
        """The tokens of a padded tensor: `[batch, longest, ...]` to `[1, tokens + spare, ...]`."""
        return padded.flatten(0, 1).index_select(0, self.index)[None]

    def unpack(self, tokens: Tensor) -> Tensor:
        """The reverse of `pack`, with zeros at padding."""
        padded = tokens.new_zeros(self.batch * self.longest, *tokens.shape[2:])
        count = sum(self.lengths)
        padded = padded.index_copy(0, self.index[:count], tokens[0, :count])
        return padded.view(self.batch, self.longest, *tokens.shape[2:])


def layout_of(mask: Tensor, *, trained: bool = False) -> Layout | None:
    """The layout of a batch.

    Args:
        mask: `[batch, longest]`, not zero at tokens.
        trained: Whether a CPU trains on it: a batch without padding has one too, and spare tokens
            let fewer shapes occur.

    Returns:
        None where packing is of no use or not possible: no padding, nothing but padding, or
        padding before or between tokens.
    """
    batch, longest = mask.shape
    tokens = mask != 0
    # One transfer from a GPU; all that follows is small and computed here.
    seen = torch.stack([tokens.sum(1), tokens.cummin(1).values.sum(1)]).tolist()
    lengths: list[int] = seen[0]
    if lengths != seen[1] or not 0 < sum(lengths) < batch * longest + trained:
        return None
    order = sorted((row for row in range(batch) if lengths[row]), key=lambda row: -lengths[row])
    lengths = [lengths[row] for row in order]
    counts = torch.tensor(lengths)
    bounds = torch.nn.functional.pad(counts.cumsum(0), (1, 0))
    total = int(bounds[-1])
    positions = torch.arange(total) - torch.repeat_interleave(bounds[:-1], counts)
    index = torch.repeat_interleave(torch.tensor(order) * longest, counts) + positions
    spare = _spare(total) if trained else 0
    index, positions = (torch.nn.functional.pad(one, (0, spare)) for one in (index, positions))
    device = mask.device
    return Layout(
        batch,
        longest,
        index.to(device),
        positions.to(device),
        lengths,
        [_group(lengths[begin:end], device) for begin, end in _cuts(lengths)],
        bounds.int().to(device),
    )


def _spare(tokens: int) -> int:
    multiple = _MULTIPLE
    while multiple > max(1, _ADDED * tokens):
        multiple //= 2
    return -tokens % multiple


def _cuts(lengths: list[int]) -> Iterator[tuple[int, int]]:
    """First and last-but-one of each group, of lengths that fall."""
    begin = 0
    for row, length in enumerate(lengths):
        if length < min(_SHORTEST * lengths[begin], lengths[begin] - _TOKENS):
            yield begin, row
            begin = row
    yield begin, len(lengths)


def _group(lengths: list[int], device: torch.device) -> Group:
    rows, longest, tokens = len(lengths), lengths[0], sum(lengths)
    if lengths[-1] == longest:
        return Group(rows, longest, tokens, device)
    counts = torch.tensor(lengths)
    place = torch.arange(longest)
    mask = place < counts[:, None]
    index = ((counts.cumsum(0) - counts)[:, None] + place).where(mask, torch.tensor(0))
    return Group(
        rows,
        longest,
        tokens,
        device,
        index.flatten().to(device),
        mask.flatten().nonzero().squeeze(1).to(device),
        mask[:, None, None].to(device),
    )
