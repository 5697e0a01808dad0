"""Learning which sentences summarize, windows put together, and what is counted."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Trainer
from torch import Tensor

from zoo.errors import ZooError
from zoo.summarization.evaluation import ScoredSummary
from zoo.summarization.extractive.datamodule import ExtractiveSummarizationDataModule
from zoo.summarization.extractive.task import ExtractiveSummarizationTask

Tiny = Callable[[str], Path]
MakeTrainer = Callable[..., Trainer]

_OTHERS = ["the quick brown fox jumps .", "a bear jumps over it .", "the dog lived ."]


def _data(
    folder: Path, tiny: Tiny, records: Sequence[Mapping[str, Any]], **options: Any
) -> ExtractiveSummarizationDataModule:
    file = folder / "x.jsonl"
    file.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    return ExtractiveSummarizationDataModule(
        **{
            "train": str(file),
            "validation": str(file),
            "test": str(file),
            "backbone": str(tiny("bert")),
            "max_length": 64,
            "batch_size": 8,
            **options,
        }
    )


def _records() -> list[dict[str, Any]]:
    """The sentence on London is the summary, wherever it stands."""
    records = []
    for number in range(24):
        name = ["ada", "cleo", "bob"][number % 3]
        sentences = _OTHERS[: 1 + number % 3]
        sentences.insert(number % (len(sentences) + 1), f"{name} worked in london .")
        records.append({"source": sentences, "target": f"{name} worked in london"})
    return records


def test_a_tiny_model_learns_which_sentence_is_the_summary(
    tmp_path: Path, tiny: Tiny, trainer: MakeTrainer
) -> None:
    data = _data(tmp_path, tiny, _records())
    task = ExtractiveSummarizationTask(data.backbone, learning_rate=5e-3, max_sentences=1)
    fit = trainer(max_epochs=25)
    fit.fit(task, data)
    scores = {name: float(value) for name, value in fit.callback_metrics.items()}
    assert scores["val/rougeL"] == pytest.approx(1)
    assert scores["val/rouge2"] == pytest.approx(1)
    assert scores["val/summary_words"] == 4
    # Checkpoints know what was asked for, and give the same scores.
    fit.save_checkpoint(tmp_path / "x.ckpt")
    again = ExtractiveSummarizationTask(data.backbone, max_sentences=1)
    (tested,) = trainer().test(again, data, ckpt_path=str(tmp_path / "x.ckpt"), verbose=False)
    assert tested["test/loss"] == pytest.approx(scores["val/loss"], abs=1e-5)
    assert tested["test/rougeL"] == pytest.approx(1)
    unseen = [_OTHERS[2], "cleo worked in london .", _OTHERS[0]]
    (found,) = task.predict({"source": unseen})
    assert found.summary == unseen[1]


class FixedTask(ExtractiveSummarizationTask):
    """Scores that are written down: by example and window, one for each sentence of the window."""

    fixed: Mapping[tuple[int, int], Sequence[float]]

    def forward(self, batch: Mapping[str, Any]) -> Tensor:
        found = torch.full(batch["sentence_mask"].shape, 99.0)
        for row, key in enumerate(zip(batch["example"], batch["window"], strict=True)):
            scores = self.fixed[key]
            assert len(scores) == int(batch["sentence_mask"][row].sum())
            found[row, : len(scores)] = torch.tensor(scores)
        return found


def test_a_document_of_two_windows_is_put_together_by_hand(
    tmp_path: Path, tiny: Tiny, trainer: MakeTrainer
) -> None:
    # Six sentences of 3 tokens; 5 fit into 15, half of which may be shared: windows 0-5 and 3-6.
    letters = ["a", "b", "c", "d", "e", "f"]
    records = [{"source": letters, "target": "d"}, {"source": ["x", "y"], "target": "x"}]
    data = _data(tmp_path, tiny, records, max_length=15, overlap=2, batch_size=1)
    features = data.features("test")
    assert features["first"][:] == [0, 3, 0]
    assert features["keep"][:] == [[0, 4], [4, 6], [0, 2]]
    task = FixedTask(data.backbone, max_sentences=2)
    # Sentence 3 stands farther from a cut in the first window, 4 in the second: 9 counts nothing.
    task.fixed = {(0, 0): [0, 1, 2, 5, 9], (0, 1): [9, 3, 4], (1, 0): [1, 0]}
    task.configure_model()
    (found,) = trainer().validate(task, data, verbose=False)
    # d and f (scores 5 and 4) of one word that is right: F1 2/3. x and y: 2/3.
    assert found["val/rouge1"] == pytest.approx(2 / 3)
    assert found["val/summary_words"] == 2
    outputs = [
        one for batch in data.test_dataloader() for one in task.test_step(batch, 0)["predictions"]
    ]
    assert [(one.example, one.summary, one.selected) for one in outputs] == [
        (0, "d f", (3, 5)),
        (1, "x y", (0, 1)),
    ]
    predictions = trainer().predict(task, data)
    assert predictions is not None
    flat: list[Any] = [one for batch in predictions for one in batch]
    assert [one.summary for one in flat] == ["d f", "x y"]
    assert [one.score for one in flat[0].sentences] == [5, 4]


def test_documents_without_text_or_summary_are_counted_and_not_learned_from(
    tmp_path: Path, tiny: Tiny, trainer: MakeTrainer
) -> None:
    records = [
        {"source": "Ada sang. Bob ran.", "target": "ada sang"},
        {"source": "", "target": "bob ran"},
        {"source": "Bob ran. Ada sang.", "target": ""},
        {"source": "Bob ran.", "target": "Bob ran."},
    ]
    data = _data(tmp_path, tiny, records)
    assert data.training_rows().tolist() == [0, 3]
    task = FixedTask(data.backbone, max_sentences=1)
    task.fixed = {(0, 0): [1, 0], (1, 0): [], (2, 0): [1, 0], (3, 0): [1]}
    task.configure_model()
    (found,) = trainer().validate(task, data, verbose=False)
    assert found["val/rouge1"] == pytest.approx((1 + 0 + 0 + 1) / 4)
    assert found["val/summary_words"] == pytest.approx((2 + 0 + 2 + 2) / 4)


def test_scores_and_loss_are_sums_over_documents_whatever_the_batches(
    tmp_path: Path, tiny: Tiny
) -> None:
    records = _records()[:7]
    whole = _data(tmp_path, tiny, records, max_length=24, overlap=1, batch_size=3)
    task = ExtractiveSummarizationTask(whole.backbone, max_sentences=1)
    task.configure_model()
    task.net.eval()

    def run(batches: Sequence[Mapping[str, Any]]) -> tuple[Tensor, Tensor, list[ScoredSummary]]:
        metric: Any = task.metrics["test"]
        loss: Any = task.losses["test"]
        metric.reset()
        loss.reset()
        with torch.inference_mode():
            outputs = [one for batch in batches for one in task._evaluate(batch, "test")]
        return metric.sums.clone(), torch.stack([loss.mean_value, loss.weight]), outputs

    batches = list(whole.test_dataloader())
    assert any(count > 1 for batch in batches for count in batch["windows"])
    sums, loss, outputs = run(batches)
    # What two processes would see: every other document, all windows of each.
    features = whole.features("test")
    parts = []
    for rank in range(2):
        rows = [row for row in features if row["example"] % 2 == rank]
        collate = whole.collate_of("test")
        parts.append(run([collate(rows[at : at + 2]) for at in range(0, len(rows), 2)]))
    torch.testing.assert_close(parts[0][0] + parts[1][0], sums)
    torch.testing.assert_close(parts[0][1] + parts[1][1], loss)
    of_parts = sorted(parts[0][2] + parts[1][2], key=lambda one: one.example)
    assert of_parts == sorted(outputs, key=lambda one: one.example)
    assert len(outputs) == 7


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": ["yes", "no"]}, "label of extractive summarization"),
        ({"max_sentences": 0}, "max_sentences"),
        ({"max_words": 0}, "max_words"),
    ],
)
def test_settings_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ZooError, match=message):
        ExtractiveSummarizationTask("minilm-l6", **options)
