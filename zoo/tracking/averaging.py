"""Averages of the weights that a training passes through."""

import logging
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.strategies import FSDPStrategy, ModelParallelStrategy
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from zoo.errors import ZooError
from zoo.tracking.checkpoints import CheckpointWriter

log = logging.getLogger(__name__)

#: The key of an average in a checkpoint.
KEY = "zoo_average"
#: The share of all steps at the end whose weights are averaged.
LAST = 0.25
#: How much of an exponential average is kept at each step, once it has seen enough of them.
DECAY = 0.999

#: Why some strategies cannot have an average.
SHARDED = (
    "--average needs processes that hold all weights: it does not work with sharded ones. Give "
    "--trainer.strategy ddp, or leave --average out."
)


@dataclass(frozen=True)
class Average:
    """Which weights are averaged.

    Args:
        kind: `swa`, all steps of the last quarter; `ema`, all steps, the last ones most; `best`,
            the best checkpoints.
        count: How many of the best.
    """

    kind: Literal["swa", "ema", "best"]
    count: int = 0

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """What a person typed: `swa`, `ema`, `best:5`, or `none`.

        Raises:
            ZooError: It is none of these.
        """
        text = text.strip().lower()
        if text == "none":
            return None
        if text in ("swa", "ema"):
            return cls("swa" if text == "swa" else "ema")
        found = re.fullmatch(r"best:(\d+)", text)
        if found is None or int(found[1]) < 2:
            raise ZooError(
                f"--average {text}: give none, swa, ema, or best:5 for the five best checkpoints "
                "(at least 2)."
            )
        return cls("best", int(found[1]))

    def callback(self, folder: Path, *, monitor: str, mode: str) -> "AveragingCallback":
        """What takes the average while a task is fitted.

        Args:
            folder: Where checkpoints go.
            monitor: The score that says which are best.
            mode: Whether `max` or `min` of it is best.
        """
        if self.kind == "best":
            return BestAverage(folder, self.count, monitor=monitor, mode=mode)
        return StepAverage(self.kind)


class AveragingCallback(Callback):
    """Takes an average of weights; the training itself does not see it."""

    @property
    def described(self) -> str:
        """What was averaged, in words."""
        raise NotImplementedError

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse weights that no process holds whole.

        Raises:
            ZooError: The strategy shards them.
        """
        if isinstance(trainer.strategy, (ModelParallelStrategy, FSDPStrategy)) and stage == "fit":
            raise ZooError(SHARDED)

    def weights(self, trainer: Trainer) -> dict[str, Tensor]:
        """The average by parameter names, empty if there is none; all processes must call it."""
        raise NotImplementedError


def _trained(module: LightningModule) -> dict[str, Tensor]:
    return {
        name: parameter.detach()
        for name, parameter in module.named_parameters()
        if parameter.requires_grad
    }


class StepAverage(AveragingCallback):
    """An average over optimizer steps.

    `swa` is the mean over the last quarter of all steps (stochastic weight averaging, Izmailov et
    al. 2018, arXiv 1803.05407; there once an epoch, of which a fine-tuning has few). `ema` is the
    exponential moving average over all steps; at first it forgets faster, so that the weights of
    the beginning do not stay in it. Parameters that are trained from later on are averaged from
    then on.

    Args:
        kind: `swa` or `ema`.
    """

    def __init__(self, kind: str):
        self.kind = kind
        self._mean: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        self._step = 0
        self._begin: int | None = None

    @property
    def described(self) -> str:
        """Such as `swa over 24 steps`."""
        return f"{self.kind} over {max(self._counts.values(), default=0)} steps"

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count in the weights after a step."""
        if trainer.global_step <= self._step:
            return  # between two steps, where several batches make one
        self._step = trainer.global_step
        if self.kind == "swa" and self._step <= self._first(trainer):
            return
        for name, value in _trained(pl_module).items():
            count = self._counts.get(name, 0)
            if count == 0:
                self._mean[name] = value.float().clone()
            else:
                mean = self._mean[name] = self._mean[name].to(value.device)
                mean.lerp_(value.float(), self._share(count))
            self._counts[name] = count + 1

    def _share(self, count: int) -> float:
        """How much the newest of `count + 1` weights counts."""
        if self.kind == "swa":
            return 1.0 / (count + 1)
        return 1.0 - min(DECAY, (1 + count) / (10 + count))

    def _first(self, trainer: Trainer) -> int:
        """The last step that is not averaged."""
        if self._begin is None:
            total = trainer.estimated_stepping_batches
            if total == math.inf:
                raise ZooError(
                    "Give --trainer.max_epochs or --trainer.max_steps: --average swa needs an end."
                )
            self._begin = int(total) - max(1, round(LAST * total))
        return self._begin

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep the average, so that a resumed training goes on with it."""
        checkpoint[KEY] = {
            "kind": self.kind,
            "mean": self._mean,
            "counts": self._counts,
            "step": self._step,
        }

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Go on with the average of a checkpoint, if it is of the same kind."""
        found = checkpoint.get(KEY, {})
        self._step = int(checkpoint["global_step"])
        if found.get("kind") == self.kind:
            self._mean = {name: value.clone() for name, value in found["mean"].items()}
            self._counts, self._step = dict(found["counts"]), int(found["step"])
        else:
            log.warning("The checkpoint has no average of this kind: it begins now.")

    def weights(self, trainer: Trainer) -> dict[str, Tensor]:
        """The average; that of a single step is none."""
        return self._mean if max(self._counts.values(), default=0) > 1 else {}


