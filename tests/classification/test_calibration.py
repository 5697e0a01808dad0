"""Temperature, thresholds and ranking scores, against scipy, scikit-learn and brute force."""

import decimal
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar  # type: ignore[import-untyped]
from sklearn.metrics import (  # type: ignore[import-untyped]
    average_precision_score,
    roc_auc_score,
)
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from zoo.classification.calibration import LabelCurves, TemperatureFit, log_odds
from zoo.classification.metrics import CalibrationError
from zoo.classification.modes.choice import make_objective

pytestmark = pytest.mark.filterwarnings("ignore:The ``compute`` method")


def _sample(labels: int, *, several: bool, sharp: float, texts: int = 400) -> tuple[Tensor, Tensor]:
    """Logits that are right in the mean, then made too sharp (above 1) or too flat (below)."""
    chance = torch.Generator().manual_seed(labels)
    logits = 2 * torch.randn(texts, labels, generator=chance)
    if several:
        return logits * sharp, torch.bernoulli(logits.sigmoid(), generator=chance)
    return logits * sharp, torch.multinomial(logits.softmax(-1), 1, generator=chance)[:, 0]


def _fitted(logits: Tensor, targets: Tensor, *, several: bool, size: int) -> TemperatureFit:
    metric = TemperatureFit(several=several)
    for rows in torch.arange(len(logits)).split(size):
        metric.update(logits[rows], targets[rows])
    return metric


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize(("labels", "sharp"), [(2, 3.0), (7, 0.4), (28, 1.0), (300, 8.0)])
def test_the_temperature_is_the_one_that_scipy_finds_most_likely(
    labels: int, sharp: float, several: bool
) -> None:
    logits, targets = _sample(labels, several=several, sharp=sharp)

    def loss(temperature: float) -> float:
        scaled = logits.double() / temperature
        if several:
            return float(F.binary_cross_entropy_with_logits(scaled, targets.double()))
        return float(F.cross_entropy(scaled, targets))

    best = minimize_scalar(loss, bounds=(0.2, 20), method="bounded", options={"xatol": 1e-7})
    found = float(_fitted(logits, targets, several=several, size=64).compute())
    assert found == pytest.approx(best.x, rel=2e-3)
    assert loss(found) <= best.fun * (1 + 1e-6)
    assert found == pytest.approx(sharp, rel=0.25)  # it takes back what the sample was given


@pytest.mark.parametrize("several", [False, True])
def test_the_temperature_does_not_depend_on_batches_or_processes(several: bool) -> None:
    logits, targets = _sample(5, several=several, sharp=2.0)
    whole = _fitted(logits, targets, several=several, size=400)
    ones = _fitted(logits, targets, several=several, size=1)
    assert float(ones.compute()) == pytest.approx(float(whole.compute()), rel=1e-9)
    # Two processes: what torch.distributed would add up is each one's state.
    first = _fitted(logits[:150], targets[:150], several=several, size=32)
    second = _fitted(logits[150:], targets[150:], several=several, size=32)
    assert {one.__name__ for one in first._reductions.values()} == {"dim_zero_sum"}  # type: ignore[union-attr]
    first.losses = first.losses + second.losses
    first.update(logits[:0], targets[:0])  # a process may have nothing
    assert float(first.compute()) == pytest.approx(float(whole.compute()), rel=1e-9)


def test_many_labels_are_counted_in_slices_of_the_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, targets = _sample(30, several=False, sharp=2.0)
    whole = _fitted(logits, targets, several=False, size=400).compute()
    monkeypatch.setattr("zoo.classification.calibration._AT_ONCE", 50_000)
    sliced = _fitted(logits, targets, several=False, size=400)
    torch.testing.assert_close(sliced.compute(), whole)


def test_nothing_counted_leaves_logits_alone_and_all_right_or_wrong_ends_at_the_border() -> None:
    assert float(TemperatureFit().compute()) == 1.0
    logits, targets = torch.eye(3) * 2, torch.arange(3)
    assert float(_fitted(logits, targets, several=False, size=3).compute()) == pytest.approx(0.2)
    wrong = _fitted(logits, targets.roll(1), several=False, size=3)
    assert float(wrong.compute()) == pytest.approx(20)


