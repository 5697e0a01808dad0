"""The checkpoints of a run: the last, the one before, and the best."""

import logging
import math
import time
from pathlib import Path
from typing import Any, Literal

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.trainer.states import TrainerFn

from zoo.errors import TrainingStoppedError
from zoo.tracking.checkpoints.finding import NUMBER
from zoo.tracking.checkpoints.intervals import Interval
from zoo.tracking.checkpoints.writing import (
    CheckpointWriter,
    move,
    remove_unfinished,
    second_name,
    sync_folder,
)
from zoo.tracking.console import shown
from zoo.tracking.run_folder import RunFolder

log = logging.getLogger(__name__)

#: The key under which a checkpoint says how many examples the batches of all processes hold.
BATCHES = "zoo_batch_size"


def resumable_here(trainer: Trainer) -> bool:
    """Whether a training can go on exactly from a checkpoint at this end of a batch.

    Not between two optimizer steps (the gradients of half a window are not saved), and not before
    a validation: after a resume Lightning would take it for done.
    """
    loop = trainer.fit_loop.epoch_loop
    fetcher = trainer.fit_loop._data_fetcher
    return not (
        trainer.is_last_batch
        or loop._should_accumulate()
        or (fetcher is not None and loop._should_check_val_fx(fetcher))
    )


def _batch_of_all(trainer: Trainer) -> float | None:
    """Examples in the batches of all processes together; None where it is not known."""
    data: Any = getattr(trainer, "datamodule", None)
    if hasattr(data, "examples_a_batch"):
        return float(data.examples_a_batch) * trainer.world_size
    size = getattr(data, "batch_size", None)
    return None if size is None else int(size) * trainer.world_size


