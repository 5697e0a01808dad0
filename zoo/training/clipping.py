"""Gradients that are clipped while the optimizer reads them, and not once more before."""

import torch
from torch.optim import AdamW, Optimizer

#: Added to the norm, as `torch.nn.utils.clip_grad_norm_` does.
_LEAST = 1e-6


def scales_gradients(optimizer: Optimizer) -> bool:
    """Whether an optimizer can clip in its step: a fused AdamW of parameters on the CPU."""
    return isinstance(optimizer, AdamW) and all(
        group["fused"] and group["params"][0].device.type == "cpu"
        for group in optimizer.param_groups
    )


def clip_in_step(optimizer: Optimizer, most: float | None) -> None:
    """Clip gradients by the norm of all together, as `torch.nn.utils.clip_grad_norm_` does.

    The next step divides them as it reads them, and leaves them clipped; until then they are as
    they were.

    Args:
        optimizer: One that `scales_gradients`.
        most: The largest norm; None or 0 does not clip.
    """
    scale = None
    parameters = [one for group in optimizer.param_groups for one in group["params"]]
    gradients = [one.grad for one in parameters if one.grad is not None]
    if most and gradients:
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        scale = ((norm + _LEAST) / most).clamp(min=1.0)
    optimizer.grad_scale = scale  # type: ignore[attr-defined]  # where GradScaler tells its own
