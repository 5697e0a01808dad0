"""The pretraining sample corpus keeps what its datasheet promises."""

import subprocess
import sys
from pathlib import Path

import pytest

from zoo.data import samples
from zoo.pretraining.reading import read_documents

FOLDER = Path(__file__).parents[2] / "data" / "pretraining"
SPLITS = ("train", "validation", "test")
DATASHEET = (FOLDER / "README.md").read_text(encoding="utf-8")


def test_generator_rewrites_the_shipped_files_byte_for_byte(tmp_path: Path) -> None:
    command = [sys.executable, str(FOLDER / "generate.py"), "--out", str(tmp_path)]
    subprocess.run(command, check=True, cwd=tmp_path)
    written = {file.relative_to(tmp_path) for file in tmp_path.rglob("*.*")}
    assert written == {Path("sample") / f"{split}.txt" for split in SPLITS}
    for file in written:
        assert (tmp_path / file).read_bytes() == (FOLDER / file).read_bytes()


def test_the_corpus_is_found_by_its_name() -> None:
    assert samples.folder("pretraining-sample") == FOLDER / "sample"


@pytest.mark.parametrize("split", SPLITS)
def test_the_datasheet_counts_the_files(split: str) -> None:
    path = FOLDER / "sample" / f"{split}.txt"
    documents = [one.text for one in read_documents(path)]
    words = sum(len(text.split()) for text in documents)
    size = path.stat().st_size
    assert f"| {split} | {len(documents):,} | {words:,} | {size:,} |" in DATASHEET
