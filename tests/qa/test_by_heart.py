"""The first check of any learner: a few real questions are learned by heart."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from lightning import Trainer, seed_everything

from zoo.qa.datamodule import QADataModule
from zoo.qa.reading import read_questions
from zoo.qa.task import QATask

MakeTrainer = Callable[..., Trainer]


@pytest.mark.slow
def test_the_embedded_backbone_learns_64_real_questions_by_heart(
    real_data: Path, tmp_path: Path, trainer: MakeTrainer
) -> None:
    source = real_data / "qa" / "squadshifts" / "new_wiki_v1.0.json"
    short = [one for one in read_questions(source) if len(one.context) <= 500]
    some = short[:: len(short) // 64][:64]
    assert len(some) == 64
    rows = [
        {"question": one.question, "context": one.context, "answers": [one.answers[0][0]]}
        for one in some
    ]
    file = tmp_path / "some.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    seed_everything(1)
    data = QADataModule(
        train=str(file),
        validation=str(file),
        test=str(file),
        max_length=192,
        stride=64,
        batch_size=16,
    )
    task = QATask(data.backbone, learning_rate=4e-4)
    fit = trainer(max_epochs=15, check_val_every_n_epoch=15, gradient_clip_val=1.0)
    fit.fit(task, data)
    assert fit.global_step == 60
    # Two cannot be right: an answer that ends inside a token, and one of 33 tokens where 30 are
    # the most.
    assert float(fit.callback_metrics["val/em"]) >= 60 / 64
