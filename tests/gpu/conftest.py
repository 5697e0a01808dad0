"""Tests that need a CUDA device; they are skipped where there is none."""

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.conftest import corpus, data

__all__ = ["corpus", "data"]


@pytest.fixture(autouse=True)
def _device() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")


@pytest.fixture
def bert(tiny: Callable[[str], Path], tmp_path: Path) -> str:
    """A tiny BERT of the test's own."""
    shutil.copytree(tiny("bert"), tmp_path / "bert")
    return str(tmp_path / "bert")


@pytest.fixture
def on_gpu() -> Callable[..., Any]:
    """A function that makes a plain trainer on one GPU that writes and prints nothing."""
    from lightning import Trainer

    def make(**options: Any) -> Trainer:
        settings: dict[str, Any] = {
            "accelerator": "gpu",
            "devices": 1,
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "num_sanity_val_steps": 0,
            "max_epochs": 1,
        }
        return Trainer(**{**settings, **options})

    return make


@pytest.fixture
def families(tiny: Callable[[str], Path], tmp_path: Path) -> Callable[[str], tuple[Any, Any]]:
    """A function from a family to a task with a tiny backbone, and its data."""
    from tests.distillation.families import data_of, student_task
    from tests.pretraining.masked_data import masked_data
    from tests.training.distributed_runs import make_task

    def make(family: str, **options: Any) -> tuple[Any, Any]:
        backbone = str(tiny("t5" if family == "abstractive" else "bert"))
        if family == "pretraining":
            text = tmp_path / "texts.txt"
            text.write_text("the quick brown fox jumps over the lazy dog .\n" * 40)
            data: Any = masked_data(str(text), backbone)
            return make_task(family, backbone, data, **options), data
        data = data_of(family, tmp_path, backbone)
        return student_task(family, backbone, data, **options), data

    return make


def moved(batch: dict[str, Any]) -> dict[str, Any]:
    """A batch on the GPU."""
    return {
        name: one.cuda() if isinstance(one, torch.Tensor) else copy.copy(one)
        for name, one in batch.items()
    }
