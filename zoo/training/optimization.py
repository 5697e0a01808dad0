"""Optimizer and learning-rate schedule, shared by all families."""

import math
from collections.abc import Callable, Iterable
from typing import Literal

from torch import nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from zoo.errors import ZooError

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
    groups: Iterable[dict[str, object]],
    *,
    learning_rate: float,
    betas: tuple[float, float],
    fused: bool = True,
) -> AdamW:
    """AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101), fused where the device has it."""
    groups = list(groups)
    devices = {p.device.type for group in groups for p in group["params"]}  # type: ignore[attr-defined]
    fused = fused and devices <= {"cpu", "cuda"}
    return AdamW(groups, lr=learning_rate, betas=betas, eps=1e-8, fused=fused)


def scheduler(
    optimizer: Optimizer,
    *,
    schedule: Schedule,
    warmup: float,
    total_steps: Callable[[], float],
) -> LambdaLR:
    """Linear warm-up from 0, then the schedule down to 0 at the last step.

    Args:
        optimizer: Whose learning rates are scaled.
        schedule: `linear` or `cosine` decay, or `constant` after the warm-up.
        warmup: Share of all steps, from 0 to 1, in which the learning rate rises; if it is not 0,
            at least one step.
        total_steps: Gives the optimizer steps of the whole training. It is asked after the first
            step only: Lightning sets its loaders up to answer, and when it is asked before, a
            resumed training no longer restores where they stood.

    Raises:
        ZooError: At the first step, when the training has no end.
    """
    known: list[int] = []

    def factor(step: int) -> float:
        if step == 0:
            return 0.0 if warmup > 0 else 1.0
        if not known:
            total = total_steps()
            if total == math.inf:
                raise ZooError(
                    "Give --trainer.max_epochs or --trainer.max_steps: the schedule needs an end."
                )
            known.append(int(total))
        total = known[0]
        rising = max(1, round(warmup * total)) if warmup > 0 else 0
        if step < rising:
            return step / rising
        if schedule == "constant":
            return 1.0
        done = min(1.0, (step - rising) / max(1, total - rising))
        return 1.0 - done if schedule == "linear" else 0.5 * (1.0 + math.cos(math.pi * done))

    return LambdaLR(optimizer, factor)


__all__ = ["Schedule", "adamw", "parameter_groups", "scheduler"]
