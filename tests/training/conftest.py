"""A corpus that a tiny backbone can learn by heart."""

from collections.abc import Callable
from pathlib import Path

import pytest

from zoo import NERDataModule

NAMES = ["ada", "london", "quick", "brown", "jumps"]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """40 sentences; a name is always the same words, so a model can learn them by heart."""
    path = tmp_path / "corpus.txt"
    sentences = [
        ["the O", f"{NAMES[number % 5]} B-PER", *["lazy O"] * (number % 4), "dog O", ". O"]
        for number in range(40)
    ]
    path.write_text("\n\n".join("\n".join(sentence) for sentence in sentences) + "\n")
    return path


@pytest.fixture
def bert(tiny: Callable[[str], Path]) -> str:
    return str(tiny("bert"))


@pytest.fixture
def data(corpus: Path, bert: str) -> NERDataModule:
    same = str(corpus)
    return NERDataModule(
        train=same, validation=same, test=same, backbone=bert, batch_size=8, max_length=64, stride=8
    )
