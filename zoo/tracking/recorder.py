"""Keeps what a run says while it goes: scores while training, outputs of the test."""

import logging
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn

from zoo.tracking.run_folder import RunFolder
from zoo.tracking.steps import highest_rate, loss_of

log = logging.getLogger(__name__)


class Recorder(Callback):
    """Writes `history.jsonl` while training and collects what `test_step` returns.

    Loss and learning rate of a step go to the loggers too, unless the task has Lightning log them.

    Args:
        folder: The run's folder.
    """

    def __init__(self, folder: RunFolder):
        self.folder = folder
        self.outputs: list[Any] = []
        self._written = 0
        #: Learning rate of the step that is being done.
        self._rate = 0.0
        self._unwritten: list[dict[str, Any]] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Make the folder, in the first process."""
        if trainer.is_global_zero:
            self.folder.path.mkdir(parents=True, exist_ok=True)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Of a run that goes on from a checkpoint, forget what came after that checkpoint."""
        if trainer.is_global_zero:
            self.folder.cut_history(trainer.global_step)
            self._written = trainer.global_step

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Note the learning rate, which is that of the next step when this one ends."""
        self._rate = highest_rate(optimizer)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """A line with the loss, as often as Lightning logs."""
        step, every = trainer.global_step, getattr(trainer, "log_every_n_steps", 0)
        # With gradient accumulation several batches end at the same step.
        if not (trainer.is_global_zero and every and step % every == 0 and step > self._written):
            return
        self._written = step
        row = {"train/loss": loss_of(outputs), "train/lr": self._rate}
        self._write(trainer, row)
        if not getattr(pl_module, "logs_steps", True):
            for logger in trainer.loggers:  # counted from 0, as Lightning does
                logger.log_metrics({**row, "epoch": float(trainer.current_epoch)}, step=step - 1)
                logger.save()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A line with the scores."""
        fitting = trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking
        if trainer.is_global_zero and fitting:
            scores = trainer.callback_metrics.items()
            self._write(trainer, {name: value for name, value in scores if name.startswith("val/")})

    def _write(self, trainer: Trainer, values: dict[str, Any]) -> None:
        record: dict[str, Any] = {"step": trainer.global_step, "epoch": trainer.current_epoch}
        record |= {name: float(value) for name, value in values.items() if value is not None}
        self._unwritten.append(record)
        try:
            while self._unwritten:
                self.folder.add_history(self._unwritten[0])
                del self._unwritten[0]
        except OSError as error:  # a full disk must not end a training: the next line tries again
            if len(self._unwritten) == 1:
                log.warning("%s: %s. The line is kept for later.", self.folder.history, error)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin anew."""
        self.outputs = []

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep what the task says of the batch."""
        self.outputs += outputs["predictions"]

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Bring the outputs of all processes together."""
        if trainer.world_size > 1:
            gathered: list[Any] = [None] * trainer.world_size
            torch.distributed.all_gather_object(gathered, self.outputs)
            self.outputs = [one for outputs in gathered for one in outputs]
