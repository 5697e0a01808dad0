"""Checkpoints of sharded training: read again by any strategy and any number of processes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.distributed_runs import train
from tests.training.workers import together
from zoo import NERTask
from zoo.errors import RunError
from zoo.training.sharding import read_checkpoint

pytestmark = pytest.mark.slow


def _data(corpus: Path) -> dict[str, Any]:
    same = dict.fromkeys(("train", "validation", "test"), str(corpus))
    return {**same, "batch_size": 4, "max_length": 64, "stride": 8}


def _equal(first: dict[str, Any], second: dict[str, Any]) -> None:
    assert first["step"] == second["step"] == 3
    assert first["weights"].keys() == second["weights"].keys()
    for name, weight in first["weights"].items():
        assert torch.equal(weight, second["weights"][name]), name
    assert len(first["optimizer"]) == len(second["optimizer"]) > 0
    for ours, theirs in zip(first["optimizer"], second["optimizer"], strict=True):
        assert ours.keys() == theirs.keys()
        for name, value in ours.items():
            assert torch.equal(value, theirs[name]), name


@pytest.mark.parametrize(
    ("saved", "resumed"),
    [
        (("in shards", 2), [("in shards", 3), ("fsdp2", 1)]),
        (("fsdp2", 2), [("ddp", 2), ("fsdp2", 3)]),
        (("ddp", 1), [("fsdp2", 2)]),
    ],
)
def test_a_checkpoint_goes_on_under_another_strategy_and_number_of_processes(
    saved: tuple[str, int],
    resumed: list[tuple[str, int]],
    tiny: Callable[[str], Path],
    corpus: Path,
    tmp_path: Path,
) -> None:
    fit = {"max_steps": 3, "max_epochs": -1, "limit_val_batches": 0}
    path = tmp_path / "x.ckpt"
    arguments = ("ner", str(tiny("bert")), _data(corpus))

    def run(strategy: str, world: int, **more: Any) -> dict[str, Any]:
        options = {"world": world, "strategy": strategy, "fit": fit, **more}
        folder = tmp_path / f"{strategy}-{world}-{len(more)}-{'resume' in more}"
        found = together(world, train, folder, *arguments, options=options)
        _equal(found[0], found[-1])
        return found[0]  # type: ignore[no-any-return]

    whole = run(*saved, save=str(path))
    assert path.is_dir() == (saved[0] == "in shards")
    for strategy, world in resumed:
        # Not one step more: what is compared is what was read.
        _equal(run(strategy, world, resume=str(path)), whole)

    task = NERTask.of_checkpoint(read_checkpoint(path))
    weights = dict(task.net.named_parameters())
    for name, weight in whole["weights"].items():
        assert torch.equal(weight, weights[name]), name


def test_what_is_no_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"x\.ckpt is no checkpoint: .*meta\.pt is missing"):
        read_checkpoint(tmp_path / "x.ckpt")
    broken = tmp_path / "y.ckpt"
    broken.write_bytes(b"half of it")
    with pytest.raises(RunError, match=r"The checkpoint .*y\.ckpt is damaged"):
        read_checkpoint(broken)
