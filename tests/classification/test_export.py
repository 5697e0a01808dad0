"""The exported folder: ours again, and plain transformers', with the same probabilities."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import pipeline

from zoo.classification.task import ClassificationTask
from zoo.errors import DataError, RunError
from zoo.ner.task import NERTask
from zoo.tracking.export import export_model

Tiny = Callable[[str], Path]

_LABELS = ["a/b", "c", "d e"]
_TEXTS = ["Ada Lovelace lived in London", "isn't it ?", "", "quick  brown\nfox"]


def _trained(backbone: Path) -> ClassificationTask:
    """Weights that are nobody's initial ones, so that loading has something to get wrong."""
    task = ClassificationTask(str(backbone), labels=_LABELS)
    task.configure_model()
    with torch.no_grad():
        for parameter in task.net.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    task.net.eval()
    return task


def _export(task: ClassificationTask, folder: Path, **encoding: Any) -> str:
    export_model(task, folder, metadata={"encoding": encoding})
    return str(folder)


@pytest.mark.parametrize("architecture", ["bert", "roberta", "xlm-roberta"])
def test_the_pipeline_of_transformers_gives_our_probabilities(
    architecture: str, tiny: Tiny, tmp_path: Path
) -> None:
    task = _trained(tiny(architecture))
    folder = _export(task, tmp_path / "model")
    classify: Any = pipeline("text-classification", model=folder, device="cpu")
    for given in (_TEXTS, [(text, "lazy dog") for text in _TEXTS]):
        theirs = [
            classify(one if isinstance(one, str) else {"text": one[0], "text_pair": one[1]})
            for one in given
        ]
        best = [one[0] if isinstance(one, list) else one for one in theirs]
        ours = task.predict(given)
        assert [one.label for one in ours] == [one["label"] for one in best]
        assert [one.probability for one in ours] == pytest.approx(
            [one["score"] for one in best], abs=1e-5
        )
        again = ClassificationTask.from_run(folder).predict(given, batch_size=1)
        assert [one.label for one in again] == [one.label for one in ours]
        assert [one.probability for one in again] == pytest.approx(
            [one.probability for one in ours], abs=1e-6
        )


def test_a_head_for_several_labels_a_text_becomes_one_for_one_label(
    tiny: Tiny, tmp_path: Path
) -> None:
    # Else the pipeline would take the sigmoid of each logit instead of the softmax of all.
    shutil.copytree(tiny("bert"), tmp_path / "hub")
    path = tmp_path / "hub" / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**config, "problem_type": "multi_label_classification"}))
    assert _trained(tmp_path / "hub").net.config.problem_type == "single_label_classification"


def test_a_run_s_model_reads_texts_as_its_training_did(tiny: Tiny, tmp_path: Path) -> None:
    task = _trained(tiny("bert"))
    export_model(
        task,
        tmp_path / "model",
        metadata={"max_length": 6, "encoding": {"long_texts": "head_tail", "pairs": False}},
    )
    again = ClassificationTask.from_run(tmp_path / "model")
    (long,) = again.predict("a b c d e f g")
    (short,) = task.predict("a b f g")
    assert long.probability == pytest.approx(short.probability, abs=1e-6)
    with pytest.raises(DataError, match="trained on single texts"):
        again.predict([("a", "b")])


def test_a_model_of_pairs_asks_for_pairs(tiny: Tiny, tmp_path: Path) -> None:
    again = ClassificationTask.from_run(_export(_trained(tiny("bert")), tmp_path, pairs=True))
    with pytest.raises(DataError, match="trained on pairs"):
        again.predict("a")
    with pytest.raises(DataError, match="two texts; this one has 3"):
        again.predict([("a", "b", "c")])
    assert again.predict([("a", "b")])[0].text2 == "b"


def test_the_head_of_another_family_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    folder = _export(_trained(tiny("bert")), tmp_path / "model")
    with pytest.raises(RunError, match="no head for ner"):
        NERTask.from_run(folder)