class RunCheckpoints(Checkpoint):
    """Keeps `last.ckpt`, `previous.ckpt` (the one before) and `best.ckpt` (by a score).

    A checkpoint is written after each validation, at the end of each epoch, and in between as often
    as `every` says. It is written once; the best one is a second name of the same file. A full
    disk leaves the ones before as they are: training goes on and the next one is tried, but if the
    last of a training cannot be written either, it stops.

    Args:
        folder: The run's folder.
        monitor: The score that chooses the best.
        mode: Whether `max` or `min` of it is best.
        every: How often between validations.
    """

    def __init__(
        self,
        folder: RunFolder,
        *,
        monitor: str,
        mode: Literal["max", "min"] | str = "max",
        every: Interval | None = None,
    ):
        self.folder = folder
        self.monitor = monitor
        self.mode = mode
        self.every = every or Interval()
        self.best_score: float | None = None
        #: Checkpoints that this run wrote, over all its resumes.
        self.number = 0
        #: Seconds that the last one took.
        self.cost = 0.0
        self._writer = CheckpointWriter()
        self._validated = False
        self._unsaved = False
        self._epoch_done = False
        self._between_epochs = False
        self._since = 0.0

    @property
    def best_model_path(self) -> str:
        """The best checkpoint's file; empty while there is none."""
        return "" if self.best_score is None else str(self.folder.best_checkpoint)

    def state_dict(self) -> dict[str, Any]:
        """What is best so far."""
        return {
            "best_score": self.best_score,
            "number": self.number,
            "between_epochs": self._between_epochs,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on as if there had been no stop."""
        self.best_score = state_dict["best_score"]
        self.number = state_dict["number"]
        self._between_epochs = state_dict["between_epochs"]

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write by way of a temporary name."""
        if stage == "fit":
            trainer.strategy.checkpoint_io = self._writer
            if trainer.is_global_zero:
                remove_unfinished(self.folder.checkpoints)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Number the checkpoints (two can be of the same step), and say where an epoch stands.

        At the end of an epoch Lightning saves one that is neither done nor under way: with
        `max_steps` it would be counted twice, and the next one skipped.
        """
        checkpoint[NUMBER] = self.number
        checkpoint[BATCHES] = _batch_of_all(trainer)
        if not self._epoch_done:
            return
        loop = checkpoint["loops"]["fit_loop"]
        progress = loop["epoch_progress"]
        for count in (progress["total"], progress["current"]):
            if self._between_epochs:
                count["completed"] = count["processed"]
            else:  # it was stopped before its last batch, and may go on
                count["processed"] -= 1
        if self._between_epochs:
            loop["state_dict"].pop("combined_loader", None)

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Find the place in the epoch anew, if batches are no longer of the same size."""
        before, now = checkpoint.get(BATCHES), _batch_of_all(trainer)
        loop = checkpoint["loops"]["fit_loop"]
        if before is None or now is None or before == now:
            return
        if loop["state_dict"].pop("combined_loader", None) is None:
            return  # between two epochs there is no place to find
        progress = loop["epoch_loop.batch_progress"]
        batches = progress["current"]["completed"] + (
            progress["current"]["processed"] > progress["current"]["completed"]
        )
        window = trainer.accumulate_grad_batches
        place = int(batches * before / now) // window * window
        progress["current"] = dict.fromkeys(progress["current"], place)
        progress["total"] = dict.fromkeys(progress["total"], progress["total"]["ready"])
        data: Any = getattr(trainer, "datamodule", None)
        data.begin_at = place
        if trainer.is_global_zero:
            log.warning(
                "The checkpoint is of steps over other batches (%.4g examples each, now %.4g): the "
                "epoch goes on at the same share of it, in another order.",
                before,
                now,
            )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._since = time.monotonic()
        self._unsaved = self._validated = False
        if self._between_epochs:  # there is nothing of an epoch to go on with
            trainer.fit_loop._restarting = False
            trainer.fit_loop.epoch_loop.restarting = False
            self._between_epochs = False

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Save between validations, if it is time."""
        # The clock is cheaper to ask than Lightning, but not that of another process.
        if trainer.world_size == 1 and not self._due(trainer):
            return
        if resumable_here(trainer) and self._due(trainer):
            self.save(trainer)

    def _due(self, trainer: Trainer) -> bool:
        if self.every.steps is not None:
            return self.every.steps > 0 and trainer.global_step % self.every.steps == 0
        due = time.monotonic() - self._since >= self.every.wait(self.cost)
        if trainer.world_size == 1:
            return due
        # The clock of the first process counts, or some would save and others not.
        answer = torch.tensor([int(due)], device=trainer.strategy.root_device)
        torch.distributed.broadcast(answer, src=0)
        return bool(answer.item())

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save after a validation within an epoch; after its last one the epoch's end does."""
        if trainer.state.fn != TrainerFn.FITTING or trainer.sanity_checking:
            return
        self._validated = True
        if not trainer.is_last_batch:
            self.save(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save at the end of each epoch."""
        self._epoch_done, self._between_epochs = True, trainer.is_last_batch
        self.save(trainer)
        self._epoch_done = self._between_epochs = False

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Try once more what could not be saved.

        Raises:
            TrainingStoppedError: It failed again; names what is kept.
        """
        if self._unsaved and not self.save(trainer):
            raise TrainingStoppedError(
                f"The end of the training (step {trainer.global_step}) could not be saved: "
                f"{self._failure()}. {self._kept()} Make room, then go on with --resume "
                f"{shown(self.folder.path)}."
            )

    def save(self, trainer: Trainer) -> bool:
        """Write a checkpoint now; all processes must call it. Whether it could be written."""
        began = time.monotonic()
        before = self.best_score
        best = self._is_best(trainer)
        self.number += 1
        new = self.folder.checkpoints / "new.ckpt"
        with self._writer.tolerating():
            trainer.save_checkpoint(new)
        if trainer.is_global_zero and self._writer.failure is None:
            self._rename(new, best=best)
        saved: bool = trainer.strategy.broadcast(self._writer.failure is None)
        if saved:
            self._validated = False
        else:
            self.best_score = before
            self._warn(trainer)
        self._unsaved = not saved
        self._since = time.monotonic()
        self.cost = self._since - began
        return saved

    def _is_best(self, trainer: Trainer) -> bool:
        """Whether the score of a new validation is the best; then it is noted.

        Scores are known to the first process alone.
        """
        best = False
        score = trainer.callback_metrics.get(self.monitor)
        if trainer.is_global_zero and self._validated and score is not None:
            value = float(score)
            sign = 1.0 if self.mode == "max" else -1.0
            value = -sign * math.inf if math.isnan(value) else value
            best = self.best_score is None or sign * value > sign * self.best_score
            self.best_score = value if best else self.best_score
        self.best_score, best = trainer.strategy.broadcast((self.best_score, best))
        return best

    def _rename(self, new: Path, *, best: bool) -> None:
        last = self.folder.last_checkpoint
        try:
            # Each step leaves a complete newest checkpoint under one of the names.
            if best:
                second_name(new, self.folder.best_checkpoint)
            if last.exists():
                move(last, self.folder.previous_checkpoint)
            move(new, last)
            sync_folder(last.parent)
        except OSError as error:
            self._writer.failure = error

    def _warn(self, trainer: Trainer) -> None:
        if trainer.is_global_zero:
            log.warning(
                "The checkpoint of step %d could not be written: %s. %s Training goes on, and the "
                "next one is tried; make room.",
                trainer.global_step,
                self._failure(),
                self._kept(),
            )

    def _failure(self) -> str:
        error = self._writer.failure
        return "the first process says why" if error is None else error.strerror or str(error)

    def _kept(self) -> str:
        names = [
            path.name
            for path in (
                self.folder.last_checkpoint,
                self.folder.previous_checkpoint,
                self.folder.best_checkpoint,
            )
            if path.exists()
        ]
        kept = f"Kept as they were: {', '.join(names)}" if names else "None was written before"
        return f"{kept} (in {shown(self.folder.checkpoints)})."
