"""How large models are, and how fast beside one another."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch

_MIB = 2**20


@dataclass(frozen=True)
class Size:
    """A model's size.

    Args:
        parameters: How many there are, each counted once.
        megabytes: What they take, in units of 2^20 bytes.
    """

    parameters: int
    megabytes: float

    @classmethod
    def of(cls, model: torch.nn.Module) -> "Size":
        """The size of a model that is in memory."""
        own = list(model.parameters())
        size = sum(one.numel() * one.element_size() for one in own)
        return cls(sum(one.numel() for one in own), size / _MIB)


@torch.inference_mode()
def tokens_per_second(
    tasks: Mapping[str, Any], batches: Sequence[Mapping[str, Any]], *, rounds: int = 5
) -> dict[str, float]:
    """Real tokens a second of forward passes, of several tasks in turn.

    Each round goes through all batches, and each batch through all tasks, one after the other: what
    else the machine does in the meantime slows all of them down alike. The median round counts,
    after one that does not. Of an encoder-decoder it is the pass over text and given summary,
    not the writing.

    Args:
        tasks: Trained tasks, by name.
        batches: Batches that all of them can read, each with `tokens`.
        rounds: How often.
    """
    tokens = sum(int(batch["tokens"]) for batch in batches)
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    modes = {name: task.net.training for name, task in tasks.items()}
    for task in tasks.values():
        task.net.eval()
    for _ in range(rounds + 1):
        spent = dict.fromkeys(tasks, 0.0)
        for batch in batches:
            for name, task in tasks.items():
                moved = task.on_device(batch)
                began = _now(task)
                task(moved)
                spent[name] += _now(task) - began
        for name, one in spent.items():
            seconds[name].append(one)
    for name, task in tasks.items():
        task.net.train(modes[name])
    return {name: tokens / median(of_rounds[1:]) for name, of_rounds in seconds.items()}


def _now(task: Any) -> float:
    if task.net.device.type == "cuda":
        torch.cuda.synchronize(task.net.device)
    return time.perf_counter()


__all__ = ["Size", "tokens_per_second"]
