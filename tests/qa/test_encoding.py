"""Questions on texts as windows: against the windows of transformers' own tokenizers."""

import time
from collections.abc import Callable
from itertools import combinations_with_replacement, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
from transformers import PreTrainedTokenizerFast

from tests.conftest import ARCHITECTURES
from zoo import backbones
from zoo.data.frames import Frame
from zoo.qa.encoding import Encoded, Fit, Layout, encode_questions, tokenize

Tiny = Callable[[str], Path]

_TEXT = (
    "The quick brown fox, isn't it?  Ada\tLovelace\nlived in Łódź 🎉 and e\u0301 é 同样的力 شهر. "
    * 6
)
_QUESTION = "Who lived in London , Ada ?"


def _encode(
    folder: Path,
    text: str,
    answers: list[tuple[str, int]] | None = None,
    *,
    question: str = _QUESTION,
    max_length: int = 64,
    stride: int = 16,
) -> tuple[Encoded, Any]:
    tokenizer = backbones.load_tokenizer(str(folder))
    layout = Layout(max_length, stride, Frame.of(tokenizer, pairs=True))
    (encoded,) = encode_questions(
        [(question, text, answers or [])], tokenizer=tokenizer, layout=layout
    )
    return encoded, tokenizer


@pytest.mark.parametrize("stride", [0, 1, 7, 16])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_windows_are_those_of_the_tokenizer(architecture: str, stride: int, tiny: Tiny) -> None:
    encoded, tokenizer = _encode(tiny(architecture), _TEXT, stride=stride)
    theirs = tokenizer(
        _QUESTION,
        _TEXT,
        truncation="only_second",
        max_length=64,
        stride=stride,
        return_overflowing_tokens=True,
        return_token_type_ids=True,
    )
    assert [one.input_ids for one in encoded.windows] == theirs["input_ids"]
    if architecture in ("bert", "distilbert", "electra"):
        # Others have but one type, and their tokenizers still count up behind the first window.
        assert [one.token_types for one in encoded.windows] == theirs["token_type_ids"]
    assert len(encoded.windows) >= 3
    for number, window in enumerate(encoded.windows):
        begin = window.begin
        text_tokens = [at for at, kind in enumerate(theirs.sequence_ids(number)) if kind == 1]
        assert text_tokens == list(range(begin, begin + len(window.starts)))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_offsets_hold_the_token_without_space_and_every_letter_is_in_one(
    architecture: str, tiny: Tiny
) -> None:
    encoded, _ = _encode(tiny(architecture), _TEXT)
    covered = np.zeros(len(_TEXT), bool)
    for window in encoded.windows:
        for start, end in zip(window.starts, window.ends, strict=True):
            assert _TEXT[start:end] == _TEXT[start:end].strip()
            covered[start:end] = True
    missed = [letter for letter, seen in zip(_TEXT, covered, strict=True) if not seen]
    assert not "".join(missed).strip()


def test_neighbouring_windows_share_as_many_tokens_as_the_stride_says(tiny: Tiny) -> None:
    encoded, _ = _encode(tiny("bert"), "a b c d e f g h i j k " * 30, stride=11)
    for before, after in pairwise(encoded.windows):
        assert before.starts[-11:].tolist() == after.starts[:11].tolist()
        assert before.starts[-12] < after.starts[0]


