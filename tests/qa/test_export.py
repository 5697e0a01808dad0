"""The exported folder: ours again, and plain transformers', with the same logits."""

import json
import math
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

from zoo import backbones
from zoo.classification.task import ClassificationTask
from zoo.errors import RunError
from zoo.qa.task import QATask
from zoo.tracking.export import export_model

Tiny = Callable[[str], Path]

_QUESTION, _TEXT = "Who lived in London ?", "The quick Ada\nLovelace lived , isn't it 同样 0123 ."


def _trained(backbone: Path, **options: Any) -> QATask:
    """Weights that are nobody's initial ones, so that loading has something to get wrong."""
    task = QATask(str(backbone), **options)
    task.configure_model()
    with torch.no_grad():
        for parameter in task.net.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    task.net.eval()
    return task


@pytest.mark.parametrize(
    "architecture",
    ["bert", "roberta", "deberta-v2", "distilbert", "electra", "albert", "modernbert"],
)
@torch.inference_mode()
def test_plain_transformers_gives_the_logits_that_we_answer_by(
    architecture: str, tiny: Tiny, tmp_path: Path
) -> None:
    task = _trained(tiny(architecture))
    export_model(task, tmp_path / "model", metadata={"calibration": task.calibration})
    net = AutoModelForQuestionAnswering.from_pretrained(tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    inputs = tokenizer(
        _QUESTION, _TEXT, return_tensors="pt", return_offsets_mapping=True, truncation=False
    )
    offsets = inputs.pop("offset_mapping")[0].tolist()
    output = net(**inputs)
    # Every span of the text, one by one: an oracle for the search.
    places = [at for at, kind in enumerate(inputs.sequence_ids(0)) if kind == 1]
    starts, ends = output.start_logits[0].tolist(), output.end_logits[0].tolist()
    spans = {(i, j): starts[i] + ends[j] for i in places for j in places if i <= j < i + 30}
    first, last = max(spans, key=spans.__getitem__)
    found = task.predict([(_QUESTION, _TEXT)])[0].answers[0]
    assert found.text == _TEXT[offsets[first][0] : offsets[last][1]].strip()
    null = starts[0] + ends[0]
    assert found.score == pytest.approx(spans[first, last] - null, abs=1e-4)

    again = QATask.from_run(tmp_path / "model")
    (one,) = again.predict([(_QUESTION, _TEXT)], batch_size=1)
    assert (one.answers[0].start, one.answers[0].end) == (found.start, found.end)
    assert one.answers[0].score == pytest.approx(found.score, abs=1e-4)


def test_threshold_length_of_answers_and_windows_come_back_with_the_model(
    tiny: Tiny, tmp_path: Path
) -> None:
    task = _trained(tiny("bert"), max_answer_length=3)
    task.null_threshold.fill_(1.5)
    metadata = {
        "calibration": task.calibration,
        "max_length": 24,
        "encoding": {"stride": 5},
    }
    export_model(task, tmp_path / "model", metadata=metadata)
    again = QATask.from_run(tmp_path / "model")
    assert again.null_threshold.item() == 1.5
    assert again.max_answer_length == 3
    assert again.calibration == task.calibration
    task.max_length, task.stride = 24, 5
    # Random, not one phrase again and again: rounding alone would choose between equal scores.
    draw = random.Random(0)
    long = " ".join(draw.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(160))
    ours, theirs = (one.predict([("a b ?", long)], answers=3)[0] for one in (task, again))
    assert [one.text for one in ours.answers] == [one.text for one in theirs.answers]
    assert [one.score for one in ours.answers] == pytest.approx(
        [one.score for one in theirs.answers], abs=1e-4
    )
    begin, end = ours.answers[0].window
    assert end - begin < 2 * 24
    task.null_threshold.fill_(math.inf)
    export_model(task, tmp_path / "model", metadata={"calibration": task.calibration})
    known = json.loads((tmp_path / "model" / "zoo.json").read_text(encoding="utf-8"))
    assert known["calibration"]["null_threshold"] is None
    assert QATask.from_run(tmp_path / "model").null_threshold.item() == math.inf


def test_a_model_that_others_trained_answers_as_it_is(tiny: Tiny, tmp_path: Path) -> None:
    task = _trained(tiny("bert"))
    export_model(task, tmp_path / "model", metadata={})
    (tmp_path / "model" / "zoo.json").unlink()
    path = tmp_path / "model" / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config.pop("id2label")
    config.pop("label2id")
    path.write_text(json.dumps(config), encoding="utf-8")
    assert backbones.head_labels(str(tmp_path / "model"), "question-answering") == ["start", "end"]
    ours, theirs = (
        one.predict([(_QUESTION, _TEXT)])[0].to_dict()
        for one in (task, QATask.from_run(tmp_path / "model"))
    )
    assert ours == theirs


def test_the_head_of_another_family_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    export_model(_trained(tiny("bert")), tmp_path / "model", metadata={})
    with pytest.raises(RunError, match="no head for classification"):
        ClassificationTask.from_run(tmp_path / "model")
    shutil.rmtree(tmp_path / "model")
    with pytest.raises(RunError):
        QATask.from_run(tmp_path / "model")
