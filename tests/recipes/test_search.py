"""A local search, on a tiny backbone: it goes through a sweep's file, and can be stopped."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from recipes import catalog
from recipes.__main__ import main

SWEEP = {
    "method": "random",
    "metric": {"name": "val/f1", "goal": "maximize"},
    "parameters": {
        "model.learning_rate": {"values": [5e-3, 1e-9]},
        "data.batch_size": {"distribution": "int_uniform", "min": 8, "max": 16},
        "trainer.max_epochs": {"value": 2},
    },
}


@pytest.fixture
def flags(
    tmp_path: Path, tiny: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """Overrides that make a trial small; the search runs in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    chance = random.Random(5)
    for split in ("train", "validation", "test"):
        lines = []
        for _ in range(40):
            name, place = chance.choice(["Ada", "Bob"]), chance.choice(["Rome", "Oslo"])
            lines.append(f"{name}\tB-PER\nlived\tO\nin\tO\n{place}\tB-LOC\n.\tO\n")
        (tmp_path / f"{split}.conll").write_text("\n".join(lines), encoding="utf-8")
    Path("sweep.yaml").write_text(yaml.safe_dump(SWEEP), encoding="utf-8")
    return [
        "--sweep=sweep.yaml",
        f"--model.backbone={tiny('bert')}",
        f"--data.dataset={tmp_path}",
        "--trainer.accelerator=cpu",
        "--trainer.logger=false",
    ]


def found() -> dict[str, Any]:
    (path,) = Path("runs/ner").glob("search-*/search.json")
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


@pytest.mark.slow
def test_a_search_keeps_the_best_model_and_goes_further_when_asked(
    flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["search", "ner", "--trials=2", *flags]) == 0
    assert [one["number"] for one in found()["trials"]] == [0, 1]
    assert main(["search", "ner", "--trials=3", *flags]) == 0
    shown = capsys.readouterr().out
    content = found()
    trials = content["trials"]
    assert [one["number"] for one in trials] == [0, 1, 2]
    best = max(trials, key=lambda one: one["value"])
    assert content["best"]["number"] == best["number"]
    assert all(8 <= int(one["settings"]["data.batch_size"]) <= 16 for one in trials)
    (folder,) = Path("runs/ner").iterdir()
    assert (folder / "search.png").stat().st_size > 1000
    kept = [path.parent.name for path in folder.glob("trial-*/model")]
    assert kept == [f"trial-{best['number']:03d}"]
    assert not list(folder.glob("trial-*/checkpoints"))
    for one in trials:
        run = folder / f"trial-{one['number']:03d}"
        metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
        assert one["value"] == metrics["val/f1"]
        assert not any(name.startswith("test/") for name in metrics), "trials never see the test"
        config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
        assert config["trainer"]["max_epochs"] == 2
        assert config["data"]["init_args"]["batch_size"] == int(one["settings"]["data.batch_size"])
        assert config["recipe"] == f"ner/sample-{folder.name}"
    (rerun,) = [line for line in shown.splitlines()[-1:] if line.startswith("rerun")]
    assert f"--data.batch_size={best['settings']['data.batch_size']}" in rerun


@pytest.mark.slow
def test_a_search_that_was_stopped_goes_on_with_the_trial_that_was_running(
    flags: list[str],
) -> None:
    long = [*flags, "--trainer.max_epochs=100"]
    command = [sys.executable, "-m", "recipes", "search", "ner", "--trials=1", *long]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ,
        # A shell starts what runs in its background with this signal ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 240
    while not list(Path("runs/ner").glob("search-*/trial-000/checkpoints/last.ckpt")):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=200)[0]
    assert process.returncode == catalog.INTERRUPTED, said
    assert "Traceback" not in said
    assert not list(Path("runs/ner").glob("search-*/search.json"))
    (run,) = Path("runs/ner").glob("search-*/trial-000")
    steps = len((run / "history.jsonl").read_text(encoding="utf-8").splitlines())
    assert subprocess.run(command, env=os.environ, timeout=300).returncode == 0
    assert len((run / "history.jsonl").read_text(encoding="utf-8").splitlines()) > steps
    assert "--resume=" in (run.parent / "trial-000.log").read_text(encoding="utf-8")
    assert [(one["number"], one["state"]) for one in found()["trials"]] == [(0, "complete")]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["ner", "--trials=0"], "--trials 0 is too small"),
        (["nerr"], "There is no recipe 'nerr'"),
        (["ner", "--sweep=nowhere.yaml"], "nowhere.yaml: there is no such file"),
        (["ner", "--metric=test/f1"], "a score of the validation"),
        (["ner", "--run_dir=here"], "each trial has its own"),
        (["ner", "fit"], "'fit' is no flag"),
    ],
)
def test_what_cannot_be_searched_is_said_in_one_sentence(
    arguments: list[str],
    part: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["search", *arguments]) == 2
    said = capsys.readouterr().err
    assert part in said
    assert said.count("\n") == 1
    assert not Path("runs").exists()
