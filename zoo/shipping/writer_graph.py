"""A trained encoder-decoder as two ONNX graphs: one that reads, one that writes token by token.

The encoder's graph gives the keys and values that the decoder's layers attend to, so that they are
computed once for each text. The decoder's graph takes the keys and values of the tokens that were
written before, and gives those of the new ones: nothing is computed twice.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from zoo.shipping.graph import write_graph

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def _empty_cache() -> Any:
    from transformers import DynamicCache, EncoderDecoderCache

    return EncoderDecoderCache(DynamicCache(), DynamicCache())


def _stacked(layers: Any) -> Tensor:
    """Keys and values of all layers, `[batch, layers, 2, heads, length, size]`."""
    return torch.stack([torch.stack([one.keys, one.values], dim=1) for one in layers], dim=1)


class _Reader(nn.Module):
    """Token ids to the keys and values of the text, for each layer of the decoder."""

    def __init__(self, net: "PreTrainedModel", start: int):
        super().__init__()
        self.net: Any = net
        self.start = start

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        read = self.net.get_encoder()(input_ids=input_ids, attention_mask=attention_mask)
        cache = _empty_cache()
        # One step fills the cache; what it computes beside it falls out of the graph.
        self.net(
            encoder_outputs=(read.last_hidden_state,),
            attention_mask=attention_mask,
            decoder_input_ids=torch.full_like(input_ids[:, :1], self.start),
            past_key_values=cache,
            use_cache=True,
        )
        return _stacked(cache.cross_attention_cache.layers)


class _Writer(nn.Module):
    """Tokens of a summary, and what was computed before, to the logits of the next ones."""

    def __init__(self, net: "PreTrainedModel", width: int):
        super().__init__()
        self.net: Any = net
        self.width = width

    def forward(
        self, decoder_input_ids: Tensor, attention_mask: Tensor, cross: Tensor, past: Tensor
    ) -> tuple[Tensor, Tensor]:
        cache = _empty_cache()
        for layer in range(cross.shape[1]):
            cache.self_attention_cache.update(past[:, layer, 0], past[:, layer, 1], layer)
            cache.cross_attention_cache.update(cross[:, layer, 0], cross[:, layer, 1], layer)
            cache.is_updated[layer] = True
        # The text's own states are in `cross`: only their shape is looked at.
        batch, source = attention_mask.shape
        found = self.net(
            encoder_outputs=(cross.new_zeros(batch, source, self.width),),
            attention_mask=attention_mask,
            decoder_input_ids=decoder_input_ids,
            past_key_values=cache,
            use_cache=True,
        )
        whole = _stacked(cache.self_attention_cache.layers)
        return found.logits, whole[:, :, :, :, past.shape[4] :]


def write_writer(net: "PreTrainedModel", encoder: Path, decoder: Path) -> None:
    """Write an encoder-decoder as two ONNX files.

    Args:
        net: The model.
        encoder: File of the graph that reads: `input_ids` and `attention_mask`, int64
            `[batch, source]`, to `cross`, float `[batch, layers, 2, heads, source, size]`.
        decoder: File of the graph that writes: `decoder_input_ids`, int64 `[batch, target]`,
            `attention_mask`, `cross`, and `past`, float `[batch, layers, 2, heads, past, size]`,
            to `logits`, float `[batch, target, vocabulary]`, and `present`, like `past` but of
            the new tokens.

    Raises:
        RunError: The architecture cannot be brought into a graph.
        ZooError: The extra `export` is not installed.
    """
    config: Any = net.config
    kind = f"{config.model_type} (encoder-decoder)"
    # No length is 1 and no two are equal: torch would take that for a rule.
    texts, source, before, target = 3, 7, 5, 4
    start = int(config.decoder_start_token_id)
    ids = torch.arange(texts * source).reshape(texts, source) % 5 + 5
    mask = (torch.arange(source) < torch.tensor([[source], [4], [2]])).long()
    read = {"input_ids": ids, "attention_mask": mask}
    reader = _Reader(net, start).eval()
    write_graph(
        reader,
        encoder,
        inputs=read,
        outputs=["cross"],
        axes={name: {0: "batch", 1: "source"} for name in read},
        model_type=kind,
    )
    with torch.no_grad():
        cross = reader(ids, mask)
        hidden = net.get_encoder()(input_ids=ids, attention_mask=mask).last_hidden_state
    layers, heads, size = cross.shape[1], cross.shape[3], cross.shape[5]
    write_graph(
        _Writer(net, hidden.shape[-1]),
        decoder,
        inputs={
            "decoder_input_ids": ids[:, :target],
            "attention_mask": mask,
            "cross": cross,
            "past": torch.randn(texts, layers, 2, heads, before, size),
        },
        outputs=["logits", "present"],
        axes={
            "decoder_input_ids": {0: "batch", 1: "target"},
            "attention_mask": {0: "batch", 1: "source"},
            "cross": {0: "batch", 4: "source"},
            "past": {0: "batch", 4: "past"},
        },
        model_type=kind,
    )


__all__ = ["write_writer"]
