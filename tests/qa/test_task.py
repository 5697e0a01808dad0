"""Learning, deciding when there is no answer, and what a checkpoint keeps of it."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Trainer
from torch import Tensor

from zoo.errors import RunError, ZooError
from zoo.qa.datamodule import QADataModule
from zoo.qa.task import QATask

Tiny = Callable[[str], Path]
Squad = Callable[..., str]
MakeTrainer = Callable[..., Trainer]

_NAMES = ["ada", "bob", "cleo", "fox", "dog", "bear"]


def _texts(*, unanswerable: bool = True) -> list[Any]:
    texts = []
    for number in range(24):
        name = _NAMES[number % 6]
        before = "the quick " * (number % 4)
        asked = [("who lived ?", [(name, len(before))])]
        if unanswerable:
            asked.append(("when ?", []))
        texts.append((f"{before}{name} lived in london .", asked))
    return texts


def _data(squad: Squad, tiny: Tiny, texts: list[Any], **options: Any) -> QADataModule:
    file = squad("x", texts)
    return QADataModule(
        **{
            "train": file,
            "validation": file,
            "test": file,
            "backbone": str(tiny("bert")),
            "max_length": 32,
            "stride": 8,
            "batch_size": 8,
            **options,
        }
    )


def test_a_tiny_model_learns_answers_and_when_there_is_none(
    squad: Squad, tiny: Tiny, trainer: MakeTrainer, tmp_path: Path
) -> None:
    data = _data(squad, tiny, _texts())
    task = QATask(data.backbone, learning_rate=5e-3)
    fit = trainer(max_epochs=30)
    fit.fit(task, data)
    scores = {name: float(value) for name, value in fit.callback_metrics.items()}
    assert scores["val/f1"] > 0.9
    assert {"val/em", "val/has_answer_f1", "val/no_answer_em", "val/loss"} <= set(scores)
    assert task.null_threshold.item() != 0.0
    asked = [
        ("who lived ?", "the quick the quick cleo lived in london ."),
        ("when ?", "the quick fox lived in london ."),
    ]
    found = task.predict(asked)
    assert found[0].answer is not None
    assert found[0].answer.text == "cleo"
    assert found[1].answer is None

    # The threshold travels with the checkpoint, and a test uses it as it is.
    fit.save_checkpoint(tmp_path / "x.ckpt")
    again = QATask(data.backbone, learning_rate=5e-3)
    test = trainer()
    (tested,) = test.test(again, data, ckpt_path=str(tmp_path / "x.ckpt"), verbose=False)
    assert again.null_threshold.item() == task.null_threshold.item()
    assert tested["test/f1"] == pytest.approx(scores["val/f1"])


class FixedTask(QATask):
    """Logits that are written down for each question, by the number of its example."""

    #: Example -> score of "no answer", first token of the span, last token, score of the span.
    scores: Mapping[int, tuple[float, int, int, float]]

    def forward(self, batch: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        starts = torch.full(batch["input_ids"].shape, -50.0)
        ends = starts.clone()
        for row, example in enumerate(batch["example"]):
            null, first, last, score = self.scores[example]
            begin = int(batch["context_mask"][row].long().argmax())
            starts[row, 0] = ends[row, 0] = null / 2
            starts[row, begin + first] = ends[row, begin + last] = score / 2
        return starts, ends


_FIXED = [
    ("ada lived .", [("who ?", [("ada", 0)]), ("when ?", [])]),
    ("fox lived .", [("who ?", [("fox", 0)]), ("when ?", [])]),
]


def test_the_threshold_is_fitted_while_fitting_only_and_by_hand(
    squad: Squad, tiny: Tiny, trainer: MakeTrainer
) -> None:
    data = _data(squad, tiny, _FIXED)
    task = FixedTask(data.backbone, learning_rate=0.0)
    # Differences (null - span): 1, 5, 3, 7. Answers are right where there is one: any threshold
    # from 3 to below 5 makes all four right, and the middle is 4.
    task.scores = {
        0: (3.0, 0, 0, 2.0),
        1: (6.0, 0, 0, 1.0),
        2: (4.0, 0, 0, 1.0),
        3: (8.0, 0, 0, 1.0),
    }
    task.configure_model()
    task.null_threshold.fill_(-100.0)
    (before,) = trainer().validate(task, data, verbose=False)
    assert task.null_threshold.item() == -100.0
    assert before["val/f1"] == 0.5
    assert before["val/has_answer_f1"] == 0.0
    assert before["val/no_answer_f1"] == 1.0

    class Fitting(FixedTask):
        def training_step(self, batch: Mapping[str, Any], batch_index: int) -> Tensor:
            return next(self.net.parameters()).sum() * 0.0

    fitting = Fitting(data.backbone, learning_rate=0.0)
    fitting.scores = task.scores
    fit = trainer()
    fit.fit(fitting, data)
    assert fitting.null_threshold.item() == 4.0
    assert float(fit.callback_metrics["val/f1"]) == 1.0
    assert fitting.calibration == {"null_threshold": 4.0, "max_answer_length": 30}


def test_where_every_question_has_an_answer_it_is_always_given(
    squad: Squad, tiny: Tiny, trainer: MakeTrainer
) -> None:
    data = _data(squad, tiny, _texts(unanswerable=False))
    task = QATask(data.backbone, learning_rate=1e-3)
    trainer().fit(task, data)
    assert task.null_threshold.item() == math.inf
    assert task.calibration["null_threshold"] is None
    (found,) = task.predict([("when ?", "the fox .")])
    assert found.answered
    (nothing,) = task.predict([("when ?", " ")])
    assert not nothing.answered
    assert nothing.answers == []


def test_the_loss_is_over_the_text_and_the_first_token(squad: Squad, tiny: Tiny) -> None:
    data = _data(squad, tiny, _FIXED)
    task = QATask(data.backbone)
    (batch,) = data.val_dataloader()
    starts, ends = (torch.randn(batch["input_ids"].shape) for _ in range(2))
    expected = []
    for logits, name in ((starts, "start"), (ends, "end")):
        for row in range(len(starts)):
            kept = [0, *batch["context_mask"][row].nonzero().flatten().tolist()]
            scores = [math.exp(float(logits[row, at])) for at in kept]
            right = math.exp(float(logits[row, batch[name][row]]))
            expected.append(-math.log(right / sum(scores)))
    found = task._loss((starts, ends), batch)
    assert float(found) == pytest.approx(sum(expected) / len(expected), rel=1e-5)


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_windows_in_different_batches_are_put_together(
    batch_size: int, squad: Squad, tiny: Tiny, trainer: MakeTrainer
) -> None:
    long = "ada lived in london . " * 30
    texts = [(long, [("who ?", [("ada", 0)]), ("where ?", [])]), *_FIXED]
    data = _data(squad, tiny, texts, batch_size=batch_size)
    task = QATask(data.backbone)
    task.configure_model()
    found = []
    with torch.inference_mode():
        task.eval()
        for number, batch in enumerate(data.test_dataloader()):
            found += task.test_step(batch, number)["predictions"]
    assert sorted(one.example for one in found) == list(range(6))
    windows = data.features("test")["windows"]
    assert max(windows) > 5
    one = next(one for one in found if one.example == 0)
    expected = task_answer(task, "who ?", long)
    assert (one.best, one.null_difference) == (expected[0], pytest.approx(expected[1], abs=1e-4))


def task_answer(task: QATask, question: str, text: str) -> tuple[str, float]:
    """The best answer by `predict`, which batches windows otherwise."""
    task.max_length, task.stride = 32, 8
    (found,) = task.predict([(question, text)], batch_size=5)
    return found.answers[0].text, -found.answers[0].score


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"labels": ["a", "b"]}, "are start and end"),
        ({"n_best": 0}, "n_best 0 is too small"),
        ({"max_answer_length": 0}, "max_answer_length 0 is too small"),
    ],
)
def test_settings_that_make_no_sense_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ZooError, match=said):
        QATask("minilm-l6", **options)


def test_an_untrained_head_answers_nothing(tiny: Tiny) -> None:
    with pytest.raises(RunError, match="no trained qa head"):
        QATask(str(tiny("bert"))).predict([("Who ?", "Ada .")])
