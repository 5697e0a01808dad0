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
    from zoo.backbones.loading import (
        Head,
        ProblemType,
        head_labels,
        load_config,
        load_model,
        load_tokenizer,
        longest_input,
        max_length_of,
        output_layer,
        quiet_transformers,
    )
    from zoo.backbones.sources import METADATA_FILE, metadata, model_folder, resolve

__all__ = [
    "METADATA_FILE",
    "BackboneSpec",
    "Head",
    "ProblemType",
    "get",
    "head_labels",
    "load_config",
    "load_model",
    "load_tokenizer",
    "longest_input",
    "max_length_of",
    "metadata",
    "model_folder",
    "names",
    "output_layer",
    "quiet_transformers",
    "register",
    "resolve",
]

_LAZY = {
    **dict.fromkeys(
        (
            "Head",
            "ProblemType",
            "head_labels",
            "load_config",
            "load_model",
            "load_tokenizer",
            "longest_input",
            "max_length_of",
            "output_layer",
            "quiet_transformers",
        ),
        "zoo.backbones.loading",
    ),
    **dict.fromkeys(
        ("METADATA_FILE", "metadata", "model_folder", "resolve"), "zoo.backbones.sources"
    ),
}


def __getattr__(name: str) -> Any:
    # Listing the registry must not cost the import of torch.
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
