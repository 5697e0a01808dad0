"""How far scores and differences of scores are owed to the choice of the test examples."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from zoo.tracking.comparison.outcomes import Array, Weights

Scores: TypeAlias = Callable[[Weights], Mapping[str, Array]]

#: Weights held at a time: 64 MiB of them.
_AT_ONCE = 8 * 2**20
#: Differences this close are the same: sums of floats depend on their order.
_SAME = 1e-12


class Interval(NamedTuple):
    """Where a value lies with 95% confidence."""

    low: float
    high: float


def bootstrap(
    scores: Sequence[Scores], examples: int, *, resamples: int, seed: int
) -> list[dict[str, Array]]:
    """Scores of several runs on the same resamples of the test examples.

    Each resample draws as many examples as there are, with replacement (Efron & Tibshirani 1993,
    "An Introduction to the Bootstrap", ch. 13). As the runs share the resamples, differences of
    their values are those of the paired bootstrap (Koehn 2004, "Statistical Significance Tests for
    Machine Translation Evaluation", EMNLP).

    Args:
        scores: The scores of each run; all have the same examples in the same order.
        examples: How many examples there are.
        resamples: How many resamples to draw.
        seed: Fixes them.

    Returns:
        For each run the values `[resamples]` of each score.
    """
    parts: list[list[Mapping[str, Array]]] = [[] for _ in scores]
    for weights in _resamples(examples, resamples, np.random.default_rng(seed)):
        for found, of in zip(parts, scores, strict=True):
            found.append(of(weights))
    return [
        {name: np.concatenate([part[name] for part in found]) for name in found[0]}
        for found in parts
    ]


def interval(values: Array) -> Interval:
    """The middle 95% of the values of resamples (the percentile interval)."""
    low, high = np.quantile(values, [0.025, 0.975])
    return Interval(float(low), float(high))


def randomisation(scores: Scores, examples: int, *, shuffles: int, seed: int) -> dict[str, float]:
    """How often chance alone makes two runs differ as much as these do: two-sided p-values.

    If there were no difference, which of the two predictions of an example is whose would not
    matter. So the predictions of each example are swapped or not, at random, and the difference of
    the scores is taken again (approximate randomisation: Noreen 1989, "Computer-Intensive Methods
    for Testing Hypotheses"; for F1 and its like: Yeh 2000, "More accurate tests for the statistical
    significance of result differences", COLING). The observed difference counts as one of the
    shuffles, so a p-value is at least `1 / (shuffles + 1)`.

    Args:
        scores: The scores of the examples of one run and then those of the other.
        examples: How many examples each run has.
        shuffles: How often to shuffle.
        seed: Fixes the shuffles.

    Returns:
        The p-value of each score.
    """
    chance = np.random.default_rng(seed)
    own = np.concatenate([np.ones((1, examples)), np.zeros((1, examples))], axis=1)
    observed = _differences(scores, own)
    above: dict[str, int] = dict.fromkeys(observed, 0)
    for count in _chunks(2 * examples, shuffles):
        swapped = chance.integers(0, 2, size=(count, examples)).astype(np.float64)
        drawn = _differences(scores, np.concatenate([1 - swapped, swapped], axis=1))
        for name, values in drawn.items():
            above[name] += int(np.sum(np.abs(values) >= np.abs(observed[name]) - _SAME))
    return {name: (1 + count) / (1 + shuffles) for name, count in above.items()}


def _differences(scores: Scores, first: Weights) -> dict[str, Array]:
    one, other = scores(first), scores(1 - first)
    return {name: other[name] - one[name] for name in one}


def _resamples(examples: int, resamples: int, chance: np.random.Generator) -> Iterator[Weights]:
    for count in _chunks(examples, resamples):
        drawn = chance.integers(0, examples, size=(count, examples))
        drawn += np.arange(count)[:, None] * examples
        counts = np.bincount(drawn.ravel(), minlength=count * examples)
        yield counts.reshape(count, examples).astype(np.float64)


def _chunks(width: int, total: int) -> Iterator[int]:
    size = max(1, _AT_ONCE // max(1, width))
    while total > 0:
        yield min(size, total)
        total -= size
