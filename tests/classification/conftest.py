"""What tests of the classification family share: files written on the spot and quiet trainers."""

import csv
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from lightning import Trainer


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., str]:
    """A function that writes rows as CSV with a header and returns the file's path."""

    def write(
        name: str, rows: Iterable[Sequence[str]], header: Sequence[str] = ("text", "label")
    ) -> str:
        path = tmp_path / f"{name}.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([header, *rows])
        return str(path)

    return write


@pytest.fixture
def trainer() -> Callable[..., Trainer]:
    """A function that makes a plain trainer on the CPU that writes and prints nothing."""

    def make(**options: Any) -> Trainer:
        settings: dict[str, Any] = {
            "accelerator": "cpu",
            "devices": 1,
            "max_epochs": 1,
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "num_sanity_val_steps": 0,
        }
        return Trainer(**{**settings, **options})

    return make
