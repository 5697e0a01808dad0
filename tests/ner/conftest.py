"""What tests of the NER family share: files written on the spot and quiet trainers."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from lightning import Trainer

Tagged = tuple[Sequence[str], Sequence[str]]


@pytest.fixture
def conll(tmp_path: Path) -> Callable[[str, Iterable[Tagged]], str]:
    """A function that writes tokens and tags as CoNLL columns and returns the file's path."""

    def write(name: str, sentences: Iterable[Tagged]) -> str:
        path = tmp_path / f"{name}.conll"
        blocks = (
            "\n".join(f"{token}\t{tag}" for token, tag in zip(tokens, tags, strict=True))
            for tokens, tags in sentences
        )
        path.write_text("\n\n".join(blocks) + "\n", encoding="utf-8")
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
