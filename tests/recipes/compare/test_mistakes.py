"""What `python -m recipes compare` says of folders that it cannot compare."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recipes.__main__ import main

Records = list[dict[str, Any]]


def test_the_order_of_named_runs_decides_which_is_a(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", str(runs / "two"), str(runs / "one")]) == 0
    assert "A is better: accuracy B - A = -0.200" in capsys.readouterr().out


def test_tests_on_other_examples_are_refused(
    runs: Path,
    write_run: Callable[..., Path],
    classified: Callable[..., Records],
    fails: Callable[..., str],
) -> None:
    write_run(runs / "three", classified(60, 50))
    assert "not tested on the same examples: 100 and 50" in fails(
        str(runs / "one"), str(runs / "three")
    )
    changed = classified(60)
    changed[7]["gold"] = "no"
    write_run(runs / "four", changed)
    error = fails(str(runs / "one"), str(runs / "four"))
    assert "runs/classification/one and runs/classification/four" in error
    assert "example 7 is ('text 7', None, 'yes') in one and ('text 7', None, 'no')" in error


def test_runs_of_different_tasks_are_refused(
    runs: Path, write_run: Callable[..., Path], fails: Callable[..., str]
) -> None:
    write_run(Path("runs/ner/a"), [], metrics={"test/f1": 0.5}, task="zoo.NERTask")
    error = fails(str(runs / "one"), "runs/ner/a")
    assert "one is a run of classification and runs/ner/a one of ner" in error


def test_a_single_run_is_not_enough(runs: Path, fails: Callable[..., str]) -> None:
    shutil.rmtree(runs / "two")
    assert "only one run with a test here, runs/classification/one" in fails()
    assert "only one run" in fails(str(runs / "one"), f"{runs}/../classification/one")


def test_a_run_without_a_test_is_named_or_passed_over(
    runs: Path,
    capsys: pytest.CaptureFixture[str],
    write_run: Callable[..., Path],
    classified: Callable[..., Records],
    fails: Callable[..., str],
) -> None:
    run = write_run(runs / "three", classified(60))
    (run / "metrics.json").write_text('{"val/accuracy": 0.5}')
    assert "runs/classification/three has no test scores" in fails(str(runs / "one"), str(run))
    assert main(["compare", str(runs)]) == 0
    assert "three" not in capsys.readouterr().out
    (run / "metrics.json").write_text('{"test/accuracy": 0.5}')
    (run / "predictions.jsonl").unlink()
    assert "no predictions.jsonl" in fails(str(runs / "one"), str(run))


@pytest.mark.parametrize("content", ["{", "[1]", '{"test/accuracy": "x"}', "\ufeff"])
def test_damaged_scores_are_named(runs: Path, content: str, fails: Callable[..., str]) -> None:
    (runs / "two" / "metrics.json").write_text(content, encoding="utf-8")
    assert "runs/classification/two/metrics.json is damaged" in fails()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"text": "a', "this line is no JSON object"),
        ("3", "a prediction of ClassificationTask has 'text' in it"),
        ('{"text": "a"}', "a prediction of ClassificationTask has 'gold' in it"),
    ],
)
def test_damaged_predictions_are_named_with_their_line(
    runs: Path, line: str, message: str, fails: Callable[..., str]
) -> None:
    path = runs / "two" / "predictions.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[3] = line
    path.write_text("\n".join(lines), encoding="utf-8")
    os.utime(path)
    assert f"two/predictions.jsonl:4: {message}" in fails()


def test_predictions_of_another_kind_are_named(runs: Path, fails: Callable[..., str]) -> None:
    path = runs / "two" / "predictions.jsonl"
    path.write_text('{"text": "a", "gold": "b"}\n', encoding="utf-8")
    os.utime(path)
    assert "two/predictions.jsonl holds predictions that are not of ClassificationTask" in fails()


def test_damaged_settings_are_named(runs: Path, fails: Callable[..., str]) -> None:
    path = runs / "two" / "config.yaml"
    path.write_text("model: [", encoding="utf-8")
    assert "two/config.yaml is damaged" in fails()
    path.write_text("a: 1", encoding="utf-8")
    assert "there is no `model` in it" in fails()
    path.write_text("model: {class_path: other.Task}", encoding="utf-8")
    assert "two/config.yaml is of the task 'Task'; known are NERTask" in fails()


def test_folders_that_are_no_runs_are_named(runs: Path, fails: Callable[..., str]) -> None:
    Path("empty").mkdir()
    assert "There is no folder nowhere" in fails("nowhere")
    assert "is a file, not the folder of a run" in fails(str(runs / "one/config.yaml"))
    assert "empty is not the folder of a run" in fails("empty")
    shutil.rmtree("runs")
    assert "There is no folder runs" in fails()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output", "page.txt"], "ends in .html"),
        (["--output", "folder.html"], "is a folder"),
        (["--resamples", "5"], "--resamples 5 is too small"),
    ],
)
def test_options_that_cannot_be_are_refused(
    runs: Path, arguments: list[str], message: str, fails: Callable[..., str]
) -> None:
    Path("folder.html").mkdir()
    assert message in fails(*arguments)
