"""Writing the folder of an ONNX export, in float32 and in int8."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.shipping.folder import DECODER, ENCODER, GRAPH, copy_without_weights, write_metadata
from zoo.shipping.graph import OPSET, write_encoder
from zoo.shipping.quantize import quantize

if TYPE_CHECKING:
    from zoo.training.task import FineTuningTask


def build_onnx(task: "FineTuningTask", model: Path, folder: Path) -> None:
    """Write a trained task as an ONNX folder, with tokenizer, configuration and `zoo.json`.

    Args:
        task: With the torch model of a run's `model/`.
        model: That folder.
        folder: Where the export goes; must not exist.

    Raises:
        RunError: The architecture cannot be brought into a graph.
    """
    copy_without_weights(model, folder)
    net = task.net
    with task.evaluating():
        if task.head == "text-to-text":
            from zoo.shipping.writer_graph import write_writer

            write_writer(net, folder / ENCODER, folder / DECODER)
        else:
            write_encoder(net, folder / GRAPH, head=task.head, inputs=task.input_names)
    write_metadata(folder, format="onnx", task=type(task).__name__, opset=OPSET)


def build_int8(source: Path, folder: Path, *, task: "FineTuningTask") -> None:
    """Write an ONNX folder with its linear layers in int8.

    Args:
        source: A folder that `build_onnx` wrote.
        folder: Where the export goes; must not exist.
        task: The task of both.
    """
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.onnx", "*.onnx.data"))
    layers = sum(
        quantize(path, folder / path.name, keep_head=path.name != ENCODER)
        for path in sorted(source.glob("*.onnx"))
    )
    said: dict[str, Any] = {"opset": OPSET, "quantized_layers": layers}
    write_metadata(folder, format="onnx-int8", task=type(task).__name__, **said)


def build_hf(task: "FineTuningTask", model: Path, folder: Path) -> None:
    """Copy a run's model as transformers reads it, byte by byte.

    Args:
        task: The task of the model.
        model: A run's `model/`.
        folder: Where the export goes; must not exist.
    """
    shutil.copytree(model, folder)
    write_metadata(folder, format="hf", task=type(task).__name__)


__all__ = ["build_hf", "build_int8", "build_onnx"]
