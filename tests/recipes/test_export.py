"""Exports of runs through the command line, on tiny backbones."""

import importlib.util
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import torch
import yaml

import zoo.shipping
from recipes.__main__ import main
from tests.recipes import test_classification_modes, test_ner_run, test_qa_run
from tests.recipes.test_summarization_run import write_corpus as write_summaries
from tests.shipping.hub import TOKEN, Hub
from zoo.shipping import building, graph, latency

Tiny = Callable[[str], Path]

#: The recipe of each kind of run, its backbone and its own settings.
RUNS: dict[str, tuple[str, str, list[str]]] = {
    "ner": ("ner", "bert", []),
    "single_label": ("classification", "bert", ["--data.mode=single_label"]),
    "multi_label": ("classification", "roberta", ["--data.mode=multi_label"]),
    "regression": ("classification", "distilbert", ["--data.mode=regression"]),
    "qa": ("qa", "bert", ["--data.max_length=48", "--data.stride=8"]),
    "extractive": (
        "summarization/scitldr",
        "bert",
        ["--model.max_sentences=1", "--data.max_length=96"],
    ),
    "abstractive": (
        "summarization/dialogues",
        "t5",
        [
            "--data.max_length=96",
            "--model.generation={num_beams: 2, max_new_tokens: 8}",
            "--data.max_target_length=16",
        ],
    ),
}
#: The score that counts.
HEADS = {
    "ner": "f1",
    "single_label": "accuracy",
    "qa": "f1",
    "extractive": "rougeL",
    "abstractive": "rougeL",
}


