"""ONNX graphs of an encoder-decoder in the place of the transformers model: it writes as that."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoModelForSeq2SeqLM,
    EncoderDecoderCache,
    GenerationConfig,
    GenerationMixin,
)
from transformers import PreTrainedModel as _PreTrainedModel
from transformers.modeling_outputs import Seq2SeqLMOutput
from transformers.utils.generic import ModelOutput

from zoo.shipping.session import Graph

if TYPE_CHECKING:
    from transformers import PreTrainedConfig


class _Encoder(nn.Module):
    """The graph that reads, as `generate` wants an encoder."""

    main_input_name = "input_ids"

    def __init__(self, graph: Graph):
        super().__init__()
        self.graph = graph

    def forward(self, input_ids: Tensor, attention_mask: Tensor, **_: Any) -> ModelOutput:
        return ModelOutput(self.graph({"input_ids": input_ids, "attention_mask": attention_mask}))


class OnnxWriter(_PreTrainedModel, GenerationMixin):
    """Two graphs, called as the encoder-decoder that they were made of.

    `generate` is that of transformers, with all its settings: greedy, beams, no repeated n-grams.

    Args:
        encoder: The ONNX file that reads; `generation_config.json` lies beside it.
        decoder: The ONNX file that writes.
        config: The model's configuration.
        threads: Threads that they compute with; if None as many as torch.
    """

    main_input_name = "input_ids"

    def __init__(
        self,
        encoder: Path,
        decoder: Path,
        config: "PreTrainedConfig",
        *,
        threads: int | None = None,
    ):
        super().__init__(config)
        self.encoder = _Encoder(Graph(encoder, threads=threads))
        self.decoder_graph = Graph(decoder, threads=threads)
        written = json.loads((encoder.parent / "generation_config.json").read_text("utf-8"))
        self.generation_config = GenerationConfig.from_dict(written)
        shapes = {one.name: one.shape for one in self.decoder_graph.session.get_inputs()}
        _, self._layers, _, self._heads, _, self._size = shapes["past"]
        # How targets become inputs is the architecture's own; it needs no weights.
        with torch.device("meta"):
            self._shape = (AutoModelForSeq2SeqLM.from_config(config),)

    @property
    def device(self) -> torch.device:
        """The CPU."""
        return torch.device("cpu")

    @property
    def dtype(self) -> torch.dtype:
        """float32, whatever the weights are kept in."""
        return torch.float32

    def get_encoder(self, *_: Any, **__: Any) -> nn.Module:
        """What reads a text."""
        return self.encoder

    def prepare_decoder_input_ids_from_labels(self, labels: Tensor) -> Tensor:
        """What the decoder reads while it writes targets."""
        found: Tensor = self._shape[0].prepare_decoder_input_ids_from_labels(labels)
        return found

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        encoder_outputs: Any = None,
        past_key_values: EncoderDecoderCache | None = None,
        use_cache: bool | None = None,
        **_: Any,
    ) -> Seq2SeqLMOutput:
        """Logits of the tokens that follow the given ones.

        Args:
            input_ids: The text, int64 `[batch, source]`, where `encoder_outputs` are not given.
            attention_mask: int64 `[batch, source]`; 0 where there is padding.
            decoder_input_ids: int64 `[batch, target]`.
            encoder_outputs: What the encoder gave for the text.
            past_key_values: What was computed before; it takes up what is new.
            use_cache: Taken for the sake of `generate`.
        """
        assert decoder_input_ids is not None
        assert attention_mask is not None
        if encoder_outputs is None:
            encoder_outputs = self.encoder(input_ids, attention_mask)
        cache = None if past_key_values is None else past_key_values.self_attention_cache
        found = self.decoder_graph(
            {
                "decoder_input_ids": decoder_input_ids,
                "attention_mask": attention_mask,
                "cross": encoder_outputs["cross"],
                "past": self._past(cache, len(decoder_input_ids)),
            }
        )
        if cache is not None:
            for layer in range(self._layers):
                keys, values = found["present"][:, layer].unbind(1)
                cache.update(keys, values, layer)
        return Seq2SeqLMOutput(logits=found["logits"], past_key_values=past_key_values)

    def _past(self, cache: Any, batch: int) -> Tensor:
        if cache is None or not cache.get_seq_length():
            return torch.zeros(batch, self._layers, 2, self._heads, 0, self._size)
        layers = cache.layers[: self._layers]
        return torch.stack([torch.stack([one.keys, one.values], 1) for one in layers], 1)


__all__ = ["OnnxWriter"]
