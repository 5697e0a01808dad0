"""Sentences in tokens, windows at their borders, and which window scores which sentence."""

import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from zoo import backbones
from zoo.data.frames import Frame
from zoo.summarization.extractive.encoding import Layout, encode_documents, kept

Tiny = Callable[[str], Path]

FRAME = Frame(((101,), (102,)), ((0,), (0,)), (0,))


def layout(max_length: int, overlap: int) -> Layout:
    return Layout(max_length, overlap, FRAME)


@pytest.mark.parametrize("architecture", ["bert", "roberta", "xlm-roberta", "modernbert"])
def test_each_sentence_is_encoded_as_the_tokenizer_encodes_it_alone(
    architecture: str, tiny: Tiny
) -> None:
    tokenizer = backbones.load_tokenizer(str(tiny(architecture)))
    sentences = ["Ada lived in London .", "同样 的 力", "isn't it ?", "  ", "Ein Bär aß"]
    laid = Layout(500, 2, Frame.of(tokenizer, pairs=False))
    (one,) = encode_documents([sentences], tokenizer=tokenizer, layout=laid)
    (window,) = one.windows
    alone = [tokenizer(sentence)["input_ids"] for sentence in sentences]
    assert window.input_ids == [token for ids in alone for token in ids]
    assert window.places == [sum(map(len, alone[:at])) for at in range(len(alone))]
    assert {window.input_ids[place] for place in window.places} == {tokenizer.cls_token_id}
    assert (window.first, window.keep, one.cut) == (0, (0, 5), 0)


def test_windows_by_hand() -> None:
    # Ten tokens fit. 3+3+4 | the last of them again, then 5 | 4 of which half a window is one.
    assert list(layout(10, 1).places([3, 3, 4, 5, 4])) == [(0, 3), (2, 4), (3, 5)]
    assert list(layout(10, 0).places([3, 3, 4, 5, 4])) == [(0, 3), (3, 5)]
    # The sentence before would leave no room for the next one: nothing is shared.
    assert list(layout(10, 1).places([5, 5, 8])) == [(0, 2), (2, 3)]
    # Asked for more than half of a window, half is shared.
    assert list(layout(10, 9).places([2] * 8)) == [(0, 5), (3, 8)]
    assert list(layout(10, 3).places([10, 10])) == [(0, 1), (1, 2)]
    assert list(layout(10, 3).places([1])) == [(0, 1)]


def test_a_sentence_is_scored_where_it_stands_farthest_from_a_cut_by_hand() -> None:
    # Windows 0-5 and 3-8 share 3 and 4. Sentence 3 stands 1 before the first's end and 0 behind
    # the second's beginning, sentence 4 stands 0 and 1.
    assert kept([(0, 5), (3, 8)]) == [(0, 4), (4, 8)]
    # Three shared: 1 from both ends in the middle, and the earlier window has it.
    assert kept([(0, 5), (2, 7)]) == [(0, 4), (4, 7)]
    # The beginning and the end of the document are no cuts.
    assert kept([(0, 3)]) == [(0, 3)]
    # Sentence 2 stands 1 from the first's end, 3 stands 1 from both ends of the second, 4 stands 1
    # behind the third's beginning.
    assert kept([(0, 4), (2, 5), (3, 8)]) == [(0, 3), (3, 4), (4, 8)]


@pytest.mark.parametrize("seed", range(20))
def test_windows_hold_and_score_every_sentence_and_no_more_than_fits(seed: int) -> None:
    chance = np.random.default_rng(seed)
    longest = int(chance.integers(3, 60))
    sizes = chance.integers(1, longest + 1, size=chance.integers(1, 80)).tolist()
    overlap = int(chance.integers(0, 8))
    places = list(layout(longest + 2, overlap).places(sizes))
    assert places[0][0] == 0
    assert places[-1][1] == len(sizes)
    for (begin, stop), (next_begin, next_stop) in pairwise(places):
        assert begin < next_begin <= stop < next_stop
        assert stop - next_begin <= overlap
        # As long as can be: one sentence more would not fit.
        assert sum(sizes[begin : stop + 1]) > longest + 2
    assert all(sum(sizes[begin:stop]) <= longest + 2 for begin, stop in places)
    # An oracle: the distance of each sentence in each window, one by one.
    owned = kept(places)
    assert [number for begin, stop in owned for number in range(begin, stop)] == list(
        range(len(sizes))
    )
    for number in range(len(sizes)):
        distances = []
        for begin, stop in places:
            left = number - begin if begin > 0 else 10**6
            right = stop - 1 - number if stop < len(sizes) else 10**6
            distances.append(min(left, right) if begin <= number < stop else -1)
        owner = next(at for at, (begin, stop) in enumerate(owned) if begin <= number < stop)
        assert owner == distances.index(max(distances))


def test_a_sentence_longer_than_a_window_is_cut_and_counted(tiny: Tiny) -> None:
    tokenizer = backbones.load_tokenizer(str(tiny("bert")))
    laid = Layout(12, 2, Frame.of(tokenizer, pairs=False))
    long = "a b c d e f g h i j k l m n o p"
    (one,) = encode_documents([["the fox", long, "dog"]], tokenizer=tokenizer, layout=laid)
    assert one.cut == 1
    assert [window.first for window in one.windows] == [0, 1, 2]
    cut = one.windows[1].input_ids
    whole = tokenizer(long)["input_ids"]
    assert cut == [*whole[:11], whole[-1]]


def test_a_document_without_a_sentence_is_one_window_without_places(tiny: Tiny) -> None:
    tokenizer = backbones.load_tokenizer(str(tiny("bert")))
    laid = Layout(12, 2, Frame.of(tokenizer, pairs=False))
    first, empty, last = encode_documents([["a b"], [], ["c"]], tokenizer=tokenizer, layout=laid)
    (window,) = empty.windows
    assert window.input_ids == tokenizer("")["input_ids"]
    assert (window.places, window.keep) == ([], (0, 0))
    assert [len(one.windows) for one in (first, last)] == [1, 1]


def test_a_hundred_thousand_words_are_encoded_in_seconds(tiny: Tiny) -> None:
    tokenizer = backbones.load_tokenizer(str(tiny("bert")))
    laid = Layout(128, 4, Frame.of(tokenizer, pairs=False))
    many = ["the quick brown fox jumps over the lazy dog ."] * 10_000
    begin = time.process_time()
    (one,) = encode_documents([many], tokenizer=tokenizer, layout=laid)
    (single,) = encode_documents([["fox " * 100_000]], tokenizer=tokenizer, layout=laid)
    assert time.process_time() - begin < 20
    assert sum(stop - start for start, stop in (window.keep for window in one.windows)) == 10_000
    # Each window moves on by at least half of it, so that little is held.
    assert sum(len(window.places) for window in one.windows) < 2 * 10_000
    assert single.cut == 1
    assert len(single.windows) == 1


@pytest.mark.parametrize(("max_length", "overlap"), [(2, 0), (10, -1)])
def test_a_layout_without_room_or_with_negative_overlap_is_refused(
    max_length: int, overlap: int
) -> None:
    with pytest.raises(ValueError, match=r"max_length=2|overlap=-1"):
        layout(max_length, overlap)


def test_a_tokenizer_that_opens_with_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no token before a sentence"):
        Layout(10, 1, Frame(((), (102,)), ((), (0,)), (0,)))
