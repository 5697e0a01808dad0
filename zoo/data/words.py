"""Words of running text, in any script, with the place of each.

The unit for tagging running text. It has to be at least as fine as any annotation, so languages
written without spaces are cut into characters, and the model's own tokenizer does the rest.
"""

import regex

# Scripts written without spaces between words. The signs at the end belong to them by use but to
# several scripts by Unicode: the long-vowel mark (wide and narrow), the closing mark and the
# narrow voicing marks.
_UNSPACED = (
    r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
    r"\u30fc\uff70\u3006\u303c\uff9e\uff9f"
)
# `regex` does not count U+001C to U+001F as spaces, `str.isspace` does.
_SPACE = r"\s\x1c-\x1f"

# A grapheme (\X) may still be followed by marks: Unicode excepts some Myanmar vowel signs. The
# joiners are letters' company in Persian and in Indic scripts. For other characters \X would be
# wrong: after some Arabic signs it takes in a space.
_WORD = regex.compile(
    rf"""
      (?=[{_UNSPACED}]) \X\p{{M}}*
    | (?:[[\p{{L}}\p{{N}}\p{{Pc}}\u200c\u200d]--[{_UNSPACED}]]|\p{{M}})+
    | (?=\p{{Extended_Pictographic}}|\p{{Regional_Indicator}}) \X\p{{M}}*
    | [^{_SPACE}]\p{{M}}*
    """,
    regex.VERSION1 | regex.VERBOSE,
)


def split_words(text: str) -> list[tuple[str, int, int]]:
    """Cut a text into words.

    A word is a run of letters, digits and connectors such as `_`; one character of a script written
    without spaces (Chinese, kana, Thai, Lao, Khmer, Burmese); one emoji, however composed; or any
    other single character. Combining marks stay with what they combine with. White space belongs to
    no word.

    Returns:
        Each word with its start and end, so that `text[start:end] == word`; offsets count Unicode
        code points.
    """
    return [(match[0], match.start(), match.end()) for match in _WORD.finditer(text)]
