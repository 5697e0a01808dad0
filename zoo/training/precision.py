"""Precisions that change no more than they should."""

from contextlib import nullcontext
from dataclasses import replace
from typing import Any, Self

import torch
from lightning import LightningModule
from lightning.pytorch.plugins.precision import FSDPPrecision, HalfPrecision
from lightning.pytorch.strategies import FSDPStrategy

from zoo.errors import ZooError


def for_weights_alone(plugin: Any, strategy: Any) -> None:
    """Let a half precision be that of the network, and of nothing else.

    With `bf16-true` and `16-true` Lightning would convert what batches hold beside the token ids
    (targets of a regression with 8 bits are other targets), and would make every tensor that a
    step creates a short one. FSDP1 would round what a task keeps beside weights, such as a scale.

    Args:
        plugin: A trainer's precision plugin.
        strategy: The trainer's strategy.

    Raises:
        ZooError: FSDP1 was asked for all in half precision.
    """
    if isinstance(plugin, HalfPrecision):
        plugin.convert_input = lambda data: data  # type: ignore[method-assign]
        plugin.forward_context = nullcontext  # type: ignore[method-assign, assignment]
    elif isinstance(plugin, FSDPPrecision) and isinstance(strategy, FSDPStrategy):
        if plugin.precision in ("bf16-true", "16-true"):
            raise ZooError(
                f"--trainer.precision {plugin.precision} does not go with --trainer.strategy fsdp "
                "(FSDP1), which would round targets and counts as well: use --trainer.strategy "
                "fsdp2, or --trainer.precision bf16-mixed."
            )
        if strategy.mixed_precision is None:
            strategy.mixed_precision = replace(plugin.mixed_precision_config, buffer_dtype=None)


class NetworkInHalfPrecision(LightningModule):
    """A task of which `to(dtype)` converts the network, but not what is counted and compared.

    Counts in 8 bits would stop at 256.
    """

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Move everything to a device, and convert the network, if there is one, to a type."""
        parsed: Any = torch._C._nn._parse_to(*args, **kwargs)
        device, dtype, waits_not, layout = parsed
        network: Any = getattr(self, "model", None)
        if dtype is not None and network is not None:
            torch.nn.Module.to(network, dtype)
        options = {} if layout is None else {"memory_format": layout}
        if device is None and not options:
            return self
        return super().to(device=device, non_blocking=waits_not, **options)
