"""How fast and how large a training is, without slowing it down."""

import resource
import sys
import time
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer

from zoo.tracking.gemm import EncoderWork, compute_dtype, encoder_work, gemm_peak, precise

GIB = 2**30

#: Batches whose lengths are added up together.
_AT_ONCE = 64


class Throughput(Callback):
    """Logs speed and memory as `perf/...` at the end of each epoch.

    - `perf/tokens_per_second`: real tokens, padding not counted, of all processes, over the time
      spent in training steps: waiting for data counts, validation and checkpoints do not.
    - `perf/padding_share`: padding among all positions of an encoder's input as it is loaded;
      packed execution skips it, padded execution computes it.
    - `perf/gemm_share`: the work of these tokens over what the processor could have done in that
      time, as a matrix multiplication measured once at the start tells (`zoo.tracking.gemm`); for
      encoders that are trained whole, left out for others.
    - `perf/peak_memory_gib`: the largest resident size of a process, or the accelerator's peak
      where there is one.
    """

    def __init__(self) -> None:
        self.tokens = 0
        self.positions = 0
        self.seconds = 0.0
        #: FLOP and real positions, float64, where the batches are: reading them each step would
        #: make a GPU wait.
        self._done: torch.Tensor | float = 0.0
        self._real: torch.Tensor | float = 0.0
        #: Lengths of the last batches, which are not in these two yet: a dozen small operations a
        #: step would take as long as a part of a small model.
        self._lengths: list[torch.Tensor] = []
        self._work: EncoderWork | None = None
        #: FLOP per second of one process.
        self._peak = 0.0
        self._world = 1
        self._since: float | None = None

    def state_dict(self) -> dict[str, Any]:
        """What was counted so far, for a checkpoint."""
        self._count_up()
        return {
            "tokens": self.tokens,
            "seconds": self.seconds,
            "positions": self.positions,
            "real_positions": float(self._real),
            "work": float(self._done),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Count on."""
        self.tokens, self.seconds = state_dict["tokens"], state_dict["seconds"]
        # Checkpoints of old lack these: the shares are then unknown.
        self.positions = state_dict.get("positions", 0)
        self._real = state_dict.get("real_positions", 0.0)
        self._done = state_dict.get("work", 0.0)
        self._lengths = []

    @property
    def tokens_per_second(self) -> float:
        """Over the whole training so far; 0 before the first step."""
        return self.tokens / self.seconds if self.seconds else 0.0

    @property
    def figures(self) -> dict[str, float]:
        """Everything that is known by now, as it is logged."""
        self._count_up()
        found = {
            "perf/tokens_per_second": self.tokens_per_second,
            "perf/peak_memory_gib": peak_memory_gib(),
        }
        if self.positions:
            found["perf/padding_share"] = 1 - float(self._real) / self.positions
        done = float(self._done)
        if done and self._peak and self.seconds:
            found["perf/gemm_share"] = done / (self.seconds * self._peak * self._world)
        return found

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure what the processor can do with matrices of the model's shapes."""
        model = getattr(pl_module, "net", None)
        self._work = encoder_work(model) if isinstance(model, torch.nn.Module) else None
        self._world = trainer.world_size
        if self._work is not None:
            self._peak = gemm_peak(
                self._work.shapes,
                dtype=compute_dtype(str(trainer.precision)),
                device=pl_module.device,
            )

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
        self._count(batch.get("attention_mask"), trainer.world_size)
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
        pl_module.log_dict(self.figures, rank_zero_only=True)

    def _count(self, mask: Any, processes: int) -> None:
        if not isinstance(mask, torch.Tensor) or mask.dim() != 2:
            return
        # As with the tokens, other processes are taken to have about as much.
        self.positions += mask.numel() * processes
        self._lengths.append(mask.sum(dim=1))
        if len(self._lengths) >= _AT_ONCE:
            self._count_up()

    def _count_up(self) -> None:
        """Add the batches that wait."""
        if not self._lengths:
            return
        lengths, self._lengths = torch.cat(self._lengths), []
        self._real = precise(lengths.sum()) * self._world + self._real
        if self._work is not None:
            self._done = self._work.of(lengths) * self._world + self._done


def peak_memory_gib() -> float:
    """The accelerator's peak, or the largest resident size of this process, in GiB."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated() / GIB
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / GIB if sys.platform == "darwin" else peak * 1024 / GIB
