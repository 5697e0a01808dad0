"""A whole question answering run through the command line on a tiny backbone."""

import io
import json
import os
import random
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


def write_corpus(folder: Path, *, unanswerable: bool = True) -> None:
    """Questions whose answers even a tiny random model learns."""
    chance = random.Random(5)
    for split, texts in (("train", 40), ("validation", 20), ("test", 24)):
        paragraphs: list[dict[str, Any]] = []
        for number in range(texts):
            name, before = chance.choice(NAMES), "the quick " * chance.randrange(3)
            answer = {"text": name, "answer_start": len(before)}
            qas: list[dict[str, Any]] = [
                {"id": f"{split}-{number}", "question": "who lived ?", "answers": [answer]}
            ]
            if unanswerable:
                qas.append(
                    {
                        "id": f"{split}-{number}-none",
                        "question": "when ?",
                        "answers": [],
                        "is_impossible": True,
                        "plausible_answers": [answer],
                    }
                )
            paragraphs.append({"context": f"{before}{name} lived in london .", "qas": qas})
        content = {"version": "v2.0", "data": [{"title": "T", "paragraphs": paragraphs}]}
        (folder / f"{split}.json").write_text(json.dumps(content), encoding="utf-8")


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
        "--data.max_length=48",
        "--data.stride=8",
        "--data.batch_size=8",
        "--model.learning_rate=5e-3",
        "--trainer.max_epochs=12",
        "--trainer.accelerator=cpu",
        "--trainer.logger=false",
        "--run_dir=run",
    ]


def metrics_of(run: str) -> dict[str, float]:
    content: dict[str, float] = json.loads(Path(run, "metrics.json").read_text(encoding="utf-8"))
    return content


def test_a_run_leaves_scores_report_and_a_model_that_predicts_and_tests(
    flags: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert main(["qa", *flags]) == 0
    shown = capsys.readouterr().out
    assert "Scores by question word" in shown
    assert "-m recipes predict run" in shown
    metrics = metrics_of("run")
    for name in ("f1", "em", "has_answer_f1", "no_answer_f1"):
        assert f"test/{name}" in metrics
        assert f"val/{name}" in metrics
    assert metrics["baseline/null/f1"] == metrics["baseline/null/em"] == 0.5
    # The name stands right before "lived", and "when" stands nowhere.
    assert metrics["baseline/longest_match/f1"] == metrics["baseline/longest_match/em"] == 1.0
    assert metrics["test/f1"] > 0.9
    report = Path("run/report.md").read_text(encoding="utf-8")
    for title in ("Scores by answer length", "Worst answers", "plots/threshold.png"):
        assert title in report
    assert Path("run/plots/threshold.png").is_file()
    lines = Path("run/predictions.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["example"] for line in lines] == list(range(48))
    known = json.loads(Path("run/model/zoo.json").read_text(encoding="utf-8"))
    assert known["encoding"] == {"stride": 8}
    assert known["max_length"] == 48
    assert isinstance(known["calibration"]["null_threshold"], float)

    # The exported model tests as the run did, with the threshold that was fitted.
    only_test = ["--data.test=test.json", "--trainer.logger=false", "--run_dir=again"]
    windows = ["--data.max_length=48", "--data.stride=8"]
    assert main(["qa", "test", "--model.backbone=run/model", *only_test, *windows]) == 0
    assert metrics_of("again")["test/f1"] == metrics["test/f1"]
    capsys.readouterr()

    one = {
        "id": "x",
        "question": "who lived ?",
        "contexts": ["", "the quick fox lived in london ."],
    }
    (tmp_path / "asked.jsonl").write_text(json.dumps(one) + "\n", encoding="utf-8")
    assert main(["predict", "run", "asked.jsonl", "test.json"]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(records) == 1 + 48
    assert (records[0]["id"], records[0]["answer"], records[0]["context"]) == ("x", "fox", 1)
    assert records[1]["id"] == "test-0"
    written = {one["id"]: one["prediction"] for one in map(json.loads, lines)}
    assert {one["id"]: one["answer"] or "" for one in records[1:]} == written

    asked = {"question": "who lived ?", "context": "the quick dog lived in london ."}
    typed = f"{json.dumps(asked)}\n\nwhen ?\tthe quick fox lived in london .\n".encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(typed)))
    assert main(["predict", "run"]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["answer"] for one in records] == ["dog", None]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"who ?\tbob\nwho ?\n")))
    assert main(["predict", "run"]) == 2
    assert "standard input:2: A question comes with its text" in capsys.readouterr().err


