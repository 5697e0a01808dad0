"""Optimizer and learning-rate schedule, shared by all families."""

import math
from collections.abc import Iterable
from typing import Literal

from torch import nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

Schedule = Literal["linear", "cosine", "constant"]


def parameter_groups(model: nn.Module, *, weight_decay: float) -> list[dict[str, object]]:
    """Trainable parameters in two groups: weight decay for matrices, none for norms and biases.

    Norms and biases are told by their shape: vectors and scalars, whatever their names.
    """
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for parameter in model.parameters():
        if parameter.requires_grad:
            (decayed if parameter.ndim >= 2 else plain).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def adamw(
    groups: Iterable[dict[str, object]], *, learning_rate: float, betas: tuple[float, float]
) -> AdamW:
    """AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101), fused where the device has it."""
    groups = list(groups)
    devices = {p.device.type for group in groups for p in group["params"]}  # type: ignore[attr-defined]
    fused = devices <= {"cpu", "cuda"}
    return AdamW(groups, lr=learning_rate, betas=betas, eps=1e-8, fused=fused)


def scheduler(
    optimizer: Optimizer, *, schedule: Schedule, warmup_steps: int, total_steps: int
) -> LambdaLR:
    """Linear warm-up from 0, then the schedule down to 0 at `total_steps`.

    Args:
        optimizer: Whose learning rates are scaled.
        schedule: `linear` or `cosine` decay, or `constant` after the warm-up.
        warmup_steps: Optimizer steps until the full learning rate.
        total_steps: Optimizer steps of the whole training.
    """

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / (warmup_steps + 1)
        if schedule == "constant":
            return 1.0
        done = min(1.0, (step - warmup_steps) / max(1, total_steps - warmup_steps))
        return 1.0 - done if schedule == "linear" else 0.5 * (1.0 + math.cos(math.pi * done))

    return LambdaLR(optimizer, factor)


__all__ = ["Schedule", "adamw", "parameter_groups", "scheduler"]
