"""Which pretrained model: the registry, its presets, and the loading of tokenizers and weights.

>>> import zoo.backbones
>>> zoo.backbones.names(language="zh", kind="encoder")[0]
'bert-base-chinese'
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from zoo.backbones.registry import get, names, register
from zoo.backbones.spec import BackboneSpec

if TYPE_CHECKING:
    from zoo.backbones.depths import parameter_depths
    from zoo.backbones.heads import Head, ProblemType
    from zoo.backbones.loading import (
        head_labels,
        load_config,
        load_encoder,
        load_model,
        load_tokenizer,
        longest_input,
        max_length_of,
        positions_of,
        quiet_transformers,
    )
    from zoo.backbones.packed import packed_forward
    from zoo.backbones.parts import block_classes, output_layer
    from zoo.backbones.scratch import Size, new_language_model
    from zoo.backbones.sharing import put_on_encoder
    from zoo.backbones.sources import METADATA_FILE, metadata, model_folder, resolve
    from zoo.backbones.targets import (
        adapter_targets,
        head_modules,
        head_parameters,
        scaled_layers,
    )
    from zoo.backbones.warm_start import untied
    from zoo.backbones.writing import TextToText, text_to_text

__all__ = [
    "METADATA_FILE",
    "BackboneSpec",
    "Head",
    "ProblemType",
    "Size",
    "TextToText",
    "adapter_targets",
    "block_classes",
    "get",
    "head_labels",
    "head_modules",
    "head_parameters",
    "load_config",
    "load_encoder",
    "load_model",
    "load_tokenizer",
    "longest_input",
    "max_length_of",
    "metadata",
    "model_folder",
    "names",
    "new_language_model",
    "output_layer",
    "packed_forward",
    "parameter_depths",
    "positions_of",
    "put_on_encoder",
    "quiet_transformers",
    "register",
    "resolve",
    "scaled_layers",
    "text_to_text",
    "untied",
]

_LAZY = {
    **dict.fromkeys(("Head", "ProblemType"), "zoo.backbones.heads"),
    **dict.fromkeys(
        (
            "head_labels",
            "load_config",
            "load_encoder",
            "load_model",
            "load_tokenizer",
            "longest_input",
            "max_length_of",
            "positions_of",
            "quiet_transformers",
        ),
        "zoo.backbones.loading",
    ),
    **dict.fromkeys(
        ("METADATA_FILE", "metadata", "model_folder", "resolve"), "zoo.backbones.sources"
    ),
    "parameter_depths": "zoo.backbones.depths",
    **dict.fromkeys(("block_classes", "output_layer"), "zoo.backbones.parts"),
    **dict.fromkeys(("Size", "new_language_model"), "zoo.backbones.scratch"),
    **dict.fromkeys(("TextToText", "text_to_text"), "zoo.backbones.writing"),
    "packed_forward": "zoo.backbones.packed",
    **dict.fromkeys(
        ("adapter_targets", "head_modules", "head_parameters", "scaled_layers"),
        "zoo.backbones.targets",
    ),
    "put_on_encoder": "zoo.backbones.sharing",
    "untied": "zoo.backbones.warm_start",
}


def __getattr__(name: str) -> Any:
    # Listing the registry must not cost the import of torch.
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
