"""Intervals and p-values against scipy's, and against counting all cases."""

import numpy as np
import pytest
from scipy import stats  # type: ignore[import-untyped]

from zoo.tracking.comparison.outcomes import Array, Weights
from zoo.tracking.comparison.resampling import Scores, bootstrap, interval, randomisation


def means(values: Array) -> Scores:
    """The mean of some examples' values, as a score."""

    def scores(weights: Weights) -> dict[str, Array]:
        return {"mean": weights @ values / weights.sum(axis=1)}

    return scores


def test_an_interval_is_that_of_scipy_s_bootstrap() -> None:
    values = np.random.default_rng(3).exponential(size=200)
    (found,) = bootstrap([means(values)], 200, resamples=20_000, seed=1)
    low, high = interval(found["mean"])
    theirs = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=20_000, random_state=2
    ).confidence_interval
    # The two draw other resamples: a quantile of 20,000 is known to about a hundredth of a spread.
    assert low == pytest.approx(theirs.low, abs=0.006)
    assert high == pytest.approx(theirs.high, abs=0.006)


def test_every_resample_has_as_many_examples_as_there_are() -> None:
    seen: list[Array] = []

    def scores(weights: Weights) -> dict[str, Array]:
        seen.append(weights)
        return {"sum": weights.sum(axis=1)}

    (found,) = bootstrap([scores], 70_000, resamples=300, seed=0)
    assert (found["sum"] == 70_000).all()
    assert len(found["sum"]) == 300
    assert len(seen) > 1, "large tests are resampled in parts"
    together = np.concatenate(seen)
    assert len(np.unique(together[:, 0])) > 1
    # Each example is drawn once on average, and never in about 1 of e resamples.
    assert together.mean() == pytest.approx(1)
    assert (together == 0).mean() == pytest.approx(np.exp(-1), abs=1e-3)


def test_runs_share_their_resamples_so_that_a_constant_difference_has_no_spread() -> None:
    values = np.random.default_rng(0).normal(size=50)
    one, other = bootstrap([means(values), means(values + 0.25)], 50, resamples=500, seed=4)
    low, high = interval(other["mean"] - one["mean"])
    assert low == pytest.approx(0.25)
    assert high == pytest.approx(0.25)


def test_the_same_seed_gives_the_same_resamples_and_another_gives_others() -> None:
    values = np.arange(30.0)
    draws = [
        bootstrap([means(values)], 30, resamples=50, seed=seed)[0]["mean"] for seed in (1, 1, 2)
    ]
    assert (draws[0] == draws[1]).all()
    assert (draws[0] != draws[2]).any()


@pytest.mark.parametrize("shift", [0.0, 0.3, 0.8])
def test_p_values_are_those_of_all_ways_to_swap(shift: float) -> None:
    chance = np.random.default_rng(8)
    one = chance.normal(size=12)
    other = one + shift + chance.normal(size=12) * 0.6
    exact = stats.permutation_test(
        (one, other),
        lambda a, b, axis: np.mean(b, axis=axis) - np.mean(a, axis=axis),
        permutation_type="samples",
        n_resamples=np.inf,
        vectorized=True,
    ).pvalue
    found = randomisation(means(np.concatenate([one, other])), 12, shuffles=20_000, seed=1)
    # Three standard errors of a share counted 20,000 times.
    error = 3 * np.sqrt(exact * (1 - exact) / 20_000) + 1 / 20_000
    assert found["mean"] == pytest.approx(exact, abs=error)


def test_p_values_of_runs_without_a_difference_are_spread_evenly() -> None:
    chance = np.random.default_rng(5)
    found = [
        randomisation(means(chance.normal(size=80)), 40, shuffles=400, seed=number)["mean"]
        for number in range(300)
    ]
    assert stats.kstest(found, "uniform").pvalue > 0.01
    assert np.mean(np.array(found) < 0.05) < 0.1


def test_equal_predictions_have_a_p_value_of_one_and_no_p_value_is_zero() -> None:
    values = np.arange(20.0)
    assert randomisation(means(np.tile(values, 2)), 20, shuffles=200, seed=0)["mean"] == 1
    apart = np.concatenate([values, values + 100])
    assert randomisation(means(apart), 20, shuffles=200, seed=0)["mean"] == 1 / 201
