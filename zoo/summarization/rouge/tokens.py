"""The tokens that ROUGE counts.

**Words** are those of the `rouge-score` package: lower case, runs of ASCII letters and digits, of
which those longer than three are stemmed (Porter) if asked. Text in other scripts has none.

**Characters**, for Chinese and Japanese: lower case; each Han character and Kana is one token, a
run of other letters and digits is one (`word2vec`, `2018`), and everything without a letter or
digit (punctuation, white space, emoji) is dropped. Nothing is stemmed.
"""

import re
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any, Literal

from zoo.data.words import split_words

#: Whether ROUGE counts words (rouge-score's) or characters (Chinese, Japanese).
RougeIn = Literal["words", "characters"]

_WORDS = re.compile("[a-z0-9]+")
#: Words up to this long are not stemmed.
_SHORT = 3


def tokens(text: str, *, rouge_in: RougeIn, stem: bool) -> list[str]:
    """Cut a text into what ROUGE counts.

    Args:
        text: Any text.
        rouge_in: `words` or `characters`, as the module says.
        stem: Whether words are stemmed.
    """
    if rouge_in == "characters":
        found = (word for word, _, _ in split_words(text.lower()))
        return [word for word in found if any(map(str.isalnum, word))]
    words = _WORDS.findall(text.lower())
    return list(filter(None, map(_stem, words))) if stem else words


def repeated_trigrams(found: Sequence[str]) -> float:
    """Share of the trigrams of some tokens that occurred before among them, from 0 to 1."""
    trigrams = list(zip(found, found[1:], found[2:], strict=False))
    return 1 - len(set(trigrams)) / len(trigrams) if trigrams else 0.0


@lru_cache(maxsize=1 << 17)
def _stem(word: str) -> str:
    stemmed: str = word if len(word) <= _SHORT else _stemmer().stem(word)
    return stemmed


@cache
def _stemmer() -> Any:
    # Here, because NLTK takes seconds to import.
    from nltk.stem.porter import PorterStemmer

    return PorterStemmer()
