"""Precisions that change no more than they should."""

from contextlib import nullcontext
from typing import Any, Self

import torch
from lightning import LightningModule
from lightning.pytorch.plugins.precision import HalfPrecision


def for_weights_alone(plugin: Any) -> None:
    """Let `bf16-true` and `16-true` be the precision of the network, and of nothing else.

    Lightning would convert what batches hold beside the token ids (targets of a regression with
    8 bits are other targets), and would make every tensor that a step creates a short one.

    Args:
        plugin: A trainer's precision plugin; of other precisions it is left as it is.
    """
    if isinstance(plugin, HalfPrecision):
        plugin.convert_input = lambda data: data  # type: ignore[method-assign]
        plugin.forward_context = nullcontext  # type: ignore[method-assign, assignment]


class NetworkInHalfPrecision(LightningModule):
    """A task of which `to(dtype)` converts the network, but not what is counted and compared.

    Counts in 8 bits would stop at 256.
    """

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Move everything to a device, and convert the network, if there is one, to a type."""
        device, dtype, *_ = torch._C._nn._parse_to(*args, **kwargs)
        network: Any = getattr(self, "model", None)
        if dtype is not None and network is not None:
            torch.nn.Module.to(network, dtype)
        return self if device is None else super().to(device)
