"""An epoch on a part of each real corpus in its original format, with a tiny model."""

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from zoo.ner.datamodule import NERDataModule
from zoo.ner.reading.schemes import Scheme
from zoo.ner.task import NERTask

pytestmark = pytest.mark.slow

_ZH = "uner_zh_gsdsimp/zh_gsdsimp-ud"

# Files for train and test, the scheme, and the position of the token in a line.
_CORPORA = {
    "ncbi_disease": (
        "ncbi_disease/IOBES/train.tsv",
        "ncbi_disease/IOBES/test.tsv",
        Scheme.BIOES,
        0,
    ),
    "wikigold": ("wikigold/wikigold.conll.txt", None, Scheme.IO, 0),
    "uner_zh_gsdsimp": (f"{_ZH}-train.iob2", f"{_ZH}-test.iob2", Scheme.IOB2, 1),
    "wnut17": ("wnut17/wnut17train.conll", "wnut17/emerging.test.annotated", Scheme.IOB2, 0),
}
_TRAIN, _TEST = 6000, 2000


def _cut(source: Path, target: Path, lines: int) -> Path:
    """The first lines of a file, as they are, up to the end of a sentence."""
    kept: list[str] = []
    for line in source.read_text(encoding="utf-8").split("\n"):
        if len(kept) >= lines and not line.strip():
            break
        kept.append(line)
    target.write_text("\n".join(kept) + "\n", encoding="utf-8")
    return target


def _sentences(path: Path, token: int) -> Iterator[list[str]]:
    """The words of each sentence by plain string handling."""
    blocks = path.read_text(encoding="utf-8").replace("-DOCSTART- O", "").split("\n")
    ends = [-1, *(number for number, line in enumerate(blocks) if not line.strip())]
    for before, end in pairwise(ends):
        words = [
            line.replace("\t", " ").split(" ")[token]
            for line in blocks[before + 1 : end]
            if not line.startswith("# ")
        ]
        if words:
            yield words


@pytest.mark.parametrize("name", _CORPORA)
def test_a_part_of_a_real_corpus_trains_for_an_epoch_and_every_word_is_tagged(
    name: str,
    real_data: Path,
    tiny: Callable[[str], Path],
    trainer: Callable[..., Any],
    tmp_path: Path,
) -> None:
    of_train, of_test, scheme, token = _CORPORA[name]
    train = _cut(real_data / "ner" / of_train, tmp_path / Path(of_train).name, _TRAIN)
    files: dict[str, Any] = {"train": str(train)}
    if of_test is not None:
        test = _cut(real_data / "ner" / of_test, tmp_path / Path(of_test).name, _TEST)
        files["test"] = str(test)
    # Validation, and wikigold's test, are held out of train.
    data = NERDataModule(**files, backbone=str(tiny("bert")), max_length=64, stride=16)
    assert data.known["schemes"]["train"] == scheme
    task = NERTask(data.backbone, labels=data.labels, learning_rate=3e-3)
    runner = trainer()
    runner.fit(task, data)
    assert math.isfinite(runner.callback_metrics["train/loss"])
    (scores,) = runner.test(task, data, verbose=False)
    assert 0 <= scores["test/f1"] <= 1

    splits = data.splits()
    sizes = {split: len(table) for split, table in splits.items()}
    expected = list(_sentences(train, token))
    held_out = sum(sizes[split] for split in sizes if split not in files)
    assert sizes["train"] + held_out == len(expected) > 100
    if of_test is not None:
        assert [list(row["tokens"]) for row in splits["test"]] == list(_sentences(test, token))
    found = {one.example: one for batch in runner.predict(task, data) for one in batch}
    assert sorted(found) == list(range(sizes["test"]))
    for row, example in enumerate(splits["test"]):
        assert len(found[row].tags) == len(example["tokens"])
        assert found[row].gold == example["tags"]
