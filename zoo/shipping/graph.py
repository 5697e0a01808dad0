"""A trained encoder as one ONNX graph, with free numbers of texts and of tokens."""

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from zoo import backbones
from zoo.errors import RunError
from zoo.shipping.extra import require

if TYPE_CHECKING:
    from transformers import PreTrainedModel

#: Version of the operators; runtimes from 2023 on know it.
OPSET = 18
#: A file of Protocol Buffers ends at 2 GiB; weights beyond this go into a file beside it.
_ONE_FILE = 1_800_000_000


class HeadOutputs(NamedTuple):
    """What a model with a head gives.

    Args:
        names: Its outputs.
        per_token: Whether each token has a value, so that those of padding mean nothing.
    """

    names: tuple[str, ...]
    per_token: bool


OUTPUTS: Mapping[backbones.Head, HeadOutputs] = {
    "token-classification": HeadOutputs(("logits",), per_token=True),
    "sequence-classification": HeadOutputs(("logits",), per_token=False),
    "question-answering": HeadOutputs(("start_logits", "end_logits"), per_token=True),
}


class _EncoderGraph(nn.Module):
    """A model that takes tensors in order and gives a tuple, as the exporter wants it."""

    def __init__(self, net: "PreTrainedModel", inputs: Sequence[str], outputs: Sequence[str]):
        super().__init__()
        self.net = net
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        found = self.net(**dict(zip(self.inputs, tensors, strict=True)))
        return tuple(getattr(found, name) for name in self.outputs)


class _InOrder(nn.Module):
    """A module whose inputs are one tuple to the exporter, whatever they are called."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, *tensors: Tensor) -> Any:
        return self.module(*tensors)


def write_encoder(
    net: "PreTrainedModel", path: Path, *, head: backbones.Head, inputs: Sequence[str]
) -> None:
    """Write a model with a head as an ONNX file.

    Args:
        net: The model.
        path: The file.
        head: The kind of head.
        inputs: What the graph takes, each int64 `[batch, length]`: `input_ids`,
            `attention_mask`, and `token_type_ids` where the model tells two texts apart.

    Raises:
        RunError: The architecture cannot be brought into a graph.
        ZooError: The extra `export` is not installed.
    """
    outputs = OUTPUTS[head].names
    # No length is 1 and no two are equal: torch would take that for a rule.
    texts, length = 3, 7
    ids = torch.arange(texts * length).reshape(texts, length) % 5 + 5
    mask = (torch.arange(length) < torch.tensor([[length], [4], [2]])).long()
    samples = {
        "input_ids": ids,
        "attention_mask": mask,
        "token_type_ids": torch.zeros_like(ids),
    }
    write_graph(
        _EncoderGraph(net, inputs, outputs),
        path,
        inputs={name: samples[name] for name in inputs},
        outputs=outputs,
        axes={name: {0: "batch", 1: "length"} for name in inputs},
        model_type=net.config.model_type,
    )


def write_graph(
    module: nn.Module,
    path: Path,
    *,
    inputs: Mapping[str, Tensor],
    outputs: Sequence[str],
    axes: Mapping[str, Mapping[int, str]],
    model_type: str,
) -> None:
    """Write a module as an ONNX file.

    Args:
        module: Takes the inputs in order and gives a tuple.
        path: The file.
        inputs: Samples of the inputs, by name.
        outputs: Names of what it gives.
        axes: The dimensions of each input that are free, by name.
        model_type: The architecture, for the error.

    Raises:
        RunError: The architecture cannot be brought into a graph.
        ZooError: The extra `export` is not installed.
    """
    require()
    module = _InOrder(module).eval()
    size = sum(one.numel() * one.element_size() for one in module.parameters())
    try:
        with torch.no_grad(), quiet_exporter():
            program: Any = torch.onnx.export(
                module,
                tuple(inputs.values()),
                input_names=list(inputs),
                output_names=list(outputs),
                dynamic_shapes=(tuple(dict(axes[name]) for name in inputs),),
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
    except Exception as error:
        if isinstance(error, (MemoryError, OSError)):
            raise
        raise RunError(
            f"A model of the architecture {model_type} cannot be exported to ONNX with torch "
            f"{torch.__version__} ({_reason(error)}). --format hf works with every model."
        ) from error
    program.save(path, external_data=size > _ONE_FILE)


def _reason(error: BaseException) -> str:
    """The first line of what went wrong at first."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip() or type(error).__name__).split("\n")[0]


@contextmanager
def quiet_exporter() -> Iterator[None]:
    """Silence what exporter and optimizer say of their own parts: no user can act on it."""
    names = ("torch.onnx", "onnxscript", "onnx_ir", "torch.export")
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


__all__ = ["OPSET", "OUTPUTS", "HeadOutputs", "write_encoder", "write_graph"]
