"""A training that cannot go on says why, what was kept, and how to go on."""

import json
import math
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer

from zoo.errors import RunError, TrainingStoppedError
from zoo.tracking.checkpoints import newest_complete
from zoo.tracking.console import shown
from zoo.tracking.run_folder import RunFolder, write_atomically


class FiniteLoss(Callback):
    """Stops before a loss that is no number spoils the weights, and keeps the batch.

    All processes stop at the same step, also if the loss of only one of them is no number.

    Args:
        folder: The run's folder, for `nonfinite_batch.json`.
        resume: The command that goes on with the run.
    """

    def __init__(self, folder: RunFolder, *, resume: str):
        self.folder = folder
        self.resume = resume
        self._batch: Any = None

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Remember the batch."""
        self._batch = batch

    def on_before_backward(
        self, trainer: Trainer, pl_module: LightningModule, loss: torch.Tensor
    ) -> None:
        """Look at the loss before it changes anything."""
        if not _is_scaled(trainer):
            self._check(trainer, pl_module, loss)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Look at the loss after the step, where float16 scales it (and then skips bad steps)."""
        if _is_scaled(trainer):
            self._check(trainer, pl_module, outputs["loss"])
        self._batch = None

    def _check(self, trainer: Trainer, pl_module: LightningModule, loss: torch.Tensor) -> None:
        loss = loss.detach()
        if not _is_bad(trainer, loss):
            return
        where = f"at step {trainer.global_step} (epoch {trainer.current_epoch + 1})"
        if math.isfinite(loss.item()):
            raise TrainingStoppedError(f"The loss of another process is no number {where}.")
        path = self._keep(trainer, pl_module, float(loss))
        raise TrainingStoppedError(
            f"The loss is {float(loss)} {where}. The batch is kept in {shown(path)}: look for empty"
            f" or broken examples. {self._last_good()} Try a smaller --model.learning_rate, a "
            "longer --model.warmup, --trainer.gradient_clip_val 1.0, or --trainer.precision "
            "32-true. Go on:\n  " + self.resume
        )

    def _keep(self, trainer: Trainer, pl_module: Any, loss: float) -> Path:
        """Write what was in the batch, as numbers and as text."""
        batch = {key: _plain(value) for key, value in self._batch.items()}
        record = {
            "loss": str(loss),
            "step": trainer.global_step,
            "epoch": trainer.current_epoch,
            "rank": trainer.global_rank,
            # Rows of the training split.
            "examples": batch.pop("example", None),
            "texts": pl_module.tokenizer.batch_decode(batch["input_ids"]),
            **batch,
        }
        rank = f"_{trainer.global_rank}" if trainer.global_rank else ""
        path = self.folder.path / f"nonfinite_batch{rank}.json"
        write_atomically(path, json.dumps(record, ensure_ascii=False) + "\n")
        return path

    def _last_good(self) -> str:
        return last_good(self.folder)


def last_good(folder: RunFolder) -> str:
    """A sentence that names the checkpoint that a run would go on from."""
    try:
        found = newest_complete(folder)
    except RunError as error:
        return str(error)
    if found is None:
        return "There is no checkpoint yet: going on begins anew."
    return f"The last good checkpoint is {shown(found.path)} (step {found.step})."


def _is_bad(trainer: Trainer, loss: torch.Tensor) -> bool:
    """Whether the loss of any process is no number."""
    if trainer.world_size == 1:
        return not math.isfinite(loss.item())
    bad = (~torch.isfinite(loss)).to(torch.int32)
    torch.distributed.all_reduce(bad, op=torch.distributed.ReduceOp.MAX)
    return bool(bad)


def _is_scaled(trainer: Trainer) -> bool:
    return getattr(trainer.precision_plugin, "scaler", None) is not None


def _plain(value: Any) -> Any:
    """What JSON can hold of a batch's value."""
    if isinstance(value, torch.Tensor):
        return _plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def out_of_memory_advice(
    *,
    batch_size: int,
    accumulate: int,
    max_length: int,
    precision: str,
    accelerator: bool,
    max_tokens: int | None = None,
) -> str:
    """Which settings need less memory, those first that do not change the result.

    Args:
        batch_size: Examples in a batch of one process.
        accumulate: Batches to an optimizer step.
        max_length: Longest input in tokens.
        precision: The trainer's.
        accelerator: Whether training runs on an accelerator.
        max_tokens: Tokens in a training batch, where these and not examples are counted.
    """
    knobs = []
    name, size, least = "batch_size", batch_size, 1
    if max_tokens is not None:
        name, size, least = "max_tokens", max_tokens, max_length
    half = max(size // 2, least)
    if half < size:
        knobs.append(
            f"--data.{name} {half} --trainer.accumulate_grad_batches "
            f"{math.ceil(accumulate * size / half)} (steps learn from as much as before)"
        )
    if accelerator and precision.startswith("32"):
        knobs.append("--trainer.precision bf16-mixed")
    if max_length > 32:
        knobs.append(f"--data.max_length {max_length // 2} (now {max_length})")
    knobs.append("a smaller --model.backbone")
    held = batch_size if max_tokens is None else f"{max_tokens} tokens"
    return f"Out of memory with batches of {held}. Try {'; or '.join(knobs)}."
