"""Training and testing with plain Lightning trainers and tiny random backbones."""

import logging
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from tests.conftest import ARCHITECTURES
from zoo.errors import RunError, ZooError
from zoo.ner.datamodule import NERDataModule, collate
from zoo.ner.encoding import IGNORED
from zoo.ner.prediction import TaggedDocument
from zoo.ner.task import NERTask
from zoo.tracking.export import export_model

Tiny = Callable[[str], Path]
Conll = Callable[..., str]

_SENTENCES = [
    (["Ada", "Lovelace", "lived", "in", "London", "."], ["B-PER", "I-PER", "O", "O", "B-LOC", "O"]),
    (["The", "Löwe", "lived", "in", "Käse", "."], ["O", "B-PER", "O", "O", "B-LOC", "O"]),
    (["the", "quick", "brown", "fox"], ["O", "O", "O", "O"]),
    (["London", ",", "Ada"], ["B-LOC", "O", "B-PER"]),
]
_LABELS = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]


def _data(conll: Conll, backbone: str, **options: Any) -> NERDataModule:
    files = {split: conll(split, _SENTENCES) for split in ("train", "validation", "test")}
    return NERDataModule(**{**files, "backbone": backbone, "batch_size": 2, **options})


def _documents(batches: Any) -> dict[int, TaggedDocument]:
    return {one.example: one for documents in batches for one in documents}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_trains_for_an_epoch_and_is_tested(
    architecture: str, tiny: Tiny, conll: Conll, trainer: Callable[..., Any]
) -> None:
    backbone = str(tiny(architecture))
    data = _data(conll, backbone)
    task = NERTask(backbone, labels=data.labels, warmup=0.0)
    task.configure_model()
    before = {name: value.clone() for name, value in task.net.named_parameters()}
    runner = trainer()
    runner.fit(task, data)
    assert runner.global_step == 2
    assert math.isfinite(runner.callback_metrics["train/loss"])
    assert 0 <= runner.callback_metrics["val/f1"] <= 1
    changed = [name for name, value in task.net.named_parameters() if not value.equal(before[name])]
    assert any("embeddings" in name for name in changed)
    assert any(name.startswith("classifier") for name in changed)
    (scores,) = runner.test(task, data, verbose=False)
    for name in ("test/precision", "test/recall", "test/f1", "test/f1/PER", "test/f1/LOC"):
        assert 0 <= scores[name] <= 1
    assert (scores["test/support/PER"], scores["test/support/LOC"]) == (3, 3)
    found = _documents(runner.predict(task, data))
    assert {row: len(one.tags) for row, one in found.items()} == {
        row: len(tokens) for row, (tokens, _) in enumerate(_SENTENCES)
    }


def test_a_few_sentences_are_learned_by_heart(
    tiny: Tiny, conll: Conll, trainer: Callable[..., Any]
) -> None:
    data = _data(conll, str(tiny("bert")))
    task = NERTask(data.backbone, labels=data.labels, learning_rate=5e-3)
    runner = trainer(max_epochs=40)
    runner.fit(task, data)
    (scores,) = runner.test(task, data, verbose=False)
    assert scores["test/f1"] == 1.0
    found = _documents(runner.predict(task, data))
    assert [found[row].tags for row in range(4)] == [tags for _, tags in _SENTENCES]
    (prediction,) = task.predict("Ada Lovelace lived in London.")
    assert [(one.type, one.text, one.start, one.end) for one in prediction.entities] == [
        ("PER", "Ada Lovelace", 0, 12),
        ("LOC", "London", 22, 28),
    ]


def test_dropout_works_in_training_and_rests_in_validation(
    tiny: Tiny, conll: Conll, trainer: Callable[..., Any]
) -> None:
    modes: dict[str, set[bool]] = {"fit": set(), "evaluate": set()}

    class Watching(NERTask):
        def forward(self, batch: Mapping[str, Any]) -> Tensor:
            dropouts = [part for part in self.net.modules() if isinstance(part, torch.nn.Dropout)]
            assert dropouts
            stage = "fit" if torch.is_grad_enabled() else "evaluate"
            modes[stage] |= {part.training for part in dropouts}
            return super().forward(batch)

    data = _data(conll, str(tiny("bert")))
    trainer(max_epochs=2).fit(Watching(data.backbone, labels=data.labels), data)
    assert modes == {"fit": {True}, "evaluate": {False}}


class Fixed(NERTask):
    """Gives fixed logits."""

    logits: Tensor

    def forward(self, batch: Mapping[str, Any]) -> Tensor:
        return self.logits


