"""`python -m recipes ner --resume RUN` after a kill, with damaged checkpoints, and without any."""

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

from recipes.__main__ import main
from zoo import NERTask

NAMES, PLACES = ["Ada", "Bob", "Cleo", "Dora"], ["London", "Paris", "Rome", "Bern"]


@pytest.fixture
def flags(
    tmp_path: Path, tiny: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """Overrides that make a recipe small: 20 steps an epoch, dropout on."""
    monkeypatch.chdir(tmp_path)
    chance = random.Random(5)
    for split, count in (("train", 160), ("validation", 16), ("test", 16)):
        blocks = [
            f"{chance.choice(NAMES)}\tB-PER\nlived\tO\nin\tO\n{chance.choice(PLACES)}\tB-LOC\n.\tO\n"
            for _ in range(count)
        ]
        (tmp_path / f"{split}.conll").write_text("\n".join(blocks), encoding="utf-8")
    return [
        f"--model.backbone={tiny('bert')}",
        f"--data.dataset={tmp_path}",
        "--data.batch_size=8",
        "--model.learning_rate=1e-3",
        "--trainer.max_epochs=2",
        "--trainer.accelerator=cpu",
        "--trainer.logger=false",
        "--checkpoint_every=3",
    ]


def _weights(run: str) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(
        Path(run, "checkpoints", "last.ckpt"), weights_only=True
    )["state_dict"]
    return found


def _same(a: str, b: str) -> bool:
    one, other = _weights(a), _weights(b)
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_run_that_was_killed_goes_on_to_the_same_bits(flags: list[str]) -> None:
    assert main(["ner", "fit", *flags, "--run_dir=whole"]) == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "recipes", "ner", "fit", *flags, "--run_dir=run"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
    )
    deadline = time.monotonic() + 240
    while not Path("run/checkpoints/previous.ckpt").exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert main(["ner", "fit", "--resume=run"]) == 0
    assert _same("run", "whole")


def test_a_damaged_last_checkpoint_is_named_and_the_one_before_gives_the_same_bits(
    flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ner", "fit", *flags, "--run_dir=run"]) == 0
    whole = _weights("run")
    last = Path("run/checkpoints/last.ckpt")
    best = Path("run/checkpoints/best.ckpt")
    if best.samefile(last):  # one file with two names: give the best a body of its own
        content = last.read_bytes()
        last.unlink()
        last.write_bytes(content)
        best.unlink()
    last.write_bytes(last.read_bytes()[:-5000])
    capsys.readouterr()
    assert main(["ner", "fit", "--resume=run"]) == 0
    said = capsys.readouterr().err
    assert "last.ckpt is damaged: it is cut short" in said
    assert "Going on from step 39 (run/checkpoints/previous.ckpt)" in said
    assert all(torch.equal(_weights("run")[name], value) for name, value in whole.items())


def test_a_run_without_a_checkpoint_begins_anew(
    flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ner", "fit", *flags, "--run_dir=whole"]) == 0
    Path("run").mkdir()
    Path("run/config.yaml").write_text(Path("whole/config.yaml").read_text(encoding="utf-8"))
    capsys.readouterr()
    assert main(["ner", "fit", "--resume=run"]) == 0
    assert "it begins anew" in capsys.readouterr().err
    assert _same("run", "whole")


def test_out_of_memory_is_advice_with_a_way_back(
    flags: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    forward = NERTask.forward

    def greedy(self: NERTask, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        if self.training and self.trainer.global_step == 7 and len(batch["input_ids"]) > 4:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate")
        return forward(self, batch)

    monkeypatch.setattr(NERTask, "forward", greedy)
    assert main(["ner", "fit", *flags, "--run_dir=run"]) == 1
    said = capsys.readouterr().err
    assert "--data.batch_size 4 --trainer.accumulate_grad_batches 2" in said
    assert "last.ckpt (step 6)" in said
    assert "ner fit --resume run" in said
    smaller = ["--data.batch_size=4", "--trainer.accumulate_grad_batches=2"]
    assert main(["ner", "fit", "--resume=run", *smaller]) == 0
    assert "goes on at the same share of it" in capsys.readouterr().err
    rows = [json.loads(line) for line in Path("run/history.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "val/f1" in row] == [20, 40]
