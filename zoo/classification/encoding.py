"""Pure functions of text classification: texts or pairs of them -> features.

A text is cut into tokens on its own and the special tokens are put around it afterwards, as the
tokenizer itself does it; so a text that is too long can be shortened anywhere, not at its end only.
"""

import itertools
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from zoo.data.frames import Frame, whole_backend

#: What is read of a text that is too long: its beginning, its beginning and its end, or all of it
#: in several windows.
LongTexts = Literal["truncate", "head_tail", "windows"]

Text = tuple[str, str | None]


class Encoded(NamedTuple):
    """A text, or a pair of texts, as the model reads it.

    Args:
        input_ids: Token ids with special tokens; of several windows one after another.
        token_types: For each token the number that tells the second text of a pair from the first.
        windows: Tokens of each window; one window unless the text is longer than the model reads
            and `windows` was asked for.
        cut: Tokens that were left out because the model reads no more.
    """

    input_ids: list[int]
    token_types: list[int]
    windows: list[int]
    cut: int


def encode_texts(
    texts: Sequence[Text],
    *,
    tokenizer: Any,
    max_length: int,
    long_texts: LongTexts = "truncate",
) -> list[Encoded]:
    """Texts, or pairs, as token ids; what fits is encoded exactly as the tokenizer does it.

    Args:
        texts: Pairs of texts; the second is None (of all or of none) where there is one alone.
        tokenizer: A fast tokenizer of transformers.
        max_length: Longest input in tokens, special tokens included. Of a pair the longer text
            is shortened first.
        long_texts: What is read of a text that is too long. Windows are of equal size, do not
            overlap and are as few as can be; of a pair the longer text is cut into windows, and
            each has the shorter one (at most half the room) beside it.

    Raises:
        ValueError: `max_length` leaves no room beside the special tokens, or some are pairs only.
    """
    if not texts:
        return []
    pairs = texts[0][1] is not None
    if any((second is not None) != pairs for _, second in texts):
        raise ValueError("Either all or none must be pairs of texts.")
    backend = whole_backend(tokenizer)
    frame = Frame.of(tokenizer, pairs=pairs)
    room = max_length - frame.size
    if room < len(frame.text_types):
        raise ValueError(f"max_length={max_length} leaves {room} tokens beside the special ones.")
    columns = [[first for first, _ in texts]]
    if pairs:
        columns.append([second or "" for _, second in texts])
    tokens = [
        [encoding.ids for encoding in backend.encode_batch(column, add_special_tokens=False)]
        for column in columns
    ]
    encoded = []
    for row in zip(*tokens, strict=True):
        if long_texts == "windows":
            windows, read = in_windows(row, room)
        else:
            kept = shares([len(one) for one in row], room)
            windows = [
                [shortened(one, size, long_texts) for one, size in zip(row, kept, strict=True)]
            ]
            read = sum(kept)
        framed = [frame.around(window) for window in windows]
        encoded.append(
            Encoded(
                [token for ids, _ in framed for token in ids],
                [kind for _, types in framed for kind in types],
                [len(ids) for ids, _ in framed],
                sum(map(len, row)) - read,
            )
        )
    return encoded


def in_windows(texts: Sequence[Sequence[int]], room: int) -> tuple[list[list[Sequence[int]]], int]:
    """One text or two as windows of at most `room` tokens, and how many tokens are in them.

    Every token of the longer text is in one window; of the shorter one, which all windows have, at
    most `room // 2` tokens are read.
    """
    longer = max(range(len(texts)), key=lambda number: len(texts[number]))
    others = [one[: room // 2] for number, one in enumerate(texts) if number != longer]
    tokens = texts[longer]
    space = room - sum(map(len, others))
    count = max(1, -(-len(tokens) // space))
    # Borders at equal distances: no window is left with a few last tokens alone.
    borders = [len(tokens) * number // count for number in range(count + 1)]
    windows = []
    for begin, end in itertools.pairwise(borders):
        window: list[Sequence[int]] = list(others)
        window.insert(longer, tokens[begin:end])
        windows.append(window)
    return windows, len(tokens) + sum(map(len, others))


def shares(lengths: Sequence[int], room: int) -> list[int]:
    """How many tokens each of one or two texts keeps: the longer gives first, then both alike."""
    if sum(lengths) <= room:
        return list(lengths)
    if len(lengths) == 1:
        return [room]
    first, second = lengths
    half = room // 2
    if second <= half:
        return [room - second, second]
    if first <= room - half:
        return [first, room - first]
    return [room - half, half]


def shortened(tokens: Sequence[int], size: int, how: LongTexts) -> Sequence[int]:
    """A text's first `size` tokens, or as many of its beginning and its end together."""
    if len(tokens) <= size:
        return tokens
    if how == "truncate":
        return tokens[:size]
    tail = size // 2
    return [*tokens[: size - tail], *tokens[len(tokens) - tail :]]
