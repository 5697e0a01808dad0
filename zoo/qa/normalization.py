"""The forms of an answer's text that scores compare: SQuAD's for words, CMRC 2018's for characters.

**Words** (SQuAD's official script, 1.1 and 2.0): lower case; ASCII punctuation dropped; the
articles a, an, the dropped; white space squeezed. The pieces are the words.

**Characters** (CMRC 2018's official script, for Chinese): lower case; a fixed set of punctuation
dropped, articles kept, white space kept. The pieces are single Han characters, and the words of
whatever else there is. Two things differ from that script, and neither on plain Chinese text: Kana
and the rarer Han characters are single pieces as well, so that Japanese can be scored; and other
text is cut by a pattern into words and single marks, which NLTK's tokenizer does there.
"""

import re
import string
from collections.abc import Iterable
from typing import Literal

import regex

#: Whether answers are compared by words (SQuAD) or by characters (CMRC 2018).
AnswersIn = Literal["words", "characters"]

_NO_ASCII_PUNCTUATION = str.maketrans("", "", string.punctuation)
# `re`, as in SQuAD's script: `regex` takes a combining mark for a part of the word.
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
# The marks that CMRC 2018 drops. Its list has a double ellipsis too, which never equals one
# character, and leaves out . , ! ? and straight quotes: all of these stay.
_NO_CMRC_PUNCTUATION = str.maketrans("", "", "-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")

# The blocks of Kana are taken whole, for the prolonged sound mark, which belongs to no script.
_SINGLE = r"\p{Han}\p{Hiragana}\p{Katakana}\u3041-\u30ff\uff66-\uff9f"
_IN_WORD = rf"[[\p{{L}}\p{{M}}\p{{N}}_]--[{_SINGLE}]]"
_PIECES = regex.compile(rf"[{_SINGLE}]|{_IN_WORD}+(?:\.{_IN_WORD}+|,\p{{Nd}}+)*|\S", regex.VERSION1)
_LETTERS = regex.compile(r"\p{L}")
_SINGLE_LETTERS = regex.compile(rf"[\p{{L}}&&[{_SINGLE}]]", regex.VERSION1)


def normalize(text: str, answers_in: AnswersIn = "words") -> str:
    """The text that exact match compares."""
    if answers_in == "characters":
        return text.lower().strip().translate(_NO_CMRC_PUNCTUATION)
    text = text.lower().translate(_NO_ASCII_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", text).split())


def pieces(text: str, answers_in: AnswersIn = "words") -> list[str]:
    """The pieces of a text that F1 counts."""
    text = normalize(text, answers_in)
    return _PIECES.findall(text) if answers_in == "characters" else text.split()


def uses_characters(texts: Iterable[str]) -> bool:
    """Whether most letters of these texts are Han, Hiragana or Katakana."""
    letters = singles = 0
    for text in texts:
        letters += len(_LETTERS.findall(text))
        singles += len(_SINGLE_LETTERS.findall(text))
    return 2 * singles > letters
