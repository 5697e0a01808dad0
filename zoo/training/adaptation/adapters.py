"""New weights in a model's linear layers, through peft: LoRA, DoRA, AdaLoRA and (IA)3."""

import math
from collections.abc import Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from torch import nn

from zoo import backbones
from zoo.training.adaptation.settings import Adaptation

if TYPE_CHECKING:
    from transformers import PreTrainedModel

#: peft's name for the one set of adapters there is.
NAME = "default"
#: AdaLoRA's steps are set when they are known; until then there are more than enough.
UNKNOWN_STEPS = 1_000_000_000


def insert(model: "PreTrainedModel", settings: Adaptation, *, backbone: str) -> Any:
    """Put adapters into a model in place, which then begins as it was.

    All its other weights are frozen.

    Args:
        model: The model, with its head.
        settings: The kind, and the adapters' sizes.
        backbone: What the model is of.

    Returns:
        peft's tuner, which holds the configuration.

    Raises:
        ZooError: It has no layers for them.
    """
    # Each import is of seconds that other kinds of training need not wait for.
    from peft import IA3Config, LoraConfig
    from peft.tuners.adalora import AdaLoraConfig, AdaLoraModel
    from peft.tuners.ia3 import IA3Model
    from peft.tuners.lora import LoraModel

    if settings.kind == "ia3":
        outputs, inputs = backbones.scaled_layers(backbone, model, settings.targets)
        targets = [*outputs, *inputs]
        config: Any = IA3Config(
            target_modules=targets,
            feedforward_modules=inputs,
            fan_in_fan_out=_is_transposed(model, targets),
        )
        return IA3Model(model, config, NAME)
    targets = backbones.adapter_targets(backbone, model, settings.targets)
    options: dict[str, Any] = {
        "target_modules": targets,
        "lora_alpha": settings.scale,
        "lora_dropout": settings.dropout,
        "fan_in_fan_out": _is_transposed(model, targets),
    }
    if settings.kind == "adalora":
        rank = settings.rank
        config = AdaLoraConfig(
            init_r=math.ceil(1.5 * rank), target_r=rank, total_step=UNKNOWN_STEPS, **options
        )
        return AdaLoraModel(model, config, NAME)
    config = LoraConfig(r=settings.rank, use_dora=settings.kind == "dora", **options)
    return LoraModel(model, config, NAME)


def _is_transposed(model: "PreTrainedModel", names: Sequence[str]) -> bool:
    """Whether weights are of inputs by outputs, as GPT-2's."""
    return not any(isinstance(model.get_submodule(name), nn.Linear) for name in names)


def merged(model: "PreTrainedModel") -> "PreTrainedModel":
    """A copy in which the adapters are part of the layers' weights; without any the model itself.

    Its predictions are the same, but for rounding, and it needs no peft.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    if not any(isinstance(module, BaseTunerLayer) for module in model.modules()):
        return model
    copy = deepcopy(model)
    adapted = [
        (name, module)
        for name, module in copy.named_modules()
        if isinstance(module, BaseTunerLayer)
    ]
    for name, layer in adapted:
        layer.merge(safe_merge=True)
        owner, _, own = name.rpartition(".")
        base = layer.get_base_layer()
        assert isinstance(base, nn.Module)
        setattr(copy.get_submodule(owner), own, base)
    for name in ("peft_config", "_hf_peft_config_loaded"):
        if name in vars(copy):
            delattr(copy, name)
    return copy


__all__ = ["NAME", "insert", "merged"]
