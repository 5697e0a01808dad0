"""Taking a trained model away: ONNX, int8, how near they are to torch, a card, the Hub.

>>> import zoo.shipping
>>> zoo.shipping.load("runs/ner/mine/export/onnx").predict(["Ada lived in London."])
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.shipping.folder import export_of, load

__all__ = ["export_of", "load"]


def __getattr__(name: str) -> Any:
    # Asking whether a folder is an export must not cost the import of torch.
    if name in __all__:
        return getattr(import_module("zoo.shipping.folder"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
