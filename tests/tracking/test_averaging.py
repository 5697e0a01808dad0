"""Averages of weights: their values, what is kept of them, and what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback
from torch import Tensor

from zoo.errors import ZooError
from zoo.tracking.averaging import Average, BestAverage, StepAverage, put_weights


class _Module(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.trained = torch.nn.Parameter(torch.zeros(2))
        self.frozen = torch.nn.Parameter(torch.zeros(2), requires_grad=False)


class _Trainer:
    """What an average asks of a trainer."""

    is_global_zero = True
    sanity_checking = False

    def __init__(self, total: int):
        self.global_step = 0
        self.estimated_stepping_batches = total
        self.callback_metrics: dict[str, float] = {}
        self.strategy = self
        self.state = type("State", (), {"fn": "fit"})

    def broadcast(self, value: Any) -> Any:
        return value


def _run(average: Callback, values: list[Tensor], *, window: int = 1) -> Any:
    """Optimizer steps after which the weights have these values, each of so many batches."""
    trainer: Any = _Trainer(len(values))
    module: Any = _Module()
    for value in values:
        for batch in range(window):
            if batch == window - 1:
                module.trained.data.copy_(value)
                trainer.global_step += 1
            average.on_train_batch_end(trainer, module, None, None, batch)
    return trainer


def _values(steps: int) -> list[Tensor]:
    return list(torch.randn(steps, 2, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("window", [1, 3])
def test_the_last_quarter_of_the_steps_counts_equally(window: int) -> None:
    values = _values(40)
    average = StepAverage("swa")
    found = average.weights(_run(average, values, window=window))
    assert found.keys() == {"trained"}
    torch.testing.assert_close(found["trained"], torch.stack(values[30:]).mean(0))
    assert average.described == "swa over 10 steps"


def test_a_moving_average_follows_its_definition() -> None:
    values = _values(50)
    average = StepAverage("ema")
    found = average.weights(_run(average, values))["trained"]
    # Unrolled: each value counts by what it got, times what all later steps have left of it.
    kept = [min(0.999, (1 + n) / (10 + n)) for n in range(50)]
    shares = [1.0 if n == 0 else 1.0 - kept[n] for n in range(50)]
    for number in range(50):
        for later in kept[number + 1 :]:
            shares[number] *= later
    assert sum(shares) == pytest.approx(1.0)
    expected = sum(share * value.double() for share, value in zip(shares, values, strict=True))
    torch.testing.assert_close(found.double(), expected, atol=1e-5, rtol=1e-5)


def test_a_training_without_an_end_has_no_last_quarter() -> None:
    average = StepAverage("swa")
    trainer, module = _Trainer(0), _Module()
    trainer.estimated_stepping_batches = float("inf")  # type: ignore[assignment]
    trainer.global_step = 1
    with pytest.raises(ZooError, match=r"--trainer\.max_steps"):
        average.on_train_batch_end(trainer, module, None, None, 0)  # type: ignore[arg-type]


def _validate(average: BestAverage, scores: list[float]) -> tuple[Any, list[Tensor]]:
    trainer: Any = _Trainer(0)
    module: Any = _Module()
    values = _values(len(scores))
    for score, value in zip(scores, values, strict=True):
        trainer.global_step += 10
        module.trained.data.copy_(value)
        trainer.callback_metrics = {"val/f1": score}
        average.on_validation_end(trainer, module)
    return trainer, values


def test_the_best_validations_count_equally_and_of_equals_the_first(tmp_path: Path) -> None:
    average = BestAverage(tmp_path, 3, monitor="val/f1", mode="max")
    trainer, values = _validate(average, [0.1, 0.5, float("nan"), 0.5, 0.2, 0.5, 0.3, 0.5])
    found = average.weights(trainer)
    torch.testing.assert_close(found["trained"], (values[1] + values[3] + values[5]) / 3)
    assert average.described == "best of steps 20, 40, 60"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "average-20.ckpt",
        "average-40.ckpt",
        "average-60.ckpt",
    ]


def test_of_losses_the_smallest_are_the_best(tmp_path: Path) -> None:
    average = BestAverage(tmp_path, 2, monitor="val/f1", mode="min")
    trainer, values = _validate(average, [0.1, 0.5, 0.3])
    torch.testing.assert_close(average.weights(trainer)["trained"], (values[0] + values[2]) / 2)


def test_files_that_the_checkpoint_before_knows_are_kept(tmp_path: Path) -> None:
    average = BestAverage(tmp_path, 2, monitor="val/f1", mode="max")
    _validate(average, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    # The best two are of steps 50 and 60; after the two validations before, 40 and 30 too.
    assert {path.name for path in tmp_path.iterdir()} == {
        f"average-{step}.ckpt" for step in (30, 40, 50, 60)
    }


def test_a_single_one_is_no_average(tmp_path: Path) -> None:
    average = BestAverage(tmp_path, 2, monitor="val/f1", mode="max")
    trainer, _ = _validate(average, [0.1])
    assert average.weights(trainer) == {}
    assert StepAverage("swa").weights(trainer) == {}


def test_weights_are_put_in_by_name() -> None:
    module: Any = _Module()
    put_weights(module, {"trained": torch.tensor([1.0, 2.0])})
    assert module.trained.tolist() == [1.0, 2.0]
    assert module.frozen.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("text", ["sma", "best", "best:1", "best:x", ""])
def test_what_is_no_average_is_refused_with_what_there_is(text: str) -> None:
    with pytest.raises(ZooError, match="give none, swa, ema, or best:5"):
        Average.parse(text)


def test_an_average_is_read_as_it_is_typed() -> None:
    parse: Callable[[str], Average | None] = Average.parse
    assert parse("none") is None
    assert parse("SWA") == Average("swa")
    assert parse("best:4") == Average("best", 4)