def test_the_loss_is_the_mean_over_words_worked_by_hand() -> None:
    task = Fixed("minilm-l6", labels=["O", "B-X", "I-X"])
    anything = [[7.0, -3.0, 9.0]]
    # Two windows; the words stand at positions 1 and 2, and at 1.
    task.logits = torch.tensor(
        [
            [*anything, [0.0, 0.0, 0.0], [math.log(2), 0.0, 0.0], *anything],
            [*anything, [0.0, math.log(6), 0.0], *anything, *anything],
        ]
    )
    labels = torch.full((2, 4), IGNORED)
    labels[0, 1], labels[0, 2], labels[1, 1] = 2, 0, 1
    loss = cast("torch.Tensor", task.training_step({"labels": labels}, 0))
    # 1/3, 2/4 and 6/8 are the probabilities of the right labels.
    assert loss.item() == pytest.approx((math.log(3) + math.log(2) + math.log(8 / 6)) / 3)
    # A label that the model has no output for has no share in the mean.
    labels[1, 1] = 4
    loss = cast("torch.Tensor", task.training_step({"labels": labels}, 0))
    assert loss.item() == pytest.approx((math.log(3) + math.log(2)) / 2)
    nothing = {"labels": torch.full((2, 4), IGNORED)}
    assert cast("torch.Tensor", task.training_step(nothing, 0)).item() == 0.0


def test_the_loss_of_a_test_is_the_mean_over_all_words_however_they_are_batched(
    tiny: Tiny, conll: Conll, trainer: Callable[..., Any]
) -> None:
    data = _data(conll, str(tiny("bert")), test=conll("many", _SENTENCES * 9))
    task = NERTask(data.backbone, labels=data.labels)
    runner = trainer()
    runner.fit(task, data)
    (scores,) = runner.test(task, data, verbose=False)
    assert len(list(data.test_dataloader())) > 1
    batch = data.collate(list(data.features("test")))
    task.eval()
    with torch.inference_mode():
        likely = task(batch).double().log_softmax(-1)
    losses = [
        -likely[row, position, label].item()
        for row, labels in enumerate(batch["labels"].tolist())
        for position, label in enumerate(labels)
        if label >= 0
    ]
    assert len(losses) == 9 * sum(len(tokens) for tokens, _ in _SENTENCES)
    assert scores["test/loss"] == pytest.approx(sum(losses) / len(losses), abs=1e-5)


