"""The optimizer; with its groups and schedules, what all families are trained with."""

from collections.abc import Iterable

from torch.optim import AdamW

from zoo.training.groups import parameter_groups
from zoo.training.schedules import Schedule, scheduler


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


__all__ = ["Schedule", "adamw", "parameter_groups", "scheduler"]
