"""A small corpus and a tiny teacher of each family, for tests of distillation."""

import json
from pathlib import Path
from typing import Any

import torch

from tests.training.distributed_runs import make_data, make_task
from zoo.tracking.export import export_model

FAMILIES = (
    "ner",
    "single_label",
    "multi_label",
    "ordinal",
    "regression",
    "qa",
    "abstractive",
    "extractive",
)

_NAMES = ["ada", "london", "quick", "brown", "jumps"]
_MODES: dict[str, tuple[str, ...]] = {
    "single_label": ("dog", "fox", "bear"),
    "multi_label": ("dog", "fox;dog", "bear"),
    "ordinal": ("1", "2", "3"),
    "regression": ("0.5", "1.25", "4.75"),
}


def write_corpus(family: str, folder: Path) -> Path:
    """12 examples; what is to be found is always the same words."""
    texts = [f"the {_NAMES[at % 5]} {'lazy ' * (at % 4)}dog ." for at in range(12)]
    if family == "ner":
        path = folder / "x.conll"
        sentences = [
            "\n".join(
                f"{word} {'B-PER' if at == 1 else 'O'}" for at, word in enumerate(one.split())
            )
            for one in texts
        ]
        path.write_text("\n\n".join(sentences) + "\n", encoding="utf-8")
    elif family in _MODES:
        path = folder / "x.csv"
        labels = _MODES[family]
        rows = [f"{one},{labels[at % 3]}" for at, one in enumerate(texts)]
        path.write_text("\n".join(["text,label", *rows]) + "\n", encoding="utf-8")
    elif family == "qa":
        path = folder / "x.jsonl"
        rows = [
            json.dumps(
                {
                    "id": str(at),
                    "question": "who ?",
                    "context": one,
                    "answers": {"text": [_NAMES[at % 5]], "answer_start": [4]}
                    if at % 3
                    else {"text": [], "answer_start": []},
                }
            )
            for at, one in enumerate(texts)
        ]
        path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    else:
        path = folder / "x.jsonl"
        rows = [
            json.dumps({"source": [one, "a fox jumps ."], "target": f"{_NAMES[at % 5]} dog"})
            for at, one in enumerate(texts)
        ]
        path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def room_of(family: str) -> str:
    """The family as `zoo` has it, without the mode."""
    return "classification" if family in _MODES else family


def data_of(family: str, folder: Path, backbone: str, **options: Any) -> Any:
    """The datamodule of a family on its small corpus."""
    file = str(write_corpus(family, folder))
    settings: dict[str, Any] = {"batch_size": 4, "max_length": 32, "backbone": backbone}
    if family in _MODES:
        settings["mode"] = family
    if family == "ner":
        settings["stride"] = 8
    if family == "qa":
        settings["max_length"] = 16  # shorter than some texts with their questions: two windows
        settings["stride"] = 2
    files = dict.fromkeys(("train", "validation", "test"), file)
    return make_data(room_of(family), **{**files, **settings, **options})


def teacher_of(family: str, folder: Path, backbone: str) -> Any:
    """A teacher with an opinion of its own, as a run leaves it."""
    data = data_of(family, folder, backbone)
    task = make_task(room_of(family), backbone, data)
    torch.manual_seed(3)
    task.configure_model()
    with torch.no_grad():
        for parameter in task.net.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    known = {
        "backbone": backbone,
        "labels": task.known_labels,
        "max_length": data.max_length,
        "encoding": data.encoding_key,
        "calibration": task.calibration,
    }
    export_model(task, folder / "teacher", metadata=known)
    return type(task).from_run(folder / "teacher")


def student_task(family: str, backbone: str, data: Any, **options: Any) -> Any:
    """A task of a family for its data, with a backbone's folder."""
    return make_task(room_of(family), backbone, data, **options)
