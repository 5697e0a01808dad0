"""The exported folder: ours again, and plain transformers', with the same logits."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForTokenClassification, AutoTokenizer, pipeline

from tests.conftest import ARCHITECTURES
from zoo.errors import RunError
from zoo.ner.datamodule import collate
from zoo.ner.encoding import encode_documents
from zoo.ner.task import NERTask
from zoo.tracking.export import export_model

Tiny = Callable[[str], Path]

_LABELS = ["O", "B-PER", "I-PER", "B-art-work", "I-art-work"]
_WORDS = [["Ada", "Lovelace", "lived", "in", "London"], ["0123456789", "isn't", "Käse"]]


def _trained(backbone: str) -> NERTask:
    """Weights that are nobody's initial ones, so that loading has something to get wrong."""
    task = NERTask(backbone, labels=_LABELS)
    task.configure_model()
    with torch.no_grad():
        for parameter in task.net.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    task.net.eval()
    return task


def _batch(task: NERTask) -> dict[str, Any]:
    documents = encode_documents(_WORDS, tokenizer=task.tokenizer, max_length=64, stride=8)
    rows = [
        {**window._asdict(), "example": example, "window": 0, "windows": 1}
        for example, (window,) in enumerate(documents)
    ]
    return collate(rows, pad_token_id=int(task.tokenizer.pad_token_id or 0))


@torch.inference_mode()
def _logits(net: Any, batch: dict[str, Any]) -> Tensor:
    logits: Tensor = net(
        input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]
    ).logits
    return logits


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_an_exported_model_gives_the_same_logits_here_and_in_transformers(
    architecture: str, tiny: Tiny, tmp_path: Path
) -> None:
    task = _trained(str(tiny(architecture)))
    batch = _batch(task)
    with torch.inference_mode():
        expected = task(batch)
    assert expected.std() > 0.05
    folder = tmp_path / "run" / "model"
    folder.parent.mkdir()
    export_model(task, folder, metadata={"backbone": "somebody/else"})

    for place in (folder, folder.parent):  # the run's folder will do as well
        again = NERTask.from_run(place)
        assert again.labels == _LABELS
        assert not again.net.training
        with torch.inference_mode():
            assert torch.equal(again(_batch(again)), expected)
        for one, other in zip(again.predict(_WORDS), task.predict(_WORDS), strict=True):
            assert one.to_dict() == other.to_dict()

    plain = AutoModelForTokenClassification.from_pretrained(folder)
    tokens = batch["attention_mask"].bool()  # padding is computed there and means nothing
    torch.testing.assert_close(_logits(plain, batch)[tokens], expected[tokens], rtol=0, atol=1e-5)
    assert plain.config.id2label == dict(enumerate(_LABELS))
    assert plain.config.label2id == {label: index for index, label in enumerate(_LABELS)}


@pytest.mark.parametrize("architecture", ["bert", "roberta", "xlm-roberta"])
def test_the_pipeline_of_transformers_loads_the_folder_and_agrees(
    architecture: str, tiny: Tiny, tmp_path: Path
) -> None:
    task = _trained(str(tiny(architecture)))
    export_model(task, tmp_path / "model", metadata={})
    batch = _batch(task)
    tag: Any = pipeline("token-classification", model=str(tmp_path / "model"), device="cpu")
    torch.testing.assert_close(
        _logits(tag.model, batch), _logits(task.net, batch), atol=1e-6, rtol=0
    )
    # Its probability of the best label, for each token of a text.
    found = tag("Ada Lovelace lived in London", ignore_labels=[])
    count = int(batch["attention_mask"][0].sum())
    likely, best = _logits(task.net, batch)[0, 1 : count - 1].softmax(-1).max(-1)
    assert [one["entity"] for one in found] == [_LABELS[index] for index in best.tolist()]
    assert [one["score"].item() for one in found] == pytest.approx(likely.tolist(), abs=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_folder_s_tokenizer_gives_transformers_the_same_ids(
    architecture: str, tiny: Tiny, tmp_path: Path
) -> None:
    task = _trained(str(tiny(architecture)))
    export_model(task, tmp_path / "model", metadata={})
    plain: Any = AutoTokenizer.from_pretrained(tmp_path / "model")
    long = [_WORDS[0] * 20]
    ((window,),) = encode_documents(long, tokenizer=task.tokenizer, max_length=1000, stride=8)
    assert plain(" ".join(long[0]))["input_ids"] == window.input_ids
    again = NERTask.from_run(tmp_path / "model").tokenizer
    assert encode_documents(long, tokenizer=again, max_length=1000, stride=8) == [[window]]


def test_the_folder_has_safetensors_and_no_pickles(tiny: Tiny, tmp_path: Path) -> None:
    export_model(_trained(str(tiny("bert"))), tmp_path / "model", metadata={"backbone": "mine"})
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    files = {path.name for path in (tmp_path / "model").rglob("*") if path.is_file()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "zoo.json"} <= files
    assert {Path(name).suffix for name in files} <= {".json", ".safetensors", ".txt"}
    said = json.loads((tmp_path / "model" / "zoo.json").read_text(encoding="utf-8"))
    assert (said["family"], said["backbone"]) == ("ner", "mine")


def test_a_second_export_replaces_the_first(tiny: Tiny, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    export_model(_trained(str(tiny("bert"))), folder, metadata={})
    (folder / "stray.txt").write_text("old", encoding="utf-8")
    second = _trained(str(tiny("bert")))
    export_model(second, folder, metadata={})
    assert not (folder / "stray.txt").exists()
    batch = _batch(second)
    again = NERTask.from_run(folder)
    assert torch.equal(_logits(again.net, batch), _logits(second.net, batch))


def test_a_folder_without_a_trained_head_is_refused(tiny: Tiny) -> None:
    with pytest.raises(RunError, match="no head for ner"):
        NERTask.from_run(tiny("bert"))
