"""Run folders made by hand, and what reads a page."""

import json
import os
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from recipes.__main__ import main

Records = list[dict[str, Any]]


def _write_run(
    folder: Path,
    records: Records,
    *,
    metrics: dict[str, float] | None = None,
    task: str = "zoo.ClassificationTask",
    settings: dict[str, Any] | None = None,
    age: int = 0,
) -> Path:
    """A run folder with what a test leaves, `age` seconds old."""
    folder.mkdir(parents=True)
    config = {
        "seed_everything": 42,
        "recipe": f"{folder.parent.name}/sample",
        "trainer": {"max_epochs": 2, "logger": None},
        "model": {"class_path": task, "init_args": {"learning_rate": 3e-4, **(settings or {})}},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    if metrics is None:
        right = sum(one["gold"] == one["label"] for one in records)
        metrics = {"test/accuracy": right / len(records)}
    costs = {"perf/tokens_per_second": 1234.5, "perf/peak_memory_gib": 1.5, "perf/fit_seconds": 60}
    content = {"test/loss": 0.5, **costs, **metrics}
    (folder / "metrics.json").write_text(json.dumps(content), encoding="utf-8")
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (folder / "predictions.jsonl").write_text(lines, encoding="utf-8")
    history = [{"step": 10, "train/loss": 1.0}, {"step": 20, "val/accuracy": 0.7}]
    rows = "".join(json.dumps(row) + "\n" for row in history)
    (folder / "history.jsonl").write_text(rows, encoding="utf-8")
    when = folder.stat().st_mtime - age
    os.utime(folder / "predictions.jsonl", (when, when))
    return folder


def _classified(right: int, texts: int = 100, *, first: str = "text 0") -> Records:
    """Texts of which the first are classified right and the others wrong."""
    return [
        {
            "example": number,
            "text": first if number == 0 else f"text {number}",
            "gold": "yes" if number % 2 else "no",
            "label": ("yes" if number % 2 else "no") if number < right else "maybe",
            "probability": 0.9,
        }
        for number in range(texts)
    ]


@pytest.fixture
def write_run() -> Callable[..., Path]:
    """A function that makes a run folder."""
    return _write_run


@pytest.fixture
def classified() -> Callable[..., Records]:
    """A function that makes predictions of which a number is right."""
    return _classified


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own with two runs: the second has 20 texts more right, and no other."""
    monkeypatch.chdir(tmp_path)
    folder = Path("runs/classification")
    _write_run(folder / "one", _classified(60), age=20)
    _write_run(folder / "two", _classified(80), settings={"learning_rate": 1e-5}, age=10)
    return folder


class Page(HTMLParser):
    """Collects tags, what they load, and the text; refuses tags that are not closed."""

    EMPTY = ("meta", "img", "br")

    def __init__(self, path: Path):
        super().__init__()
        self.tags: list[str] = []
        self.loaded: list[str] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        assert self.open == []

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loaded += [value or "" for name, value in attrs if name in ("src", "href", "srcset")]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.words.append(data)


@pytest.fixture
def read_page() -> Callable[[Path], Page]:
    """A function that reads a page of HTML."""
    return Page


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """A function that compares what cannot be compared, and gives the sentence that was said."""

    def fail(*arguments: str) -> str:
        assert main(["compare", *arguments]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert error.count("\n") == 1
        return error

    return fail
