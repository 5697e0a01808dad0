"""Checkpoints are written whole or not at all, and the newest whole one is found."""

import errno
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from zoo.errors import RunError, ZooError
from zoo.tracking.checkpoints import (
    CheckpointWriter,
    Interval,
    newest_complete,
    remove_unfinished,
    why_damaged,
)
from zoo.tracking.run_folder import RunFolder


def _write(path: Path, step: int, number: int = 0) -> Path:
    content = {
        "global_step": step,
        "zoo_checkpoint": number,
        "state_dict": {"weight": torch.arange(5000.0) + step},
    }
    CheckpointWriter().save_checkpoint(content, path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A run whose best, previous and last checkpoints are of the steps 10, 20 and 30."""
    run = RunFolder(tmp_path / "run")
    _write(run.best_checkpoint, 10)
    _write(run.previous_checkpoint, 20)
    _write(run.last_checkpoint, 30)
    return run


def test_the_newest_is_the_one_of_the_most_steps_whatever_its_name(folder: RunFolder) -> None:
    found = newest_complete(folder)
    assert found is not None
    assert (found.path, found.step, found.damaged) == (folder.last_checkpoint, 30, ())
    # A kill between two renames leaves the newest under the name of the best.
    _write(folder.best_checkpoint, 40)
    newest = newest_complete(folder)
    assert newest is not None
    assert newest.path == folder.best_checkpoint


def test_of_two_of_the_same_step_the_later_one_is_newer(folder: RunFolder) -> None:
    _write(folder.last_checkpoint, 30, number=4)
    _write(folder.previous_checkpoint, 30, number=5)
    found = newest_complete(folder)
    assert found is not None
    assert found.path == folder.previous_checkpoint


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-4000])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _flip(path: Path) -> None:
    """One bit in the middle of the weights."""
    content = bytearray(path.read_bytes())
    place = content.index(torch.tensor([4000.0 + 30, 4001.0 + 30]).numpy().tobytes())
    content[place] ^= 1
    path.write_bytes(bytes(content))


def _something_else(path: Path) -> None:
    torch.save({"weights": 1}, path)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_cut, "it is cut short"),
        (_empty, "it is empty"),
        (_flip, r"the checksum of its part \S+/data/0 is wrong"),
        (_something_else, "it cannot be read"),
    ],
)
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_taken(
    folder: RunFolder, damage: Any, said: str
) -> None:
    damage(folder.last_checkpoint)
    found = newest_complete(folder)
    assert found is not None
    assert (found.path, found.step) == (folder.previous_checkpoint, 20)
    (sentence,) = found.damaged
    assert re.search(rf"last\.ckpt is damaged: {said}", sentence)
    assert why_damaged(folder.last_checkpoint) is not None
    assert why_damaged(folder.best_checkpoint) is None


def test_where_all_are_damaged_each_is_named(folder: RunFolder) -> None:
    for path in (folder.last_checkpoint, folder.previous_checkpoint, folder.best_checkpoint):
        _cut(path)
    with pytest.raises(RunError, match=r"last\.ckpt is damaged.*previous.*best.*--run_dir"):
        newest_complete(folder)


def test_a_run_without_checkpoints_has_none(tmp_path: Path) -> None:
    assert newest_complete(RunFolder(tmp_path)) is None


def test_a_full_disk_leaves_the_checkpoint_before_and_no_rest(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = folder.last_checkpoint.read_bytes()

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        _write(folder.last_checkpoint, 40)
    assert folder.last_checkpoint.read_bytes() == before
    assert not [path for path in folder.checkpoints.iterdir() if "unfinished" in path.name]


def test_the_system_refusing_a_write_in_the_middle_is_the_error_that_is_raised(
    tmp_path: Path,
) -> None:
    # A limit on the size of files makes the kernel refuse, in the midst of torch's own writer.
    code = f"""
import resource, signal, torch
from pathlib import Path
from zoo.tracking.checkpoints import CheckpointWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path = Path({str(tmp_path / "last.ckpt")!r})
CheckpointWriter().save_checkpoint({{"global_step": 1}}, path)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    CheckpointWriter().save_checkpoint({{"w": torch.ones(100_000)}}, path)
except OSError as error:
    print(error.strerror, [path.name for path in path.parent.iterdir()])
"""
    assert hasattr(resource, "RLIMIT_FSIZE")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.stdout.strip() == "File too large ['last.ckpt']", done.stderr


def test_what_a_kill_left_half_written_is_removed(folder: RunFolder) -> None:
    (folder.checkpoints / ".new.ckpt.unfinished").write_bytes(b"half")
    remove_unfinished(folder.checkpoints)
    assert sorted(path.name for path in folder.checkpoints.iterdir()) == [
        "best.ckpt",
        "last.ckpt",
        "previous.ckpt",
    ]


def test_intervals_are_steps_or_times() -> None:
    assert Interval.parse(50) == Interval.parse("50") == Interval(steps=50)
    assert Interval.parse("90s") == Interval(seconds=90)
    assert Interval.parse("1.5m") == Interval(seconds=90)
    assert Interval.parse("1h") == Interval(seconds=3600)
    # 2% of the time, and no more than one a minute.
    assert Interval.parse("auto").wait(0.1) == 60
    assert Interval.parse("auto").wait(3.0) == pytest.approx(150)
    for wrong in ("often", "-5", "10x", "0m"):
        with pytest.raises(ZooError, match=rf"--checkpoint_every {wrong} is no interval"):
            Interval.parse(wrong)
