"""Where a run goes on: the newest checkpoint that is complete."""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from zoo.errors import RunError
from zoo.tracking.run_folder import RunFolder

#: The key under which a checkpoint says the how-many-eth of its run it is.
NUMBER = "zoo_checkpoint"
#: In the folder of a sharded checkpoint: everything but weights and optimizer.
_META = "meta.pt"


@dataclass(frozen=True)
class Found:
    """A complete checkpoint, and what was passed over to find it.

    Args:
        path: Its file, or its folder if it is sharded.
        step: Optimizer steps that were done.
        damaged: A sentence for each newer file that cannot be used.
    """

    path: Path
    step: int
    damaged: tuple[str, ...]


def newest_complete(folder: RunFolder) -> Found | None:
    """The newest complete checkpoint of a run; None if it never wrote one.

    Raises:
        RunError: There are some, and all are damaged; names each.
    """
    there = [
        path
        for path in (folder.last_checkpoint, folder.previous_checkpoint, folder.best_checkpoint)
        if path.exists()
    ]
    if not there:
        return None
    damaged, readable = [], []
    for path in there:
        try:
            readable.append((_order(_content(path)), path))
        except Exception as error:  # whatever unpickling a broken file may raise
            damaged.append(_sentence(path, _reason(path, error)))
    # Of equals (a best that is also the last) the first: sorting keeps their order.
    for (step, _), path in sorted(readable, key=lambda found: found[0], reverse=True):
        reason = why_damaged(path)
        if reason is None:
            return Found(path, step, tuple(damaged))
        damaged.append(_sentence(path, reason))
    raise RunError(
        f"There is no complete checkpoint in {folder.checkpoints}. {' '.join(damaged)} Begin anew "
        "with another --run_dir."
    )


def why_damaged(path: Path) -> str | None:
    """What is wrong with a checkpoint, after a look at every byte; None if it is complete."""
    try:
        _content(path)
        if path.is_dir():
            return None  # it got its name after all processes had written their part
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
    except Exception as error:
        return _reason(path, error)
    return None if broken is None else f"the checksum of its part {broken} is wrong"


def _content(path: Path) -> dict[str, Any]:
    file = path / _META if path.is_dir() else path
    # Memory-mapped: the weights are not read for this.
    content: dict[str, Any] = torch.load(file, weights_only=True, map_location="cpu", mmap=True)
    content["global_step"]
    return content


def _order(content: dict[str, Any]) -> tuple[int, int]:
    return int(content["global_step"]), int(content.get(NUMBER, 0))


def _reason(path: Path, error: Exception) -> str:
    if path.is_file() and path.stat().st_size == 0:
        return "it is empty"
    if path.is_file() and not zipfile.is_zipfile(path):
        return "it is cut short, or no checkpoint"
    return f"it cannot be read ({type(error).__name__})"


def _sentence(path: Path, reason: str) -> str:
    return f"{path} is damaged: {reason}."
