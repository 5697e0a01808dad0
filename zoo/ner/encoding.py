"""Pure functions of named entity recognition: words -> features, beside logits -> entities.

A document is cut into windows of at most `max_length` tokens that overlap. Every word belongs to
exactly one window, the one where it is further from the edge, so that training counts each word
once and prediction puts the windows together without losing or repeating a word. A word's label
stands at its first subword; a word that yields no subword (U+FE0F alone, for instance) stands in
the text as the tokenizer's unknown token and so gets a label and a prediction as any other.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from zoo.data.frames import whole_backend

#: Label value that the loss skips.
IGNORED = -100
OUTSIDE = "O"


class Window(NamedTuple):
    """One window of a document.

    Args:
        input_ids: Token ids with special tokens.
        positions: Index into `input_ids` of the first subword of each word that belongs to this
            window.
        first_word: Index in the document of the first word that belongs to this window.
    """

    input_ids: list[int]
    positions: list[int]
    first_word: int


class Entity(NamedTuple):
    """A typed span of words: `start` is the first word, `end` is one past the last."""

    type: str
    start: int
    end: int


@dataclass(frozen=True)
class SpecialTokens:
    """What a tokenizer puts around a text, and what stands for a word without subwords."""

    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    unknown: int

    @classmethod
    def of(cls, tokenizer: Any) -> "SpecialTokens":
        """Found by asking the tokenizer, so that it holds for every kind of it."""
        probe = tokenizer.backend_tokenizer.encode(["a"], is_pretokenized=True)
        inside = [i for i, word in enumerate(probe.word_ids) if word is not None]
        unknown = tokenizer.unk_token_id
        if unknown is None:  # byte-level tokenizers may have none, and never need one but for ""
            unknown = tokenizer.mask_token_id or tokenizer.eos_token_id or probe.ids[inside[0]]
        return cls(tuple(probe.ids[: inside[0]]), tuple(probe.ids[inside[-1] + 1 :]), int(unknown))


def bio_labels(types: Iterable[str]) -> list[str]:
    """`O`, then `B-` and `I-` of every type, in the order given."""
    return [OUTSIDE, *(f"{prefix}-{name}" for name in types for prefix in ("B", "I"))]


def types_of(labels: Sequence[str]) -> list[str]:
    """Entity types of BIO labels, in the order in which they first appear."""
    return list(dict.fromkeys(label[2:] for label in labels if label != OUTSIDE))


def encode_documents(
    documents: Sequence[Sequence[str]],
    *,
    tokenizer: Any,
    max_length: int,
    stride: int,
) -> list[list[Window]]:
    """Cut documents of words into windows of tokens.

    Args:
        documents: Words of each document.
        tokenizer: A fast tokenizer of transformers.
        max_length: Longest window in tokens, special tokens included.
        stride: Overlap of neighbouring windows in tokens (at most; windows break between words).

    Returns:
        For each document its windows in order; a document without words has none.
    """
    special = SpecialTokens.of(tokenizer)
    capacity = max_length - len(special.prefix) - len(special.suffix)
    if capacity < 1 or not 0 <= stride < capacity:
        raise ValueError(
            f"max_length={max_length} leaves {capacity} tokens beside the special ones; "
            f"stride={stride} must be at least 0 and below that."
        )
    encodings = whole_backend(tokenizer).encode_batch(
        [list(words) for words in documents], is_pretokenized=True, add_special_tokens=False
    )
    return [
        _windows(
            _subwords(encoding, len(words), special.unknown, capacity), special, capacity, stride
        )
        for words, encoding in zip(documents, encodings, strict=True)
    ]


def _subwords(encoding: Any, words: int, unknown: int, capacity: int) -> list[list[int]]:
    pieces: list[list[int]] = [[] for _ in range(words)]
    for token, word in zip(encoding.ids, encoding.word_ids, strict=True):
        pieces[word].append(token)
    # A single word longer than a window keeps its beginning: only its first subword is labelled.
    return [piece[:capacity] or [unknown] for piece in pieces]


def _windows(
    pieces: list[list[int]], special: SpecialTokens, capacity: int, stride: int
) -> list[Window]:
    ranges = _ranges([len(piece) for piece in pieces], capacity, stride)
    windows = []
    for number, (start, end) in enumerate(ranges):
        # The words of an overlap are shared out at its middle.
        own_start = start if number == 0 else (start + ranges[number - 1][1] + 1) // 2
        own_end = end if number + 1 == len(ranges) else (ranges[number + 1][0] + end + 1) // 2
        input_ids = list(special.prefix)
        positions = []
        for word in range(start, end):
            if own_start <= word < own_end:
                positions.append(len(input_ids))
            input_ids.extend(pieces[word])
        input_ids.extend(special.suffix)
        windows.append(Window(input_ids, positions, own_start))
    return windows


def _ranges(lengths: list[int], capacity: int, stride: int) -> list[tuple[int, int]]:
    ranges = []
    start = 0
    while start < len(lengths):
        end, filled = start, 0
        while end < len(lengths) and filled + lengths[end] <= capacity:
            filled += lengths[end]
            end += 1
        ranges.append((start, end))
        if end == len(lengths):
            break
        # The next window must hold a new word beside the shared ones, else it adds nothing.
        back, shared, room = end, 0, min(stride, capacity - lengths[end])
        while back - 1 > start and shared + lengths[back - 1] <= room:
            back -= 1
            shared += lengths[back]
        start = back
    return ranges


class BioDecoder:
    """The most probable tag sequence that is valid BIO (Viterbi over the transitions allowed).

    Taking the best tag of every word on its own can give `O I-PER`, which is no entity; here an
    `I-X` only follows a `B-X` or `I-X`. All other transitions are equally free, so nothing is
    learned and the logits stay those of the model.

    Args:
        labels: The model's labels, in order: `O`, `B-X`, `I-X`, ...
    """

    def __init__(self, labels: Sequence[str]):
        self.labels = list(labels)
        count = len(labels)
        forbidden = torch.zeros(count, count)
        begins = torch.zeros(count)
        for after, label in enumerate(labels):
            if label.startswith("I-"):
                begins[after] = -torch.inf
                for before, previous in enumerate(labels):
                    if previous == OUTSIDE or previous[2:] != label[2:]:
                        forbidden[before, after] = -torch.inf
        self._transitions = forbidden
        self._begins = begins

    def __call__(self, scores: Sequence[Tensor]) -> list[Tensor]:
        """Tags of several documents.

        Args:
            scores: Log-probabilities (or logits) of each document's words, float `[words, labels]`.

        Returns:
            Label ids of each document's words, int64 `[words]`.
        """
        lengths = torch.tensor([len(document) for document in scores])
        if len(scores) == 0 or int(lengths.max()) == 0:
            return [torch.zeros(0, dtype=torch.long) for _ in scores]
        padded = torch.nn.utils.rnn.pad_sequence(
            [document.detach().float().cpu() for document in scores], batch_first=True
        )
        padded = torch.log_softmax(padded, dim=-1)
        steps = padded.shape[1]
        best = padded[:, 0] + self._begins
        back = torch.zeros(padded.shape, dtype=torch.long)
        for step in range(1, steps):
            through = best[:, :, None] + self._transitions
            values, origins = through.max(dim=1)
            back[:, step] = origins
            # Documents that have ended keep their last scores.
            running = (step < lengths)[:, None]
            best = torch.where(running, values + padded[:, step], best)
        tag = best.argmax(dim=-1)
        tags = torch.zeros(padded.shape[:2], dtype=torch.long)
        for step in range(steps - 1, -1, -1):
            tags[:, step] = tag
            origin = back[:, step].gather(1, tag[:, None]).squeeze(1)
            tag = torch.where(step < lengths, origin, tag) if step else tag
        return [row[:length] for row, length in zip(tags, lengths.tolist(), strict=True)]


def entities_of(tags: Sequence[str]) -> list[Entity]:
    """Entities of a BIO tag sequence, read strictly: an entity begins with `B-` and nothing else.

    Entity ends are exclusive. `I-` without a `B-` or `I-` of its type before it is no entity.
    """
    found: list[Entity] = []
    start: int | None = None
    for index, tag in enumerate([*tags, OUTSIDE]):
        if start is not None and tag != f"I-{tags[start][2:]}":
            found.append(Entity(tags[start][2:], start, index))
            start = None
        if tag.startswith("B-"):
            start = index
    return found
