"""A step over several batches learns what one batch of all their examples would teach."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Trainer, seed_everything
from torch import nn

from zoo import (
    ClassificationDataModule,
    ClassificationTask,
    ExtractiveSummarizationDataModule,
    ExtractiveSummarizationTask,
    NERDataModule,
    NERTask,
    QADataModule,
    QATask,
    SummarizationDataModule,
    SummarizationTask,
)
from zoo.training.task import FineTuningTask

Tiny = Callable[[str], Path]

#: Of very different lengths, and so with very different numbers of words to a batch.
LENGTHS = [3, 40, 5, 7, 1, 30, 9, 2, 12, 25, 4, 6, 18, 2, 33, 8, 1, 1, 21, 10]


def _ner(folder: Path, tiny: Tiny) -> tuple[FineTuningTask, Any]:
    path, bert = folder / "train.txt", str(tiny("bert"))
    blocks = [
        "\n".join(f"{'ada' if at % 3 else 'the'} {'B-PER' if at % 3 else 'O'}" for at in range(n))
        for n in LENGTHS
    ]
    path.write_text("\n\n".join(blocks) + "\n")
    data = NERDataModule(train=str(path), validation=str(path), test=str(path), backbone=bert)
    return NERTask(bert, labels=data.labels, learning_rate=1e-3), data


def _classification(folder: Path, tiny: Tiny, **options: Any) -> tuple[FineTuningTask, Any]:
    path, bert = folder / "train.csv", str(tiny("bert"))
    rows = [f"{'lazy dog ' * n},{'abb'[n % 3]}" for n in LENGTHS]
    path.write_text("text,label\n" + "\n".join(rows) + "\n")
    same = str(path)
    data = ClassificationDataModule(train=same, validation=same, test=same, backbone=bert)
    return ClassificationTask(bert, labels=data.labels, learning_rate=1e-3, **options), data


def _balanced(folder: Path, tiny: Tiny) -> tuple[FineTuningTask, Any]:
    return _classification(folder, tiny, class_weights="balanced")


def _qa(folder: Path, tiny: Tiny) -> tuple[FineTuningTask, Any]:
    path, bert = folder / "train.jsonl", str(tiny("bert"))
    rows = [
        {"question": "who ?", "context": "the dog " * n + "ada", "answers": ["ada"]}
        for n in LENGTHS
    ]
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    same = str(path)
    data = QADataModule(train=same, validation=same, test=same, backbone=bert)
    return QATask(bert, labels=data.labels, learning_rate=1e-3), data


def _summaries(folder: Path) -> str:
    path = folder / "train.jsonl"
    sentences = ["the dog was lazy .", "ada worked in london .", "a fox jumps over it .", "why ?"]
    rows = [
        {"source": (sentences * n)[: 1 + n % 6], "target": "ada worked " * (1 + n % 7)}
        for n in LENGTHS
    ]
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    return str(path)


def _extractive(folder: Path, tiny: Tiny) -> tuple[FineTuningTask, Any]:
    same, bert = _summaries(folder), str(tiny("bert"))
    data = ExtractiveSummarizationDataModule(
        train=same, validation=same, test=same, backbone=bert, max_length=32
    )
    return ExtractiveSummarizationTask(bert, max_sentences=1), data


def _abstractive(folder: Path, tiny: Tiny) -> tuple[FineTuningTask, Any]:
    same, backbone = _summaries(folder), str(tiny("t5"))
    data = SummarizationDataModule(train=same, validation=same, test=same, backbone=backbone)
    return SummarizationTask(backbone, label_smoothing=0.1), data


FAMILIES: list[Callable[..., tuple[FineTuningTask, Any]]] = [
    _ner,
    _classification,
    _balanced,
    _qa,
    _extractive,
    _abstractive,
]


class _Fixed(torch.utils.data.Dataset[Any]):
    def __init__(self, batches: Sequence[Any]):
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, place: int) -> Any:
        return self.batches[place]


def _trained(
    make: Callable[..., tuple[FineTuningTask, Any]],
    folder: Path,
    tiny: Tiny,
    size: int,
    window: int,
) -> dict[str, torch.Tensor]:
    """Weights after an epoch over the same examples, in the same order."""
    task, data = make(folder, tiny)
    seed_everything(5)
    task.configure_model()
    for module in task.net.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0  # it would draw other numbers for other batches
        elif isinstance(getattr(module, "dropout", None), float):
            setattr(module, "dropout", 0.0)  # noqa: B010  a number here, a module elsewhere
    # Adam would blow gradients that are zero but for rounding up to the size of the others.
    sgd = torch.optim.SGD(task.net.parameters(), lr=0.1)
    setattr(task, "configure_optimizers", lambda: sgd)  # noqa: B010
    rows = [data.features("train")[row] for row in range(len(data.features("train")))]
    batches = [data.collate(rows[at : at + size]) for at in range(0, len(rows), size)]
    Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=1,
        accumulate_grad_batches=window,
        gradient_clip_val=1.0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(task, torch.utils.data.DataLoader(_Fixed(batches), batch_size=None, shuffle=False))
    return {name: value.detach().clone() for name, value in task.net.state_dict().items()}


@pytest.mark.parametrize("make", FAMILIES, ids=lambda make: make.__name__.strip("_"))
def test_accumulated_batches_are_one_large_batch(
    make: Callable[..., tuple[FineTuningTask, Any]], tmp_path: Path, tiny: Tiny
) -> None:
    # 20 examples: a window of 4 batches of 4, and a last one that is shorter (1 batch of 4).
    large = _trained(make, tmp_path, tiny, size=16, window=1)
    small = _trained(make, tmp_path, tiny, size=4, window=4)
    for name, value in large.items():
        torch.testing.assert_close(small[name], value, atol=1e-5, rtol=0, msg=name)


def test_a_training_that_broke_off_within_a_step_leaves_nothing_to_the_next(
    tiny: Tiny, tmp_path: Path, trainer: Callable[..., Trainer]
) -> None:
    ends = []
    for broke_off in (False, True):
        seed_everything(1, verbose=False)
        task, data = _ner(tmp_path, tiny)
        if broke_off:
            task.step_mean._count = torch.tensor(1000.0)
        trainer(max_epochs=1, limit_train_batches=2).fit(task, data)
        ends.append(task.state_dict())
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
