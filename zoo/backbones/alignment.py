"""Weights in memory as torch itself would lay them."""

from itertools import chain

from torch import nn

#: Bytes that torch's own allocations on the CPU are aligned to: a cache line, and AVX-512's width.
ALIGNMENT = 64


def align(model: nn.Module) -> None:
    """Copy weights that do not begin at a multiple of 64 bytes to where they do.

    A safetensors file is mapped into memory as it is, behind a header of any length, while weights
    that were built and filled (from a checkpoint, for one) are aligned. On some processors the
    kernels of linear layers sum in another order for either, so that a resumed training, or a model
    that was exported and loaded, would differ from the first one in the last bits.

    Args:
        model: Its parameters and buffers stay the same objects, tied ones stay tied.
    """
    for tensor in chain(model.parameters(), model.buffers()):
        if tensor.device.type == "cpu" and tensor.data_ptr() % ALIGNMENT:
            tensor.data = tensor.data.clone()