class BestAverage(AveragingCallback):
    """The mean of the weights after the best validations, each kept in a file of its own.

    Args:
        folder: Where the files go: one for each of the best, and up to two more, of which an
            older checkpoint may know.
        count: How many are averaged.
        monitor: The score.
        mode: Whether `max` or `min` of it is best.
    """

    def __init__(self, folder: Path, count: int, *, monitor: str, mode: str):
        self.folder = folder
        self.count = count
        self.monitor = monitor
        self._sign = 1.0 if mode == "max" else -1.0
        #: Scores and steps of the best, the best first; and those before the last validations.
        self._best: list[tuple[float, int]] = []
        self._before: list[list[int]] = []
        self._writer = CheckpointWriter()

    @property
    def described(self) -> str:
        """Such as `best of steps 10, 30`."""
        return f"best of steps {', '.join(str(step) for _, step in sorted(self._best, key=_step))}"

    def state_dict(self) -> dict[str, Any]:
        """Which are the best so far."""
        return {"best": [list(one) for one in self._best], "before": self._before}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on as if there had been no stop."""
        self._best = [(float(score), int(step)) for score, step in state_dict["best"]]
        self._before = [list(steps) for steps in state_dict["before"]]

    def file(self, step: int) -> Path:
        """Where the weights after a step are kept."""
        return self.folder / f"average-{step}.ckpt"

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the weights, in the first process, if they are among the best."""
        fitting = trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking
        score = trainer.callback_metrics.get(self.monitor)
        if not fitting or not trainer.is_global_zero or score is None:
            return
        if not math.isfinite(float(score)):
            return
        entry = (float(score), trainer.global_step)
        kept = [one for one in self._best if one[1] != entry[1]]
        # Of equals the first.
        kept = sorted([*kept, entry], key=lambda one: (-self._sign * one[0], one[1]))[: self.count]
        if entry in kept:
            weights = {name: value.cpu() for name, value in _trained(pl_module).items()}
            with self._writer.tolerating():
                self._writer.save_checkpoint(weights, self.file(entry[1]))
            if self._writer.failure is not None:
                log.warning(
                    "The weights could not be kept for the average: %s", self._writer.failure
                )
                return
        self._before = [*self._before[-1:], [step for _, step in self._best]]
        self._best = kept
        self._remove(except_for={step for _, step in kept}.union(*self._before))

    def _remove(self, *, except_for: set[int]) -> None:
        for path in self.folder.glob("average-*.ckpt"):
            if path not in {self.file(step) for step in except_for}:
                path.unlink(missing_ok=True)

    def weights(self, trainer: Trainer) -> dict[str, Tensor]:
        """The average, read by the first process; that of a single one is none."""
        mean: dict[str, Tensor] = {}
        if trainer.is_global_zero:
            self._remove(except_for={step for _, step in self._best})
            self._best = [one for one in self._best if self.file(one[1]).is_file()]
            counts: dict[str, int] = {}
            for _, step in sorted(self._best, key=_step) if len(self._best) > 1 else []:
                for name, value in torch.load(self.file(step), weights_only=True).items():
                    counts[name] = counts.get(name, 0) + 1
                    kept = mean.setdefault(name, torch.zeros_like(value, dtype=torch.float32))
                    kept.lerp_(value.float(), 1.0 / counts[name])
        found: dict[str, Tensor] = trainer.strategy.broadcast(mean)
        return found


def _step(entry: tuple[float, int]) -> int:
    return entry[1]


@torch.no_grad()
def put_weights(module: LightningModule, weights: dict[str, Tensor]) -> None:
    """Give parameters other values, by name."""
    for name, parameter in module.named_parameters():
        if name in weights:
            parameter.copy_(weights[name].to(parameter.device, parameter.dtype))


__all__ = ["SHARDED", "Average", "AveragingCallback", "BestAverage", "StepAverage", "put_weights"]