@pytest.mark.parametrize("architecture", ["bert", "roberta", "deberta-v2"])
@pytest.mark.parametrize("answer", ["The quick", "Ada", "Łódź", "🎉", "同样的力", "شهر.", "fox,"])
def test_an_answer_s_tokens_give_its_text_back_in_every_window_that_holds_it(
    answer: str, architecture: str, tiny: Tiny
) -> None:
    for start in (_TEXT.index(answer), _TEXT.rindex(answer)):
        encoded, _ = _encode(tiny(architecture), _TEXT, [(answer, start)])
        end = start + len(answer)
        if encoded.fits[0] is not Fit.EXACT:
            # The tokenizer joins it with its neighbour, or no window holds all of its tokens.
            assert encoded.fits[0] in (Fit.INSIDE_TOKEN, Fit.TOO_LONG, Fit.ACROSS_WINDOWS)
            continue
        held = 0
        for window in encoded.windows:
            first, last = window.start - window.begin, window.end - window.begin
            if window.start:
                held += 1
                assert (window.starts[first], window.ends[last]) == (start, end)
            else:
                assert window.end == 0
                assert not (window.starts[0] <= start and end <= window.ends[-1])
        assert held >= 1


def test_a_mark_that_the_tokenizer_drops_stays_with_its_letter(tiny: Tiny) -> None:
    text = "Rene\u0301 ran"
    encoded, _ = _encode(tiny("bert"), text, [("Rene\u0301", 0)])
    (window,) = encoded.windows
    assert encoded.fits == [Fit.EXACT]
    assert text[window.starts[window.start - window.begin] : window.ends[window.end - window.begin]]
    assert window.ends[window.end - window.begin] == 5


def test_white_space_around_an_answer_is_no_part_of_it(tiny: Tiny) -> None:
    encoded, _ = _encode(tiny("bert"), "a fox ran", [(" fox ", 1)])
    (window,) = encoded.windows
    assert encoded.fits == [Fit.EXACT]
    assert window.starts[window.start - window.begin] == 2
    assert window.ends[window.end - window.begin] == 5


def test_a_span_that_begins_or_ends_with_a_token_of_white_space_is_the_span_without_it() -> None:
    # A token for each character, as a byte-level tokenizer has for line breaks.
    backend = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({letter: at for at, letter in enumerate("\n fox.")}, "f")
    )
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Split("", "isolated")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend)
    texts = ["\n\nfo \n x.\n ", " \n", ""]
    found = list(tokenize(texts, tokenizer=tokenizer))
    assert [len(tokens.ids) for tokens in found] == [len(text) for text in texts]
    for text, tokens in zip(texts, found, strict=True):
        for first, last in combinations_with_replacement(range(len(text)), 2):
            start, end = int(tokens.starts[first]), int(tokens.ends[last])
            said = text[first : last + 1].strip()
            assert text[start:end] == said
            # What holds no letter has no characters; all else stands where it is in the text.
            assert (start < end) == bool(said)
            assert not said or start == first + text[first : last + 1].index(said)


def test_what_tokens_cannot_say_is_told_apart(tiny: Tiny) -> None:
    text = "a b c d e f g h i j k l m n o p q r s t u v w x y z " * 2
    # Windows of 16 tokens hold 16 - 3 - 2 tokens of the text and move on by 11 - 3.
    answers = [
        ("b c", 2),
        (text[:40], 0),  # 20 tokens
        (text[10:26], 10),  # tokens 5 to 12: no window from 0, 8, 16 holds them
    ]
    encoded, _ = _encode(tiny("bert"), text, answers, question="a b", max_length=16, stride=3)
    assert encoded.fits == [Fit.EXACT, Fit.TOO_LONG, Fit.ACROSS_WINDOWS]
    # A word of the tokenizer's vocabulary, so one token.
    inside, _ = _encode(tiny("bert"), "the london fox", [("ondon", 5)], question="a b")
    assert len(inside.windows[0].starts) == 3
    assert inside.fits == [Fit.INSIDE_TOKEN]
    dropped, _ = _encode(tiny("bert"), "a \u0007 b", [("\u0007", 2)], question="a b")
    assert dropped.fits == [Fit.NO_TOKEN]


def test_a_window_learns_the_first_answer_that_it_holds(tiny: Tiny) -> None:
    text = "a b c d e f g h i j k l m n o p q r s t u v w x y z"
    encoded, _ = _encode(
        tiny("bert"), text, [("z", 50), ("b", 2)], question="a b", max_length=16, stride=0
    )
    found = [
        text[one.starts[one.start - one.begin]] if one.start else None for one in encoded.windows
    ]
    assert found == ["b", None, "z"]