@pytest.fixture
def trained(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """A function that trains a kind of run a little, in a folder of the test's own."""
    monkeypatch.chdir(tmp_path)
    # Nobody waits for a median here.
    monkeypatch.setattr(latency, "MOST", 1)
    monkeypatch.setattr(latency, "BATCH_SIZES", (1, 2))

    def train(kind: str) -> Path:
        recipe, architecture, own = RUNS[kind]
        if kind == "ner":
            test_ner_run.write_corpus(tmp_path, sentences=12)
        elif kind == "qa":
            test_qa_run.write_corpus(tmp_path)
        elif recipe == "classification":
            test_classification_modes.write_corpus(tmp_path, kind, texts=12)
        else:
            write_summaries(tmp_path)
        flags = [
            f"--model.backbone={tiny(architecture)}",
            f"--data.dataset={tmp_path}",
            "--data.batch_size=8",
            "--model.learning_rate=5e-3",
            "--trainer.max_epochs=2",
            "--trainer.accelerator=cpu",
            "--trainer.logger=false",
            "--run_dir=run",
        ]
        assert main([recipe, *flags, *own]) == 0
        return tmp_path / "run"

    return train


def content_of(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def header_of(card: Path) -> dict[str, Any]:
    _, header, _ = card.read_text(encoding="utf-8").split("---\n", 2)
    found: dict[str, Any] = yaml.safe_load(header)
    return found


def predicted(folder: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """What `predict` says of the test data, with scores that may differ in the last digit."""
    files = {"conll": "in.txt", "json": "test.json", "jsonl": "test.jsonl"}
    ending = next(name for name in files if Path(f"test.{name}").is_file())
    Path("in.txt").write_text("Ada lived in Rome .\nBob .\n\nZoe said no\n", encoding="utf-8")
    capsys.readouterr()
    assert main(["predict", str(folder), files[ending]]) == 0
    text = capsys.readouterr().out
    return [
        json.loads(line, parse_float=lambda x: round(float(x), 3)) for line in text.splitlines()
    ]


@pytest.mark.parametrize(
    "kind",
    [
        "ner",
        *(pytest.param(kind, marks=pytest.mark.slow) for kind in list(RUNS)[1:]),
    ],
)
def test_an_export_of_each_task_is_the_same_model_and_int8_says_what_it_loses(
    kind: str, trained: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    run = trained(kind)
    metrics = content_of(run / "metrics.json")
    assert main(["export", "run", "--format", "onnx"]) == 0
    shown = capsys.readouterr().out
    assert "largest logit difference" in shown
    assert "Milliseconds for a batch" in shown
    folder = run / "export" / "onnx"
    parity = content_of(folder / "parity.json")
    assert parity["passed"] is True
    found = parity["models"]["onnx"]
    assert found["logits"]["largest_difference"] <= 1e-4
    assert found["logits"]["examples"] == parity["examples"] > 10
    assert found["same_predictions"] == parity["examples"]
    # The test of the run itself is the oracle: the graph goes through all of it.
    # A correlation of hardly trained, nearly constant predictions turns on their last digits.
    close = 1e-3 if kind == "regression" else 1e-4
    for scores in (parity["models"]["torch"]["scores"], found["scores"]):
        for name, value in scores.items():
            assert value == pytest.approx(metrics[name], abs=close, rel=close), name
    lengths = {one["length"] for one in parity["latency"]}
    assert len(parity["latency"]) == 2 * len(lengths)
    header = header_of(folder / "README.md")
    assert "onnx" in header["tags"]
    values = {
        one["type"]: one["value"] for one in header["model-index"][0]["results"][0]["metrics"]
    }
    if kind in HEADS:
        assert values[HEADS[kind]] == pytest.approx(metrics[f"test/{HEADS[kind]}"], abs=1e-3)
    assert not list(folder.glob("*.safetensors"))

    ours = predicted(run, capsys)
    assert len(ours) > 1
    assert predicted(folder, capsys) == ours

    assert main(["export", "run", "--format", "onnx-int8", "--output", "small"]) == 0
    parity = content_of(Path("small/parity.json"))
    models = parity["models"]
    head = next(iter(name for name in (f"test/{HEADS.get(kind)}", "test/loss") if name in metrics))
    assert models["onnx-int8"]["logits"]["largest_difference"] > 0
    assert models["onnx-int8"]["bytes"] < models["onnx"]["bytes"]
    if head != "test/loss":
        lost = models["torch"]["scores"][head] - models["onnx-int8"]["scores"][head]
        assert models["onnx-int8"]["loss_of_score"] == pytest.approx(lost)
    assert len(predicted(Path("small"), capsys)) == len(ours)


def test_hf_is_the_run_s_model_byte_by_byte_with_a_card_and_goes_to_the_hub(
    trained: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = trained("ner")
    hub = Hub()
    monkeypatch.setenv("HF_ENDPOINT", hub.address)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    assert main(["export", "run", "--format", "hf", "--output", "out", "--push", "ada/ner"]) == 0
    hub.close()
    assert f"{hub.address}/ada/ner" in capsys.readouterr().out
    files = {path.name: path.read_bytes() for path in Path("out").iterdir()}
    assert hub.repositories["ada/ner"] == files
    for path in (run / "model").iterdir():
        assert path.name == "zoo.json" or files[path.name] == path.read_bytes()
    card = files["README.md"].decode()
    header = header_of(Path("out/README.md"))
    assert header["pipeline_tag"] == "token-classification"
    assert header["library_name"] == "transformers"
    metrics = content_of(run / "metrics.json")
    assert f"| test/f1 | {metrics['test/f1']:.4f} |" in card
    assert f"| baseline/lookup/f1 | {metrics['baseline/lookup/f1']:.4f} |" in card
    said = content_of(run / "model" / "zoo.json")
    assert said["data"]["fingerprint"] in card
    for title in ("How to use", "Results", "Data", "Training", "Intended use", "Limits"):
        assert f"\n## {title}\n" in card
    task = zoo.shipping.load("out")
    texts = ["Ada lived in Rome ."]
    other = type(task).from_run(run)
    assert [one.to_dict() for one in task.predict(texts)] == [
        one.to_dict() for one in other.predict(texts)
    ]


def test_another_model_than_torch_s_fails_and_says_so(
    trained: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    trained("ner")
    write = graph.write_encoder

    def spoiled(net: Any, path: Path, **options: Any) -> None:
        with torch.no_grad():
            net.classifier.bias.add_(1e-3)
            write(net, path, **options)
            net.classifier.bias.sub_(1e-3)

    monkeypatch.setattr(building, "write_encoder", spoiled)
    assert main(["export", "run", "--format", "onnx", "--output", "out"]) == 1
    said = capsys.readouterr().err
    assert re.search(r"not the same model: a logit differs by 1\.0e-03", said)
    assert content_of(Path("out/parity.json"))["passed"] is False
    assert "FAILED" in Path("out/README.md").read_text(encoding="utf-8")


def test_mistakes_are_sentences_and_write_nothing(
    trained: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    run = trained("ner")
    capsys.readouterr()

    def refused(*words: str) -> str:
        assert main(["export", *words]) == 2
        said = capsys.readouterr().err
        assert "Traceback" not in said
        assert not (run / "export").exists()
        return said

    # Without it the split would be held out of train: other examples than those of the run.
    (tmp_path / "test.conll").rename(tmp_path / "moved.conll")
    said = refused("run", "--format", "onnx")
    assert "not what the run was tested on" in said
    assert "--no_check" in said
    for split in ("train", "validation"):
        (tmp_path / f"{split}.conll").unlink()
    said = refused("run", "--format", "onnx")
    assert "config.yaml names" in said
    assert "--no_check" in said
    Path("full").mkdir()
    Path("full/mine.txt").write_text("mine", encoding="utf-8")
    assert "left alone" in refused("run", "--format", "hf", "--output", "full")
    assert "There is no folder nowhere" in refused("nowhere", "--format", "hf")
    assert "no name of a repository" in refused("run", "--format", "hf", "--push", "mine")
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if "onnx" in name else find(name, *a)
    )
    said = refused("run", "--format", "onnx")
    assert "pip install 'lightning-text-zoo[export]'" in said
    assert Path("full/mine.txt").read_text(encoding="utf-8") == "mine"


@pytest.mark.slow
def test_the_real_default_is_the_same_model_after_a_moment_of_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(latency, "MOST", 1)
    monkeypatch.setattr(latency, "BATCH_SIZES", (1,))
    flags = ["--trainer.max_steps=20", "--trainer.accelerator=cpu", "--trainer.logger=false"]
    assert main(["ner", *flags, "--run_dir=run"]) == 0
    assert main(["export", "run", "--format", "onnx-int8"]) == 0
    parity = content_of(Path("run/export/onnx-int8/parity.json"))
    models = parity["models"]
    assert models["onnx"]["logits"]["largest_difference"] <= 1e-4
    assert models["onnx"]["logits"]["examples"] == 350
    assert models["onnx"]["same_predictions"] == 350
    assert abs(models["onnx-int8"]["loss_of_score"]) < 0.1
    assert models["onnx-int8"]["bytes"] < 0.7 * models["torch"]["bytes"]
