"""Which script texts are written in, as far as sentences and ROUGE depend on it."""

from collections.abc import Iterable

import regex

_LETTERS = regex.compile(r"\p{L}")
_KANA = regex.compile(r"[\p{Hiragana}\p{Katakana}]")
_CHARACTERS = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}]")
#: Japanese is between a third and two thirds Kana; Chinese has hardly any.
_JAPANESE = 0.05


def uses_characters(texts: Iterable[str]) -> bool:
    """Whether most letters of these texts are Han, Hiragana or Katakana."""
    return _counts(texts)[0]


def language_of(texts: Iterable[str]) -> str:
    """`ja` or `zh` where most letters of these texts are of those scripts, else `en`."""
    characters, japanese = _counts(texts)
    if not characters:
        return "en"
    return "ja" if japanese else "zh"


def _counts(texts: Iterable[str]) -> tuple[bool, bool]:
    letters = characters = kana = 0
    for text in texts:
        letters += len(_LETTERS.findall(text))
        characters += len(_CHARACTERS.findall(text))
        kana += len(_KANA.findall(text))
    return 2 * characters > letters, kana > _JAPANESE * characters
