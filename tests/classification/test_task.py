"""Training and testing with plain Lightning trainers and tiny random backbones."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from tests.conftest import ARCHITECTURES
from zoo.classification.datamodule import ClassificationDataModule
from zoo.classification.task import ClassificationTask
from zoo.errors import DataError, RunError, ZooError
from zoo.tracking.export import export_model

Tiny = Callable[[str], Path]
Table = Callable[..., str]

_ROWS = [
    ("Ada lived in London .", "person"),
    ("The quick brown fox", "animal"),
    ("Ein Löwe und ein Bär", "animal"),
    ("", "nothing"),
]


def _data(table: Table, backbone: Any, **options: Any) -> ClassificationDataModule:
    files = {split: table(split, _ROWS) for split in ("train", "validation", "test")}
    return ClassificationDataModule(
        **{**files, "backbone": str(backbone), "batch_size": 2, **options}
    )


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_trains_for_an_epoch_and_is_tested(
    architecture: str, tiny: Tiny, table: Table, trainer: Callable[..., Any]
) -> None:
    data = _data(table, tiny(architecture))
    task = ClassificationTask(data.backbone, labels=data.labels, warmup=0.0)
    runner = trainer()
    runner.fit(task, data)
    assert runner.global_step == 2
    assert math.isfinite(runner.callback_metrics["train/loss"])
    (scores,) = runner.test(task, data, verbose=False)
    for name in ("accuracy", "f1_macro", "f1_micro", "f1_weighted", "mcc", "ece"):
        assert -1 <= scores[f"test/{name}"] <= 1


def test_a_few_texts_are_learned_by_heart(
    tiny: Tiny, table: Table, trainer: Callable[..., Any]
) -> None:
    data = _data(table, tiny("bert"), batch_size=4)
    task = ClassificationTask(data.backbone, labels=data.labels, learning_rate=5e-3)
    runner = trainer(max_epochs=80, limit_val_batches=0)
    runner.fit(task, data)
    (scores,) = runner.test(task, data, verbose=False)
    assert scores["test/accuracy"] == scores["test/f1_macro"] == 1.0
    found = [one for batch in runner.predict(task, data) for one in batch]
    assert {one.example: one.label for one in found} == {
        row: label for row, (_, label) in enumerate(_ROWS)
    }
    predictions = task.predict([text for text, _ in _ROWS])
    assert [one.label for one in predictions] == [label for _, label in _ROWS]
    assert all(0.3 < one.probability <= 1 for one in predictions)


def test_balanced_weights_reach_the_loss_and_choose_by_macro_f1(tiny: Tiny, table: Table) -> None:
    data = _data(table, tiny("bert"))
    task = ClassificationTask(data.backbone, labels=data.labels, class_weights="balanced")
    assert task.monitor == "val/f1_macro"
    assert ClassificationTask(data.backbone, labels=data.labels).monitor == "val/accuracy"
    task.configure_model()
    task.eval()
    (batch, *_) = data.train_dataloader()
    losses = F.cross_entropy(task(batch), batch["labels"], reduction="none")
    weights = batch["class_weights"][batch["labels"]]
    expected = (losses * weights).sum() / weights.sum()
    torch.testing.assert_close(task.training_step(batch, 0), expected)


def test_a_label_that_only_test_has_counts_as_missed(
    tiny: Tiny, table: Table, trainer: Callable[..., Any]
) -> None:
    test = table("new", [*_ROWS, ("x", "new"), ("y", "new")])
    data = _data(table, tiny("bert"), test=test, batch_size=4)
    task = ClassificationTask(data.backbone, labels=data.labels, learning_rate=5e-3)
    runner = trainer(max_epochs=80, limit_val_batches=0)
    runner.fit(task, data)
    (scores,) = runner.test(task, data, verbose=False)
    found = task.predict([text for text, _ in _ROWS])
    right = sum(one.label == label for one, (_, label) in zip(found, _ROWS, strict=True))
    assert right >= 2
    assert scores["test/accuracy"] == pytest.approx(right / 6)


def test_a_run_s_model_trained_on_pairs_afterwards_predicts_pairs(
    tiny: Tiny, table: Table, trainer: Callable[..., Any], tmp_path: Path
) -> None:
    single = _data(table, tiny("bert"))
    task = _built(ClassificationTask(single.backbone, labels=single.labels))
    export_model(task, tmp_path / "model", metadata={"encoding": {"pairs": False}})
    rows = [(text, "lazy dog", label) for text, label in _ROWS]
    path = table("pairs", rows, ("text", "text2", "label"))
    pairs = ClassificationDataModule(
        train=path, validation=path, test=path, backbone=str(tmp_path / "model")
    )
    again = ClassificationTask(pairs.backbone, labels=pairs.labels)
    trainer().fit(again, pairs)
    assert again.predict([("fox", "dog")])[0].text2 == "dog"


def test_a_task_that_was_not_made_for_the_data_s_labels_says_so(
    tiny: Tiny, table: Table, trainer: Callable[..., Any]
) -> None:
    data = _data(table, tiny("bert"))
    task = ClassificationTask(data.backbone, labels=data.labels[:2])
    with pytest.raises(ZooError, match=r"labels=data\.labels"):
        trainer().validate(_built(task), data)


def _built(task: ClassificationTask) -> ClassificationTask:
    task.configure_model()
    return task


def test_an_untrained_head_is_not_evaluated(
    tiny: Tiny, table: Table, trainer: Callable[..., Any]
) -> None:
    data = _data(table, tiny("bert"))
    task = ClassificationTask(data.backbone, labels=data.labels)
    with pytest.raises(RunError, match="no trained classification head"):
        trainer().test(task, data)


@pytest.mark.parametrize("labels", [[], ["a"], ["a", "b", "a"]])
def test_labels_must_be_two_or_more_and_differ(labels: list[str]) -> None:
    with pytest.raises(ZooError, match="Two labels or more"):
        ClassificationTask(labels=labels)


def test_a_smoothing_of_everything_is_refused() -> None:
    with pytest.raises(ZooError, match="label_smoothing"):
        ClassificationTask(labels=["a", "b"], label_smoothing=1.0)


@pytest.mark.parametrize("record", [{}, {"text": 1}, {"text": "a", "text2": 2}, {"text2": "a"}])
def test_an_object_without_a_text_is_refused(record: dict[str, Any]) -> None:
    with pytest.raises(DataError, match='needs "text"'):
        ClassificationTask.input_of(record)
    assert ClassificationTask.input_of({"text": "a", "text2": "b"}) == ("a", "b")
    assert ClassificationTask.input_of({"text": "a", "id": 3}) == "a"
