"""Several seeds of a recipe: what is run, what is kept, what is said of them."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from recipes import seeds
from recipes.__main__ import main
from zoo.tracking.seed_group import SeedGroup, spreads

GROUP = SeedGroup(Path("group"))

#: Stands in for a run: leaves scores that depend on the seed, or ends as it is told to.
_CHILD = """
import json, os, pathlib, sys
words = dict(word.lstrip("-").split("=", 1) for word in sys.argv[1:] if "=" in word)
folder = pathlib.Path(words.get("run_dir") or words["resume"])
seed = int(folder.name.removeprefix("seed-"))
with open("started.jsonl", "a") as file:
    told = {name: os.environ.get(name) for name in ("WANDB_RUN_GROUP", "WANDB_NAME")}
    file.write(json.dumps([seed, sorted(words), told]) + "\\n")
status = json.loads(pathlib.Path("status.json").read_text()).get(str(seed), 0)
(folder / "checkpoints").mkdir(parents=True, exist_ok=True)
(folder / "config.yaml").write_text("{}")
if status != 2:
    (folder / "checkpoints" / "last.ckpt").write_text("")
if status:
    sys.exit(status) if status > 0 else os.kill(os.getpid(), -status)
scores = {"test/f1": seed / 100, "test/f1/PER": 0.5, "perf/fit_seconds": 200.0 + seed}
(folder / "metrics.json").write_text(json.dumps(scores))
"""


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[list[object]]]:
    """Runs end at once here, as a call says; the function lists what was started since the last."""
    monkeypatch.chdir(tmp_path)
    command = seeds._Group._command

    def faked(self: seeds._Group, seed: int) -> list[str]:
        return [sys.executable, "-c", _CHILD, *command(self, seed)[4:]]

    monkeypatch.setattr(seeds._Group, "_command", faked)

    def read(**status: int) -> list[list[object]]:
        told = {name.removeprefix("seed_"): value for name, value in status.items()}
        Path("status.json").write_text(json.dumps(told))
        log = Path("started.jsonl")
        lines = log.read_text().splitlines() if log.is_file() else []
        log.unlink(missing_ok=True)
        return [json.loads(line) for line in lines]

    read()
    return read


def test_five_seeds_lie_in_one_group_with_mean_and_spread(
    started: Callable[..., list[list[object]]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ner", "--seeds", "5"]) == 0
    (folder,) = Path("runs/ner").iterdir()
    assert folder.name.startswith("sample-")
    assert folder.name.endswith("-seeds")
    assert [one[0] for one in started()] == [42, 43, 44, 45, 46]
    record = json.loads((folder / "seeds.json").read_text())
    assert record["finished"] == [42, 43, 44, 45, 46]
    scores = record["scores"]["test/f1"]
    # 0.42 ... 0.46: squared distances from 0.44 are 4 + 1 + 0 + 1 + 4 ten thousandths, over 4.
    assert scores["mean"] == pytest.approx(0.44)
    assert scores["standard_deviation"] == pytest.approx(math.sqrt(10e-4 / 4))
    assert (scores["min"], scores["max"]) == (0.42, 0.46)
    out = capsys.readouterr().out
    row = next(line for line in out.splitlines() if line.strip().startswith("test/f1 "))
    assert row.split() == [
        "test/f1",
        "0.440",
        "0.016",
        "0.420",
        "0.460",
        "0.420",
        "0.430",
        "0.440",
        "0.450",
        "0.460",
    ]
    assert "test/f1/PER" not in out
    page = (folder / "report.md").read_text()
    assert "| test/f1 | 0.440 | 0.016 | 0.420 | 0.460 |" in page
    assert "test/f1/PER" in page
    assert "(seed-44/report.md)" in page


def test_all_seeds_have_one_group_at_w_and_b(
    started: Callable[..., list[list[object]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["ner", "--seeds=2", "--run_dir=group"]) == 0
    told = [one[2] for one in started()]
    assert told == [
        {"WANDB_RUN_GROUP": "group", "WANDB_NAME": f"group/seed-{seed}"} for seed in (42, 43)
    ]
    monkeypatch.setenv("WANDB_RUN_GROUP", "mine")
    assert main(["ner", "--seeds=3", "--run_dir=group"]) == 0
    assert started()[0][2] == {"WANDB_RUN_GROUP": "mine", "WANDB_NAME": "group/seed-44"}


def test_the_first_seed_and_the_other_flags_are_those_of_the_command_line(
    started: Callable[..., list[list[object]]],
) -> None:
    flags = ["--model.learning_rate=1e-5", "--seed_everything=7"]
    assert main(["ner", *flags, "--seeds=2", "--run_dir=group"]) == 0
    expected = ["model.learning_rate", "run_dir", "seed_everything"]
    assert [one[:2] for one in started()] == [[7, expected], [8, expected]]


def test_one_failed_seed_does_not_lose_the_others_and_goes_on_later(
    started: Callable[..., list[list[object]]], capsys: pytest.CaptureFixture[str]
) -> None:
    started(seed_43=1, seed_44=-9)
    assert main(["ner", "--seeds=4", "--run_dir=group"]) == 1
    out = capsys.readouterr().out
    assert "seed 43 (exit status 1)" in out
    assert "seed 44 (killed by signal 9)" in out
    assert "recipes ner --seeds=4 --run_dir=group" in out
    assert [one[0] for one in started()] == [42, 43, 44, 45]
    record = GROUP.read()
    assert record["finished"] == [42, 45]
    assert record["failed"] == {"43": 1, "44": -9}
    assert record["scores"]["test/f1"]["values"] == [0.42, 0.45]
    # The same command again: what is finished stays, what was begun goes on.
    assert main(["ner", "--seeds=4", "--run_dir=group"]) == 0
    assert [one[:2] for one in started()] == [[43, ["resume"]], [44, ["resume"]]]
    assert GROUP.read()["finished"] == [42, 43, 44, 45]
    assert main(["ner", "--seeds=4", "--run_dir=group"]) == 0
    assert started() == []


def test_a_mistake_in_the_settings_stops_at_the_first_seed(
    started: Callable[..., list[list[object]]],
) -> None:
    started(seed_42=2, seed_43=2)
    assert main(["ner", "--seeds=4", "--run_dir=group"]) == 2
    assert [one[0] for one in started()] == [42]
    # What it left cannot go on: it is kept beside the new run.
    assert main(["ner", "--seeds=2", "--run_dir=group"]) == 0
    assert [one[1] for one in started()] == [["run_dir", "seed_everything"]] * 2
    assert (GROUP.path / "seed-42.stopped-1" / "config.yaml").is_file()


def test_a_group_takes_more_seeds_but_no_other_settings(
    started: Callable[..., list[list[object]]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ner", "--seeds=2", "--run_dir=group"]) == 0
    assert main(["ner", "--seeds=3", "--run_dir=group", "--trainer.logger=false"]) == 0
    assert [one[0] for one in started()] == [42, 43, 44]
    assert main(["ner", "--seeds=3", "--run_dir=group", "--model.weight_decay=0.5"]) == 2
    assert "begun with --model.weight_decay 0.01, not 0.5" in capsys.readouterr().err
    assert main(["ner", "fit", "--seeds=3", "--run_dir=group"]) == 2
    assert "begun without a subcommand" in capsys.readouterr().err
    assert started() == []


def test_an_interrupted_seed_ends_the_group_with_the_way_back(
    started: Callable[..., list[list[object]]], capsys: pytest.CaptureFixture[str]
) -> None:
    started(seed_43=130)
    assert main(["ner", "--seeds=3", "--run_dir=group", "--data.columns={tokens: 0}"]) == 130
    assert [one[0] for one in started()] == [42, 43]
    out = capsys.readouterr().out
    assert "ner '--data.columns={tokens: 0}' --seeds=3 --run_dir=group" in out
    assert GROUP.read()["finished"] == [42]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--seeds=0"], "--seeds 0: a spread takes at least 2 seeds"),
        (["--seeds=1"], "--seeds 1: a spread takes at least 2 seeds"),
        (["--seeds=-3"], "--seeds -3: a spread takes at least 2 seeds"),
        (["--seeds=five"], "--seeds five: expected how many seeds to run"),
        (["--seeds"], "--seeds : expected how many seeds to run"),
        (["--seeds=2", "--resume=group"], "--resume goes on with a single run"),
        (["--seeds=2", "--seed_everything=true"], "give it a number, not True"),
        (["--seeds=2", "--trainer.max_epoch=1"], "unrecognized arguments: --trainer.max_epoch"),
        (["--seeds=2", "--run_dir=full"], "--run_dir full is not empty, and no seeds were run"),
        (["--seeds=2", "--run_dir=full/file"], "--run_dir full/file is a file"),
    ],
)
def test_a_wrong_flag_is_one_sentence_and_starts_nothing(
    arguments: list[str],
    sentence: str,
    started: Callable[..., list[list[object]]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("full").mkdir()
    Path("full/file").write_text("")
    assert main(["ner", *arguments]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1
    assert started() == []
    assert not Path("runs").exists()


def test_what_trains_nothing_takes_no_seeds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ner", "test", "--seeds=2"]) == 2
    assert "--seeds trains models anew" in capsys.readouterr().err


def test_scores_that_a_seed_lacks_have_no_spread() -> None:
    found = spreads([{"test/f1": 1.0, "test/f1/PER": 1.0}, {"test/f1": 0.0}])
    assert list(found) == ["test/f1"]
    assert found["test/f1"].mean == 0.5
    assert found["test/f1"].deviation == pytest.approx(math.sqrt(0.5))
    assert spreads([{"test/f1": 1.0}])["test/f1"].deviation is None


@pytest.mark.slow
def test_real_seeds_are_stopped_and_go_on_as_if_nothing_had_happened(
    tiny: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    wandb_records: Callable[[Path], list[Any]],
) -> None:
    monkeypatch.chdir(tmp_path)
    names, places = ("Ada", "Bob", "Cleo", "Dora"), ("London", "Paris", "Rome", "Bern", "Oslo")
    sentences = [
        f"{name}\tB-PER\nlived\tO\nin\tO\n{place}\tB-LOC\n.\tO\n"
        for name, place in product(names, places)
    ]
    # Validation is held out of train, the same for all seeds.
    for split in ("train", "test"):
        Path(f"{split}.conll").write_text("\n".join(sentences * 10), encoding="utf-8")
    flags = [
        f"--model.backbone={tiny('bert')}",
        "--data.dataset=.",
        "--data.batch_size=8",
        "--model.learning_rate=5e-3",
        "--trainer.accelerator=cpu",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ZOO_RUN_DIR": ""}
    command = [sys.executable, "-m", "recipes", "ner", *flags, "--seeds=2", "--run_dir=group"]
    process = subprocess.Popen(
        [*command, "--trainer.max_epochs=30"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        env=environment,
    )
    history = GROUP.run(42).history
    deadline = time.monotonic() + 300
    while not (history.is_file() and "val/f1" in history.read_text(encoding="utf-8")):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=200)[0]
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert "Stopped. Finished seeds are kept; go on:" in said
    assert GROUP.read()["finished"] == []
    # Fewer epochs would be other settings; the run's own are lowered to keep the test short.
    config = yaml.safe_load(GROUP.run(42).config.read_text(encoding="utf-8"))
    assert config["trainer"]["max_epochs"] == 30
    config["trainer"]["max_epochs"] = 2
    GROUP.run(42).config.write_text(yaml.safe_dump(config), encoding="utf-8")
    record = GROUP.read()
    record["settings"]["trainer"]["max_epochs"] = 2
    GROUP.write(record)
    done = subprocess.run(
        [*command, "--trainer.max_epochs=2"],
        capture_output=True,
        text=True,
        env=environment,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    assert "Scores over seeds 42, 43" in done.stdout
    tested = [GROUP.run(seed).predictions.read_text(encoding="utf-8") for seed in (42, 43)]
    assert [len(text.splitlines()) for text in tested] == [200, 200]
    configs = [yaml.safe_load(GROUP.run(seed).config.read_text()) for seed in (42, 43)]
    assert [one.pop("seed_everything") for one in configs] == [42, 43]
    assert configs[0] == configs[1]
    for seed in (42, 43):
        newest = max(GROUP.run(seed).path.glob("wandb/offline-run-*/run-*.wandb"))
        (run,) = [
            one.run for one in wandb_records(newest) if one.WhichOneof("record_type") == "run"
        ]
        assert (run.run_group, run.display_name) == ("group", f"group/seed-{seed}")
    losses = [GROUP.metrics(seed)["test/loss"] for seed in (42, 43)]
    assert losses[0] != losses[1], "another seed is another training"
