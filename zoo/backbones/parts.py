"""Parts of a model that is in memory: its blocks, and the layers of its head."""

from typing import TYPE_CHECKING

import torch
from torch.distributed.fsdp import FSDPModule

from zoo.backbones.sources import Source, resolve

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def block_classes(backbone: str, model: "PreTrainedModel") -> tuple[str, ...]:
    """Class names of the blocks of a model: the unit of sharding and of activation checkpointing.

    As the registry says; of a model that it does not know, as transformers says.
    """
    source: Source | None = resolve(backbone)
    names: list[str] = []
    while source is not None:
        if source.spec is not None:
            own = source.spec.block_class
            names += [own] if isinstance(own, str) else own
        source = source.decoder
    known = {class_name(module) for module in model.modules()}
    found = [name for name in names if name in known]
    if found:
        return tuple(dict.fromkeys(found))
    lists = (module for module in model.modules() if isinstance(module, torch.nn.ModuleList))
    listed = {class_name(module) for one in lists for module in one}
    return tuple(sorted(listed & set(model._no_split_modules or listed)))


def class_name(module: torch.nn.Module) -> str:
    """The name of a module's class, that of before if it was sharded: FSDP2 gives it another."""
    kinds = type(module).__mro__
    return next((one for one in kinds if not issubclass(one, FSDPModule)), kinds[0]).__name__


def head_layers(model: "PreTrainedModel") -> list[torch.nn.Linear]:
    """The linear layers of a model that are not of its body, in order."""
    inside = {id(module) for module in model.base_model.modules()}
    return [
        module
        for module in model.modules()
        if isinstance(module, torch.nn.Linear) and id(module) not in inside
    ]


def output_layer(model: "PreTrainedModel") -> torch.nn.Linear:
    """The last linear layer of a model with a head: what gives the logits."""
    return head_layers(model)[-1]
