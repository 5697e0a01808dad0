"""Windows of words, against a tokenizer whose every token says which word it is of."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from tests.conftest import ARCHITECTURES
from zoo import backbones
from zoo.ner.encoding import Entity, Window, bio_labels, encode_documents, entities_of, types_of

_MOST_WORDS = 40
_FIRST_LETTER = ord("一")
_SPECIAL = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3}


def _letter_tokenizer() -> Any:
    """One token a letter; word number n is written with letter number n, so tokens tell words."""
    vocabulary = dict(_SPECIAL)
    for number in range(_MOST_WORDS):
        for prefix in ("", "##"):
            vocabulary[prefix + chr(_FIRST_LETTER + number)] = len(vocabulary)
    pieces = Tokenizer(
        models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=1000)
    )
    pieces.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    pieces.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=pieces,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
    )


_LETTERS = _letter_tokenizer()


def _windows(lengths: list[int], max_length: int, stride: int) -> list[Window]:
    words = [chr(_FIRST_LETTER + number) * length for number, length in enumerate(lengths)]
    (windows,) = encode_documents([words], tokenizer=_LETTERS, max_length=max_length, stride=stride)
    return windows


def _words_in(window: Window) -> list[int]:
    """The word of every token between the special ones."""
    assert (window.input_ids[0], window.input_ids[-1]) == (2, 3)
    return [(token - len(_SPECIAL)) // 2 for token in window.input_ids[1:-1]]


def _own(window: Window) -> range:
    return range(window.first_word, window.first_word + len(window.positions))


@st.composite
def _cuts(draw: st.DrawFn, shortest: int = 1) -> tuple[list[int], int, int]:
    lengths = draw(st.lists(st.integers(shortest, 12), min_size=1, max_size=_MOST_WORDS))
    max_length = draw(st.integers(3, 30))
    return lengths, max_length, draw(st.integers(0, max_length - 3))


@given(_cuts(shortest=0))
def test_windows_lose_and_repeat_no_word_and_none_is_too_long(
    cut: tuple[list[int], int, int],
) -> None:
    lengths, max_length, stride = cut
    windows = _windows(lengths, max_length, stride)
    assert [word for window in windows for word in _own(window)] == list(range(len(lengths)))
    for window in windows:
        assert len(window.input_ids) <= max_length
        for word, position in zip(_own(window), window.positions, strict=True):
            # The first subword: the letter without "##", or the unknown token for an empty word.
            first = len(_SPECIAL) + 2 * word if lengths[word] else _SPECIAL["[UNK]"]
            assert window.input_ids[position] == first


@given(_cuts())
def test_windows_overlap_in_whole_words_and_in_at_most_stride_tokens(
    cut: tuple[list[int], int, int],
) -> None:
    lengths, max_length, stride = cut
    kept = [min(length, max_length - 2) for length in lengths]
    found = [_words_in(window) for window in _windows(lengths, max_length, stride)]
    for words in found:
        whole = range(words[0], words[-1] + 1)
        assert words == [word for word in whole for _ in range(kept[word])]
    for before, after in pairwise(found):
        assert sum(kept[word] for word in set(before) & set(after)) <= stride


@given(_cuts())
def test_each_word_belongs_to_a_window_where_it_is_furthest_from_the_edge(
    cut: tuple[list[int], int, int],
) -> None:
    lengths, max_length, stride = cut
    windows = _windows(lengths, max_length, stride)
    last = len(lengths) - 1

    def room(word: int, words: list[int]) -> float:
        # The document's own ends are no edges: there is nothing beyond them.
        left = float("inf") if words[0] == 0 else word - words[0]
        right = float("inf") if words[-1] == last else words[-1] - word
        return min(left, right)

    contents = [_words_in(window) for window in windows]
    for window, own_words in zip(windows, contents, strict=True):
        for word in _own(window):
            best = max(room(word, words) for words in contents if word in words)
            assert room(word, own_words) == best


@given(_cuts())
def test_no_window_lies_within_another(cut: tuple[list[int], int, int]) -> None:
    found = [set(_words_in(window)) for window in _windows(*cut)]
    for number, words in enumerate(found):
        assert not any(words <= other for other in found[:number] + found[number + 1 :])


def test_overlapping_words_are_shared_out_as_by_hand() -> None:
    # Ten words of one token, six tokens a window: words 0-5, then 2-7, then 4-9.
    windows = _windows([1] * 10, max_length=8, stride=4)
    assert [sorted(set(_words_in(window))) for window in windows] == [
        [0, 1, 2, 3, 4, 5],
        [2, 3, 4, 5, 6, 7],
        [4, 5, 6, 7, 8, 9],
    ]
    assert [list(_own(window)) for window in windows] == [[0, 1, 2, 3], [4, 5], [6, 7, 8, 9]]


def test_a_word_longer_than_a_window_keeps_its_beginning() -> None:
    windows = _windows([2, 50, 3], max_length=10, stride=4)
    assert [_words_in(window) for window in windows] == [[0, 0], [1] * 8, [2] * 3]
    assert [list(_own(window)) for window in windows] == [[0], [1], [2]]


def test_a_document_without_words_has_no_window() -> None:
    first, second = encode_documents([[], ["一"]], tokenizer=_LETTERS, max_length=8, stride=2)
    assert first == []
    assert [window.input_ids for window in second] == [[2, 4, 3]]


@pytest.mark.parametrize(("max_length", "stride"), [(2, 0), (8, 6), (8, -1)])
def test_a_length_or_stride_that_cannot_work_is_refused(max_length: int, stride: int) -> None:
    with pytest.raises(ValueError, match=f"max_length={max_length}"):
        encode_documents([["一"]], tokenizer=_LETTERS, max_length=max_length, stride=stride)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_word_without_subwords_has_a_position_of_its_own(
    architecture: str, tiny: Callable[[str], Path]
) -> None:
    tokenizer = backbones.load_tokenizer(str(tiny(architecture)))
    words = ["\ufe0f", "Ada", "", "   ", "\u200b", "ran", "\ufe0f"]
    (windows,) = encode_documents([words], tokenizer=tokenizer, max_length=64, stride=8)
    assert len(windows) == 1
    positions = windows[0].positions
    assert len(positions) == len(words)
    assert positions == sorted(set(positions))
    assert positions[0] >= 1
    assert positions[-1] < len(windows[0].input_ids) - 1


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_positions_are_the_first_subwords_that_transformers_finds(
    architecture: str, tiny: Callable[[str], Path]
) -> None:
    tokenizer: Any = backbones.load_tokenizer(str(tiny(architecture)))
    words = [
        "Ada",
        "Lovelace's",
        "Käse",
        "aßen",
        "同样",
        "的",
        "力",
        ",",
        "0123",
        "isn't",
        "xylophonic",
    ]
    (windows,) = encode_documents([words], tokenizer=tokenizer, max_length=100, stride=8)
    judge = tokenizer(words, is_split_into_words=True)
    first: dict[int, int] = {}
    for position, word in enumerate(judge.word_ids()):
        if word is not None:
            first.setdefault(word, position)
    assert windows == [Window(judge["input_ids"], [first[i] for i in range(len(words))], 0)]


def test_labels_name_o_and_then_both_tags_of_each_type() -> None:
    labels = bio_labels(["PER", "art-work"])
    assert labels == ["O", "B-PER", "I-PER", "B-art-work", "I-art-work"]
    assert types_of(labels) == ["PER", "art-work"]


def test_entities_are_read_strictly() -> None:
    tags = ["I-A", "B-A", "I-A", "I-B", "B-B", "B-B", "I-B", "O", "I-B", "B-A"]
    assert entities_of(tags) == [
        Entity("A", 1, 3),
        Entity("B", 4, 5),
        Entity("B", 5, 7),
        Entity("A", 9, 10),
    ]
    assert entities_of([]) == []


def test_a_tokenizer_that_was_told_to_pad_and_cut_elsewhere_does_neither_here(
    tiny: Callable[[str], Path],
) -> None:
    tokenizer: Any = backbones.load_tokenizer(str(tiny("bert")))
    documents = [["fox"], list("abcdefgh")]
    expected = encode_documents(documents, tokenizer=tokenizer, max_length=16, stride=2)
    tokenizer(["fox", "a b c d e"], padding=True, truncation=True, max_length=4)
    assert encode_documents(documents, tokenizer=tokenizer, max_length=16, stride=2) == expected
