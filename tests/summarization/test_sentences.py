"""Sentences of many languages, and that nothing of a text is lost whatever it holds."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.summarization.sentences import sentence_spans


def _sentences(text: str, language: str = "en") -> list[str]:
    return [text[start:end] for start, end in sentence_spans(text, language=language)]


@pytest.mark.parametrize(
    ("language", "text", "sentences"),
    [
        ("en", "It rained. Did it? Yes!", ["It rained.", "Did it?", "Yes!"]),
        (
            "en",
            "Dr. Smith left the U.S. in 1999. He (J. Smith) won 3.5 points.",
            ["Dr. Smith left the U.S. in 1999.", "He (J. Smith) won 3.5 points."],
        ),
        ("en", 'She said "Stop. Go." Then left.', ['She said "Stop. Go."', "Then left."]),
        ("en", "no mark at the end", ["no mark at the end"]),
        ("de", "Das kostet z. B. 3 Euro. Gut.", ["Das kostet z. B. 3 Euro.", "Gut."]),
        ("zh", "你好。今天天气很好！是吗？", ["你好。", "今天天气很好！", "是吗？"]),
        ("zh", "建立了模型.结果P<0.05表明有效.", ["建立了模型.", "结果P<0.05表明有效."]),
        ("ja", "東京は大きい。そうですね!", ["東京は大きい。", "そうですね!"]),
        ("ar", "مرحبا. كيف حالك؟ أنا بخير.", ["مرحبا.", "كيف حالك؟", "أنا بخير."]),
        ("hi", "यह अच्छा है। वह भी।", ["यह अच्छा है।", "वह भी।"]),
        ("en", "Nice 👍🏽. 👩‍🚀 flew away.", ["Nice 👍🏽.", "👩‍🚀 flew away."]),
        ("a language unknown", "One. Two.", ["One.", "Two."]),
    ],
)
def test_sentences_end_where_a_reader_ends_them(
    language: str, text: str, sentences: list[str]
) -> None:
    assert _sentences(text, language) == sentences


@pytest.mark.parametrize("mark", ["\n", "\r\n", "\r", "\n\n", "\u2028", "\u2029", " \n \n "])
def test_a_line_break_always_ends_a_sentence(mark: str) -> None:
    assert _sentences(f'Doctor: "How are you{mark}Patient: well" ') == [
        'Doctor: "How are you',
        'Patient: well"',
    ]


@pytest.mark.parametrize("text", ["", " ", "\n", " \t\u00a0\u3000\r\n \x1c"])
def test_a_text_without_words_has_no_sentences(text: str) -> None:
    assert sentence_spans(text) == []


def test_half_an_emoji_is_a_character_like_others() -> None:
    assert _sentences("Broken \ud83d here. Well.") == ["Broken \ud83d here.", "Well."]


_pieces = st.one_of(
    st.text(max_size=5),
    st.sampled_from(
        [". ", "。", "! ", '"', "“", "”", "(", ")", "\n", "\r", " ", "Dr.", "A", "क", "؟"]
    ),
    st.sampled_from(
        ["👩‍🚀", "e\u0301", "\ud800", "\x00", "\u2028", "\x85", "\u3000", "[1]", "..."]
    ),
)


@given(
    st.lists(_pieces, max_size=12).map("".join),
    st.sampled_from(["en", "de", "zh", "ja", "ar", "hi", "my", "xx"]),
)
def test_spans_hold_everything_but_white_space(text: str, language: str) -> None:
    spans = sentence_spans(text, language=language)
    before = 0
    for start, end in spans:
        assert text[start:end] == text[start:end].strip() != ""
        assert not text[before:start].strip()
        before = end
    assert not text[before:].strip()


def test_a_text_of_100000_words_is_cut_at_once() -> None:
    start = time.perf_counter()
    assert len(sentence_spans("word " * 100_000)) == 1
    assert len(sentence_spans("A sentence of five words. " * 20_000)) == 20_000
    assert len(sentence_spans("one word a line\n" * 25_000)) == 25_000
    assert time.perf_counter() - start < 20
