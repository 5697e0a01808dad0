"""The texts that training is measured on: real ones where they lie, else the shipped samples.

Real are WNUT-17, Banking77 and the public half of SQuAD 2.0's development questions, from the
folder that `ZOO_REAL_DATA` names (by default `../shared/data` beside the checkout).
"""

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.speed.results import ROOT
from zoo import (
    ClassificationDataModule,
    ClassificationTask,
    NERDataModule,
    NERTask,
    QADataModule,
    QATask,
)
from zoo.data.datamodule import TextDataModule
from zoo.training.task import FineTuningTask

FAMILIES = ("ner", "classification", "qa")

#: What the example scripts pad every input to.
FIXED = {"classification": 128, "qa": 384}


class Corpus(NamedTuple):
    """A family's data.

    Attributes:
        name: As in tables.
        data: The datamodule.
        task: The class of its tasks.
    """

    name: str
    data: TextDataModule
    task: type[FineTuningTask]


def real_folder() -> Path | None:
    """The folder of real corpora, where there is one."""
    folder = Path(os.environ.get("ZOO_REAL_DATA", ROOT.parent / "shared" / "data"))
    return folder if folder.is_dir() else None


def wnut17() -> dict[str, str]:
    """Files of WNUT-17; empty where they are missing."""
    folder = real_folder()
    if folder is None or not (folder / "ner" / "wnut17").is_dir():
        return {}
    names = {
        "train": "wnut17train.conll",
        "validation": "emerging.dev.conll",
        "test": "emerging.test.annotated",
    }
    return {split: str(folder / "ner" / "wnut17" / name) for split, name in names.items()}


def load(family: str, *, backbone: str, sample: bool = False) -> Corpus:
    """The data of a family.

    Args:
        family: One of `FAMILIES`.
        backbone: Whose tokenizer to use.
        sample: Take the shipped sample in any case.
    """
    folder = None if sample else real_folder()
    if family == "ner":
        files = {} if sample else wnut17()
        ner = NERDataModule(None if files else "ner-sample", **files, backbone=backbone)
        return Corpus("WNUT-17" if files else "ner-sample", ner, NERTask)
    if family == "classification":
        most = FIXED[family]
        train = folder / "classification" / "banking77" / "train.csv" if folder else None
        if train is not None and train.is_file():
            texts = ClassificationDataModule(train=str(train), backbone=backbone, max_length=most)
            return Corpus("Banking77", texts, ClassificationTask)
        texts = ClassificationDataModule(
            "classification-sample", backbone=backbone, max_length=most
        )
        return Corpus("classification-sample", texts, ClassificationTask)
    train = folder / "qa" / "squad2_half_dev" / "dev-v2.0.json" if folder else None
    most = FIXED["qa"] if train is not None and train.is_file() else None
    if train is not None and most is not None:
        questions = QADataModule(train=str(train), backbone=backbone, max_length=most)
        return Corpus("SQuAD 2.0, half of dev", questions, QATask)
    return Corpus("qa-sample", QADataModule("qa-sample", backbone=backbone), QATask)


def batches(corpus: Corpus, *, number: int, size: int, seed: int = 0) -> list[dict[str, Any]]:
    """Padded batches of training examples in random order, as a plain loader makes them."""
    rows = corpus.data.training_rows()
    chosen = np.random.default_rng(seed).permutation(rows)[: number * size]
    features = corpus.data.features("train")
    return [
        corpus.data.collate([features[int(row)] for row in chosen[at : at + size]])
        for at in range(0, len(chosen), size)
    ]
