"""Which sentences make the summary: the best under a limit, none that repeats another."""

import math
from collections.abc import Sequence

import regex

from zoo.data.words import split_words

_LETTER = regex.compile(r"[\p{L}\p{N}]")
#: Characters of scripts that are written without spaces between words.
_UNSPACED = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]")
#: Characters of scripts without spaces between sentences, with their punctuation.
_TIGHT = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\u3000-\u303f\uff01-\uff65]")
#: Characters of such a script that are about as long as three words.
_CHARACTERS = 5


def words_of(sentence: str) -> list[str]:
    """The words of a sentence in lower case, without punctuation.

    In scripts written without spaces each character is one.
    """
    return [word.lower() for word, _, _ in split_words(sentence) if _LETTER.search(word)]


def select(
    scores: Sequence[float],
    sentences: Sequence[str],
    *,
    max_sentences: int,
    max_words: int | None = None,
    block_trigrams: bool = True,
) -> list[int]:
    """Numbers of the sentences that make the summary, in the order of the document.

    Sentences are taken by their score, best first, and of equal scores the earlier first. A
    sentence is passed over where it would go beyond `max_words`, and where it shares three words
    in a row with one that was taken (Paulus et al. 2018, arXiv 1705.04304); then the next is tried.
    In scripts written without spaces, five characters in a row stand for the three words.

    Args:
        scores: Of each sentence; one that is NaN is never taken.
        sentences: The sentences of the document.
        max_sentences: Most sentences to take.
        max_words: Most words to take, if limited; may leave nothing to take.
        block_trigrams: Whether to pass over sentences that repeat.
    """
    order = [number for number, score in enumerate(scores) if not math.isnan(score)]
    order.sort(key=lambda number: -scores[number])  # stable: the earlier of equal ones stays first
    chosen: list[int] = []
    seen: set[tuple[str, ...]] = set()
    left = max_words
    for number in order:
        if len(chosen) >= max_sentences:
            break
        words = words_of(sentences[number])
        if left is not None and len(words) > left:
            continue
        grams = _grams(words) if block_trigrams else set()
        if seen & grams:
            continue
        chosen.append(number)
        seen |= grams
        left = None if left is None else left - len(words)
    return sorted(chosen)


def _grams(words: Sequence[str]) -> set[tuple[str, ...]]:
    unspaced = sum(_UNSPACED.match(word) is not None for word in words)
    size = _CHARACTERS if 2 * unspaced > len(words) else 3
    return {tuple(words[at : at + size]) for at in range(len(words) - size + 1)}


def joined(sentences: Sequence[str]) -> str:
    """Sentences as one text: with spaces between, where their script has any."""
    text = ""
    for sentence in sentences:
        tight = not text or _TIGHT.match(text[-1]) or _TIGHT.match(sentence[:1])
        text += sentence if tight else f" {sentence}"
    return text
