"""The learning-rate finder: what it suggests, and that it leaves nothing behind."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from zoo import NERDataModule, NERTask
from zoo.errors import ZooError
from zoo.training.lr_finder import LearningRates, find_learning_rate


def _rates(steps: int = 101) -> list[float]:
    return [10 ** (-7 + 7 * number / (steps - 1)) for number in range(steps)]


def _curve(middle: float, blow_up: float, noise: float = 0.0) -> list[float]:
    """A loss that falls in an S around a rate, and grows above another."""
    chance = np.random.default_rng(0)
    losses = []
    for rate in _rates():
        x = math.log10(rate)
        fall = 2.0 / (1.0 + math.exp(4.0 * (x - math.log10(middle))))
        grow = math.exp(3.0 * (x - math.log10(blow_up)))
        losses.append(0.5 + fall + grow + noise * float(chance.standard_normal()))
    return losses


@pytest.mark.parametrize("noise", [0.0, 0.05])
@pytest.mark.parametrize("middle", [1e-5, 1e-4, 1e-3])
def test_the_suggestion_is_where_the_loss_falls_fastest(middle: float, noise: float) -> None:
    found = LearningRates(_rates(), _curve(middle, 100 * middle, noise))
    assert found.suggestion is not None
    # The steepest place of the S is its middle; a fifth of a decade is less than three steps.
    assert abs(math.log10(found.suggestion / middle)) < (0.5 if noise else 0.2)
    assert found.suggestion < found.lowest < 100 * middle


def test_without_a_fall_nothing_is_suggested() -> None:
    rates = _rates()
    assert LearningRates(rates, [1.0 + number for number in range(len(rates))]).suggestion is None


def test_smoothing_keeps_a_straight_line_and_halves_no_end() -> None:
    line = [3.0 - 0.01 * number for number in range(60)]
    assert LearningRates(_rates(60), line).smoothed == pytest.approx(line)


@pytest.fixture
def small(corpus: Path, bert: str) -> NERDataModule:
    same = str(corpus)
    return NERDataModule(train=same, validation=same, test=same, backbone=bert, batch_size=2)


def _find(task: NERTask, data: NERDataModule, **options: Any) -> LearningRates:
    return find_learning_rate(task, data, accelerator="cpu", **{"steps": 40, **options})


def _weights(task: NERTask) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in task.net.state_dict().items()}


def test_the_rates_grow_evenly_and_the_best_lies_between(small: NERDataModule, bert: str) -> None:
    task = NERTask(bert, labels=small.labels, learning_rate=3e-4, layer_decay=0.5)
    found = _find(task, small, smallest=1e-6)
    assert found.rates[:2] == pytest.approx([1e-6, 1e-6 * 10 ** (6 / 39)])
    assert found.suggestion is not None
    assert 1e-5 < found.suggestion < 0.5
    assert min(found.smoothed) < 0.8 * found.losses[0]


def test_a_training_after_it_is_the_same_as_without(
    small: NERDataModule, bert: str, trainer: Callable[..., Any], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.rglob("*"))
    ends = []
    for finds in (False, True):
        torch.manual_seed(5)
        task = NERTask(bert, labels=small.labels, learning_rate=3e-4, schedule="cosine")
        if finds:
            _find(task, small, steps=12)
        assert (task.learning_rate, task.schedule, task.warmup) == (3e-4, "cosine", 0.1)
        trainer(max_steps=3, limit_val_batches=0).fit(task, small)
        ends.append(_weights(task))
    assert set(tmp_path.rglob("*")) == before
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_a_model_that_is_built_keeps_its_weights(
    small: NERDataModule, bert: str, trainer: Callable[..., Any]
) -> None:
    task = NERTask(bert, labels=small.labels)
    fitted = trainer(max_steps=2, limit_val_batches=0)
    fitted.fit(task, small)
    before = _weights(task)
    # Several batches to a step: the loss of a step is then not what is differentiated.
    found = _find(task, small, steps=10, accumulate_grad_batches=2)
    assert all(torch.equal(before[name], value) for name, value in _weights(task).items())
    assert task.trainer is fitted
    assert 0.1 < found.losses[0] < 10


def test_a_loss_that_is_no_number_ends_it_early(
    small: NERDataModule, bert: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = 0

    def broken(task: Any, *arguments: Any) -> Any:
        nonlocal steps
        steps += 1
        loss, count = original(task, *arguments)
        return (loss * math.nan if steps > 14 else loss), count

    original = NERTask._loss
    monkeypatch.setattr(NERTask, "_loss", broken)
    found = _find(NERTask(bert, labels=small.labels), small, largest=1e-5)
    assert found.diverged
    assert len(found.losses) == len(found.rates) == 14
    steps = 10
    with pytest.raises(ZooError, match="no number after 4 steps"):
        _find(NERTask(bert, labels=small.labels), small)


def test_too_few_batches_and_wrong_ranges_are_refused(data: NERDataModule, bert: str) -> None:
    task = NERTask(bert, labels=data.labels)
    with pytest.raises(ZooError, match=r"only 5 batches.*smaller --data\.batch_size"):
        _find(task, data)
    with pytest.raises(ZooError, match="--steps 5"):
        _find(task, data, steps=5)
    with pytest.raises(ZooError, match="smallest one above 0"):
        _find(task, data, smallest=1.0)


def test_the_picture_is_one(tmp_path: Path) -> None:
    path = tmp_path / "lr_find.png"
    LearningRates(_rates(), _curve(1e-4, 1e-2)).picture(path)
    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