@pytest.mark.parametrize("mode", ["single_label", "ordinal"])
def test_a_temperature_changes_no_prediction_and_mends_probabilities(mode: Any) -> None:
    logits, targets = _sample(5, several=False, sharp=4.0, texts=2000)
    objective = make_objective(mode, list("abcde"), balanced=False, smoothing=0.0)
    batch = {"labels": targets, "example": list(range(len(targets)))}
    before = objective.results(logits, batch)
    objective.count("validate", logits, batch)
    raw = objective.scores("validate")["ece"]
    objective.count("validate", logits, batch)
    objective.calibrate()
    objective.scores("validate")
    after = objective.results(logits, batch)
    assert [one.label for one in after] == [one.label for one in before]
    assert [one.probability for one in after] != [one.probability for one in before]
    objective.count("validate", logits, batch)
    assert float(objective.scores("validate")["ece"]) < 0.05 < float(raw)


def _curves(odds: Tensor, has: Tensor, size: int = 64) -> LabelCurves:
    metric = LabelCurves(odds.shape[1])
    for rows in torch.arange(len(odds)).split(size):
        metric.update(odds[rows], has[rows])
    return metric


def _multi(labels: int, texts: int = 600) -> tuple[Tensor, Tensor]:
    chance = torch.Generator().manual_seed(3)
    odds = 3 * torch.randn(texts, labels, generator=chance) - 1
    # Rare labels, frequent ones, and a last one that nobody has.
    shift = torch.linspace(-3, 2, labels)
    has = torch.bernoulli((0.5 * odds + shift).sigmoid(), generator=chance).bool()
    has[:, -1] = False
    return odds, has


@pytest.mark.parametrize("labels", [2, 6, 40])
def test_ranking_scores_are_scikit_learn_s_within_a_bin(labels: int) -> None:
    odds, has = _multi(labels)
    scores = {name: float(value) for name, value in _curves(odds, has).compute().items()}
    there = has.any(0) & ~has.all(0)
    assert int(there.sum()) == labels - 1
    gold, likely = has[:, there].numpy(), odds[:, there].numpy()
    assert scores["auroc"] == pytest.approx(roc_auc_score(gold, likely, average="macro"), abs=2e-3)
    expected = average_precision_score(gold, likely, average="macro")
    assert scores["average_precision"] == pytest.approx(expected, abs=5e-3)


def test_ranking_scores_of_values_that_bins_keep_apart_are_exact_with_ties_too() -> None:
    # Multiples of a bin and a half: distinct values lie in distinct bins, equal ones tie.
    odds = torch.randint(-40, 40, (300, 4), generator=torch.Generator().manual_seed(1)) * 0.06
    has = torch.bernoulli((odds).sigmoid(), generator=torch.Generator().manual_seed(2)).bool()
    scores = _curves(odds, has, 300).compute()
    expected = roc_auc_score(has.numpy(), odds.numpy(), average="macro")
    assert float(scores["auroc"]) == pytest.approx(expected, abs=1e-9)
    expected = average_precision_score(has.numpy(), odds.numpy(), average="macro")
    assert float(scores["average_precision"]) == pytest.approx(expected, abs=1e-9)


def test_ranking_scores_without_a_label_to_tell_apart_are_0() -> None:
    assert {float(value) for value in LabelCurves(3).compute().values()} == {0.0}
    every = _curves(torch.randn(9, 2), torch.ones(9, 2, dtype=torch.bool)).compute()
    assert {float(value) for value in every.values()} == {0.0}


def _f1(gold: Tensor, found: Tensor) -> float:
    return 2 * int((gold & found).sum()) / max(int(gold.sum() + found.sum()), 1)


@given(
    st.lists(
        st.tuples(st.integers(-45, 45), st.booleans()),
        min_size=1,
        max_size=25,
    )
)
@settings(deadline=None, max_examples=150)
def test_a_threshold_has_the_best_f1_that_any_threshold_has(rows: list[tuple[int, bool]]) -> None:
    # In units of 0.4: ten bins, so that nothing that differs is in one bin; some beyond the reach.
    odds = torch.tensor([[value * 0.4 + 0.01] for value, _ in rows])
    has = torch.tensor([[one] for _, one in rows])
    fitted = _curves(odds, has).thresholds()
    if not any(one for _, one in rows):
        assert float(fitted.logits.sigmoid()) == 0.5
        return
    clamped = odds.clamp(-15.99, 15.99)

    def f1(threshold: float) -> float:
        return _f1(has[:, 0], clamped[:, 0] >= threshold)

    best = max(f1(float(value)) for value in clamped[:, 0])
    assert f1(float(fitted.logits)) == pytest.approx(best, abs=1e-9)
    given_to = (odds >= fitted.logits)[:, 0]
    if float(fitted.logits) < 15.9:  # above, what is beyond the reach cannot be told apart
        assert int(fitted.given) == int(given_to.sum())
        assert int(fitted.right) == int((given_to & has[:, 0]).sum())
    assert int(fitted.wanted) == int(has.sum())


