"""Documents to blocks of tokens, and blocks to what a masked language model learns from."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from zoo.data.frames import Frame, whole_backend

#: What a token is not asked for; what cross-entropy leaves out.
IGNORED = -100
#: The word of special tokens, which are never masked.
NO_WORD = -1
#: Of chosen tokens so many become the mask, and so many another token; the rest stay.
MASKED, REPLACED = 0.8, 0.1
#: Tokens of a document that a block is not filled up with for less than.
SHORTEST = 16


class Document(NamedTuple):
    """The tokens of one text.

    Args:
        ids: Token ids.
        words: The word that each token is of, counted from 0.
        sizes: UTF-8 bytes of text that each token stands for, with the space before it. The sizes
            of a text's tokens add up to its bytes, up to the end of its last token.
    """

    ids: list[int]
    words: list[int]
    sizes: list[int]


class Block(NamedTuple):
    """Pieces of documents, each with special tokens around, that are read in one row.

    Args:
        ids: Token ids.
        words: The word that each token is of, counted through the block; `NO_WORD` of special ones.
        sizes: UTF-8 bytes that each token stands for; 0 of special ones.
        pieces: Tokens of each piece, special ones included.
    """

    ids: list[int]
    words: list[int]
    sizes: list[int]
    pieces: list[int]


def frame_of_decoder(tokenizer: Any) -> Frame:
    """The special tokens around a text: the tokenizer's own, else what ends a text on both sides.

    The first token of a text can be asked for where something stands before it.
    """
    frame = Frame.of(tokenizer, pairs=False)
    if frame.size or tokenizer.eos_token_id is None:
        return frame
    end = int(tokenizer.eos_token_id)
    begin = end if tokenizer.bos_token_id is None else int(tokenizer.bos_token_id)
    return Frame(((begin,), (end,)), ((0,), (0,)), (0,))


def in_batches(texts: Sequence[str], *, characters: int) -> Iterator[Sequence[str]]:
    """The texts in order, so many characters at a time or one text that is longer."""
    begin = size = 0
    for at, text in enumerate(texts):
        if at > begin and size + len(text) > characters:
            yield texts[begin:at]
            begin, size = at, 0
        size += len(text)
    if begin < len(texts):
        yield texts[begin:]


def encode_documents(texts: Sequence[str], *, tokenizer: Any) -> list[Document]:
    """Tokens of whole texts, without special ones."""
    return [
        Document(one.ids, _words(one.word_ids), _sizes(text, one.offsets))
        for text, one in zip(
            texts,
            whole_backend(tokenizer).encode_batch(list(texts), add_special_tokens=False),
            strict=True,
        )
    ]


def _words(found: Sequence[int | None]) -> list[int]:
    # Counted anew: a word without tokens has a number, too.
    words: list[int] = []
    before: int | None = None
    for word in found:
        words.append((words[-1] if words else NO_WORD) + (not words or word != before))
        before = word
    return words


def _sizes(text: str, offsets: Sequence[tuple[int, int]]) -> list[int]:
    # Pieces of one character have its offsets each: the first of them takes its bytes.
    sizes, done = [], 0
    for _, end in offsets:
        sizes.append(len(text[done:end].encode("utf-8", "replace")))
        done = max(done, end)
    return sizes


def pack(
    documents: Iterable[Document], *, frame: Frame, max_length: int, across: bool
) -> Iterator[tuple[int, Block]]:
    """Blocks of at most `max_length` tokens that hold every token of the documents once, in order.

    Args:
        documents: The texts' tokens.
        frame: The special tokens around one text, which stand around each piece as well.
        max_length: Longest block, special tokens included.
        across: Whether a block goes on with a piece of the next document where one ends; else each
            document begins a block. What little of a document has room is left to the next block.

    Yields:
        The number of the last document in the block, and the block.

    Raises:
        ValueError: Not one token has room.
    """
    before, behind = (list(part) for part in frame.parts)
    if max_length - frame.size < 1:
        raise ValueError(f"{max_length} tokens leave no room beside {frame.size} special ones.")
    held = Block([], [], [], [])
    last = -1
    for number, document in enumerate(documents):
        at = 0
        while at < len(document.ids):
            room = max_length - len(held.ids) - frame.size
            rest = len(document.ids) - at
            if held.ids and (room < min(rest, SHORTEST) or (not across and at == 0)):
                yield last, held
                held = Block([], [], [], [])
                continue
            # Words are counted on within a block, so that no two of them have one number.
            first = max(held.words, default=NO_WORD) + 1 - document.words[at]
            piece = slice(at, at + room)
            held.ids.extend([*before, *document.ids[piece], *behind])
            words = [word + first for word in document.words[piece]]
            held.words.extend([NO_WORD] * len(before) + words + [NO_WORD] * len(behind))
            sizes = document.sizes[piece]
            held.sizes.extend([0] * len(before) + sizes + [0] * len(behind))
            held.pieces.append(len(sizes) + frame.size)
            last, at = number, at + room
    if held.ids:
        yield last, held


def choose(words: Tensor, *, share: float, whole_words: bool, generator: torch.Generator) -> Tensor:
    """Which tokens are asked for: each with the same probability, special ones never.

    Args:
        words: The word of each token, int64 `[blocks, longest]`, `NO_WORD` at special tokens.
        share: Probability of a token; with `whole_words` of a word and so of all its tokens.
        whole_words: Whether the tokens of a word are chosen together.
        generator: Source of chance, on the CPU.

    Returns:
        bool, shape of `words`.
    """
    chance = torch.rand(words.shape, generator=generator).to(words.device)
    if whole_words:
        # One draw a word: its tokens look it up by the word's number, less than the block's length.
        chance = chance.gather(1, words.clamp(min=0))
    return (chance < share) & (words != NO_WORD)


def corrupt(
    ids: Tensor,
    chosen: Tensor,
    *,
    mask: int,
    ordinary: Tensor,
    generator: torch.Generator,
    together: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """What the model reads and what it is asked (Devlin et al. 2019, arXiv 1810.04805).

    Of the chosen tokens 80% become the mask, 10% an ordinary token drawn evenly, 10% stay.

    Args:
        ids: Token ids, int64 `[blocks, longest]`.
        chosen: Which are asked for, bool of the same shape.
        mask: Id of the mask token.
        ordinary: Ids of all tokens that are not special, int64.
        generator: Source of chance, on the CPU.
        together: Tokens of a block with the same number here, from 0, are masked, replaced or kept
            together; int64, shape of `ids`. Each alone if None.

    Returns:
        Ids that are read, and ids that are right (`IGNORED` where nothing is asked).
    """
    fate = torch.rand(ids.shape, generator=generator).to(ids.device)
    if together is not None:
        fate = torch.where(together < 0, fate, fate.gather(1, together.clamp(min=0)))
    drawn = torch.randint(len(ordinary), ids.shape, generator=generator)
    others = ordinary[drawn.to(ordinary.device)].to(ids.device)
    read = torch.where(chosen & (fate < MASKED), torch.full_like(ids, mask), ids)
    replaced = chosen & (fate >= MASKED) & (fate < MASKED + REPLACED)
    read = torch.where(replaced, others, read)
    return read, ids.masked_fill(~chosen, IGNORED)


def seeded(*numbers: int) -> torch.Generator:
    """A source of chance on the CPU that is the same for the same numbers."""
    import numpy as np

    (seed,) = np.random.SeedSequence(numbers).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(seed) >> 1)


def ordinary_ids(tokenizer: Any) -> Tensor:
    """Ids of all tokens that are not special, int64, in order."""
    special = set(tokenizer.all_special_ids)
    return torch.tensor(
        sorted(at for at in tokenizer.get_vocab().values() if at not in special), dtype=torch.long
    )


def block_row(block: Block) -> dict[str, Any]:
    """A block as a row of the table of features."""
    return {
        "input_ids": block.ids,
        "words": block.words,
        "sizes": block.sizes,
        "pieces": block.pieces,
    }


def masked_rows(
    batch: Mapping[str, Any],
    *,
    mask: int,
    ordinary: Tensor,
    share: float,
    seed: int,
) -> tuple[Tensor, Tensor]:
    """The masks of evaluation: fixed for each block, whatever else is in the batch.

    Args:
        batch: `input_ids` and `words`, int64 `[blocks, longest]`, and lists `example` and `part`,
            which tell a block from all others of its split.
        mask: Id of the mask token.
        ordinary: Ids of all tokens that are not special.
        share: Probability of a token.
        seed: Fixes the choice.

    Returns:
        Ids that are read and ids that are right, as `corrupt` gives them.
    """
    read, right = batch["input_ids"].clone(), torch.full_like(batch["input_ids"], IGNORED)
    for row, (example, part) in enumerate(zip(batch["example"], batch["part"], strict=True)):
        generator = seeded(seed, example, part)
        # Cut to the block's own length: padding would shift what is drawn.
        size = int(batch["attention_mask"][row].sum())
        ids, words = (batch[name][row : row + 1, :size] for name in ("input_ids", "words"))
        chosen = choose(words, share=share, whole_words=False, generator=generator)
        read[row, :size], right[row, :size] = corrupt(
            ids, chosen, mask=mask, ordinary=ordinary, generator=generator
        )
    return read, right
