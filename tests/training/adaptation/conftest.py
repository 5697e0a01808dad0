"""A little data for each task family, and a task on a tiny backbone for it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import zoo
from zoo.pretraining.datamodule import MaskedLMDataModule
from zoo.pretraining.task import MaskedLMTask

FAMILIES = ("ner", "classification", "qa", "extractive", "abstractive", "pretraining")

_WORDS = ["ada", "london", "fox", "dog", "bear", "lion", "quick", "lazy"]


def _ner(folder: Path) -> str:
    names = _WORDS[:5]
    sentences = [
        ["the O", f"{names[at % 5]} B-PER", *["lazy O"] * (at % 4), "dog O", ". O"]
        for at in range(24)
    ]
    path = folder / "x.conll"
    path.write_text("\n\n".join("\n".join(one) for one in sentences) + "\n", encoding="utf-8")
    return str(path)


def _classification(folder: Path) -> str:
    path = folder / "x.csv"
    rows = [f"the {_WORDS[at % 8]} jumps over it,{'yes' if at % 2 else 'no'}" for at in range(24)]
    path.write_text("\n".join(["text,label", *rows]) + "\n", encoding="utf-8")
    return str(path)


def _qa(folder: Path) -> str:
    paragraphs = []
    for at in range(24):
        name = _WORDS[at % 8]
        answer = {"text": name, "answer_start": 4}
        asked = {"id": str(at), "question": "who jumps ?", "answers": [answer]}
        paragraphs.append({"context": f"the {name} jumps over it .", "qas": [asked]})
    path = folder / "x.json"
    path.write_text(json.dumps({"version": "1.1", "data": [{"paragraphs": paragraphs}]}))
    return str(path)


def _summaries(folder: Path) -> str:
    path = folder / "x.jsonl"
    rows = [
        {
            "source": [f"{_WORDS[at % 8]} worked in london .", "the dog lived ."],
            "target": f"{_WORDS[at % 8]} worked in london",
        }
        for at in range(24)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def _lines(folder: Path) -> str:
    path = folder / "x.txt"
    lines = [f"{_WORDS[at % 8]} lived in london for {at} years ." for at in range(24)]
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


_FILES: dict[str, tuple[Callable[[Path], str], Any, Any]] = {
    "ner": (_ner, zoo.NERDataModule, zoo.NERTask),
    "classification": (_classification, zoo.ClassificationDataModule, zoo.ClassificationTask),
    "qa": (_qa, zoo.QADataModule, zoo.QATask),
    "extractive": (
        _summaries,
        zoo.ExtractiveSummarizationDataModule,
        zoo.ExtractiveSummarizationTask,
    ),
    "abstractive": (_summaries, zoo.SummarizationDataModule, zoo.SummarizationTask),
    "pretraining": (_lines, MaskedLMDataModule, MaskedLMTask),
}


@pytest.fixture(scope="module")
def options_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, Any]]:
    """A function from a family to the options of its data, but for the backbone."""
    made: dict[str, str] = {}

    def make(family: str) -> dict[str, Any]:
        if family not in made:
            made[family] = _FILES[family][0](tmp_path_factory.mktemp(family))
        same = dict.fromkeys(("train", "validation", "test"), made[family])
        windows = {"stride": 8} if family in ("ner", "qa") else {}
        return {**same, "batch_size": 8, "max_length": 64, **windows}

    return make


@pytest.fixture(scope="module")
def data_of(options_of: Callable[[str], dict[str, Any]]) -> Callable[..., Any]:
    """A function from a family and a backbone to its data."""

    def make(family: str, backbone: str, **options: Any) -> Any:
        return _FILES[family][1](backbone=backbone, **{**options_of(family), **options})

    return make


@pytest.fixture(scope="module")
def task_of() -> Callable[..., Any]:
    """A function from a family, a backbone and its data to a task."""

    def make(family: str, backbone: str, data: Any, **options: Any) -> Any:
        return _FILES[family][2](backbone, labels=data.labels, **options)

    return make