def test_thresholds_of_real_numbers_are_within_a_bin_of_brute_force() -> None:
    odds, has = _multi(8, texts=400)
    fitted = _curves(odds, has).thresholds()
    for label in range(8):
        gold, likely = has[:, label], odds[:, label]
        if not gold.any():
            assert float(fitted.logits[label].sigmoid()) == 0.5
            continue
        best = max(_f1(gold, likely >= one) for one in likely)
        ours = _f1(gold, likely >= fitted.logits[label])
        assert best - 0.01 <= ours <= best


def test_a_threshold_lies_in_the_middle_of_the_widest_gap() -> None:
    odds = torch.tensor([[-3.0], [-2.0], [4.0], [5.0]])
    has = torch.tensor([[False], [False], [True], [True]])
    assert float(_curves(odds, has).thresholds().logits) == pytest.approx(1.0, abs=0.05)


def test_texts_below_the_lowest_border_keep_a_label_that_all_texts_should_get() -> None:
    odds = torch.tensor([[-30.0], [-17.0], [2.0]])
    has = torch.tensor([[True], [True], [True]])
    fitted = _curves(odds, has).thresholds()
    assert bool((odds >= fitted.logits).all())
    assert float(fitted.given) == 3


def test_curves_of_processes_add_up_and_infinite_odds_count_at_the_ends() -> None:
    odds, has = _multi(5)
    whole = _curves(odds, has)
    first, second = _curves(odds[:100], has[:100]), _curves(odds[100:], has[100:])
    assert {one.__name__ for one in first._reductions.values()} == {"dim_zero_sum"}  # type: ignore[union-attr]
    assert torch.equal(first.counts + second.counts, whole.counts)
    ends = _curves(
        torch.tensor([[torch.inf], [-torch.inf]]), torch.tensor([[True], [False]])
    ).counts
    assert int(ends[0, -1, 1]) == 1
    assert int(ends[0, 0, 0]) == 1


@pytest.mark.parametrize("spread", [1.0, 30.0, 300.0])
@pytest.mark.parametrize("labels", [2, 3, 12])
def test_log_odds_are_those_of_arithmetic_with_many_digits(labels: int, spread: float) -> None:
    logits = (spread * torch.randn(8, labels, dtype=torch.double)).clamp(-300, 300)
    found = log_odds(logits)
    decimal.getcontext().prec = 400
    for row, ours in zip(logits.tolist(), found.tolist(), strict=True):
        weights = [decimal.Decimal(value).exp() for value in row]
        for number, weight in enumerate(weights):
            exact = (weight / (sum(weights) - weight)).ln()
            assert ours[number] == pytest.approx(float(exact), rel=1e-9, abs=1e-9)


def test_log_odds_of_a_label_alone_and_of_far_apart_ones_stay_in_order() -> None:
    assert log_odds(torch.zeros(2, 1)).tolist() == [[torch.inf], [torch.inf]]
    odds = log_odds(torch.tensor([[2000.0, 0.0, -2000.0]]))[0].tolist()
    assert odds[0] > 100 > -100 > odds[1] > odds[2]
    assert np.isfinite(odds[1:]).all()


class _NoFloat64(TorchDispatchMode):
    """Stands for a device that has no float64, such as Apple's GPUs."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for one in _tensors(made):
            assert one.dtype != torch.double, func
        return made


def _tensors(made: Any) -> Iterator[Tensor]:
    if isinstance(made, Tensor):
        yield made
    elif isinstance(made, (list, tuple)):
        for one in made:
            yield from _tensors(one)


def test_without_float64_all_is_fitted_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, targets = _sample(6, several=False, sharp=3.0)
    odds, has = _multi(6)
    expected = _fitted(logits, targets, several=False, size=64).compute()
    curves = _curves(odds, has)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    with _NoFloat64():  # type: ignore[no-untyped-call]
        fit = _fitted(logits, targets, several=False, size=64)
        narrow = _curves(odds, has)
        odds_of = log_odds(logits)
        error = CalibrationError()
        error.update(targets > 2, logits.softmax(-1).amax(-1))
        found = [fit.compute(), *narrow.compute().values(), *narrow.thresholds(), error.compute()]
    assert float(found[0]) == pytest.approx(float(expected), rel=1e-3)
    for ours, exact in zip(found[1:3], curves.compute().values(), strict=True):
        assert float(ours) == pytest.approx(float(exact), abs=1e-4)  # border cases
    torch.testing.assert_close(found[3], curves.thresholds().logits.float())
    assert odds_of.dtype == torch.float32
