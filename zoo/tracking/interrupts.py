"""Ctrl-C that loses nothing: the step ends, a checkpoint is written, the way back told."""

import signal
import sys
import threading
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer

from zoo.tracking.checkpoints import RunCheckpoints, resumable_here


class GracefulInterrupt(Callback):
    """Stops after the current step on Ctrl-C, with a checkpoint to go on from.

    Lightning on its own drops what came after the last checkpoint, and could be stopped in the
    middle of an optimizer step. A validation that follows the step comes first: a checkpoint from
    before it would go on without its score. A second Ctrl-C stops at once, with the checkpoint
    before. Give it to the trainer as the last callback.

    Args:
        checkpoints: What writes the checkpoint; None keeps none.
    """

    def __init__(self, checkpoints: RunCheckpoints | None):
        self.checkpoints = checkpoints
        self.asked = False
        self._previous: Any = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen to Ctrl-C."""
        self.asked = False
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGINT, self._interrupt)

    def _interrupt(self, number: int, frame: Any) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        print("\nStopping after this step; Ctrl-C again stops at once.", file=sys.stderr)  # noqa: T201

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Save and stop, if asked to."""
        if self._all_asked(trainer) and resumable_here(trainer):
            if self.checkpoints is not None:
                self.checkpoints.save(trainer)
            raise KeyboardInterrupt

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop between two epochs, if asked to: the one before is saved with its score."""
        if self._all_asked(trainer):
            raise KeyboardInterrupt

    def _all_asked(self, trainer: Trainer) -> bool:
        """Whether any process was asked to stop: they must do it at the same step."""
        if trainer.world_size > 1:
            asked = torch.tensor([int(self.asked)], device=trainer.strategy.root_device)
            torch.distributed.all_reduce(asked, op=torch.distributed.ReduceOp.MAX)
            self.asked = bool(asked.item())
        return self.asked

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave Ctrl-C as it was."""
        self._restore()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Leave Ctrl-C as it was."""
        self._restore()

    def _restore(self) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
            self._previous = None
