"""What is kept of a training step."""

from collections.abc import Mapping
from typing import Any

from torch.optim import Optimizer


def loss_of(outputs: Mapping[str, Any]) -> float:
    """The loss of a training batch, from what the step returned; an accelerator is waited for.

    Args:
        outputs: `loss`, and as `mean` what it is where `loss` is weighed otherwise.
    """
    return float(outputs.get("mean", outputs["loss"]))


def highest_rate(optimizer: Optimizer) -> float:
    """The highest learning rate of its groups: that of the head, where lower layers are slower."""
    return float(max(group["lr"] for group in optimizer.param_groups))