def test_where_every_question_has_an_answer_the_model_always_answers(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_corpus(tmp_path, unanswerable=False)
    assert main(["qa", *flags, "--trainer.max_epochs=2"]) == 0
    capsys.readouterr()
    assert "test/no_answer_f1" not in metrics_of("run")
    assert main(["predict", "run", "test.json"]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert all(one["answer"] for one in records)


def test_the_saved_config_reruns_the_run_with_the_same_metrics(flags: list[str]) -> None:
    short = [*flags, "--trainer.max_epochs=2"]
    assert main(["qa", *short]) == 0
    assert main(["run/config.yaml", "--run_dir=second"]) == 0

    def scores(run: str) -> dict[str, float]:
        return {
            name: value for name, value in metrics_of(run).items() if not name.startswith("perf/")
        }

    assert scores("run") == scores("second")
    config = yaml.safe_load(Path("run/config.yaml").read_text(encoding="utf-8"))
    assert config["data"]["init_args"]["stride"] == 8


def test_what_was_repaired_is_in_the_report(flags: list[str], tmp_path: Path) -> None:
    path = tmp_path / "train.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    answers = content["data"][0]["paragraphs"][0]["qas"][0]["answers"]
    answers[0]["answer_start"] += 1
    answers.append({"text": "nobody", "answer_start": 0})
    path.write_text(json.dumps(content), encoding="utf-8")
    assert main(["qa", *flags, "--trainer.max_epochs=1"]) == 0
    report = Path("run/report.md").read_text(encoding="utf-8")
    assert "1 answers in train did not stand where their offset says" in report
    assert "Repaired answers" in report
    assert "| train | train-0 | 0 | dropped | nobody |" in report


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{]", "bad.json:1: broken JSON"),
        ('{"data": [{"title": "T"}]}', "bad.json: data[0] ('T'): there is no list of"),
        ('{"question": "a", "text": "b"}', "bad.json:1: nothing is called answers"),
    ],
)
def test_bad_files_are_one_sentence_and_status_2(
    content: str, said: str, flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("bad.json").write_text(content, encoding="utf-8")
    assert main(["qa", *flags, "--data.train=bad.json"]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.slow
def test_two_processes_test_every_question_once_with_the_scores_of_one(flags: list[str]) -> None:
    assert main(["qa", *flags, "--trainer.max_epochs=3"]) == 0
    # Processes are started anew for this: Lightning's launcher runs the command line again.
    command = [sys.executable, "-m", "recipes", "qa"]
    common = ["--data.dataset=.", "--data.max_length=48", "--data.stride=8"]
    common += ["--trainer.accelerator=cpu", "--trainer.devices=2", "--trainer.strategy=ddp"]
    common += ["--trainer.logger=false"]
    for arguments in (
        ["test", "--model.backbone=run/model", "--run_dir=two"],
        # Nothing is learned, so that the threshold is all that both fit.
        ["fit", *flags[:1], "--model.learning_rate=0", "--trainer.max_epochs=1", "--run_dir=fit2"],
    ):
        done = subprocess.run(
            [*command, *arguments, *common],
            env={**os.environ, "OMP_NUM_THREADS": "1", "ZOO_RUN_DIR": ""},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
    for name in ("test/f1", "test/em", "test/has_answer_f1", "test/no_answer_f1"):
        assert metrics_of("two")[name] == pytest.approx(metrics_of("run")[name])
    assert Path("two/predictions.jsonl").read_text(encoding="utf-8").count("\n") == 48
    alone = [*flags[:-1], "--model.learning_rate=0", "--trainer.max_epochs=1", "--run_dir=fit1"]
    assert main(["qa", "fit", *alone]) == 0

    def threshold(run: str) -> float:
        known = json.loads(Path(run, "model", "zoo.json").read_text(encoding="utf-8"))
        return float(known["calibration"]["null_threshold"])

    assert threshold("fit2") == pytest.approx(threshold("fit1"), abs=1e-4)
    assert metrics_of("fit2")["val/f1"] == pytest.approx(metrics_of("fit1")["val/f1"])


@pytest.mark.parametrize(
    "name", [recipe.name for recipe in catalog.recipes() if recipe.task == "qa"]
)
def test_every_shipped_recipe_runs_through_the_command_line(name: str, flags: list[str]) -> None:
    assert main([name, *flags, "--trainer.max_epochs=1"]) == 0
    assert "test/f1" in metrics_of("run")
