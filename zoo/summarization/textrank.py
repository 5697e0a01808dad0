"""TextRank: the sentences that most others share words with (Mihalcea & Tarau 2004)."""

from collections.abc import Sequence
from math import log

import numpy as np
from numpy.typing import NDArray

#: Sentences beyond these are not ranked: similarities are a square of them.
MOST_SENTENCES = 2000
#: Of PageRank.
_DAMPING = 0.85
_STEPS = 200
_CLOSE = 1e-10
#: Words that are compared at once, so that memory stays small.
_WORDS = 1024

_Floats = NDArray[np.float64]


def textrank(sentences: Sequence[Sequence[str]], *, most: int) -> list[int]:
    """Select the sentences of the highest rank.

    Sentences are as similar as the number of words that they share, divided by the sum of the
    logarithms of their lengths; ranks are PageRank's over these weights, with a damping of 0.85.
    Of documents of more than `MOST_SENTENCES` sentences, only the first so many are ranked.

    Args:
        sentences: Words (or characters) of each of the source's sentences.
        most: Sentences to select at most.

    Returns:
        Numbers of the selected sentences, rising; of equally high ones the first. Sentences
        without words are never selected.
    """
    sentences = sentences[:MOST_SENTENCES]
    # Rounded, so that what is equal but for the error of adding floats counts as equal.
    ranks = _ranks(_similarities(sentences)).round(7).tolist()
    with_words = (at for at, words in enumerate(sentences) if words)
    return sorted(sorted(with_words, key=lambda at: (-ranks[at], at))[:most])


def _similarities(sentences: Sequence[Sequence[str]]) -> _Floats:
    """How similar each two sentences are, `[sentences, sentences]`; none is similar to itself."""
    size = len(sentences)
    numbers: dict[str, int] = {}
    pairs = [
        (row, numbers.setdefault(word, len(numbers)))
        for row, words in enumerate(sentences)
        for word in set(words)
    ]
    rows, words = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    # Words of one sentence alone are shared by none.
    often = np.bincount(words, minlength=len(numbers)) > 1
    rows, words = rows[often[words]], (np.cumsum(often) - 1)[words[often[words]]]
    shared = np.zeros((size, size))
    for start in range(0, int(often.sum()), _WORDS):
        here = (words >= start) & (words < start + _WORDS)
        has = np.zeros((size, _WORDS), dtype=np.float32)  # exact: numbers below 2^24
        has[rows[here], words[here] - start] = 1
        shared += has @ has.T
    lengths = np.array([log(max(len(words), 1)) for words in sentences])
    sums = lengths[:, None] + lengths[None, :]
    # Two sentences of one word each: log(1) + log(1) is 0.
    similar: _Floats = np.divide(shared, sums, out=np.zeros_like(shared), where=sums > 0)
    np.fill_diagonal(similar, 0)
    return similar


def _ranks(weights: _Floats) -> _Floats:
    """PageRank of nodes with weighted edges, by power iteration; 0.15 without any edge."""
    total = weights.sum(axis=1)
    shares = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    ranks = np.ones(len(weights))
    for _ in range(_STEPS):
        before, ranks = ranks, 1 - _DAMPING + _DAMPING * (shares @ ranks)
        if np.abs(ranks - before).max(initial=0) < _CLOSE:
            break
    return ranks
