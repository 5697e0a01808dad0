"""`torch.compile` of the blocks of a model, in place: no name of a weight changes."""

import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from zoo.errors import ZooError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def compile_blocks(model: "PreTrainedModel", names: Sequence[str], *, gpu: bool = False) -> None:
    """Let a model's blocks be compiled when each kind of pass first goes through one.

    Blocks, and not the model: all of them are compiled as one, what is around them may have hooks
    that come and go with each batch, and attention over packed sequences is not compiled anyway.

    Args:
        model: Any model of transformers; what is compiled already stays so.
        names: Class names of its blocks.
        gpu: Whether it will be on a GPU.

    Raises:
        ZooError: Nothing here can compile it, or its blocks are unknown.
    """
    from torch import _dynamo as dynamo  # takes a second to import

    _check(gpu=gpu)
    # A hook that is added later, such as a distillation's, would else not be called.
    dynamo.config.skip_nnmodule_hook_guards = False
    blocks = _blocks(model, names)
    if not blocks:
        raise ZooError(
            f"--model.compile: no blocks are known of {type(model).__name__}. Leave it out."
        )
    for block in blocks:
        if block._compiled_call_impl is None:
            block.compile(dynamic=True)


def is_compiled(model: nn.Module) -> bool:
    """Whether a part of a model is compiled."""
    return any(part._compiled_call_impl is not None for part in model.modules())


def _blocks(model: nn.Module, names: Sequence[str]) -> list[nn.Module]:
    return [part for part in model.modules() if type(part).__name__ in names]


def _check(*, gpu: bool) -> None:
    from torch._dynamo.eval_frame import is_dynamo_supported
    from torch._inductor import cpp_builder
    from torch._inductor.exc import InvalidCxxCompiler
    from torch.utils._triton import has_triton

    if not is_dynamo_supported():
        raise ZooError(
            "--model.compile: torch.compile does not work with this Python. Leave it out."
        )
    if gpu:
        if not has_triton():
            raise ZooError("--model.compile needs Triton on a GPU. Install it, or leave it out.")
        return
    try:
        cpp_builder.get_cpp_compiler()
    except InvalidCxxCompiler as error:
        raise ZooError(
            "--model.compile needs a C++ compiler, and none was found. Install one (g++ or "
            "clang++; the variable CXX names another), or leave it out."
        ) from error
    if not Path(sysconfig.get_paths()["include"], "Python.h").is_file():
        raise ZooError(
            "--model.compile needs Python's headers (Python.h, often a package called "
            "python3-dev), which were not found. Install them, or leave it out."
        )


__all__ = ["compile_blocks", "is_compiled"]
