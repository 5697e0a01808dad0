"""What goes on inside a model during a pass: hidden states, and queries, keys and values."""

from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn

from zoo.errors import ZooError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from transformers import PreTrainedModel

#: What models call the layers that make queries, keys and values.
_NAMES = (
    ("query", "key", "value"),
    ("q_lin", "k_lin", "v_lin"),
    ("q_proj", "k_proj", "v_proj"),
    ("query_proj", "key_proj", "value_proj"),
)


@dataclass
class Inside:
    """What was seen of one pass.

    Args:
        hidden: For the encoder, and the decoder if there is one, the states behind the embeddings
            and behind each layer, each float `[rows, tokens, width]`.
        projected: Queries, keys and values of each layer, each float `[rows, tokens, width]`.
    """

    hidden: list[tuple[Tensor, ...]] = field(default_factory=list)
    projected: list[list[Tensor]] = field(default_factory=list)


class Watch:
    """Keeps what a model does inside, of its latest pass with gradients turned on.

    Queries and keys are read where they are made, so that no slower attention is needed.

    Args:
        model: The model.
        hidden: Whether to ask for hidden states.
        attention: Whether to look at queries, keys and values.

    Raises:
        ZooError: The model's attention cannot be looked at.
    """

    def __init__(self, model: "PreTrainedModel", *, hidden: bool, attention: bool):
        self.seen = Inside()
        self._hooks: list[Any] = []
        self._hidden = hidden
        self._triples = projections_of(model) if attention else []
        self._of_pass: dict[int, list[Tensor]] = {}
        self._hooks.append(model.register_forward_pre_hook(self._begin, with_kwargs=True))
        self._hooks.append(model.register_forward_hook(self._end))
        for triple in self._triples:
            self._hooks += [one.register_forward_hook(self._keep) for one in triple]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Look no more."""
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()
        self.seen = Inside()

    def _begin(self, module: nn.Module, args: Any, options: dict[str, Any]) -> Any:
        self._of_pass.clear()
        if not torch.is_grad_enabled():
            return None
        return args, {**options, "output_hidden_states": True} if self._hidden else options

    def _keep(self, module: nn.Module, args: Any, output: Tensor) -> None:
        if torch.is_grad_enabled():
            self._of_pass.setdefault(id(module), []).append(output)

    def _end(self, module: nn.Module, args: Any, output: Any) -> None:
        if not torch.is_grad_enabled():
            return
        names = ("hidden_states", "encoder_hidden_states", "decoder_hidden_states")
        found: Mapping[str, Any] = output
        hidden = [tuple(found[name]) for name in names if found.get(name) is not None]
        projected = [[self._of_pass[id(one)][0] for one in triple] for triple in self._triples]
        self.seen = Inside(hidden if self._hidden else [], projected)
        self._of_pass.clear()


def projections_of(model: "PreTrainedModel") -> list[list[nn.Module]]:
    """The layers that make queries, keys and values, of each layer of an encoder in order.

    Raises:
        ZooError: They cannot be told apart: the model fuses or shares them, or it is an
            encoder-decoder.
    """
    config: Any = model.config
    kind = config.model_type
    if getattr(config, "is_encoder_decoder", False):
        raise ZooError(
            "--distill.attention and --distill.minilm are for encoders; for an encoder-decoder "
            "there are the soft targets and --distill.hidden."
        )
    found: list[list[nn.Module]] = []
    for module in model.modules():
        for names in _NAMES:
            triple = [getattr(module, name, None) for name in names]
            if all(_is_linear(one) for one in triple):
                found.append([one for one in triple if one is not None])
    if len(found) != config.num_hidden_layers:
        raise ZooError(
            f"The attention of {kind} cannot be looked at, as its layers share or fuse their "
            "queries, keys and values: leave --distill.attention and --distill.minilm out."
        )
    return found


def _is_linear(module: Any) -> bool:
    """Whether a module is a linear layer, as it is or within an adapter's."""
    return isinstance(getattr(module, "base_layer", module), nn.Linear)


def heads_of(model: "PreTrainedModel") -> int:
    """Attention heads of each layer of an encoder."""
    return int(model.config.num_attention_heads)


__all__ = ["Inside", "Watch", "heads_of", "projections_of"]