def test_an_entity_type_that_only_the_test_has_is_kept_and_missed_and_said(
    tiny: Tiny, conll: Conll, trainer: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    foreign = [(["Rome", ",", "Ada"], ["B-GPE", "O", "B-PER"]), (["Rome"], ["B-GPE"])]
    others = [(["Bo", "ran"], ["B-ANIMAL", "O"])]
    data = _data(
        conll,
        str(tiny("bert")),
        test=conll("foreign", foreign),
        validation=conll("other", others),
    )
    with caplog.at_level(logging.WARNING):
        assert data.labels == [*_LABELS, "B-ANIMAL", "I-ANIMAL", "B-GPE", "I-GPE"]
    said = [record.getMessage() for record in caplog.records]
    assert any("GPE" in line and "test (2 times)" in line for line in said)
    assert any("ANIMAL" in line and "validation (1 times)" in line for line in said)
    task = NERTask(data.backbone, labels=data.labels, learning_rate=5e-3)
    runner = trainer(max_epochs=40)
    runner.fit(task, data)
    assert runner.callback_metrics["val/recall"] == 0
    (scores,) = runner.test(task, data, verbose=False)
    assert scores["test/support/GPE"] == 2
    assert scores["test/recall/GPE"] == 0
    # Ada is found, the two that cannot be learned are missed.
    assert scores["test/recall"] == pytest.approx(1 / 3)


def test_types_that_the_weights_do_not_know_count_as_missed(
    tiny: Tiny, conll: Conll, trainer: Callable[..., Any], tmp_path: Path
) -> None:
    data = _data(conll, str(tiny("bert")))
    trained = NERTask(data.backbone, labels=data.labels, learning_rate=5e-3)
    trainer(max_epochs=40).fit(trained, data)
    export_model(trained, tmp_path / "model", metadata={})
    known = NERTask.from_run(tmp_path / "model").labels
    assert known == _LABELS

    foreign = [*_SENTENCES, (["Rome", ",", "Rome"], ["B-GPE", "I-GPE", "B-AAA"])]
    data = NERDataModule(
        test=conll("foreign", foreign), labels=known, backbone=str(tmp_path / "model")
    )
    assert data.labels == [*_LABELS, "B-AAA", "I-AAA", "B-GPE", "I-GPE"]
    task = NERTask.from_run(tmp_path / "model", labels=data.labels)
    assert task.known_labels == _LABELS
    (scores,) = trainer().test(task, data, verbose=False)
    assert math.isfinite(scores["test/loss"])
    assert (scores["test/support/GPE"], scores["test/recall/GPE"]) == (1, 0)
    assert scores["test/recall"] == pytest.approx(6 / 8)
    assert scores["test/recall/PER"] == scores["test/recall/LOC"] == 1.0


def test_weights_are_tested_on_data_that_lacks_a_type_they_know(
    tiny: Tiny, conll: Conll, trainer: Callable[..., Any], tmp_path: Path
) -> None:
    made = NERTask(str(tiny("bert")), labels=["O", "B-Z", "I-Z", "B-PER", "I-PER"])
    made.configure_model()
    export_model(made, tmp_path / "model", metadata={})
    task = NERTask.from_run(tmp_path / "model")
    data = NERDataModule(
        test=conll("one", [(["Ada"], ["B-PER"])]), labels=task.labels, backbone=task.backbone
    )
    assert data.labels == made.labels
    (scores,) = trainer().test(task, data, verbose=False)
    assert (scores["test/support/PER"], scores["test/support/Z"]) == (1, 0)


def test_labels_that_the_task_was_not_made_for_are_refused_in_words(
    tiny: Tiny, conll: Conll, trainer: Callable[..., Any]
) -> None:
    data = _data(conll, str(tiny("bert")))
    task = NERTask(data.backbone, labels=data.labels[:3])
    with pytest.raises(ZooError, match="labels that the task was not made for"):
        trainer().fit(task, data)


def test_testing_without_a_trained_head_is_refused(
    tiny: Tiny, conll: Conll, trainer: Callable[..., Any]
) -> None:
    data = _data(conll, str(tiny("bert")))
    with pytest.raises(RunError, match="no trained ner head"):
        trainer().test(NERTask(data.backbone, labels=data.labels), data)


@pytest.mark.parametrize("labels", [["B-X", "I-X"], ["O", "I-X"], []])
def test_labels_that_are_not_bio_are_refused(labels: list[str]) -> None:
    with pytest.raises(ZooError, match="is missing"):
        NERTask("minilm-l6", labels=labels)


@pytest.mark.parametrize("architecture", ["bert", "roberta"])
def test_a_document_of_3000_words_keeps_all_of_its_words(
    architecture: str, tiny: Tiny, conll: Conll, trainer: Callable[..., Any]
) -> None:
    words = [f"w{number}" for number in range(3000)]
    tags = ["B-X" if number % 7 == 0 else "O" for number in range(3000)]
    file = conll("long", [(words, tags)])
    backbone = str(tiny(architecture))
    data = NERDataModule(train=file, validation=file, test=file, backbone=backbone)
    batches = list(data.train_dataloader())
    labelled = torch.cat([batch["labels"][batch["labels"] != IGNORED] for batch in batches])
    assert len(labelled) == 3000
    assert (labelled == data.labels.index("B-X")).sum() == tags.count("B-X")
    task = NERTask(backbone, labels=data.labels)
    runner = trainer(max_steps=1)
    runner.fit(task, data)
    (scores,) = runner.test(task, data, verbose=False)
    assert scores["test/support/X"] == tags.count("B-X")
    (document,) = _documents(runner.predict(task, data)).values()
    assert len(document.tags) == len(document.scores) == 3000
    (prediction,) = task.predict([words], batch_size=4)
    assert prediction.tags == document.tags
    assert prediction.tokens == words


def test_an_interrupted_validation_leaves_nothing_behind_for_the_next(
    tiny: Tiny, conll: Conll, trainer: Callable[..., Any]
) -> None:
    words = [f"w{number}" for number in range(500)]
    file = conll("long", [(words, ["B-X"] + ["O"] * 499)])
    data = NERDataModule(train=file, validation=file, test=file, backbone=str(tiny("bert")))
    task = NERTask(data.backbone, labels=data.labels)
    task.configure_model()
    rows = list(data.features("test"))
    assert len(rows) > 2
    half = collate(rows[:1], pad_token_id=0)
    assert task.test_step(half, 0) == {"predictions": []}
    task.on_test_epoch_start()
    rest = collate(rows[1:], pad_token_id=0)
    assert task.test_step(rest, 0) == {"predictions": []}
