"""Whole runs of several processes through the command line and the launch scripts."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from recipes.__main__ import main
from tests.training.workers import free_port

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
SHARDED = [
    "--trainer.strategy=zoo.training.strategies.FSDP2Strategy",
    "--trainer.strategy.sharded_checkpoints=true",
]


def _write_corpus(folder: Path, sentences: int) -> None:
    chance = random.Random(5)
    for split in ("train", "validation", "test"):
        blocks = []
        for _ in range(sentences):
            name, place = chance.choice(["Ada", "Bob"]), chance.choice(["London", "Rome"])
            words = ["lived\tO"] * chance.randint(1, 9)
            blocks.append("\n".join([f"{name}\tB-PER", *words, f"{place}\tB-LOC", ".\tO"]))
        (folder / f"{split}.conll").write_text("\n\n".join(blocks) + "\n", encoding="utf-8")


@pytest.fixture
def flags(
    tmp_path: Path, tiny: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    monkeypatch.chdir(tmp_path)
    _write_corpus(tmp_path, 41)
    return [
        f"--model.backbone={tiny('bert')}",
        f"--data.dataset={tmp_path}",
        "--data.batch_size=4",
        "--model.learning_rate=5e-3",
        "--trainer.max_epochs=1",
        "--trainer.accelerator=cpu",
        "--trainer.logger=false",
    ]


def _environment(**more: str) -> dict[str, str]:
    # As a shell has it: what a test's own process was told of other processes is left out.
    kept = {name: value for name, value in os.environ.items() if name != "ZOO_RUN_DIR"}
    path = os.pathsep.join([str(ROOT), *filter(None, [kept.get("PYTHONPATH")])])
    return {**kept, "OMP_NUM_THREADS": "1", "PYTHONPATH": path, **more}


def _run(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "recipes", *arguments],
        env=_environment(),
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _test_scores(run: str) -> dict[str, float]:
    scores = json.loads(Path(run, "metrics.json").read_text(encoding="utf-8"))
    return {name: value for name, value in scores.items() if name.startswith("test/")}


def test_a_sharded_run_tests_exports_and_consolidates_as_one_process_would(
    flags: list[str],
) -> None:
    _run("ner", *flags, *SHARDED, "--trainer.devices=2", "--run_dir=run")
    assert Path("run/checkpoints/best.ckpt").is_dir()
    lines = Path("run/predictions.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["example"] for line in lines] == list(range(41))

    again = ["ner", "test", "--model.backbone=run/model", "--data.dataset=.", "--run_dir=again"]
    assert main([*again, "--trainer.accelerator=cpu", "--trainer.logger=false"]) == 0
    for name, score in _test_scores("run").items():
        if not name.endswith("seconds"):
            assert _test_scores("again")[name] == pytest.approx(score, abs=1e-6), name

    exported = load_file("run/model/model.safetensors")
    Path("run/model").rename("exported")
    assert main(["consolidate", "run"]) == 0
    consolidated = load_file("run/model/model.safetensors")
    assert exported.keys() == consolidated.keys()
    assert all(torch.equal(exported[name], consolidated[name]) for name in exported)
    ours, theirs = (Path(folder, "zoo.json").read_text() for folder in ("exported", "run/model"))
    assert ours == theirs


def test_two_processes_average_and_decide_together(flags: list[str]) -> None:
    both = ["--trainer.devices=2", "--trainer.strategy=ddp", "--trainer.max_epochs=2"]
    shown = _run("ner", *flags, *both, "--average=swa", "--run_dir=run")
    # 41 texts by 4 in 2 processes: 6 steps an epoch, and a quarter of 12.
    assert "Averaged weights (swa over 3 steps)" in shown
    scores = json.loads(Path("run/metrics.json").read_text(encoding="utf-8"))
    kept = "The average is the model." in " ".join(shown.split())
    assert kept == Path("run/checkpoints/average.ckpt").exists()
    assert (scores["val/f1"] == scores["average/f1"]) or not kept
    saved = torch.load("run/checkpoints/last.ckpt", weights_only=True)
    weights = torch.load(
        f"run/checkpoints/{'average' if kept else 'best'}.ckpt", weights_only=True
    )["state_dict"]
    for name, value in load_file("run/model/model.safetensors").items():
        assert torch.equal(value, weights[f"model.{name}"]), name
        if kept:
            assert torch.equal(value, saved["zoo_average"]["mean"][f"model.{name}"]), name


def test_sharded_weights_are_not_averaged_and_it_says_so(
    flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    sharded = ["--trainer.strategy=fsdp2", "--trainer.devices=2", "--average=ema"]
    assert main(["ner", *flags, *sharded, "--run_dir=run"]) == 2
    assert "--average needs processes that hold all weights" in capsys.readouterr().err


def test_consolidating_what_holds_no_checkpoint_says_so(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("empty").mkdir()
    assert main(["consolidate", "empty"]) == 2
    assert "not the folder of a run" in capsys.readouterr().err
    Path("empty/config.yaml").write_text("", encoding="utf-8")
    assert main(["consolidate", "empty"]) == 2
    assert "no checkpoint to make a model of" in capsys.readouterr().err


def test_the_older_sharding_is_refused_without_a_gpu(
    flags: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["ner", *flags, "--trainer.strategy=fsdp", "--run_dir=run"]) == 2
    said = capsys.readouterr().err
    assert said == "error: --trainer.strategy fsdp needs GPUs; fsdp2 shards on CPUs too.\n"
    assert not Path("run").exists()


def test_when_one_of_two_nodes_is_lost_the_other_says_so_and_the_run_resumes(
    flags: list[str], tmp_path: Path
) -> None:
    _write_corpus(tmp_path, 400)
    head = f"127.0.0.1:{free_port()}"
    # A corpus of 50 steps an epoch: the first epoch's checkpoint is there long before the end.
    command = ["bash", str(ROOT / "recipes/launch/torchrun.sh"), "ner", *flags]
    many = ["--trainer.max_epochs=200", "--run_dir=run"]
    outputs = [(tmp_path / f"node{rank}.log").open("w") for rank in range(2)]
    nodes = [
        subprocess.Popen(
            [*command, *many],
            env=_environment(
                NODES="2",
                NODE_RANK=str(rank),
                PROCESSES="1",
                HEAD=head,
                RUN_ID="test",
                PYTHON=sys.executable,
                LOCAL_ADDRESS=f"127.0.0.{1 + rank}",
                GLOO_SOCKET_IFNAME="lo",
            ),
            stdout=outputs[rank],
            stderr=subprocess.STDOUT,
        )
        for rank in range(2)
    ]

    def said(rank: int) -> str:
        return (tmp_path / f"node{rank}.log").read_text(encoding="utf-8")

    try:
        deadline = time.monotonic() + 400
        while not Path("run/checkpoints/last.ckpt").exists():
            assert all(node.poll() is None for node in nodes), said(0) + said(1)
            assert time.monotonic() < deadline, said(0) + said(1)
            time.sleep(0.2)
        _kill(nodes[1].pid)  # as if the machine lost its power
        assert nodes[0].wait(timeout=200) != 0
    finally:
        for node in nodes:
            if node.poll() is None:
                _kill(node.pid)
            node.wait()
    assert "Another process of this run has ended, or does not answer" in said(0)
    steps = _steps("run")
    alone = ["--trainer.num_nodes=1", "--trainer.devices=1", "--trainer.strategy=auto"]
    epochs = f"--trainer.max_epochs={max(steps) // 50 + 2}"
    _run("ner", "--resume=run", *alone, epochs)
    assert max(_steps("run")) > max(steps)
    assert Path("run/model/model.safetensors").is_file()


def _kill(pid: int) -> None:
    """End a process of ours and all that it started: torchrun gives its own sessions to some."""
    family, found = [pid], [pid]
    while family:
        parent = family.pop()
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        family += map(int, children)
        found += map(int, children)
    for one in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)


def _steps(run: str) -> list[int]:
    lines = Path(run, "history.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["step"] for line in lines]
