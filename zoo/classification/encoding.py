"""Pure functions of text classification: texts or pairs of them -> features.

A text is cut into tokens on its own and the special tokens are put around it afterwards, as the
tokenizer itself does it; so a text that is too long can be shortened anywhere, not at its end only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

#: What is left of a text that is too long: its beginning, or its beginning and its end.
LongTexts = Literal["truncate", "head_tail"]

Text = tuple[str, str | None]


class Encoded(NamedTuple):
    """A text, or a pair of texts, as the model reads it.

    Args:
        input_ids: Token ids with special tokens.
        token_types: For each token the number that tells the second text of a pair from the first.
        cut: Tokens that were left out because the model reads no more.
    """

    input_ids: list[int]
    token_types: list[int]
    cut: int


@dataclass(frozen=True)
class Frame:
    """The special tokens that a tokenizer puts around one text or two.

    Args:
        parts: Ids before the first text, after each text, in order.
        part_types: Token types of the same.
        text_types: Token type of each text.
    """

    parts: tuple[tuple[int, ...], ...]
    part_types: tuple[tuple[int, ...], ...]
    text_types: tuple[int, ...]

    @classmethod
    def of(cls, tokenizer: Any, *, pairs: bool) -> "Frame":
        """Found by asking the tokenizer, so that it holds for every kind of it."""
        probe = tokenizer.backend_tokenizer.encode("a", "a" if pairs else None)
        count = 2 if pairs else 1
        parts: list[list[int]] = [[] for _ in range(count + 1)]
        types: list[list[int]] = [[] for _ in range(count + 1)]
        text_types = [0] * count
        seen = 0
        for token, kind, text in zip(probe.ids, probe.type_ids, probe.sequence_ids, strict=True):
            if text is None:
                parts[seen].append(token)
                types[seen].append(kind)
            else:
                seen = text + 1
                text_types[text] = kind
        return cls(tuple(map(tuple, parts)), tuple(map(tuple, types)), tuple(text_types))

    @property
    def size(self) -> int:
        """Number of special tokens."""
        return sum(map(len, self.parts))

    def around(self, texts: Sequence[Sequence[int]]) -> tuple[list[int], list[int]]:
        """Ids and token types of the texts' tokens with the special ones."""
        ids, types = list(self.parts[0]), list(self.part_types[0])
        for number, tokens in enumerate(texts):
            ids += [*tokens, *self.parts[number + 1]]
            types += [self.text_types[number]] * len(tokens) + [*self.part_types[number + 1]]
        return ids, types


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
        long_texts: What is left of a text that is too long.

    Raises:
        ValueError: `max_length` leaves no room beside the special tokens, or some are pairs only.
    """
    if not texts:
        return []
    pairs = texts[0][1] is not None
    if any((second is not None) != pairs for _, second in texts):
        raise ValueError("Either all or none must be pairs of texts.")
    frame = Frame.of(tokenizer, pairs=pairs)
    room = max_length - frame.size
    if room < len(frame.text_types):
        raise ValueError(f"max_length={max_length} leaves {room} tokens beside the special ones.")
    columns = [[first for first, _ in texts]]
    if pairs:
        columns.append([second or "" for _, second in texts])
    tokens = [
        [
            encoding.ids
            for encoding in tokenizer.backend_tokenizer.encode_batch(
                column, add_special_tokens=False
            )
        ]
        for column in columns
    ]
    encoded = []
    for row in zip(*tokens, strict=True):
        kept = shares([len(one) for one in row], room)
        ids, types = frame.around(
            [shortened(one, size, long_texts) for one, size in zip(row, kept, strict=True)]
        )
        encoded.append(Encoded(ids, types, sum(map(len, row)) - sum(kept)))
    return encoded


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
