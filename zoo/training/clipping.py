"""Gradients that are clipped while the optimizer reads them, and not once more before."""

import torch
from torch.optim import AdamW, Optimizer

#: Added to the norm, as `torch.nn.utils.clip_grad_norm_` does.
_LEAST = 1e-6


def scales_gradients(optimizer: Optimizer) -> bool:
    """Whether an optimizer can clip in its step: a fused AdamW of parameters on the CPU.

    It takes what it divides by in float32, which is too coarse for gradients in float64.
    """
    return isinstance(optimizer, AdamW) and all(
        group["fused"] and one.device.type == "cpu" and one.dtype != torch.float64
        for group in optimizer.param_groups
        for one in group["params"][:1]
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
        norms = torch.stack(torch._foreach_norm(gradients, dtype=torch.float32))
        norm = torch.linalg.vector_norm(norms)
        scale = ((norm + _LEAST) / most).clamp(min=1.0)
    optimizer.grad_scale = scale  # type: ignore[attr-defined]  # where GradScaler tells its own