def test_a_question_longer_than_a_window_is_cut_to_half_and_the_text_is_read_whole(
    tiny: Tiny,
) -> None:
    encoded, tokenizer = _encode(tiny("bert"), "a b c d e " * 40, question="x y z " * 100)
    assert encoded.cut == 300 - 32
    assert all(len(one.input_ids) <= 64 for one in encoded.windows)
    places = {int(start) for one in encoded.windows for start in one.starts}
    assert places == set(range(0, 400, 2))
    assert tokenizer.decode(encoded.windows[0].input_ids).count("x y z") == 10


@pytest.mark.parametrize(("question", "text"), [("", "Ada ran ."), ("Who ?", ""), ("", " \n")])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_empty_questions_and_texts_give_one_window(
    architecture: str, question: str, text: str, tiny: Tiny
) -> None:
    encoded, tokenizer = _encode(tiny(architecture), text, question=question)
    (window,) = encoded.windows
    # Not by calling it: transformers takes an empty second text for none.
    assert window.input_ids == tokenizer.backend_tokenizer.encode(question, text).ids
    assert (window.start, window.end) == (0, 0)


@pytest.mark.parametrize(("max_length", "stride"), [(8, 4), (384, 380), (64, -1)])
def test_lengths_that_leave_no_room_are_refused(max_length: int, stride: int, tiny: Tiny) -> None:
    with pytest.raises(ValueError, match="leaves no room for a question and a text"):
        _encode(tiny("bert"), "a", max_length=max_length, stride=stride)


def test_windows_move_on_behind_the_longest_question_too(tiny: Tiny) -> None:
    frame = Frame.of(backbones.load_tokenizer(str(tiny("bert"))), pairs=True)
    for max_length in range(8, 200, 3):
        for stride in range(max_length):
            try:
                layout = Layout(max_length, stride, frame)
            except ValueError:
                continue
            asked = layout.longest_question
            assert 1 <= asked <= max_length // 2
            room = max_length - 3 - asked
            assert room > stride
            places = list(layout.places(asked, 100))
            assert places[0][0] == 0
            assert places[-1][1] == 100
            assert all(0 < end - begin <= room for begin, end in places)
            for before, after in pairwise(places):
                assert before[1] - after[0] == stride


def test_200_questions_on_one_long_text_cut_it_into_tokens_once(tiny: Tiny) -> None:
    tokenizer = backbones.load_tokenizer(str(tiny("bert")))
    text = "Ada Lovelace lived in London . " * 2000
    assert len(text) > 60_000
    layout = Layout(128, 32, Frame.of(tokenizer, pairs=True))
    questions = [
        (f"Who lived in {number} ?", text, [("Ada", 31 * number)]) for number in range(200)
    ]
    began = time.perf_counter()
    list(tokenize([text], tokenizer=tokenizer))
    once = time.perf_counter() - began
    began = time.perf_counter()
    windows = sum(
        len(one.windows) for one in encode_questions(questions, tokenizer=tokenizer, layout=layout)
    )
    # Cutting it 200 times would take 200 times as long; laying windows is what is left.
    assert time.perf_counter() - began < 100 * once
    assert windows > 200 * 100


def test_a_tokenizer_that_was_told_to_pad_and_cut_elsewhere_does_neither_here(tiny: Tiny) -> None:
    tokenizer: Any = backbones.load_tokenizer(str(tiny("bert")))
    texts = ["fox", "a b c d e f g h"]
    expected = [one.ids.tolist() for one in tokenize(texts, tokenizer=tokenizer)]
    tokenizer(texts, padding=True, truncation=True, max_length=4)
    assert [one.ids.tolist() for one in tokenize(texts, tokenizer=tokenizer)] == expected
