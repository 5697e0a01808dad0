"""Spans of whole words, chosen together (SpanBERT, Joshi et al. 2020, arXiv 1907.10529)."""

import torch
from torch import Tensor

from zoo.pretraining.encoding import NO_WORD

#: Success probability of the geometric distribution of a span's words, and the most of them.
P, LONGEST = 0.2, 10
#: What is not in a span.
NO_SPAN = -1


def length_probabilities(longest: int = LONGEST) -> Tensor:
    """Probability of spans of 1, 2, ... words: geometric, cut off and summing to 1."""
    weights = P * (1 - P) ** torch.arange(longest, dtype=torch.float64)
    return weights / weights.sum()


def choose_spans(words: Tensor, *, share: float, generator: torch.Generator) -> Tensor:
    """The span that each token is chosen with.

    Lengths are drawn from `length_probabilities`, and places evenly among those where a span of
    that length has room between special tokens and other spans. A block is done when its share of
    tokens is chosen; a last span that goes beyond is kept with the probability that makes the
    share right in the mean.

    Args:
        words: The word of each token, int64 `[blocks, longest]`, `NO_WORD` at special tokens.
        share: Share of all tokens of words.
        generator: Source of chance, on the CPU.

    Returns:
        int64 of the same shape: spans of a block from 0, `NO_SPAN` at what is not chosen.
    """
    found = torch.full(words.shape, NO_SPAN, dtype=torch.long)
    for own, row in zip(found, words.cpu(), strict=True):
        _fill(own, row, share, generator)
    return found.to(words.device)


def _fill(own: Tensor, words: Tensor, share: float, generator: torch.Generator) -> None:
    begins, ends, runs = _bounds(words)
    lengths = length_probabilities()
    free = [True] * len(begins)
    budget = share * int((words != NO_WORD).sum())
    span = 0
    while budget > 0:
        size = 1 + int(torch.multinomial(lengths, 1, generator=generator))
        starts = _starts(free, runs, size)
        while not starts and size > 1:
            size -= 1
            starts = _starts(free, runs, size)
        if not starts:
            return
        first = starts[int(torch.randint(len(starts), (1,), generator=generator))]
        tokens = ends[first + size - 1] - begins[first]
        if tokens > budget and float(torch.rand(1, generator=generator)) >= budget / tokens:
            return
        own[begins[first] : ends[first + size - 1]] = span
        free[first : first + size] = [False] * size
        budget -= tokens
        span += 1


def _bounds(words: Tensor) -> tuple[list[int], list[int], list[int]]:
    """First token and end of each word, and a number that is another behind special tokens."""
    begins: list[int] = []
    ends: list[int] = []
    runs: list[int] = []
    run, before = 0, NO_WORD
    for at, word in enumerate(words.tolist()):
        if word == NO_WORD:
            run += before != NO_WORD
        elif word != before:
            begins.append(at)
            ends.append(at + 1)
            runs.append(run)
        else:
            ends[-1] = at + 1
        before = word
    return begins, ends, runs


def _starts(free: list[bool], runs: list[int], size: int) -> list[int]:
    """Words with which so many free ones in a row begin."""
    found: list[int] = []
    length = 0
    for at, is_free in enumerate(free):
        parted = at > 0 and runs[at] != runs[at - 1]
        length = (0 if parted else length) + 1 if is_free else 0
        if length >= size:
            found.append(at - size + 1)
    return found
