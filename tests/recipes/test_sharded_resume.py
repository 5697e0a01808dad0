"""A sharded run that is killed goes on from its folder of shards to the same bits."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.recipes.test_distributed_run import SHARDED, _environment, _kill, _run, flags
from zoo.training.sharding import read_checkpoint

pytestmark = pytest.mark.slow

__all__ = ["flags"]


def _weights(run: str, name: str) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = read_checkpoint(Path(run, "checkpoints", name))["state_dict"]
    return found


def _same(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> bool:
    assert ours.keys() == theirs.keys()
    return all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_a_killed_sharded_run_goes_on_to_the_same_bits_and_exports_its_best(
    flags: list[str],
) -> None:
    several = [*SHARDED, "--trainer.devices=2", "--trainer.max_epochs=3", "--checkpoint_every=2"]
    # So slow that no prediction changes: of equal scores the first is the best.
    several += ["--model.learning_rate=1e-7", "--trainer.log_every_n_steps=1"]
    command = ["ner", "fit", *flags, *several]
    _run(*command, "--run_dir=whole")

    with Path("killed.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "recipes", *command, "--run_dir=run"],
            env=_environment(),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    history, deadline = Path("run/history.jsonl"), time.monotonic() + 400
    while not history.exists() or history.read_bytes().count(b"train/loss") < 7:
        assert process.poll() is None, Path("killed.log").read_text(encoding="utf-8")
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert process.poll() is None, "it ended before the kill"
    _kill(process.pid)
    process.wait()
    assert Path("run/checkpoints/last.ckpt").is_dir()
    _run("ner", "fit", "--resume=run")

    assert _same(_weights("run", "last.ckpt"), _weights("whole", "last.ckpt"))
    assert _same(_weights("run", "best.ckpt"), _weights("whole", "best.ckpt"))
    best = _weights("run", "best.ckpt")
    assert not _same(best, _weights("run", "last.ckpt"))
    exported = load_file("run/model/model.safetensors")
    for name, value in exported.items():
        assert torch.equal(best[f"model.{name}"], value), name
