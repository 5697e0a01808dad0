"""Making a student: a teacher's own backbone with fewer layers, as a model's folder."""

import copy
import json
import shutil
from pathlib import Path
from typing import Any

from torch import nn

from zoo import backbones
from zoo.backbones import METADATA_FILE
from zoo.distillation.layer_maps import kept_layers
from zoo.errors import ZooError
from zoo.training.adaptation.adapters import merged
from zoo.training.adaptation.saving import write_model
from zoo.training.task import FineTuningTask

#: What an exported model says that still holds for a student cut out of it.
_KEPT = ("family", "zoo_version", "backbone", "labels", "max_length", "encoding")


def student_of(teacher: FineTuningTask, folder: str | Path, *, layers: int) -> Path:
    """Write a teacher's model with fewer layers, evenly spaced, with its embeddings and head.

    The folder is a backbone as any other: `NERTask(str(folder), labels=...)` goes on from it.

    Args:
        teacher: A trained task.
        folder: Where the student goes; replaced if it is there.
        layers: How many of its layers are kept, in each half of an encoder-decoder.

    Raises:
        ZooError: The teacher has fewer layers, or shares their weights.
    """
    with teacher.exported() as model:
        small = copy.deepcopy(merged(model))
    cut(small, layers)
    known = backbones.metadata(teacher.backbone)
    kept = {name: known[name] for name in _KEPT if name in known}
    return _write(small, teacher, folder, {"backbone": teacher.backbone, **kept})


def pretrained_student_of(teacher: FineTuningTask, folder: str | Path, *, layers: int) -> Path:
    """Write the pretrained backbone behind a teacher with fewer layers; its head will be new.

    Args:
        teacher: A trained task.
        folder: Where the student goes; replaced if it is there.
        layers: How many layers are kept, evenly spaced.

    Raises:
        ZooError: The backbone has fewer layers, or shares their weights.
        BackboneError: The backbone cannot be found.
    """
    origin = str(backbones.metadata(teacher.backbone).get("backbone", teacher.backbone))
    labels = teacher.known_labels
    model = backbones.load_model(origin, teacher.head, labels=labels)
    cut(model, layers)
    # What writes was pretrained as a whole; any other head is one for another task.
    body = model if teacher.head == "text-to-text" else model.base_model
    return _write(body, teacher, folder, {"backbone": origin})


def cut(model: Any, layers: int) -> None:
    """Keep so many layers of a model, in place, evenly spaced.

    Raises:
        ZooError: It has fewer, or shares their weights.
    """
    config = model.config
    if config.model_type == "albert":
        raise ZooError("All layers of an ALBERT are the same one: there is nothing to cut.")
    halves = [(model, config)]
    if config.model_type == "encoder-decoder":
        halves = [(model.encoder, config.encoder), (model.decoder, config.decoder)]
    elif getattr(config, "is_encoder_decoder", False):
        halves = [(model.get_encoder(), config), (model.get_decoder(), config)]
    for half, own in halves:
        stack = _layers_of(half)
        kept = kept_layers(layers, of=len(stack))
        stack_kept = nn.ModuleList(stack[number] for number in kept)
        _replace(half, stack, stack_kept)
        types = getattr(own, "layer_types", None)
        if types is not None:
            own.layer_types = [types[number] for number in kept]
        for name in ("encoder_layers", "decoder_layers", "num_decoder_layers"):
            if hasattr(own, name):
                setattr(own, name, layers)
        own.num_hidden_layers = layers


def _layers_of(model: nn.Module) -> nn.ModuleList:
    """The layers of an encoder or a decoder: the longest list of modules of one kind in it."""
    lists = [one for one in model.modules() if isinstance(one, nn.ModuleList) and len(one)]
    alike = [one for one in lists if len({type(inner) for inner in one}) == 1]
    inner = {id(module) for one in alike for block in one for module in block.modules()}
    outer = [one for one in alike if id(one) not in inner]
    if not outer:
        raise ZooError(f"{type(model).__name__} has no list of layers to cut.")
    return max(outer, key=len)


def _replace(model: nn.Module, old: nn.ModuleList, new: nn.ModuleList) -> None:
    for module in model.modules():
        for name, child in module.named_children():
            if child is old:
                setattr(module, name, new)
                return


def _write(model: Any, teacher: FineTuningTask, folder: str | Path, known: dict[str, Any]) -> Path:
    path = Path(folder).expanduser()
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    with backbones.quiet_transformers():
        write_model(model, unfinished, home=path)
    teacher.tokenizer.save_pretrained(unfinished)
    (unfinished / METADATA_FILE).write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
    shutil.rmtree(path, ignore_errors=True)
    unfinished.rename(path)
    return path


__all__ = ["cut", "pretrained_student_of", "student_of"]
