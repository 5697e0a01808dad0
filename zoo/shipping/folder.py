"""The exported folder: what is in it, how it is written, and the task that is made of it again."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import zoo
from zoo import backbones
from zoo.backbones import METADATA_FILE
from zoo.errors import RunError

if TYPE_CHECKING:
    from zoo.training.task import FineTuningTask

Format = Literal["hf", "onnx", "onnx-int8"]
FORMATS: tuple[Format, ...] = ("hf", "onnx", "onnx-int8")

#: Files of an export, beside the tokenizer's and the model's configuration.
GRAPH = "model.onnx"
ENCODER = "encoder.onnx"
DECODER = "decoder.onnx"
CARD = "README.md"
PARITY = "parity.json"

#: What is left behind of a model's folder: weights in the format of transformers.
_WEIGHTS = ("*.safetensors", "*.safetensors.index.json")


def export_of(folder: str | Path) -> dict[str, Any]:
    """What an exported folder says of itself: `format`, `task`; empty for any other folder."""
    said = backbones.metadata(str(folder)).get("export")
    return said if isinstance(said, dict) else {}


def load(
    folder: str | Path, *, labels: Sequence[str] | None = None, threads: int | None = None
) -> "FineTuningTask":
    """The task of an exported folder, ready to predict and to be tested.

    Args:
        folder: What `python -m recipes export` wrote.
        labels: Labels of data to test on, where they are more than the model knows.
        threads: Threads that onnxruntime computes with; if None as many as torch.

    Raises:
        RunError: The folder is no export, or a file in it is damaged.
        ZooError: It is an ONNX model, and the extra `export` is not installed.
    """
    said = export_of(folder)
    name = said.get("task")
    if said.get("format") not in FORMATS or name not in zoo.__all__:
        raise RunError(
            f"{folder} is no export. `python -m recipes export RUN_DIR --format onnx` writes one; "
            "a run's folder is loaded by its task's from_run."
        )
    cls: type[FineTuningTask] = getattr(zoo, name)
    if said["format"] == "hf":
        return cls.from_run(folder, labels=labels)
    return task_with_graph(cls, Path(folder), labels=labels, threads=threads)


def task_with_graph(
    cls: type["FineTuningTask"],
    folder: Path,
    *,
    labels: Sequence[str] | None = None,
    threads: int | None = None,
) -> "FineTuningTask":
    """A task that predicts with the graph in a folder.

    Args:
        cls: The task.
        folder: Where the graph lies, with tokenizer, configuration and `zoo.json`.
        labels: Labels of data to test on, where they are more than the model knows.
        threads: Threads that onnxruntime computes with; if None as many as torch.
    """
    had = backbones.head_labels(str(folder), cls.head)
    if had is None:
        raise RunError(f"The model in {folder} has no head for {cls.family}.")
    options = cls.options_of(backbones.metadata(str(folder)))
    task = cls(str(folder), labels=list(labels or had), **options)
    config = backbones.load_config(str(folder))
    model: Any
    if cls.head == "text-to-text":
        from zoo.shipping.writer import OnnxWriter

        model = OnnxWriter(folder / ENCODER, folder / DECODER, config, threads=threads)
    else:
        from zoo.shipping.session import OnnxEncoder

        model = OnnxEncoder(folder / GRAPH, config, threads=threads)
    task.use(model)
    task.net  # noqa: B018  what was fitted on validation is read now
    return task


def copy_without_weights(model: Path, folder: Path) -> None:
    """Copy a model's folder but for its weights.

    Args:
        model: A run's `model/`.
        folder: Where the copy goes; must not exist.
    """
    shutil.copytree(model, folder, ignore=shutil.ignore_patterns(*_WEIGHTS))


def write_metadata(folder: Path, **export: Any) -> None:
    """Say in `zoo.json` what kind of export a folder is."""
    path = folder / METADATA_FILE
    content = {**backbones.metadata(str(folder)), "export": export}
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def size_of(folder: Path) -> int:
    """Bytes of the weights in a folder: graphs, or safetensors."""
    names = ("*.onnx", "*.onnx.data", "*.safetensors")
    return sum(path.stat().st_size for name in names for path in folder.glob(name))


__all__ = [
    "CARD",
    "DECODER",
    "ENCODER",
    "FORMATS",
    "GRAPH",
    "PARITY",
    "Format",
    "copy_without_weights",
    "export_of",
    "load",
    "size_of",
    "task_with_graph",
    "write_metadata",
]
