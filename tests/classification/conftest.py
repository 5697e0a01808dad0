"""What tests of the classification family share: files written on the spot."""

import csv
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pytest


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
