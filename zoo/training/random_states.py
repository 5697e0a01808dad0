"""Random numbers that go on after a stop as if there had been none."""

import logging
import random
from typing import Any

import numpy as np
import torch
from lightning import Callback, LightningModule, Trainer

log = logging.getLogger(__name__)

#: The key of the states in a checkpoint: a list with one entry a process.
KEY = "zoo_random_states"


def random_state(device: torch.device) -> dict[str, Any]:
    """The states of all generators of this process, as plain types and tensors.

    Args:
        device: The process's own; its generator is kept if it is an accelerator of CUDA.
    """
    version, internal, gauss = random.getstate()
    name, keys, *rest = np.random.get_state(legacy=True)  # noqa: NPY002  libraries use it
    state: dict[str, Any] = {
        "python": [version, list(internal), gauss],
        "numpy": [name, torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest],
        "torch": torch.get_rng_state(),
    }
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def restore_random_state(state: dict[str, Any], device: torch.device) -> None:
    """Set all generators of this process back to a state."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(state["torch"].cpu())
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"].cpu(), device)


class RandomStates(Callback):
    """Keeps the random states of every process in the checkpoint, which the first one writes."""

    def __init__(self) -> None:
        self._states: list[dict[str, Any]] | None = None

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Bring the states of all processes together."""
        own = random_state(trainer.strategy.root_device)
        states: list[Any] = [own]
        if trainer.world_size > 1:
            states = [None] * trainer.world_size
            torch.distributed.all_gather_object(states, own)
        checkpoint[KEY] = states

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Remember them until all is built: building draws random numbers."""
        self._states = checkpoint.get(KEY)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Set this process's generators back."""
        states, self._states = self._states, None
        if states is None:
            return
        if len(states) == trainer.world_size:
            restore_random_state(states[trainer.global_rank], trainer.strategy.root_device)
        elif trainer.is_global_zero:
            log.warning(
                "The checkpoint is of %d processes and goes on with %d: dropout draws other numbers"
                " than it would have.",
                len(states),
                trainer.world_size,
            )
