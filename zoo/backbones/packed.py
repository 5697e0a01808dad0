"""Packed execution: a batch goes through a model without its padding.

Embeddings, linear layers and norms see the tokens of all sequences behind each other, as one
sequence without padding; attention alone sees which token is whose. Outputs, losses and gradients
are those of the padded batch.
"""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from zoo.backbones.packed_attention import NAME, register
from zoo.backbones.packed_layout import Layout, layout_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

#: Kinds of models that can be packed, each with the module that gives the body's hidden states:
#: what follows it reads sequences again.
_BODIES = {
    "albert": "encoder",
    "bert": "encoder",
    "distilbert": "transformer",
    "electra": "encoder",
    "modernbert": "",
    "roberta": "encoder",
    "xlm-roberta": "encoder",
}
#: Models that count positions from behind the padding's id, and leave out what looks like padding.
_POSITIONS_BY_ID = ("roberta", "xlm-roberta")
#: Heads that read every token by itself.
_BY_TOKEN = ("ForTokenClassification", "ForQuestionAnswering", "ForMaskedLM")
_INPUTS = {"input_ids", "attention_mask", "token_type_ids"}

log = logging.getLogger(__name__)
_told: set[str] = set()


def packed_forward(
    model: "PreTrainedModel", inputs: Mapping[str, Tensor], *, repad_body: bool | None = None
) -> Any:
    """What a model gives for a padded batch, computed without the padding.

    The batch goes through as it is where packing is of no use or not possible: where there is no
    padding (unless a CPU trains on it), where padding is not at the end, and for models that cannot
    be packed.

    Args:
        model: An encoder, with or without a head.
        inputs: `input_ids`, `attention_mask` and, where the model tells two texts apart,
            `token_type_ids`: each int64 `[batch, longest]`.
        repad_body: Whether the head sees the padded batch again; if None only a head that does not
            read every token by itself.

    Returns:
        The model's output. What it says of tokens is `[batch, longest, ...]`, 0 at padding.
    """
    mask = inputs.get("attention_mask")
    if mask is None or not set(inputs) <= _INPUTS or not can_pack(model):
        return model(**inputs)
    # Without padding too: what drops attention weights quickly knows only layouts. And rounded: on
    # a CPU each new shape is prepared for, and leaves memory in pieces that fit nothing else.
    trained = model.training and mask.device.type == "cpu"
    layout = layout_of(mask, trained=trained)
    if layout is None:
        return model(**inputs)
    _prepare(model)
    ids = inputs["input_ids"]
    given = {name: layout.pack(inputs[name]) for name in inputs if name != "attention_mask"}
    if repad_body is None:
        repad_body = not type(_whole(model)).__name__.endswith(_BY_TOKEN)
    layout.repad_body = repad_body
    output = model(
        **given,
        attention_mask=mask,
        position_ids=layout.pack(_positions_by_id(model, ids))
        if model.config.model_type in _POSITIONS_BY_ID
        else layout.positions[None],
        layout=layout,
    )
    if not layout.repad_body:
        for name, value in output.items():
            if isinstance(value, Tensor):
                output[name] = layout.unpack(value)
    return output


def can_pack(model: nn.Module) -> bool:
    """Whether a model can be packed; the log says once which kinds cannot."""
    from transformers import PreTrainedModel

    whole = _whole(model)
    if not isinstance(whole, PreTrainedModel):  # such as one of another runtime
        return False
    if hasattr(whole, "prompt"):  # it stands before each text, so positions are others
        return False
    kind = whole.config.model_type
    if kind in _BODIES and whole.config._attn_implementation in ("sdpa", NAME):
        return True
    if kind not in _told:
        _told.add(kind)
        log.warning("Models of the kind %s cannot be packed: their batches are padded.", kind)
    return False


def _whole(model: nn.Module) -> Any:
    """The model itself, where a compiled form stands around it."""
    return getattr(model, "_orig_mod", model)


def _positions_by_id(model: "PreTrainedModel", ids: Tensor) -> Tensor:
    padding = int(model.config.pad_token_id)
    real = (ids != padding).long()
    return real.cumsum(1) * real + padding


def _prepare(model: "PreTrainedModel") -> None:
    """Give a model the attention that knows of layouts; nothing else changes, nor what is saved.

    It stays: blocks whose activations are computed again do so in the backward pass, when the
    forward pass is long over.
    """
    body = _whole(model).base_model
    last = body.get_submodule(_BODIES[model.config.model_type])
    # Several bodies can share the rest; copies have the hooks already.
    if not hasattr(body, "_unmasked_if_packed"):
        register()
        for module in model.modules():
            config = getattr(module, "config", None)
            if config is not None and getattr(config, "_attn_implementation", None) == "sdpa":
                config._attn_implementation = NAME
        body.register_forward_pre_hook(_without_mask, with_kwargs=True)
        body._unmasked_if_packed = True
    if not hasattr(last, "_repadded_if_packed"):
        # Before other hooks on the same module, which look at what is padded.
        last.register_forward_hook(_repadded, with_kwargs=True, prepend=True)
        last._repadded_if_packed = True


def _without_mask(
    module: nn.Module, args: tuple[Any, ...], given: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    """Keep the body from making masks, which would be of tokens by tokens."""
    layout: Layout | None = given.get("layout")
    if layout is None:
        return None
    # Masks of four dimensions are passed on as they are.
    return args, {**given, "attention_mask": layout.positions[None, None, None]}


def _repadded(module: nn.Module, args: tuple[Any, ...], given: dict[str, Any], output: Any) -> Any:
    layout: Layout | None = given.get("layout")
    if layout is None or not layout.repad_body:
        return None
    output.last_hidden_state = layout.unpack(output.last_hidden_state)
    return output
