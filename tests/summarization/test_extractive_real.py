"""Real corpora of all shapes, extracted from by a tiny model: no special cases."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lightning import Trainer

from zoo.summarization.extractive.datamodule import ExtractiveSummarizationDataModule
from zoo.summarization.extractive.task import ExtractiveSummarizationTask

Tiny = Callable[[str], Path]
MakeTrainer = Callable[..., Trainer]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("train", "options", "rouge_in"),
    [
        ("scitldr_a/train.jsonl", {}, "words"),
        ("aclsum/train.jsonl", {"columns": {"target": "summary.challenge"}}, "words"),
        ("mts_dialog/MTS-Dialog-TrainingSet.csv", {"columns": {"target": "section_text"}}, "words"),
        ("csl_ts_zh/dev.tsv", {"columns": {"source": 1, "target": 2}}, "characters"),
    ],
)
def test_an_epoch_on_a_real_corpus_takes_no_special_case(
    train: str,
    options: dict[str, Any],
    rouge_in: str,
    real_data: Path,
    tiny: Tiny,
    trainer: MakeTrainer,
) -> None:
    data = ExtractiveSummarizationDataModule(
        train=str(real_data / "summarization" / train),
        backbone=str(tiny("bert")),
        max_length=128,
        **options,
    )
    task = ExtractiveSummarizationTask(data.backbone, learning_rate=1e-3, max_sentences=data.most)
    fit = trainer()
    fit.fit(task, data)
    scores = {name: float(value) for name, value in fit.callback_metrics.items()}
    assert data.rouge_in == rouge_in
    assert 0.02 < scores["val/rouge1"] < 1
    (tested,) = fit.test(task, data, verbose=False)
    # The oracle chooses knowing the references.
    bound = data.baselines()["oracle/rouge1"]
    assert 0.02 < tested["test/rouge1"] < bound
    assert tested["test/summary_words"] > 1
