"""A whole classification run through the command line on a tiny backbone."""

import csv
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from recipes.__main__ import main

WORDS = {"animal": ["fox", "dog", "bear"], "person": ["Ada", "Bob", "Cleo"]}


def write_corpus(folder: Path, *, pairs: bool = False, texts: int = 48) -> None:
    """Texts whose label even a tiny random model learns."""
    chance = random.Random(5)
    for split in ("train", "validation", "test"):
        rows = []
        for _ in range(texts):
            label = chance.choice(sorted(WORDS))
            word = chance.choice(WORDS[label])
            rows.append([f"the {word} lived .", *(["it lived"] if pairs else []), label])
        with (folder / f"{split}.csv").open("w", encoding="utf-8", newline="") as file:
            names = ["text", *(["text2"] if pairs else []), "label"]
            csv.writer(file).writerows([names, *rows])


@pytest.fixture
def flags(
    tmp_path: Path, tiny: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """Overrides that make a recipe small; the test runs in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    write_corpus(tmp_path)
    return [
        f"--model.backbone={tiny('bert')}",
        f"--data.dataset={tmp_path}",
        "--data.batch_size=8",
        "--model.learning_rate=5e-3",
        "--trainer.max_epochs=10",
        "--trainer.accelerator=cpu",
        "--trainer.logger=false",
        "--run_dir=run",
    ]


def metrics_of(run: str) -> dict[str, float]:
    content: dict[str, float] = json.loads(Path(run, "metrics.json").read_text(encoding="utf-8"))
    return content


def test_a_run_leaves_scores_report_and_a_model_that_predicts_and_tests(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["classification", *flags]) == 0
    shown = capsys.readouterr().out
    assert "Scores of each label" in shown
    assert "-m recipes predict run" in shown
    metrics = metrics_of("run")
    for name in ("accuracy", "f1_macro", "f1_micro", "f1_weighted", "mcc", "ece"):
        assert f"test/{name}" in metrics
        assert f"val/{name}" in metrics
    assert metrics["baseline/bag_of_words/accuracy"] == 1.0
    assert metrics["test/accuracy"] > 0.9
    report = Path("run/report.md").read_text(encoding="utf-8")
    assert "Most confident errors" in report
    assert Path("run/plots/confusion.png").is_file()
    lines = Path("run/predictions.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["example"] for line in lines] == list(range(48))

    (tmp_path / "texts.txt").write_text("the fox lived .\n\n", encoding="utf-8")
    (tmp_path / "texts.jsonl").write_text('{"text": "the ada lived ."}\n', encoding="utf-8")
    assert main(["predict", "run", "texts.txt", "texts.jsonl"]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [record["text"] for record in records] == ["the fox lived .", "", "the ada lived ."]
    assert [records[0]["label"], records[2]["label"]] == ["animal", "person"]

    only_test = ["--data.test=test.csv", "--trainer.logger=false", "--run_dir=again"]
    assert main(["classification", "test", "--model.backbone=run/model", *only_test]) == 0
    assert metrics_of("again")["test/accuracy"] == metrics["test/accuracy"]


def test_pairs_run_too_and_are_predicted_from_a_file(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_corpus(tmp_path, pairs=True)
    assert main(["classification/pairs", *flags]) == 0
    assert "python -m recipes predict run PAIRS.jsonl" in capsys.readouterr().out
    assert metrics_of("run")["test/accuracy"] > 0.9
    lines = ['{"text": "the dog", "text2": "it lived"}', '{"text": "the dog"}']
    (tmp_path / "pairs.jsonl").write_text(lines[0], encoding="utf-8")
    assert main(["predict", "run", "pairs.jsonl"]) == 0
    assert json.loads(capsys.readouterr().out)["text2"] == "it lived"
    (tmp_path / "broken.jsonl").write_text('{"text": "a"}\n{"name": "b"}', encoding="utf-8")
    assert main(["predict", "run", "broken.jsonl"]) == 2
    assert 'broken.jsonl:2: Each object needs "text"' in capsys.readouterr().err
    (tmp_path / "single.jsonl").write_text(lines[1], encoding="utf-8")
    assert main(["predict", "run", "single.jsonl"]) == 2
    assert "trained on pairs of texts" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("text,label\nHi.,a\nHo.\n", "bad.csv:3: expected 2 fields (text, label), found 1."),
        ("one,two\nHi.,a\n", "bad.csv:1: the first line names no columns for text and label"),
        ("text,label\n" + "Hi.,a\n" * 30, "bad.csv: Every text has the label 'a'"),
    ],
)
def test_bad_files_are_one_sentence_and_status_2(
    content: str, said: str, flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("bad.csv").write_text(content, encoding="utf-8")
    assert main(["classification", *flags, "--data.train=bad.csv"]) == 2
    assert said in capsys.readouterr().err


def test_a_label_that_only_test_has_is_said_and_counts_as_missed(
    flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with Path("test.csv").open("a", encoding="utf-8") as file:
        file.write("the stone,thing\n")
    options = ["--model.class_weights=balanced", "--model.label_smoothing=0.1"]
    assert main(["classification", *flags, *options]) == 0
    assert "Label thing occurs in test (1 times) but never in train" in capsys.readouterr().err
    assert metrics_of("run")["test/accuracy"] < 0.98  # of 49 texts one cannot be right


@pytest.mark.slow
def test_two_processes_test_every_text_once_with_the_scores_of_one(flags: list[str]) -> None:
    assert main(["classification", *flags]) == 0
    # Processes are started anew for this: Lightning's launcher runs the command line again.
    command = [sys.executable, "-m", "recipes", "classification", "test"]
    options = ["--model.backbone=run/model", "--data.dataset=.", "--trainer.accelerator=cpu"]
    parallel = ["--trainer.devices=2", "--trainer.strategy=ddp", "--trainer.logger=false"]
    done = subprocess.run(
        [*command, *options, *parallel, "--run_dir=two"],
        env={**os.environ, "OMP_NUM_THREADS": "1", "ZOO_RUN_DIR": ""},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    one, two = metrics_of("run"), metrics_of("two")
    for name in ("accuracy", "f1_macro", "f1_weighted", "mcc", "ece"):
        assert two[f"test/{name}"] == pytest.approx(one[f"test/{name}"], abs=1e-6)
    assert Path("two/predictions.jsonl").read_text(encoding="utf-8").count("\n") == 48
