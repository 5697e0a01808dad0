"""The extra `export` of the installation, asked for where it is used."""

import importlib.util

from zoo.errors import ZooError

_MODULES = ("onnx", "onnxruntime", "onnxscript")


def require(*modules: str) -> None:
    """Say how to install what is missing, before anything is done.

    Args:
        modules: What is needed; if none are given all that writing a graph needs.

    Raises:
        ZooError: One of them is not installed.
    """
    missing = [name for name in modules or _MODULES if importlib.util.find_spec(name) is None]
    if missing:
        raise ZooError(
            f"ONNX needs {', '.join(missing)}, not installed here: "
            "pip install 'lightning-text-zoo[export]'"
        )
