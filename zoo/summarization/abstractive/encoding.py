"""Pure functions of abstractive summarization: texts and summaries -> what the model reads.

Texts are cut into tokens on their own and the special tokens are put around them afterwards, as the
tokenizer itself does it; so special tokens are never cut off.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from zoo.data.frames import Frame, whole_backend

#: Characters that are cut into tokens in one go; an encoding takes a hundred bytes a token.
_CHARACTERS_AT_ONCE = 1_000_000


class Cut(NamedTuple):
    """A text's token ids, as many as there is room for.

    Args:
        ids: Token ids with special tokens.
        cut: Tokens of its end that were left out.
    """

    ids: list[int]
    cut: int


@dataclass(frozen=True)
class Ends:
    """The special tokens that a summary has as the decoder's labels.

    Args:
        before: Ids before it: the target language's code in mBART-50, `<s>` in BART.
        after: Ids after it: the end token; in mBART also the target language's code.
    """

    before: tuple[int, ...]
    after: tuple[int, ...]

    @classmethod
    def of(cls, tokenizer: Any, *, decoder_start: int) -> "Ends":
        """Found by asking the tokenizer for a target, so that it holds for every kind of it.

        A first token that the decoder starts with anyway is none of the labels: it would have to
        be predicted from itself (`[CLS]`, where the decoder is a BERT).
        """
        probe = tokenizer(text_target="a", return_special_tokens_mask=True)
        ids, special = probe["input_ids"], probe["special_tokens_mask"]
        size = next((at for at, one in enumerate(special) if not one), len(special))
        skipped = 1 if size and ids[0] == decoder_start else 0
        around = [one for one, is_special in zip(ids, special, strict=True) if is_special]
        return cls(tuple(around[skipped:size]), tuple(around[size:]))

    @property
    def size(self) -> int:
        """Number of special tokens."""
        return len(self.before) + len(self.after)


def encode_sources(
    texts: Sequence[str], *, tokenizer: Any, prefix: str, max_length: int
) -> list[Cut]:
    """Texts behind the prefix; what fits is encoded exactly as the tokenizer does it.

    Args:
        texts: The texts to summarize.
        tokenizer: A fast tokenizer of transformers.
        prefix: What the model wants to read before each text, such as `"summarize: "`.
        max_length: Longest input in tokens, prefix and special tokens included. Of a longer one
            the end of the text is left out.

    Raises:
        ValueError: `max_length` leaves no room for a text.
    """
    backend = whole_backend(tokenizer)
    frame = Frame.of(tokenizer, pairs=False)
    taken = len(backend.encode(prefix, add_special_tokens=False).ids) if prefix else 0
    room = max_length - frame.size
    if room <= taken:
        raise ValueError(
            f"max_length={max_length} leaves {max(0, room - taken)} tokens for a text beside "
            f"{frame.size} special ones and {taken} of the prefix."
        )
    # With the prefix in one piece: some tokenizers treat the beginning of a text in their own way.
    cut = partial(_cut, before=frame.parts[0], after=frame.parts[1], room=room)
    return [cut(ids) for ids in _ids([prefix + text for text in texts], backend)]


def encode_targets(
    texts: Sequence[str], *, tokenizer: Any, ends: Ends, max_length: int
) -> list[Cut]:
    """Summaries as labels; what fits is what `tokenizer(text_target=...)` gives.

    Args:
        texts: The summaries.
        tokenizer: A fast tokenizer of transformers.
        ends: The special tokens around them.
        max_length: Longest summary in tokens, special tokens included. Of a longer one the end is
            left out, but not its end token.

    Raises:
        ValueError: `max_length` leaves no room for a summary.
    """
    room = max_length - ends.size
    if room < 1:
        raise ValueError(
            f"max_target_length={max_length} leaves no room beside {ends.size} special tokens."
        )
    cut = partial(_cut, before=ends.before, after=ends.after, room=room)
    return [cut(ids) for ids in _ids(texts, whole_backend(tokenizer))]


def _ids(texts: Sequence[str], backend: Any) -> Iterator[list[int]]:
    """Whole token ids of each text, of few at once: what is cut off is never held for all."""
    begin = characters = 0
    for at, text in enumerate(texts):
        characters += len(text)
        if characters >= _CHARACTERS_AT_ONCE or at == len(texts) - 1:
            some = list(texts[begin : at + 1])
            for encoding in backend.encode_batch(some, add_special_tokens=False):
                yield encoding.ids
            begin, characters = at + 1, 0


def _cut(ids: list[int], before: Sequence[int], after: Sequence[int], room: int) -> Cut:
    return Cut([*before, *ids[:room], *after], max(0, len(ids) - room))
