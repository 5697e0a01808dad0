"""Which parts of a model are its head, and which of its layers adapters belong to."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from torch import nn

from zoo.backbones.parts import block_classes
from zoo.backbones.sources import Source, resolve
from zoo.errors import ZooError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

#: Parts of a body that only the head reads: they begin anew with it, and are trained with it.
_OF_THE_HEAD = ("pooler",)
#: Attention to an encoder, which a warm start A-2-B adds to its decoder.
_ADDED = "crossattention"
#: What projections to keys and values are called; those of several in one among them.
_KEYS_AND_VALUES = (
    *("key", "value", "k_lin", "v_lin", "k_proj", "v_proj", "key_proj", "value_proj", "k", "v"),
    *("Wqkv", "qkv", "qkv_proj", "query_key_value", "in_proj", "c_attn"),
)
_QUERIES_AND_VALUES = (
    *("query", "value", "q_lin", "v_lin", "q_proj", "v_proj", "query_proj", "value_proj", "q", "v"),
    *("Wqkv", "qkv", "qkv_proj", "query_key_value", "in_proj", "c_attn"),
)


def head_modules(model: "PreTrainedModel") -> list[str]:
    """Names of the modules that begin anew with a task: what every adaptation trains.

    Of a pretrained encoder-decoder there are none; of a warm start they are the decoder's head and
    its attention to the encoder.
    """
    if model.config.model_type == "encoder-decoder":
        decoder = model.get_submodule("decoder")
        added = [name for name, _ in model.named_modules() if name.endswith(f".{_ADDED}")]
        return [*added, *(f"decoder.{name}" for name in _outside(decoder))]  # type: ignore[arg-type]
    if getattr(model.config, "is_encoder_decoder", False):
        return []
    inner = [
        name
        for name, module in model.named_modules()
        if name.rpartition(".")[2] in _OF_THE_HEAD and any(True for _ in module.parameters())
    ]
    outside = _outside(model)
    return [*outside, *(name for name in inner if name.split(".")[0] not in outside)]


def _outside(model: "PreTrainedModel") -> list[str]:
    """Children of a model that are not its body."""
    return [
        name
        for name, child in model.named_children()
        if child is not model.base_model and any(True for _ in child.parameters())
    ]


def head_parameters(model: "PreTrainedModel") -> list[nn.Parameter]:
    """Parameters of the head; not those that it shares with the body, such as word embeddings."""
    heads = head_modules(model)
    body = {
        id(own) for name, own in model.named_parameters() if not name.startswith(_prefixes(heads))
    }
    embedded = {id(own) for own in model.get_input_embeddings().parameters()}
    return [
        own
        for name in heads
        for own in model.get_submodule(name).parameters()
        if id(own) not in body | embedded
    ]


def _prefixes(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{name}." for name in names)


def adapter_targets(
    backbone: str, model: "PreTrainedModel", names: Sequence[str] | None = None
) -> list[str]:
    """Full names of the linear layers that get adapters.

    Args:
        backbone: What the model is of: its entry in the registry says them.
        model: The model, with its head.
        names: Ends of the layers' names, if others than the registry's. Of an architecture that
            is not in it: projections to queries and values, known by their names; else all
            of attention; else all layers of the blocks.

    Raises:
        ZooError: No layer has one of the names.
    """
    linear = _linear_layers(backbone, model)
    for name in names or ():
        if not _ending(linear, [name]):
            raise ZooError(
                f"--model.adaptation.targets: {backbone} has no linear layer {name} in its blocks; "
                f"it has {', '.join(dict.fromkeys(one.rpartition('.')[2] for one in linear))}."
            )
    wanted = [names] if names else [_registered(backbone), _QUERIES_AND_VALUES]
    choices = [_ending(linear, one) for one in wanted]
    choices += [[one for one in linear if _in_attention(one)], linear]
    found = next((choice for choice in choices if choice), [])
    if not found:
        raise _none(backbone)
    return found


def _none(backbone: str) -> ZooError:
    return ZooError(
        f"{backbone} has no linear layers in its blocks for adapters. Use --model.adaptation "
        "bitfit, head or full."
    )


def scaled_layers(
    backbone: str, model: "PreTrainedModel", names: Sequence[str] | None = None
) -> tuple[list[str], list[str]]:
    """Layers whose output (IA)3 scales, and layers whose input it scales.

    They are keys and values, and what narrows the feed-forward part again.

    Args:
        backbone: What the model is of.
        model: The model, with its head.
        names: Ends of the layers' names, if others than these.

    Raises:
        ZooError: No layer has one of the names.
    """
    linear = _linear_layers(backbone, model)
    down = [
        name
        for name in linear
        if not _in_attention(name) and _is_narrowing(model.get_submodule(name))
    ]
    if names:
        chosen = adapter_targets(backbone, model, names)
        return [one for one in chosen if one not in down], [one for one in chosen if one in down]
    outputs = _ending(linear, _KEYS_AND_VALUES) or [one for one in linear if _in_attention(one)]
    if not outputs and not down:
        raise _none(backbone)
    return outputs, down


def _is_narrowing(layer: nn.Module) -> bool:
    if isinstance(layer, nn.Linear):
        return layer.in_features > layer.out_features
    weight: Any = layer.weight  # GPT-2's, of inputs by outputs
    return bool(weight.shape[0] > weight.shape[1])


def _kinds() -> tuple[type[nn.Module], ...]:
    """What counts as a linear layer; GPT-2 has a kind of its own."""
    from transformers.pytorch_utils import Conv1D

    return nn.Linear, Conv1D


def _linear_layers(backbone: str, model: "PreTrainedModel") -> list[str]:
    classes, kinds = block_classes(backbone, model), _kinds()
    blocks = [name for name, module in model.named_modules() if type(module).__name__ in classes]
    heads = _prefixes(head_modules(model))
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, kinds)
        and name.startswith(_prefixes(blocks))
        and not name.startswith(heads)
    ]


def _ending(layers: Sequence[str], names: Sequence[str]) -> list[str]:
    return [layer for layer in layers if any(f".{layer}".endswith(f".{name}") for name in names)]


def _in_attention(name: str) -> bool:
    return any("att" in part.lower() for part in name.split("."))


def _registered(backbone: str) -> list[str]:
    return [name for source in _halves(resolve(backbone)) for name in source]


def _halves(source: Source | None) -> Iterator[tuple[str, ...]]:
    while source is not None:
        if source.spec is not None:
            yield source.spec.lora_targets
        source = source.decoder


__all__ = ["adapter_targets", "head_modules", "head_parameters", "scaled_layers"]
