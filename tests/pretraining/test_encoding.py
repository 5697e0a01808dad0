"""Masks against their definition, blocks against the text."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import ARCHITECTURES
from zoo.backbones import load_tokenizer
from zoo.data.frames import Frame
from zoo.pretraining.encoding import (
    IGNORED,
    NO_WORD,
    Document,
    choose,
    corrupt,
    encode_documents,
    in_batches,
    masked_rows,
    ordinary_ids,
    pack,
    seeded,
)

Tiny = Callable[[str], Path]

TEXTS = [
    "Ada Lovelace  isn't in 同样, Löwe 😀.",
    "",
    "Fox",
    ("the quick brown fox " * 20).strip(),
    "a b",
]
_FRAME = Frame(((1,), (2,)), ((0,), (0,)), (0,))


def _words(rows: int, words: int, pieces: int) -> torch.Tensor:
    """Blocks of words with so many pieces each, one special token before and one behind."""
    row = [NO_WORD, *(word for word in range(words) for _ in range(pieces)), NO_WORD]
    return torch.tensor([row] * rows)


@pytest.mark.parametrize("whole_words", [False, True])
def test_of_100_000_tokens_15_percent_are_chosen_and_of_these_80_masked_10_replaced_10_kept(
    whole_words: bool,
) -> None:
    words = _words(500, 100, 2)  # 100,000 tokens that are not special
    generator = seeded(7)
    ids = torch.randint(5, 1005, words.shape, generator=generator)
    chosen = choose(words, share=0.15, whole_words=whole_words, generator=generator)
    ordinary = torch.arange(5, 1005)
    read, right = corrupt(ids, chosen, mask=4, ordinary=ordinary, generator=generator)
    assert not chosen[words == NO_WORD].any()
    # Five standard deviations: words of two tokens are half as many draws.
    assert chosen.sum().item() / 100_000 == pytest.approx(0.15, abs=5 * (0.1275 / 50_000) ** 0.5)
    count = int(chosen.sum())
    fate = read[chosen]
    masked = (fate == 4).sum().item() / count
    kept = (fate == ids[chosen]).sum().item() / count
    assert masked == pytest.approx(0.8, abs=5 * (0.16 / count) ** 0.5)
    # One in a thousand of the replaced is replaced by itself.
    assert kept == pytest.approx(0.1 + 0.1 / 1000, abs=5 * (0.09 / count) ** 0.5)
    assert 1 - masked - kept == pytest.approx(0.1, abs=5 * (0.09 / count) ** 0.5)
    assert torch.equal(read[~chosen], ids[~chosen])
    assert torch.equal(right[chosen], ids[chosen])
    assert (right[~chosen] == IGNORED).all()


def test_whole_words_are_chosen_whole_and_each_on_its_own() -> None:
    words = _words(500, 50, 3)
    chosen = choose(words, share=0.4, whole_words=True, generator=seeded(1))
    by_word = chosen[:, 1:-1].reshape(500, 50, 3)
    assert (by_word.all(-1) == by_word.any(-1)).all()
    # Neighbours are chosen together as often as chance has it: 0.4 * 0.4.
    both = (by_word[:, :-1, 0] & by_word[:, 1:, 0]).float().mean().item()
    assert both == pytest.approx(0.16, abs=0.02)


def test_replacements_are_ordinary_tokens_and_all_of_them() -> None:
    words = _words(300, 60, 1)
    ids = torch.full_like(words, 3)
    chosen = words != NO_WORD
    ordinary = torch.tensor([3, 6, 9])
    read, _ = corrupt(ids, chosen, mask=0, ordinary=ordinary, generator=seeded(2))
    assert set(read[chosen].tolist()) == {0, 3, 6, 9}


def test_the_same_numbers_give_the_same_masks_and_others_give_others() -> None:
    words = _words(8, 50, 1)

    def chosen(*numbers: int) -> list[bool]:
        found: list[bool] = choose(
            words, share=0.5, whole_words=False, generator=seeded(*numbers)
        ).tolist()
        return found

    assert chosen(42, 0, 3) == chosen(42, 0, 3)
    assert len({str(chosen(42, *rest)) for rest in ((0, 0), (0, 1), (1, 0), (1, 1))}) == 4


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_text_s_bytes_are_shared_out_among_its_tokens(architecture: str, tiny: Tiny) -> None:
    tokenizer = load_tokenizer(str(tiny(architecture)))
    for text, document in zip(TEXTS, encode_documents(TEXTS, tokenizer=tokenizer), strict=True):
        assert sum(document.sizes) == len(text.encode())
        assert len(document.ids) == len(document.words) == len(document.sizes)
        # Words are counted without gaps.
        assert sorted(set(document.words)) == list(range(len(set(document.words))))


@pytest.mark.parametrize("across", [True, False])
@pytest.mark.parametrize("max_length", [3, 4, 16, 64])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_blocks_hold_every_token_of_the_text_once_and_in_order(
    architecture: str, max_length: int, across: bool, tiny: Tiny
) -> None:
    tokenizer = load_tokenizer(str(tiny(architecture)))
    documents = encode_documents(TEXTS, tokenizer=tokenizer)
    frame = Frame.of(tokenizer, pairs=False)
    blocks = list(pack(documents, frame=frame, max_length=max_length, across=across))
    found = [
        (token, size)
        for _, block in blocks
        for token, word, size in zip(block.ids, block.words, block.sizes, strict=True)
        if word != NO_WORD
    ]
    assert found == [pair for one in documents for pair in zip(one.ids, one.sizes, strict=True)]
    for _, block in blocks:
        assert len(block.ids) <= max_length
        assert block.ids[0] == tokenizer.cls_token_id
        assert block.ids[-1] == tokenizer.sep_token_id
        assert max(block.words) < len(block.words)
        assert sum(block.pieces) == len(block.ids)
    assert [last for last, _ in blocks] == sorted(last for last, _ in blocks)


def _document(*ids: int) -> Document:
    return Document(list(ids), list(range(len(ids))), [1] * len(ids))


def test_a_block_goes_on_with_the_next_document_as_a_piece_of_its_own() -> None:
    documents = [_document(11, 12), _document(), _document(21, 22, 23, 24)]
    packed = list(pack(documents, frame=_FRAME, max_length=10, across=True))
    assert [block.ids for _, block in packed] == [[1, 11, 12, 2, 1, 21, 22, 23, 24, 2]]
    assert [block.words for _, block in packed] == [[-1, 0, 1, -1, -1, 2, 3, 4, 5, -1]]
    assert [block.pieces for _, block in packed] == [[4, 6]]
    assert [last for last, _ in packed] == [2]
    apart = list(pack(documents, frame=_FRAME, max_length=10, across=False))
    assert [block.ids for _, block in apart] == [[1, 11, 12, 2], [1, 21, 22, 23, 24, 2]]
    assert [last for last, _ in apart] == [0, 2]


def test_a_block_is_not_filled_up_with_a_few_tokens_of_a_document() -> None:
    documents = [_document(*range(10, 30)), _document(*range(50, 90))]
    packed = list(pack(documents, frame=_FRAME, max_length=36, across=True))
    # 22 tokens, room for 12 more, of 40: they begin the next block.
    assert [block.pieces for _, block in packed] == [[22], [36], [8]]
    packed = list(pack(documents, frame=_FRAME, max_length=40, across=True))
    assert [block.pieces for _, block in packed] == [[22, 18], [26]]
    assert [block.ids[0] for _, block in packed] == [1, 1]


def test_texts_are_encoded_so_many_characters_at_a_time() -> None:
    texts = ["a" * 6, "", "b" * 5, "c" * 30, "d", "e"]
    found = list(in_batches(texts, characters=11))
    assert found == [texts[:3], texts[3:4], texts[4:]]
    assert list(in_batches([], characters=5)) == []


def test_blocks_without_room_for_a_token_are_refused() -> None:
    with pytest.raises(ValueError, match="2 tokens leave no room beside 2 special ones"):
        list(pack([_document(5)], frame=_FRAME, max_length=2, across=True))


def test_the_masks_of_a_block_do_not_depend_on_the_others_of_its_batch() -> None:
    def batch(rows: list[int], width: int) -> dict[str, Any]:
        size = 20
        words = torch.tensor([[*range(size), *[NO_WORD] * (width - size)]] * len(rows))
        return {
            "input_ids": torch.tensor([[row + 10] * width for row in rows]),
            "words": words,
            "attention_mask": (words != NO_WORD).long(),
            "example": rows,
            "part": [0] * len(rows),
        }

    options: dict[str, Any] = {"mask": 4, "ordinary": torch.arange(5, 50), "share": 0.5, "seed": 42}
    together = masked_rows(batch([0, 1, 2], 24), **options)
    for row in range(3):
        alone = masked_rows(batch([row], 20), **options)
        for one, other in zip(alone, together, strict=True):
            assert torch.equal(one[0], other[row, :20])
    assert len({str(row.tolist()) for row in together[1] == IGNORED}) == 3


def test_special_tokens_are_not_ordinary(tiny: Tiny) -> None:
    tokenizer = load_tokenizer(str(tiny("bert")))
    found = set(tokenizer.convert_ids_to_tokens(ordinary_ids(tokenizer).tolist()))
    assert not found & set(tokenizer.all_special_tokens)
    assert len(found) == len(tokenizer) - 5
