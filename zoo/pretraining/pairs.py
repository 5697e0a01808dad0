"""Two segments in a row, and whether they stand so in their document.

`next`: the second segment follows the first, or is of another document (Devlin et al. 2019, arXiv
1810.04805). `order`: two segments that follow each other, as they are or swapped (Lan et al. 2020,
arXiv 1909.11942).
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
from datasets import Dataset

from zoo.data.batching import LengthGroupedSampler, mark
from zoo.data.frames import Frame
from zoo.data.tables import Rows
from zoo.errors import DataError
from zoo.pretraining.encoding import NO_WORD, Document

Objective = Literal["next", "order"]

#: What is right of a pair: it stands so in its document, or not.
TRUE, FALSE = 0, 1
#: Segments of other documents that are drawn to find one that is long enough.
_DRAWS = 8

Row = dict[str, Any]


class EpochRows(list[int]):
    """Rows of a training batch, and the epoch that they are for."""

    epoch: int = 0

    @classmethod
    def of(cls, rows: Sequence[int], epoch: int) -> "EpochRows":
        """Rows of an epoch."""
        found = cls(rows)
        found.epoch = epoch
        return found


class PairSampler(LengthGroupedSampler):
    """Training batches that say which epoch they are of: pairs are drawn anew in each."""

    @classmethod
    def like(cls, sampler: LengthGroupedSampler) -> "PairSampler":
        """One with the batches of another."""
        return cls(
            sampler.lengths,
            batch_size=sampler.batch_size,
            max_tokens=sampler.max_tokens,
            pool=sampler.pool,
            seed=sampler.seed,
            rows=sampler.rows,
        )

    def __iter__(self) -> Iterator[list[int]]:
        for rows in super().__iter__():
            yield EpochRows.of(rows, self.epoch)


def one_document(split: str) -> DataError:
    """The error that a split has no segment of another document."""
    return DataError(
        f"--data.sentence_pairs next draws segments of other documents, and all of the {split} data"
        " is of one. In a text file a blank line ends a document; or use order, which needs no "
        "other."
    )


def frame_of_pairs(tokenizer: Any, *, backbone: str) -> Frame:
    """The special tokens around two texts.

    Raises:
        DataError: The tokenizer puts none before them, or none between.
    """
    frame = Frame.of(tokenizer, pairs=True)
    if not all(frame.parts[:2]):
        raise DataError(
            f"The tokenizer of {backbone} puts no special tokens before and between two texts, "
            "which --data.sentence_pairs needs: leave it out, or give another backbone."
        )
    return frame


def cut(document: Document, room: int) -> Iterator[tuple[int, int, int]]:
    """Where a document is cut into pairs of segments: begin, middle and end of each pair.

    Pairs are of about equal length, and so are the two segments of one. They are cut between
    words, but within a word that is alone. Every token is in one pair, but for a single one that
    is left over, as of a document of one token.

    Args:
        document: The tokens of a text.
        room: Most tokens of a pair, at least 2.
    """
    words = document.words
    starts = [at for at in range(1, len(words)) if words[at] != words[at - 1]]
    begin, size = 0, len(words)
    while size - begin > 1:
        rest = size - begin
        end = begin + -(-rest // -(-rest // room))
        if end < size:
            end = _at_word(starts, end, begin)
        yield begin, _middle(starts, begin, end), end
        begin = end


def _at_word(starts: Sequence[int], end: int, begin: int) -> int:
    """The last beginning of a word up to `end`, if two tokens are left before it."""
    at = bisect_right(starts, end) - 1
    return starts[at] if at >= 0 and starts[at] > begin + 1 else end


def _middle(starts: Sequence[int], begin: int, end: int) -> int:
    """The beginning of a word next to the middle; the middle itself where there is none."""
    own = starts[bisect_right(starts, begin) : bisect_left(starts, end)]
    return min(own, key=lambda at: abs(2 * at - begin - end), default=(begin + end) // 2)


def pair_rows(
    documents: Iterable[Document], *, frame: Frame, max_length: int
) -> Iterator[list[Row]]:
    """For each document its pairs as rows of the table of features, in order.

    Args:
        documents: The texts' tokens.
        frame: The special tokens around two texts.
        max_length: Longest row, special tokens included.
    """
    for document in documents:
        rows: list[Row] = []
        for begin, middle, end in cut(document, max_length - frame.size):
            first, second = (
                Document(*(column[piece] for column in document))
                for piece in (slice(begin, middle), slice(middle, end))
            )
            rows.append({**joined(first, second, frame), "part": len(rows)})
        yield rows


def joined(first: Document, second: Document, frame: Frame) -> Row:
    """Two segments with the special tokens around as one row.

    Its `pieces` are the lengths of what ends behind the first and behind the second segment.
    """
    before, between, behind = frame.parts
    ids, _ = frame.around([first.ids, second.ids])
    words = _counted(first.words, 0)
    words += [NO_WORD] * len(between) + _counted(second.words, max(words, default=NO_WORD) + 1)
    return {
        "input_ids": ids,
        "words": [NO_WORD] * len(before) + words + [NO_WORD] * len(behind),
        "sizes": [
            *([0] * len(before) + list(first.sizes) + [0] * len(between)),
            *(list(second.sizes) + [0] * len(behind)),
        ],
        "pieces": [
            len(before) + len(first.ids) + len(between),
            len(second.ids) + len(behind),
        ],
    }


def _counted(words: Sequence[int], first: int) -> list[int]:
    return [word - words[0] + first for word in words]


def segments(row: Mapping[str, Any], frame: Frame) -> tuple[Document, Document]:
    """The two segments of a row, without special tokens."""
    before, between, behind = map(len, frame.parts)
    half, rest = row["pieces"]
    columns = [row[name] for name in ("input_ids", "words", "sizes")]
    first = Document(*(column[before : half - between] for column in columns))
    second = Document(*(column[half : half + rest - behind] for column in columns))
    return first, second


def types_of(row: Mapping[str, Any], frame: Frame) -> list[int]:
    """Token types of a row: which of two texts each token is of, as the tokenizer says."""
    before, between, behind = frame.part_types
    first, second = segments(row, frame)
    return [
        *(*before, *[frame.text_types[0]] * len(first.ids), *between),
        *(*[frame.text_types[1]] * len(second.ids), *behind),
    ]


class PairRows(Rows):
    """Pairs of which each is left as it is or made a false one, by a coin.

    Coin and partner depend on seed, epoch and row alone, whatever else is in the batch. A false
    pair is never longer than the true one. In `next` its second segment is the end of a second
    segment of another document, no longer than what it takes the place of. So it begins within a
    text and ends as true ones do, and neither that nor its length gives it away.

    Args:
        table: True pairs, those of a document behind each other.
        collate: Makes the batch.
        objective: `next` or `order`.
        frame: The special tokens around two texts.
        seed: Fixes the draws, with the epoch that a batch of `PairSampler` is of (else 0).
        split: What the table is called in an error.

    Raises:
        DataError: `next`, and all pairs are of one document.
    """

    def __init__(
        self,
        table: Dataset,
        collate: Callable[[Sequence[Mapping[str, Any]]], dict[str, Any]],
        *,
        objective: Objective,
        frame: Frame,
        seed: int,
        split: str = "given",
    ):
        super().__init__(table, collate)
        self.objective = objective
        self.frame = frame
        self.seed = seed
        if objective == "next" and len(table) and self._documents[0] == self._documents[-1]:
            raise one_document(split)

    @cached_property
    def _documents(self) -> Any:
        return np.asarray(self.table.data.column("example"), dtype=np.int32)

    @cached_property
    def _seconds(self) -> Any:
        """Tokens of each second segment, with the special ones behind."""
        pieces = self.table.data.column("pieces").combine_chunks()
        return np.asarray(pieces.flatten(), dtype=np.int32)[1::2]

    def __getitem__(self, rows: list[int]) -> Any:
        epoch = rows.epoch if isinstance(rows, EpochRows) else 0
        return {**mark(self.collate(self.drawn(rows, epoch)), rows), "rows": list(rows)}

    def drawn(self, rows: Sequence[int], epoch: int) -> list[Row]:
        """Rows as an epoch has them, each with what is right of it as `sentence_label`."""
        own = [int(row) for row in rows]
        others: list[int | None] = []
        for row in own:
            chance = np.random.default_rng([self.seed, epoch, row])
            if chance.random() < 0.5:
                others.append(None)
            else:
                others.append(row if self.objective == "order" else self._partner(row, chance))
        columns = self.table[[*own, *(row for row in others if row is not None)]]
        read = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        partners = iter(read[len(own) :])
        return [
            {**row, "sentence_label": TRUE}
            if other is None
            else {**self._false(row, next(partners)), "sentence_label": FALSE}
            for row, other in zip(read[: len(own)], others, strict=True)
        ]

    def _false(self, row: Row, other: Row) -> Row:
        first, second = segments(row, self.frame)
        if self.objective == "order":
            first, second = second, first
        else:
            second = _end_of(segments(other, self.frame)[1], len(second.ids))
        return {**row, **joined(first, second, self.frame)}

    def _partner(self, row: int, chance: np.random.Generator) -> int:
        """A row of another document, drawn evenly; rather one that is long enough."""
        document = self._documents[row]
        begin = int(np.searchsorted(self._documents, document))
        end = int(np.searchsorted(self._documents, document, side="right"))
        drawn = chance.integers(len(self._documents) - (end - begin), size=_DRAWS)
        drawn += (drawn >= begin) * (end - begin)
        lengths = self._seconds[drawn].clip(max=self._seconds[row])
        return int(drawn[lengths.argmax()])


def _end_of(segment: Document, most: int) -> Document:
    """The end of a segment of at most so many tokens, from the beginning of a word if it can."""
    begin = max(0, len(segment.ids) - most)
    words = segment.words
    starts = (at for at in range(begin, len(words)) if at == 0 or words[at] != words[at - 1])
    begin = next(starts, begin)
    return Document(*(column[begin:] for column in segment))


__all__ = [
    "FALSE",
    "TRUE",
    "EpochRows",
    "Objective",
    "PairRows",
    "PairSampler",
    "cut",
    "frame_of_pairs",
    "joined",
    "one_document",
    "pair_rows",
    "segments",
    "types_of",
]
