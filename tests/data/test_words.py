"""Words of running text in many scripts."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from zoo.data.words import split_words

# Plain random text hardly ever composes anything: mix in what does.
_COMPOSING = st.sampled_from(
    "aB9_é\u0301\u0e31\u0e33\u102c\u1038\u17d2\u200b\u200c\u200d\u0600\ufe0f\u20e3"
    "👩💻🏽🇩🇪中カ\uff9e\u3099ーกကងລـا \u00a0\u2028\x1c-#!"
)
_TEXT = st.lists(_COMPOSING | st.characters()).map("".join)


def _words(text: str) -> list[str]:
    return [word for word, _, _ in split_words(text)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello, world!", ["Hello", ",", "world", "!"]),
        ("O'Neil-Smith paid 3.5%", ["O", "'", "Neil", "-", "Smith", "paid", "3", ".", "5", "%"]),
        ("snake_case x\u00a0y\u2028z", ["snake_case", "x", "y", "z"]),
        ("nai\u0308ve naïve", ["nai\u0308ve", "naïve"]),
        ("iPhone手机15", ["iPhone", "手", "机", "15"]),
        ("葛\U000e0100飾区", ["葛\U000e0100", "飾", "区"]),
        ("ラーメン屋", ["ラ", "ー", "メ", "ン", "屋"]),
        ("か\u3099 ｶﾞ", ["か\u3099", "ｶﾞ"]),
        ("น้ำดี", ["น้ำ", "ดี"]),
        # Two Burmese vowel signs that Unicode does not count to the grapheme.
        ("က\u102cက\u1038", ["က\u102c", "က\u1038"]),
        ("한국어 문장", ["한국어", "문장"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("می\u200cخواهم", ["می\u200cخواهم"]),
        ("👩🏽\u200d💻👍 🇩🇪🇫🇷", ["👩🏽\u200d💻", "👍", "🇩🇪", "🇫🇷"]),
        ("1\ufe0f\u20e3 #\ufe0f\u20e3", ["1\ufe0f\u20e3", "#\ufe0f\u20e3"]),
        ("\u0600 1", ["\u0600", "1"]),
        (" \t\n", []),
        ("", []),
    ],
)
def test_words_are_cut_as_worked_by_hand(text: str, words: list[str]) -> None:
    assert _words(text) == words


def test_offsets_count_code_points() -> None:
    assert split_words("😀 ab") == [("😀", 0, 1), ("ab", 2, 4)]


@given(_TEXT)
@example("\u0600 a")
@example("a\x1cb")
def test_words_and_the_white_space_between_them_make_the_text(text: str) -> None:
    position, pieces = 0, []
    for word, start, end in split_words(text):
        assert word == text[start:end]
        assert start >= position
        pieces += [text[position:start], word]
        assert text[position:start].isspace() or position == start
        position = end
    pieces.append(text[position:])
    assert "".join(pieces) == text
    assert not text[position:].strip()


@given(_TEXT)
def test_no_word_is_empty_or_holds_white_space(text: str) -> None:
    assert all(word and not any(c.isspace() for c in word) for word in _words(text))


@given(_TEXT)
def test_a_mark_starts_a_word_only_where_it_has_no_base(text: str) -> None:
    for word, start, _ in split_words(text):
        if unicodedata.category(word[0]).startswith("M"):
            assert start == 0 or text[start - 1].isspace()
