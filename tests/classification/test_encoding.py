"""Texts and pairs as token ids: exactly the tokenizer's where they fit, and shortened where not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import ARCHITECTURES
from zoo import backbones
from zoo.classification.encoding import encode_texts, shares, shortened

Tiny = Callable[[str], Path]

_TEXTS = ["Ada lived in London .", "", "  isn't it ?\nquick", "同样 的 力", "brown fox " * 5]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_texts_and_pairs_that_fit_are_encoded_as_the_tokenizer_does_it(
    architecture: str, tiny: Tiny
) -> None:
    tokenizer: Any = backbones.load_tokenizer(str(tiny(architecture)))
    alone = encode_texts([(text, None) for text in _TEXTS], tokenizer=tokenizer, max_length=99)
    pairs = [(text, other) for text in _TEXTS for other in _TEXTS]
    both = encode_texts(pairs, tokenizer=tokenizer, max_length=128)
    for one, given_texts in zip([*alone, *both], [*((t,) for t in _TEXTS), *pairs], strict=True):
        expected = tokenizer.backend_tokenizer.encode(*given_texts)
        assert one.input_ids == expected.ids
        assert one.token_types == expected.type_ids
        assert one.cut == 0


def test_a_tokenizer_that_was_told_to_pad_and_cut_elsewhere_does_neither_here(tiny: Tiny) -> None:
    tokenizer: Any = backbones.load_tokenizer(str(tiny("bert")))
    texts = [("fox", None), ("a b c d e f g h", None)]
    expected = encode_texts(texts, tokenizer=tokenizer, max_length=9)
    tokenizer(["fox", "a b c d e"], padding=True, truncation=True, max_length=4)
    assert encode_texts(texts, tokenizer=tokenizer, max_length=9) == expected


def test_a_long_text_keeps_its_beginning_or_both_ends_and_says_how_much_is_lost(tiny: Tiny) -> None:
    tokenizer: Any = backbones.load_tokenizer(str(tiny("bert")))
    ids = tokenizer.convert_tokens_to_ids(list("abcdefghij"))
    texts = [("a b c d e f g h i j", None)]
    (cut,) = encode_texts(texts, tokenizer=tokenizer, max_length=7)
    assert cut.input_ids[1:-1] == ids[:5]
    assert cut.cut == 5
    (ends,) = encode_texts(texts, tokenizer=tokenizer, max_length=7, long_texts="head_tail")
    assert ends.input_ids[1:-1] == [*ids[:3], *ids[-2:]]
    assert (ends.input_ids[0], ends.input_ids[-1]) == (cut.input_ids[0], cut.input_ids[-1])
    assert ends.cut == 5


def test_of_a_pair_the_longer_text_is_shortened_first(tiny: Tiny) -> None:
    tokenizer: Any = backbones.load_tokenizer(str(tiny("bert")))
    (one,) = encode_texts([("a b c d e f", "x y")], tokenizer=tokenizer, max_length=8)
    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    a, b, c, x, y = tokenizer.convert_tokens_to_ids(["a", "b", "c", "x", "y"])
    assert one.input_ids == [cls, a, b, c, sep, x, y, sep]
    assert one.token_types == [0, 0, 0, 0, 0, 1, 1, 1]
    assert one.cut == 3


@given(st.lists(st.integers(0, 40), min_size=1, max_size=2), st.integers(2, 40))
def test_shares_fill_the_room_and_never_give_more_than_there_is(
    lengths: list[int], room: int
) -> None:
    kept = shares(lengths, room)
    assert sum(kept) == min(sum(lengths), room)
    assert all(0 <= some <= length for some, length in zip(kept, lengths, strict=True))
    if len(lengths) == 2 and kept != lengths:
        # Whoever gave something keeps no less, but for one token, than the other.
        gave = [one < length for one, length in zip(kept, lengths, strict=True)]
        assert kept[gave.index(True)] >= kept[1 - gave.index(True)] - 1


@given(st.lists(st.integers()), st.integers(0, 12), st.sampled_from(["truncate", "head_tail"]))
def test_a_shortened_text_has_the_size_asked_for(tokens: list[int], size: int, how: str) -> None:
    short = shortened(tokens, size, how)  # type: ignore[arg-type]
    assert len(short) == min(size, len(tokens))
    assert list(short)[: (size + 1) // 2] == tokens[: (size + 1) // 2]


def test_no_room_beside_the_special_tokens_is_refused(tiny: Tiny) -> None:
    tokenizer: Any = backbones.load_tokenizer(str(tiny("bert")))
    with pytest.raises(ValueError, match="max_length=2 leaves 0 tokens"):
        encode_texts([("a", None)], tokenizer=tokenizer, max_length=2)
    with pytest.raises(ValueError, match="all or none"):
        encode_texts([("a", None), ("a", "b")], tokenizer=tokenizer, max_length=9)
