"""The texts that training is measured on: real ones where they lie, else the shipped samples.

Real are WNUT-17, Banking77, the public half of SQuAD 2.0's development questions, SciTLDR-A's dev
and the validation part of WikiText-2, from the folder that `ZOO_REAL_DATA` names (by default
`../shared/data` beside the checkout).
"""

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.speed.results import ROOT
from zoo import (
    ClassificationDataModule,
    ClassificationTask,
    ExtractiveSummarizationDataModule,
    ExtractiveSummarizationTask,
    MaskedLMDataModule,
    MaskedLMTask,
    NERDataModule,
    NERTask,
    QADataModule,
    QATask,
)
from zoo.data.datamodule import TextDataModule
from zoo.training.task import FineTuningTask

FAMILIES = ("ner", "classification", "qa", "summarization", "pretraining")

#: Families of texts ten times as long as the sentences of the others: fewer batches are measured.
LONG = ("qa", "summarization", "pretraining")

#: Longest block of masked language modelling.
BLOCK = 128

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


#: Files of WNUT-17, as its authors call them.
WNUT17 = {
    "train": "wnut17train.conll",
    "validation": "emerging.dev.conll",
    "test": "emerging.test.annotated",
}


def real_folder() -> Path | None:
    """The folder of real corpora, where there is one."""
    folder = Path(os.environ.get("ZOO_REAL_DATA", ROOT.parent / "shared" / "data"))
    return folder if folder.is_dir() else None


def wnut17() -> dict[str, str]:
    """Files of WNUT-17; empty where they are missing."""
    folder = real_folder()
    if folder is None or not (folder / "ner" / "wnut17").is_dir():
        return {}
    return {split: str(folder / "ner" / "wnut17" / name) for split, name in WNUT17.items()}


def load(family: str, *, backbone: str, sample: bool = False) -> Corpus:
    """The data of a family.

    Args:
        family: One of `FAMILIES`.
        backbone: Whose tokenizer to use.
        sample: Take the shipped sample in any case.
    """
    folder = None if sample else real_folder()
    if family == "ner":
        files: dict[str, Any] = {} if sample else dict(wnut17())
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
    if family == "qa":
        train = folder / "qa" / "squad2_half_dev" / "dev-v2.0.json" if folder else None
        if train is not None and train.is_file():
            questions = QADataModule(train=str(train), backbone=backbone, max_length=FIXED["qa"])
            return Corpus("SQuAD 2.0, half of dev", questions, QATask)
        return Corpus("qa-sample", QADataModule("qa-sample", backbone=backbone), QATask)
    if family == "summarization":
        return _summaries(folder, backbone)
    if family == "pretraining":
        return _plain_text(folder, backbone)
    raise ValueError(f"{family} is none of {', '.join(FAMILIES)}")


def _summaries(folder: Path | None, backbone: str) -> Corpus:
    train = folder / "summarization" / "scitldr_a" / "dev.jsonl" if folder else None
    if train is not None and train.is_file():
        texts = ExtractiveSummarizationDataModule(train=str(train), backbone=backbone)
        return Corpus("SciTLDR-A, dev", texts, ExtractiveSummarizationTask)
    texts = ExtractiveSummarizationDataModule("summarization-sample", backbone=backbone)
    return Corpus("summarization-sample", texts, ExtractiveSummarizationTask)


def _plain_text(folder: Path | None, backbone: str) -> Corpus:
    # Documents by themselves: of several in a block transformers' model would mix up neighbours.
    options: dict[str, Any] = {"backbone": backbone, "max_length": BLOCK, "pack": False}
    train = folder / "mlm" / "wikitext2" / "valid.txt" if folder else None
    if train is not None and train.is_file():
        return Corpus("WikiText-2", MaskedLMDataModule(train=str(train), **options), MaskedLMTask)
    return Corpus(
        "pretraining-sample", MaskedLMDataModule("pretraining-sample", **options), MaskedLMTask
    )


def batches(corpus: Corpus, *, number: int, size: int, seed: int = 0) -> list[dict[str, Any]]:
    """Padded batches of training examples in random order, as a plain loader makes them."""
    rows = corpus.data.training_rows()
    chosen = np.random.default_rng(seed).permutation(rows)[: number * size]
    features = corpus.data.features("train")
    found = [
        corpus.data.collate([features[int(row)] for row in chosen[at : at + size]])
        for at in range(0, len(chosen), size)
    ]
    if issubclass(corpus.task, MaskedLMTask):
        # The masks that each step of the task chooses again, as a collator would bring them.
        task = corpus.task(corpus.data.backbone)
        for batch in found:
            batch["read"], batch["labels"] = task.ask(batch, 0)
    return found
