"""Attention over tokens without padding, as an attention function of transformers."""

from importlib.util import find_spec
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from zoo.backbones.dropout import kept
from zoo.backbones.packed_layout import Group, Layout

#: The function's name to transformers.
NAME = "zoo_packed"
#: Tokens of a sequence up to which all attention weights are held though nothing is dropped.
_LONGEST_WITH_WEIGHTS = 512


def register() -> None:
    """Make the function known to transformers, which finds it by `config._attn_implementation`.

    Its masks are those of scaled dot products: it is that, wherever nothing is packed.
    """
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(NAME, packed_attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)


def packed_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    layout: Layout | None = None,
    **options: Any,
) -> tuple[Tensor, Tensor | None]:
    """Attention in which each sequence sees itself alone.

    Args:
        module: The layer that calls.
        query: `[1, heads, tokens, size]`, as are `key` and `value`.
        key: What queries are compared with.
        value: What is averaged.
        attention_mask: Without a layout: which keys are seen.
        dropout: Share of the attention weights that are dropped.
        scaling: Factor of the scores.
        layout: Where sequences lie. Without it this is transformers' scaled dot product attention.
        options: Of the model; `sliding_window` counts one more than the greatest distance.

    Returns:
        `[1, tokens, heads, size]`, and no weights.
    """
    if layout is None:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        plain: tuple[Tensor, Tensor | None] = sdpa_attention_forward(
            module,
            query,
            key,
            value,
            attention_mask,
            dropout=dropout,
            scaling=scaling,
            **options,
        )
        return plain
    window = options.get("sliding_window")
    window = None if window is None else window - 1
    found = _attend(query, key, value, layout, dropout, scaling, window)
    return found[None], None


@torch.compiler.disable  # type: ignore[untyped-decorator]  # lengths differ with each batch
def _attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    layout: Layout,
    dropout: float,
    scale: float | None,
    window: int | None,
) -> Tensor:
    """Attention of `[1, heads, tokens, size]`, to `[tokens, heads, size]`."""
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    query, key, value = (one.transpose(1, 2)[0] for one in (query, key, value))
    if not dropout and not layout.spare and _has_varlen(query):
        return _varlen(query, key, value, layout, scale, window)
    sizes = [*(group.tokens for group in layout.groups), layout.spare]
    *parts, rest = zip(query.split(sizes), key.split(sizes), value.split(sizes), strict=True)
    found = [
        _attend_group(*part, group, dropout, scale, window)
        for part, group in zip(parts, layout.groups, strict=True)
    ]
    if layout.spare:
        found.append(torch.zeros_like(rest[0]))
    return found[0] if len(found) == 1 else torch.cat(found)


def _has_varlen(query: Tensor) -> bool:
    """Whether torch has a kernel for sequences of any lengths behind each other."""
    if not query.is_cuda or query.dtype not in (torch.float16, torch.bfloat16):
        return False
    if query.shape[-1] % 8 or query.shape[-1] > 256:
        return False
    capable: bool = torch.cuda.get_device_capability(query.device) >= (8, 0)
    return capable and find_spec("torch.nn.attention.varlen") is not None


def _varlen(
    query: Tensor, key: Tensor, value: Tensor, layout: Layout, scale: float, window: int | None
) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn

    near = -1 if window is None else window
    longest = layout.lengths[0]
    found = varlen_attn(
        query,
        key,
        value,
        layout.bounds,
        layout.bounds,
        longest,
        longest,
        scale=scale,
        window_size=(near, near),
    )
    return cast("Tensor", found)


def _attend_group(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    group: Group,
    dropout: float,
    scale: float,
    window: int | None,
) -> Tensor:
    """Attention of a group: `[tokens, heads, size]` each."""
    q, k, v = (_pad(one, group) for one in (query, key, value))
    if _weights_are_quicker(query, group.longest, dropout):
        found = _with_weights(q, k, v, group.bias(window, query.dtype), dropout, scale)
    else:
        found = F.scaled_dot_product_attention(
            q, k, v, attn_mask=group.seen(window), dropout_p=dropout, scale=scale
        )
    found = found.transpose(1, 2).flatten(0, 1)
    if group.places is None:
        return found
    return cast("Tensor", _Unpad.apply(found, group.places))  # type: ignore[no-untyped-call]


def _weights_are_quicker(query: Tensor, longest: int, dropout: float) -> bool:
    """Whether to hold all attention weights, as torch does anyway where it drops some.

    On the CPU torch draws dropout slowly, and its backward pass in half precision takes up to
    seven times as long as this.
    """
    if query.device.type != "cpu":
        return False
    half = query.dtype in (torch.bfloat16, torch.float16)
    return dropout > 0 or (half and query.requires_grad and longest <= _LONGEST_WITH_WEIGHTS)


def _with_weights(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor | None,
    dropout: float,
    scale: float,
) -> Tensor:
    # Autocast would hold the weights in float32, only to round them for the next product.
    with torch.autocast(query.device.type, enabled=False):
        scores = (query * scale) @ key.transpose(-1, -2)
        weights = (scores if bias is None else scores.add_(bias)).softmax(-1)
        if dropout:
            weights, value = weights * kept(weights, dropout), value * (1 / (1 - dropout))
        return weights @ value


def _pad(tokens: Tensor, group: Group) -> Tensor:
    """`[tokens, heads, size]` to `[rows, heads, longest, size]`."""
    if group.index is not None:
        tokens = cast(
            "Tensor",
            _Pad.apply(tokens, group.index, group.places),  # type: ignore[no-untyped-call]
        )
    return tokens.reshape(group.rows, group.longest, *tokens.shape[1:]).transpose(1, 2)


class _Pad(torch.autograd.Function):
    """Tokens put into their places; no two places share one, but for padding, which has no loss.

    Left to itself, torch would add gradients up one by one.
    """

    @staticmethod
    def forward(ctx: Any, tokens: Tensor, index: Tensor, places: Tensor) -> Tensor:
        ctx.save_for_backward(places)
        return tokens.index_select(0, index)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (places,) = ctx.saved_tensors
        return gradients[0].index_select(0, places), None, None


class _Unpad(torch.autograd.Function):
    """Tokens taken from their places."""

    @staticmethod
    def forward(ctx: Any, padded: Tensor, places: Tensor) -> Tensor:
        ctx.save_for_backward(places)
        ctx.size = padded.shape[0]
        return padded.index_select(0, places)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (places,) = ctx.saved_tensors
        padded = gradients[0].new_zeros(ctx.size, *gradients[0].shape[1:])
        return padded.index_copy_(0, places, gradients[0]), None
