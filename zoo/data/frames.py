"""A tokenizer without its habits: its backend as it is, and the special tokens that it puts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


def whole_backend(tokenizer: Any) -> Any:
    """The Rust tokenizer behind one of transformers, with nothing cut or padded.

    Whoever called the tokenizer itself with padding has left that switched on.
    """
    backend = tokenizer.backend_tokenizer
    backend.no_padding()
    backend.no_truncation()
    return backend


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
