"""One encoder in memory under several heads."""

from copy import deepcopy
from typing import TYPE_CHECKING

import torch
from torch import nn

from zoo.backbones.sources import resolve
from zoo.errors import BackboneError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

#: Parts of a body that only the head reads, in BERT and its like: they are trained with the head.
_OF_THE_HEAD = ("pooler",)


def put_on_encoder(
    model: "PreTrainedModel", encoder: "PreTrainedModel", *, backbone: str, copy: bool
) -> list[nn.Module]:
    """Replace the body of a model by the parts of an encoder, and draw the rest anew.

    Args:
        model: With the head that is wanted, built on the meta device.
        encoder: What `load_encoder` gave.
        backbone: What the model is of; the encoder must be of the same.
        copy: Take a copy of the parts, to be trained; else the very parts, which are frozen.

    Returns:
        The parts that are shared: none if they were copied.

    Raises:
        BackboneError: The encoder is of another backbone, or the model has no encoder of its kind.
    """
    source = resolve(backbone)
    body = model.base_model
    if encoder.name_or_path != source.location:
        raise BackboneError(
            f"The encoder was loaded from {encoder.name_or_path}, but the task reads texts for "
            f"{backbone} ({source.location}): both must be of one backbone."
        )
    if type(body) is not type(encoder):
        raise BackboneError(
            f"{type(model).__name__} is built on {type(body).__name__}, which {backbone} as an "
            f"encoder ({type(encoder).__name__}) cannot stand in for."
        )
    shared = []
    for name, _ in list(body.named_children()):
        part = getattr(encoder, name)
        if copy or name in _OF_THE_HEAD:
            part = deepcopy(part).requires_grad_(True)
        else:
            shared.append(part)
        setattr(body, name, part)
    _materialise(model, encoder.device)
    model.train()
    for part in shared:
        part.requires_grad_(False).eval()
    return shared


def _materialise(model: "PreTrainedModel", device: torch.device) -> None:
    """Begin the head as transformers does: small normal weights, no biases, norms that keep."""
    for module in model.modules():
        own = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
        if not any(tensor.is_meta for tensor in own):
            continue
        module.to_empty(device=device, recurse=False)
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=getattr(model.config, "initializer_range", 0.02))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif callable(reset := getattr(module, "reset_parameters", None)):
            reset()
        else:
            raise BackboneError(
                f"{type(model).__name__} has a part ({type(module).__name__}) that cannot be put "
                "on an encoder in memory. Leave use_encoder out, and the task loads its own."
            )
