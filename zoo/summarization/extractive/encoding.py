"""Pure functions of extractive summarization: sentences of a document -> windows of tokens.

As in BertSum (Liu & Lapata 2019, arXiv 1908.08345) the tokenizer's opening token stands before
each sentence and its closing token after it. A document longer than the model is laid into windows
of whole sentences that overlap; each sentence is scored in the window where it stands farthest from
where the document was cut.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from zoo.data.frames import Frame, whole_backend

#: Sentences cut into tokens in one go.
_AT_ONCE = 1000


class Window(NamedTuple):
    """Some sentences of a document that are read together.

    Args:
        input_ids: Their tokens, each sentence between its special tokens.
        places: Index into `input_ids` of each sentence's opening token.
        first: Number in the document of the first of them.
        keep: Begin and end (exclusive) of the sentences, by their numbers in the document, whose
            score is taken from this window.
    """

    input_ids: list[int]
    places: list[int]
    first: int
    keep: tuple[int, int]


class Encoded(NamedTuple):
    """A document in tokens.

    Args:
        windows: One or more, in order. A document without a sentence has one, without places.
        cut: Sentences of which only the beginning is read, as they are longer than a window.
    """

    windows: list[Window]
    cut: int


@dataclass(frozen=True)
class Layout:
    """How long windows are and how far they overlap.

    Args:
        max_length: Longest input in tokens, special tokens included.
        overlap: Sentences that neighbouring windows share, where there is room: a window is never
            more than half shared with the next.
        frame: Special tokens around a sentence.

    Raises:
        ValueError: `max_length` leaves no room for a sentence, `overlap` is negative, or the
            tokenizer puts no token before a sentence.
    """

    max_length: int
    overlap: int
    frame: Frame

    def __post_init__(self) -> None:
        if not self.frame.parts[0]:
            raise ValueError(
                "no tokenizer of this kind can be used: it puts no token before a sentence."
            )
        if self.overlap < 0:
            raise ValueError(f"overlap={self.overlap} must be at least 0.")
        if self.room < 1:
            raise ValueError(
                f"max_length={self.max_length} leaves no room for a sentence: it must be more than "
                f"{self.frame.size}."
            )

    @property
    def room(self) -> int:
        """Tokens of the longest sentence that is read whole."""
        return self.max_length - self.frame.size

    def places(self, sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
        """First and last (exclusive) sentence of each window, in order.

        Args:
            sizes: Tokens of each sentence with its special tokens, at most `max_length` each.
        """
        ends = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        begin = 0
        while True:
            stop = int(np.searchsorted(ends, ends[begin] + self.max_length, side="right")) - 1
            yield begin, stop
            if stop == len(sizes):
                return
            # The next window must have room for the sentence that this one has none for.
            least = int(np.searchsorted(ends, ends[stop + 1] - self.max_length, side="left"))
            begin = max(least, stop - min(self.overlap, (stop - begin) // 2))


def kept(places: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Of each window the sentences that it scores, first and last (exclusive): each exactly once.

    A sentence's distance is the number of sentences between it and the nearer end of the window;
    the beginning and the end of the document are no such ends. Of windows with the same distance
    the earlier scores it.

    Args:
        places: First and last (exclusive) sentence of each window, both ascending.
    """
    count = places[-1][1]
    best = np.full(count, -1, dtype=np.int64)
    owner = np.zeros(count, dtype=np.int64)
    for number, (begin, stop) in enumerate(places):
        sentences = np.arange(begin, stop)
        left = sentences - begin if begin > 0 else count
        right = stop - 1 - sentences if stop < count else count
        distance = np.minimum(left, right)
        farther = sentences[distance > best[begin:stop]]
        best[farther] = np.broadcast_to(distance, sentences.shape)[farther - begin]
        owner[farther] = number
    # Owners ascend: a later window is never farther from a cut at an earlier sentence.
    bounds = np.searchsorted(owner, np.arange(len(places) + 1)).tolist()
    return list(pairwise(bounds))


def encode_documents(
    documents: Sequence[Sequence[str]], *, tokenizer: Any, layout: Layout
) -> Iterator[Encoded]:
    """Documents as windows, in order.

    Args:
        documents: Of each document its sentences.
        tokenizer: A fast tokenizer of transformers.
        layout: Length and overlap of the windows.
    """
    sentences = (sentence for document in documents for sentence in document)
    tokens = _tokens(sentences, whole_backend(tokenizer), layout.room)
    for document in documents:
        yield _encode([next(tokens) for _ in document], layout)


def _tokens(
    sentences: Iterator[str], backend: Any, room: int
) -> Iterator[tuple[npt.NDArray[np.int32], bool]]:
    """Token ids of each sentence, at most `room` of them, and whether it was cut."""
    while some := list(islice(sentences, _AT_ONCE)):
        for encoding in backend.encode_batch(some, add_special_tokens=False):
            yield np.asarray(encoding.ids[:room], dtype=np.int32), len(encoding) > room


def _encode(sentences: Sequence[tuple[npt.NDArray[np.int32], bool]], layout: Layout) -> Encoded:
    if not sentences:
        ids, _ = layout.frame.around([[]])
        return Encoded([Window(ids, [], 0, (0, 0))], 0)
    framed = [layout.frame.around([ids.tolist()])[0] for ids, _ in sentences]
    sizes = [len(ids) for ids in framed]
    spans = list(layout.places(sizes))
    windows = []
    for (begin, stop), keep in zip(spans, kept(spans), strict=True):
        ends = np.cumsum(sizes[begin:stop])
        places = [0, *ends[:-1].tolist()]
        input_ids = [token for ids in framed[begin:stop] for token in ids]
        windows.append(Window(input_ids, places, begin, keep))
    return Encoded(windows, sum(was_cut for _, was_cut in sentences))
