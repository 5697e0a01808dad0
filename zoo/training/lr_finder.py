"""A learning rate for a task and its data, found by trying all of them in one short training."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import Callback, LightningDataModule, LightningModule, Trainer

from zoo.errors import ZooError, check_at_least
from zoo.training.random_states import random_state, restore_random_state

#: Fewer optimizer steps than these say nothing.
_FEWEST = 10
#: The test ends when the loss is so many times the lowest one, and no rate above helps.
_DIVERGED = 4.0


@dataclass(frozen=True)
class LearningRates:
    """The loss at each learning rate of a range test.

    Args:
        rates: Learning rates in rising order, one of each optimizer step.
        losses: The loss of each step.
        diverged: Whether the loss became no number, or grew so much that the test ended early.
    """

    rates: Sequence[float]
    losses: Sequence[float]
    diverged: bool = False

    @property
    def smoothed(self) -> list[float]:
        """The losses, each a mean of itself and as many on both sides: about a tenth of all."""
        wing = max(2, len(self.losses) // 20)
        found = []
        for at in range(len(self.losses)):
            reach = min(wing, at, len(self.losses) - 1 - at)
            found.append(float(np.mean(self.losses[at - reach : at + reach + 1])))
        return found

    @property
    def lowest(self) -> float:
        """The rate at which the smoothed loss is lowest; just above it training diverges."""
        return self.rates[int(np.argmin(self.smoothed))]

    @property
    def suggestion(self) -> float | None:
        """The rate at which the smoothed loss falls fastest; None if it never falls.

        How fast is a slope over the logarithm of the rate, by least squares over the steps around.
        """
        losses = self.smoothed
        bottom = int(np.argmin(losses))
        wing = max(2, len(losses) // 20)
        slopes = {
            at: float(np.polyfit(range(-wing, wing + 1), losses[at - wing : at + wing + 1], 1)[0])
            for at in range(wing, min(bottom + 1, len(losses) - wing))
        }
        if not slopes or min(slopes.values()) >= 0:
            return None
        return self.rates[min(slopes, key=lambda at: slopes[at])]

    def picture(self, path: str | Path) -> None:
        """Write a picture: losses, smoothed losses and the suggestion over the rate."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7.0, 4.2), layout="constrained")
        axes = figure.subplots()
        axes.plot(self.rates, self.losses, color="lightgrey", linewidth=1, label="loss of a step")
        axes.plot(self.rates, self.smoothed, linewidth=1.8, label="smoothed")
        if self.suggestion is not None:
            axes.axvline(
                self.suggestion,
                color="black",
                linestyle=":",
                label=f"falls fastest: {self.suggestion:.1e}",
            )
        axes.set_xscale("log")
        axes.set_ylim(top=1.3 * max(self.smoothed[: max(1, len(self.losses) // 2)]), bottom=0)
        axes.set_xlabel("learning rate")
        axes.set_ylabel("training loss")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
        figure.savefig(path, dpi=120)


def find_learning_rate(
    task: Any,
    data: LightningDataModule,
    *,
    smallest: float = 1e-7,
    largest: float = 1.0,
    steps: int = 100,
    **trainer: Any,
) -> LearningRates:
    """Train for some steps with a rate that grows from step to step, and watch the loss.

    A range test (Smith 2017, arXiv 1506.01186) over rates that grow by the same factor each step.
    It ends early where the loss diverges. The task is afterwards as it was: its weights, its
    settings, and the random numbers that are drawn next; nothing is written.

    It is not Lightning's own, which takes the losses that are differentiated: of several batches
    to a step these are weighed by what is counted in them.

    Args:
        task: Any task of the zoo, before or after fitting.
        data: Its data.
        smallest: The first learning rate.
        largest: The last one.
        steps: How many rates, one an optimizer step.
        trainer: Settings of the trainer, such as `accelerator` or `accumulate_grad_batches`.

    Raises:
        ZooError: The range is none, or the data has too few batches.
    """
    check_at_least("--steps", steps, _FEWEST)
    if not 0 < smallest < largest:
        raise ZooError(
            f"The learning rates go from {smallest:g} to {largest:g}: give a smallest one above 0 "
            "and a largest one above that."
        )
    test = _RangeTest([smallest * (largest / smallest) ** (n / (steps - 1)) for n in range(steps)])
    settings: dict[str, Any] = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "devices": 1,
        **trainer,
        "max_steps": steps,
        "max_epochs": -1,
        "limit_val_batches": 0,
        "num_sanity_val_steps": 0,
        "callbacks": [test],
    }
    with _as_before(task, data):
        Trainer(**settings).fit(task, data)
    if len(test.losses) < _FEWEST:
        raise ZooError(
            f"The loss is no number after {len(test.losses)} steps already, at a learning rate of "
            f"{test.rates[len(test.losses)]:.1e}: begin with a smaller one, and look at the data."
        )
    return LearningRates(test.rates[: len(test.losses)], test.losses, test.diverged)


class _RangeTest(Callback):
    """Sets the rate of each step, and keeps its loss.

    Args:
        rates: The rate of each step.
    """

    def __init__(self, rates: list[float]):
        self.rates = rates
        self.losses: list[float] = []
        self.diverged = False
        self._parts: list[float] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuse what is too little."""
        batches = trainer.num_training_batches
        if batches // trainer.accumulate_grad_batches < _FEWEST:
            raise ZooError(
                f"The training data has only {batches} batches, at "
                f"{trainer.accumulate_grad_batches} to an optimizer step: learning rates are found "
                f"on at least {_FEWEST} different steps. Give a smaller --data.batch_size."
            )

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Set the rate; lower layers keep their share of it."""
        groups = trainer.optimizers[0].param_groups
        highest = max(group["initial_lr"] for group in groups)
        for group in groups:
            group["lr"] = self.rates[trainer.global_step] * group["initial_lr"] / highest

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep the loss of a step that is done, and stop where it diverges."""
        # Where a step has several batches, what is differentiated is weighed.
        loss = float(outputs.get("mean", outputs["loss"]))
        self._parts.append(loss)
        if math.isfinite(loss) and trainer.global_step == len(self.losses):
            return  # the step goes on with the next batch
        mean = float(np.mean(self._parts))
        self._parts = []
        if math.isfinite(mean):
            self.losses.append(mean)
            recent = float(np.mean(self.losses[-3:]))
            best = min(LearningRates(self.rates, self.losses).smoothed)
            self.diverged = len(self.losses) >= _FEWEST and recent > _DIVERGED * max(best, 0.05)
        else:
            self.diverged = True
        trainer.should_stop = trainer.should_stop or self.diverged


@contextmanager
def _as_before(task: Any, data: Any) -> Iterator[None]:
    """Train within with a rate that only the test sets; afterwards all is as it was."""
    settings = ("learning_rate", "schedule", "warmup", "schedule_options")
    before = {name: getattr(task, name) for name in settings}
    owners = [(one, one._trainer if one is task else one.trainer) for one in (task, data)]
    # What trains is a copy: an adaptation may change a model that was built without it.
    parts = ("model", "_no_weights", "_adapted", "_shared")
    own = tuple(getattr(task, name) for name in parts)
    for name, copy in zip(parts, deepcopy(own), strict=True):
        setattr(task, name, copy)
    device = torch.device("cuda") if torch.cuda.is_available() else torch.device("cpu")
    numbers = random_state(device)
    task.learning_rate, task.schedule, task.warmup = 1.0, "constant", 0.0
    task.schedule_options = {}
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(task, name, value)
        for one, trainer in owners:
            one.trainer = trainer
        task.step_mean = type(task.step_mean)()
        for name, part in zip(parts, own, strict=True):
            setattr(task, name, part)
        restore_random_state(numbers, device)


__all__ = ["LearningRates", "find_learning_rate"]
