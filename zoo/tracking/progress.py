"""How far a training is: a bar in the terminal, and a line an epoch."""

import math
import sys
import time
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.callbacks.progress.rich_progress import RichProgressBarTheme

from zoo.tracking.console import console
from zoo.tracking.steps import loss_of

#: How often a second the bar is drawn: each time takes about a millisecond of Python, in a thread
#: that the training's own thread then waits for.
DRAWN = 2


class ProgressBar(RichProgressBar):
    """Lightning's bar with the loss and the monitored score, and nothing else.

    It is moved some times a second, not with each batch: between two looks of a person nothing is
    formatted, and no accelerator has to tell its loss.
    """

    def __init__(self) -> None:
        theme = RichProgressBarTheme(metrics_format=".3f", metrics_text_delimiter="  ")
        super().__init__(refresh_rate=DRAWN, theme=theme, leave=False)
        self._moved = -math.inf
        #: The last training batch, where the bar does not show it yet.
        self._behind: int | None = None
        #: Of that batch; read only when the bar moves.
        self._outputs: Any = None

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Move the bar, if it was not moved just now."""
        now, self._outputs = time.monotonic(), outputs
        if now - self._moved < 1 / DRAWN:
            self._behind = batch_idx
            return
        self._moved, self._behind = now, None
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def _catch_up(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._behind is not None:
            batch_idx, self._behind = self._behind, None
            super().on_train_batch_end(trainer, pl_module, None, None, batch_idx)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show where training stands while it waits."""
        self._catch_up(trainer, pl_module)
        super().on_validation_start(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show all of the epoch."""
        self._catch_up(trainer, pl_module)
        super().on_train_epoch_end(trainer, pl_module)

    def _get_train_description(self, current_epoch: int) -> str:
        # Lightning counts from 0 and shows the last number, people and our lines count from 1.
        last = self.trainer.max_epochs
        shown = f"epoch {current_epoch + 1}" + (f"/{last}" if last and last > 0 else "")
        return f"{shown:{len(self.validation_description)}}"

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        """The loss, and what is marked for the bar, but for the version number of the logger."""
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        if self._outputs:
            metrics = {"train/loss": loss_of(self._outputs), **metrics}
        return metrics


#: Steps between two looks at the loss; a look waits for an accelerator to finish its step.
LOG_EVERY = 10


class EpochLines(Callback):
    """One line an epoch: all there is to see where the output is a file or a pipe.

    Args:
        monitor: The score that chooses the best checkpoint.
    """

    def __init__(self, monitor: str):
        self.monitor = monitor
        self._began: float | None = None
        self._losses: list[float] = []

    def state_dict(self) -> dict[str, Any]:
        """The losses of the epoch so far, for a checkpoint."""
        return {"losses": list(self._losses)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the losses before the stop."""
        self._losses = list(state_dict["losses"])

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock: an epoch that goes on in its middle does not start once more."""
        self._began = time.perf_counter()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._began = time.perf_counter()
        self._losses = []

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Note the loss now and then."""
        if batch_idx % LOG_EVERY == 0 or trainer.is_last_batch:
            self._losses.append(loss_of(outputs))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the line, in the first process."""
        if not trainer.is_global_zero:
            return
        parts = [f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"]
        if self._losses:
            parts.append(f"train/loss {sum(self._losses) / len(self._losses):.3f}")
        score = trainer.callback_metrics.get(self.monitor)
        if score is not None:
            parts.append(f"{self.monitor} {float(score):.3f}")
        if self._began is not None:
            parts.append(f"{time.perf_counter() - self._began:.0f} s")
        console().print("  ".join(parts))


def progress(monitor: str) -> list[Callback]:
    """The bar in a terminal, and a line an epoch in any case."""
    lines = EpochLines(monitor)
    return [ProgressBar(), lines] if sys.stdout.isatty() else [lines]
