"""How sure a mean is."""

from collections.abc import Sequence

import numpy as np

#: Numbers drawn at once, at most, so that memory stays small.
_DRAWN = 1 << 21


def bootstrap_interval(
    values: Sequence[float], *, samples: int = 1000, seed: int = 0, level: float = 0.95
) -> tuple[float, float]:
    """Confidence interval of a mean by the percentile bootstrap (Efron 1979).

    Args:
        values: One score of each example.
        samples: How often as many examples are drawn again, with repetition.
        seed: Seed of the draws.
        level: Share of the samples' means that lie in the interval.

    Returns:
        Its two ends; both are 0 without values.
    """
    scores = np.asarray(values, dtype=np.float64)
    size = scores.size
    if not size:
        return 0.0, 0.0
    draw = np.random.default_rng(seed)
    means = np.empty(samples)
    at_once = max(_DRAWN // size, 1)
    for start in range(0, samples, at_once):
        number = min(at_once, samples - start)
        means[start : start + number] = scores[draw.integers(size, size=(number, size))].mean(1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
