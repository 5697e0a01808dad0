"""How fast and how large a training is, without slowing it down."""

import resource
import sys
import time
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer

GIB = 2**30


class Throughput(Callback):
    """Logs `perf/tokens_per_second` and `perf/peak_memory_gib` at the end of each epoch.

    Tokens are real ones, padding not counted, of all processes, over the time spent in training
    steps: waiting for data counts, validation and checkpoints do not. Memory is the largest
    resident size of a process, or the accelerator's peak where there is one.
    """

    def __init__(self) -> None:
        self.tokens = 0
        self.seconds = 0.0
        self._since: float | None = None

    def state_dict(self) -> dict[str, Any]:
        """What was counted so far, for a checkpoint."""
        return {"tokens": self.tokens, "seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Count on."""
        self.tokens, self.seconds = state_dict["tokens"], state_dict["seconds"]

    @property
    def tokens_per_second(self) -> float:
        """Over the whole training so far; 0 before the first step."""
        return self.tokens / self.seconds if self.seconds else 0.0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._since = time.perf_counter()

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Start the clock again after a validation within the epoch."""
        if self._since is None:
            self._since = time.perf_counter()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Count the tokens of the batch."""
        self.tokens += batch.get("tokens", 0) * trainer.world_size
        now = time.perf_counter()
        if self._since is not None:
            self.seconds += now - self._since
        self._since = now

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock while validating."""
        self._since = None

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the figures."""
        self._since = None
        pl_module.log_dict(
            {
                "perf/tokens_per_second": self.tokens_per_second,
                "perf/peak_memory_gib": peak_memory_gib(),
            },
            rank_zero_only=True,
        )


def peak_memory_gib() -> float:
    """The accelerator's peak, or the largest resident size of this process, in GiB."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated() / GIB
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / GIB if sys.platform == "darwin" else peak * 1024 / GIB
