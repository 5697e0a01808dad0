"""`python -m recipes compare` on run folders made by hand: tables and verdict."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recipes.__main__ import main
from zoo.tracking.report import ReportPage

Records = list[dict[str, Any]]


def line_of(out: str, name: str) -> str:
    (found,) = [line for line in out.splitlines() if line.split()[:1] == [name]]
    return found


def test_the_newest_two_runs_are_compared_and_the_better_one_is_named(
    runs: Path,
    capsys: pytest.CaptureFixture[str],
    write_run: Callable[..., Path],
    classified: Callable[..., Records],
    read_page: Callable[[Path], Any],
) -> None:
    write_run(runs / "old", classified(100), age=100)
    assert main(["compare"]) == 0
    out = capsys.readouterr().out
    assert "old" not in out
    assert re.search(r"--model.learning_rate\s+0.0003\s+1e-05", out)
    assert "max_epochs" not in out, "only what differs is shown"
    scores = line_of(out, "accuracy")
    assert re.search(r"0\.600 \[0\.5\d\d, 0\.6\d\d\]\s+0\.800 \[0\.7\d\d, 0\.8\d\d\]", scores)
    # 20 of 100 texts differ, all one way: 0.2 give or take twice the square root of 0.16 / 100.
    assert re.search(r"\+0\.200 \[\+0\.1[123]\d, \+0\.2[678]\d\]", scores)
    assert re.search(r"loss.*0\.500\s+0\.500", out)
    assert re.search(r"tokens/s in training\s+1,234\s+1,234", out)
    assert re.search(r"B better than A\s+20 ", out)
    assert re.search(r"A better than B\s+0 ", out)
    assert re.search(r"only B right\s+20 ", out)
    assert re.search(r"only A right\s+0 ", out)
    assert "B is better: accuracy B - A = +0.200" in out
    assert "p < 0.001" in out
    assert "warning" not in out
    assert out.splitlines()[-1] == "page  runs/classification/comparison.html"
    assert read_page(runs / "comparison.html").text.count("B is better") == 1


def test_runs_that_differ_by_chance_are_not_told_apart(
    runs: Path,
    capsys: pytest.CaptureFixture[str],
    write_run: Callable[..., Path],
    classified: Callable[..., Records],
) -> None:
    near = classified(60)
    near[0]["label"], near[70]["label"], near[71]["label"] = "maybe", "no", "yes"
    write_run(runs / "three", near)
    assert main(["compare", str(runs / "one"), str(runs / "three")]) == 0
    out = capsys.readouterr().out
    # Of three texts on which they differ, B has two: no way to swap them gives less than one.
    assert "The test cannot tell B from A: accuracy B - A = +0.010" in out
    assert "p = 1.000" in out


def test_all_runs_of_a_folder_are_compared_with_the_first(
    runs: Path,
    capsys: pytest.CaptureFixture[str],
    write_run: Callable[..., Path],
    classified: Callable[..., Records],
    read_page: Callable[[Path], Any],
) -> None:
    write_run(runs / "three", classified(60))
    assert main(["compare", str(runs), "--all", "--output", "out/three.html"]) == 0
    out = capsys.readouterr().out
    assert "B is better" in out
    assert "A and C score the same" in out
    assert "C - A" in read_page(Path("out/three.html")).text


def test_another_score_may_decide(
    runs: Path, capsys: pytest.CaptureFixture[str], fails: Callable[..., str]
) -> None:
    for name in ("one", "two"):
        path = runs / name / "metrics.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "test/f1_macro": 0.1}))
    assert main(["compare", "--score", "f1_macro"]) == 0
    out = capsys.readouterr().out
    assert "f1_macro B - A" in out
    # Each sentence names the run whose metrics.json says otherwise than its predictions.
    assert "warning: The predictions of runs/classification/one do not give the scores" in out
    assert re.search(r"f1_macro 0\.\d{4} instead of 0\.1000", out)
    assert "There is no score 'f2'" in fails("--score", "f2")


def test_a_run_is_compared_on_every_page_of_the_same_test_with_the_same_numbers(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outs = []
    for _ in range(2):
        assert main(["compare", "--seed", "3"]) == 0
        outs.append((capsys.readouterr().out, (runs / "comparison.html").read_bytes()))
    assert outs[0] == outs[1]


def test_versions_and_commits_that_differ_are_named_beside_the_settings(
    runs: Path, capsys: pytest.CaptureFixture[str], read_page: Callable[[Path], Any]
) -> None:
    for name, commit in (("one", "a" * 40), ("two", "b" * 40)):
        facts = {"git commit": commit, "versions": "torch 2.13", "labels": name}
        page = ReportPage(title=name, facts=facts, metrics={"test/accuracy": 0.5})
        (runs / name / "report.md").write_text(page.markdown(), encoding="utf-8")
    assert main(["compare"]) == 0
    out = capsys.readouterr().out
    assert re.search(rf"git commit\s+{'a' * 12}\s+{'b' * 12} ", out)
    assert "torch" not in out, "only what differs is shown"


def test_runs_with_the_same_settings_are_said_to_have_them(
    runs: Path,
    capsys: pytest.CaptureFixture[str],
    write_run: Callable[..., Path],
    classified: Callable[..., Records],
    read_page: Callable[[Path], Any],
) -> None:
    write_run(runs / "three", classified(60))
    assert main(["compare", str(runs / "one"), str(runs / "three")]) == 0
    assert "All settings are the same." in capsys.readouterr().out
    assert "Nothing: all settings are the same." in read_page(runs / "comparison.html").text


def test_brackets_in_settings_are_printed_as_they_are(
    runs: Path,
    capsys: pytest.CaptureFixture[str],
    write_run: Callable[..., Path],
    classified: Callable[..., Records],
) -> None:
    write_run(runs / "three", classified(60), settings={"warmup": "[red]a[/red] [b]"})
    assert main(["compare", str(runs / "one"), str(runs / "three")]) == 0
    assert "[red]a[/red] [b]" in capsys.readouterr().out


def test_named_entities_are_compared_by_entity(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    write_run: Callable[..., Path],
    read_page: Callable[[Path], Any],
) -> None:
    monkeypatch.chdir(tmp_path)
    gold = ["B-PER", "O", "B-LOC"]
    right = {"tokens": ["Ada", "saw", "Rome"], "gold": gold, "tags": gold}
    half = {**right, "tags": ["B-PER", "O", "O"]}
    # Of 40 entities 30 were found and none is spurious: F1 is 60 / 70.
    write_run(
        Path("one"), [half] * 10 + [right] * 10, metrics={"test/f1": 6 / 7}, task="zoo.NERTask"
    )
    write_run(Path("two"), [right] * 20, metrics={"test/f1": 1.0}, task="zoo.NERTask")
    assert main(["compare", "one", "two"]) == 0
    out = capsys.readouterr().out
    assert "B is better: f1 B - A = +0.143" in out
    assert "warning" not in out
    text = read_page(Path("comparison.html")).text
    assert "f1/LOC" in text
    assert text.count("Ada saw Rome") == 10


def test_errors_that_are_lower_are_better(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    write_run: Callable[..., Path],
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, error in (("one", 1.0), ("two", 0.5)):
        records = [
            {"text": f"{number}", "gold": float(number), "value": number + error * (-1) ** number}
            for number in range(30)
        ]
        write_run(Path(name), records, metrics={"test/mae": error})
    assert main(["compare", "one", "two", "--score", "mae"]) == 0
    out = capsys.readouterr().out
    assert "B is better: mae B - A = -0.500" in out
    assert re.search(r"mae \(lower is better\)\s+1\.000 \[1\.000, 1\.000\]", out)


def test_the_newest_task_is_taken_where_there_are_several(
    runs: Path,
    capsys: pytest.CaptureFixture[str],
    write_run: Callable[..., Path],
    classified: Callable[..., Records],
) -> None:
    for name in ("x", "y"):
        write_run(Path("runs/other") / name, classified(50), age=1000)
    assert main(["compare"]) == 0
    assert "other" not in capsys.readouterr().out
