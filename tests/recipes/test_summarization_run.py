"""Whole summarization runs of both kinds through the command line on tiny backbones."""

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from recipes import catalog
from recipes.__main__ import main

NAMES = ["ada", "bob", "cleo", "fox", "dog", "bear"]
KINDS = ("abstractive", "extractive")
#: A shipped recipe of each kind.
RECIPES = {"abstractive": "summarization/dialogues", "extractive": "summarization/scitldr"}


def write_corpus(folder: Path) -> None:
    """Reports whose one sentence about London is their summary, whatever its place."""
    chance = random.Random(7)
    for split, documents in (("train", 48), ("validation", 16), ("test", 20)):
        lines = []
        for number in range(documents):
            names = chance.sample(NAMES, 3)
            sentences = [f"{name} jumps over the dog ." for name in names[1:]]
            said = f"{names[0]} lived in london ."
            sentences.insert(chance.randrange(3), said)
            record = {"id": f"{split}-{number}", "source": sentences, "target": said}
            lines.append(json.dumps(record))
        (folder / f"{split}.jsonl").write_text("\n".join(lines), encoding="utf-8")


@pytest.fixture
def flags(
    tmp_path: Path, tiny: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> dict[str, list[str]]:
    """Overrides that make a recipe of a kind small; the test runs in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    write_corpus(tmp_path)
    common = [
        f"--data.dataset={tmp_path}",
        "--data.max_length=96",
        "--data.batch_size=8",
        "--trainer.accelerator=cpu",
        "--trainer.logger=false",
        "--run_dir=run",
    ]
    own = {
        "abstractive": [
            f"--model.backbone={tiny('t5')}",
            "--data.max_target_length=16",
            "--model.learning_rate=1e-2",
            "--model.generation={num_beams: 2, max_new_tokens: 12}",
            "--trainer.max_epochs=2",
        ],
        "extractive": [
            f"--model.backbone={tiny('bert')}",
            "--model.learning_rate=5e-3",
            "--model.max_sentences=1",
            "--trainer.max_epochs=8",
        ],
    }
    return {kind: [*common, *own[kind]] for kind in KINDS}


def metrics_of(run: str) -> dict[str, float]:
    content: dict[str, float] = json.loads(Path(run, "metrics.json").read_text(encoding="utf-8"))
    return content


def lines_of(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_leaves_scores_report_and_a_model_that_predicts_and_tests(
    kind: str, flags: dict[str, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([RECIPES[kind], *flags[kind]]) == 0
    shown, said = capsys.readouterr()
    assert "ROUGE of the summaries" in shown
    assert "Traceback" not in said
    metrics = metrics_of("run")
    for name in ("rouge1", "rouge2", "rougeL", "rougeLsum"):
        assert f"test/{name}" in metrics
        assert f"val/{name}" in metrics
        # The sentence itself is the summary.
        assert metrics[f"baseline/oracle/{name}"] == pytest.approx(1)
        assert metrics[f"baseline/lead1/{name}"] < 1
        assert f"baseline/lead3/{name}" in metrics
        assert f"baseline/textrank/{name}" in metrics
    if kind == "extractive":
        assert metrics["test/rougeL"] > 0.9
    report = Path("run/report.md").read_text(encoding="utf-8")
    for title in ("ROUGE by length", "not in the source", "Summaries beside their references"):
        assert title in report
    records = lines_of("run/predictions.jsonl")
    assert [record["example"] for record in records] == list(range(20))
    mean = sum(record["rougeL"] for record in records) / 20
    assert metrics["test/rougeL"] == pytest.approx(mean, abs=1e-4)

    # The exported model tests and predicts as the run did.
    weights = ["--model.backbone=run/model", "--data.dataset=.", "--data.max_length=96"]
    only = ["--trainer.accelerator=cpu", "--trainer.logger=false", "--run_dir=again"]
    options = [flag for flag in flags[kind] if "generation" in flag or "max_sentences" in flag]
    assert main([RECIPES[kind], "test", *weights, *options, *only]) == 0
    capsys.readouterr()
    assert metrics_of("again")["test/rougeL"] == pytest.approx(metrics["test/rougeL"], abs=1e-5)
    assert main(["predict", "run", "test.jsonl"]) == 0
    predicted = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["summary"] for one in predicted] == [record["summary"] for record in records]


@pytest.mark.parametrize("kind", KINDS)
def test_the_saved_config_reruns_the_run_with_the_same_metrics(
    kind: str, flags: dict[str, list[str]]
) -> None:
    assert main([RECIPES[kind], *flags[kind], "--trainer.max_epochs=1"]) == 0
    assert main(["run/config.yaml", "--run_dir=second"]) == 0
    first, second = (
        {name: value for name, value in metrics_of(run).items() if not name.startswith("perf/")}
        for run in ("run", "second")
    )
    assert first == second
    config = yaml.safe_load(Path("run/config.yaml").read_text(encoding="utf-8"))
    assert config["data"]["init_args"]["max_length"] == 96


@pytest.mark.parametrize("kind", KINDS)
def test_sources_and_targets_may_be_empty_alike_or_long(
    kind: str, flags: dict[str, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {"source": "", "target": "fox"},
        {"source": "ada lived . bob jumps .", "target": ""},
        {"source": "the dog .", "target": "the dog ."},
        {"source": "fox " * 2000, "target": ["fox", "dog"]},
        {"source": "ada lived in london . bob jumps .", "target": "ada lived"},
    ]
    for split in ("train", "validation", "test"):
        text = "\n".join(json.dumps(row) for row in rows)
        Path(f"{split}.jsonl").write_text(text, encoding="utf-8")
    assert main([RECIPES[kind], *flags[kind], "--trainer.max_epochs=1"]) == 0
    assert "Traceback" not in capsys.readouterr().err
    assert len(lines_of("run/predictions.jsonl")) == 5
    report = Path("run/report.md").read_text(encoding="utf-8")
    assert "Notes on the data" in report
    assert main(["predict", "run", "test.jsonl"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 5


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{]", "bad.jsonl:1: broken JSON"),
        ('{"source": "a", "target": 3}', "bad.jsonl:1: "),
        ('{"one": "a", "two": "b"}', "bad.jsonl:1: "),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_bad_files_are_one_sentence_and_status_2(
    kind: str,
    content: str,
    said: str,
    flags: dict[str, list[str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("bad.jsonl").write_text(content, encoding="utf-8")
    assert main([RECIPES[kind], *flags[kind], "--data.train=bad.jsonl"]) == 2
    assert said in capsys.readouterr().err


def test_an_encoder_cannot_write_and_the_message_says_what_can(
    flags: dict[str, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([RECIPES["abstractive"], *flags["abstractive"], "--model.backbone=minilm-l6"]) == 2
    assert "minilm-l6-2-minilm-l6" in capsys.readouterr().err


def test_a_folder_from_elsewhere_predicts_by_its_head(
    flags: dict[str, list[str]], tiny: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    from transformers import AutoModelForSeq2SeqLM

    folder = Path("foreign")
    shutil.copytree(tiny("t5"), folder)
    AutoModelForSeq2SeqLM.from_pretrained(folder).save_pretrained(folder)
    Path("one.txt").write_text("ada lived in london .\n", encoding="utf-8")
    capsys.readouterr()
    assert main(["predict", "foreign", "one.txt"]) == 0
    assert set(json.loads(capsys.readouterr().out)) >= {"summary"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_test_every_document_once_with_the_scores_of_one(
    kind: str, flags: dict[str, list[str]]
) -> None:
    assert main([RECIPES[kind], *flags[kind]]) == 0
    weights = ["--model.backbone=run/model", "--data.dataset=.", "--data.max_length=96"]
    kept = ("generation", "max_sentences", "max_target_length")
    options = [flag for flag in flags[kind] if any(name in flag for name in kept)]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "recipes", RECIPES[kind], "test", *weights, *options),
            *("--trainer.accelerator=cpu", "--trainer.devices=2", "--trainer.strategy=ddp"),
            *("--trainer.logger=false", "--run_dir=two"),
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1", "ZOO_RUN_DIR": ""},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    for name, value in metrics_of("two").items():
        if name.startswith("test/"):
            assert value == pytest.approx(metrics_of("run")[name], abs=1e-5), name
    assert [one["example"] for one in lines_of("two/predictions.jsonl")] == list(range(20))


@pytest.mark.parametrize(
    "recipe",
    [one for one in catalog.recipes() if one.task == "summarization"],
    ids=lambda recipe: recipe.name,
)
def test_every_shipped_recipe_runs_through_the_command_line(
    recipe: catalog.Recipe, flags: dict[str, list[str]]
) -> None:
    content = yaml.safe_load(recipe.path.read_text(encoding="utf-8"))
    kind = "extractive" if "Extractive" in content["model"]["class_path"] else "abstractive"
    # Only what begins as two encoders can be tied.
    own = ["--model.tie_weights=false"] if kind == "abstractive" else []
    assert main([recipe.name, *flags[kind], *own, "--trainer.max_epochs=1"]) == 0
    assert "test/rougeL" in metrics_of("run")
