"""How much of what the processor can do a training gets: work against the speed of large matmuls.

Work is that of the encoder's blocks for real tokens alone, so that padding and recomputation earn
nothing: of a BERT of `L` layers, `h` wide, `3 (24 h² L s + 4 s² h L)` FLOP for a sequence of `s`
tokens, forward plus twice that for backward. Embeddings and head are left out.
"""

import time
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: Rows of the matrices that are measured: about the tokens of a batch.
ROWS = {"cpu": 1024, "cuda": 16384}

#: Each shape is measured so often and so long at most, but twice in any case.
_TIMES, _SECONDS = 10, 0.06

#: Multiplications in one measurement: on an accelerator starting one takes time of its own.
_AT_ONCE = {"cpu": 1, "cuda": 20}


class EncoderWork(NamedTuple):
    """What training an encoder takes.

    Attributes:
        shapes: Inputs and outputs of its linear layers, each once.
        per_token: FLOP of the linear layers' forward pass for a token.
        width: Of attention, all heads together.
        reach: For each layer how far a token sees: None for the whole sequence, else the number
            of tokens.
    """

    shapes: tuple[tuple[int, int], ...]
    per_token: float
    width: int
    reach: tuple[int | None, ...]

    def of(self, lengths: Tensor) -> Tensor:
        """FLOP of forward and backward pass for sequences.

        Args:
            lengths: Real tokens of each, int64 `[sequences]`.

        Returns:
            A scalar, float64 if the device has it, where the lengths are.
        """
        exact = precise(lengths)
        pairs = [exact * (exact if far is None else exact.clamp(max=far)) for far in self.reach]
        attention = 4 * self.width * torch.stack(pairs).sum()
        return 3 * (self.per_token * exact.sum() + attention)


def encoder_work(model: nn.Module) -> EncoderWork | None:
    """The work of a transformers model that is an encoder.

    Returns:
        None where it cannot be said: for an encoder and decoder, for a model without blocks, and
        where some of the blocks' weights are frozen (which saves work).
    """
    config: Any = getattr(model, "config", None)
    if config is None or getattr(config, "is_encoder_decoder", False):
        return None
    body: Any = getattr(model, "base_model", model)
    layers: list[nn.Linear] = []
    blocks = 0
    for module in _lists(body):
        blocks += len(module)
        layers += [part for part in module.modules() if isinstance(part, nn.Linear)]
    depth = getattr(config, "num_hidden_layers", None)
    width = getattr(config, "hidden_size", None)
    if not layers or not depth or not width:
        return None
    if not all(layer.weight.requires_grad for layer in layers):
        return None
    sizes = [(layer.in_features, layer.out_features) for layer in layers]
    # ALBERT goes through the same block several times.
    passes = depth / blocks
    per_token = 2 * passes * sum(inputs * outputs for inputs, outputs in sizes)
    return EncoderWork(tuple(dict.fromkeys(sizes)), per_token, int(width), _reach(config, depth))


def precise(counts: Tensor) -> Tensor:
    """Counts as float64, or as float32 where the device has nothing finer (Apple's)."""
    return counts.float() if counts.device.type == "mps" else counts.double()


def _lists(module: nn.Module) -> list[nn.ModuleList]:
    """The outermost lists of modules that hold linear layers."""
    if isinstance(module, nn.ModuleList):
        linear = any(isinstance(part, nn.Linear) for part in module.modules())
        return [module] if linear else []
    return [found for child in module.children() for found in _lists(child)]


def _reach(config: Any, depth: int) -> tuple[int | None, ...]:
    """How far the tokens of each layer see; ModernBERT's local layers see a window."""
    local = getattr(config, "local_attention", None)
    kinds = getattr(config, "layer_types", None)
    if not isinstance(local, int) or not kinds:
        return (None,) * depth
    return tuple(local if kind == "sliding_attention" else None for kind in kinds)


@torch.no_grad()
def gemm_peak(
    shapes: tuple[tuple[int, int], ...],
    *,
    dtype: torch.dtype,
    device: torch.device,
    rows: int | None = None,
) -> float:
    """FLOP per second of the fastest of some matrix multiplications, in well under a second.

    Args:
        shapes: Inputs and outputs of linear layers.
        dtype: Of both matrices.
        device: Where to multiply.
        rows: Tokens; if None those of `ROWS`.
    """
    kind = device.type
    rows = ROWS.get(kind, ROWS["cuda"]) if rows is None else rows
    best = 0.0
    for inputs, outputs in shapes:
        # Made without the generator of random numbers, which a training's dropout depends on.
        left = torch.linspace(-1, 1, rows * inputs, device=device).view(rows, inputs).to(dtype)
        right = torch.linspace(-1, 1, outputs * inputs, device=device).view(outputs, inputs)
        seconds = _seconds(left, right.to(dtype), _AT_ONCE.get(kind, 20))
        best = max(best, 2 * rows * inputs * outputs / seconds)
    return best


def _seconds(left: Tensor, right: Tensor, at_once: int) -> float:
    """Of one multiplication, the fastest of several."""
    fastest, spent, times = float("inf"), 0.0, -1
    while times < 2 or (times < _TIMES and spent < _SECONDS):
        _wait(left.device)
        began = time.perf_counter()
        for _ in range(at_once):
            F.linear(left, right)
        _wait(left.device)
        took = time.perf_counter() - began
        times += 1
        if times:  # the first one warms up
            spent += took
            fastest = min(fastest, took / at_once)
    return max(fastest, 1e-9)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def compute_dtype(precision: str) -> torch.dtype:
    """The type that matrices are multiplied in, from a trainer's `precision` (`bf16-mixed`)."""
    if "bf16" in precision:
        return torch.bfloat16
    return torch.float16 if precision.startswith("16") else torch.float32
