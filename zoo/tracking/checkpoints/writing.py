"""A checkpoint's file is written whole or not at all."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import torch
from lightning.fabric.plugins import TorchCheckpointIO

_UNFINISHED = ".unfinished"


class CheckpointWriter(TorchCheckpointIO):
    """Writes under a temporary name beside the file, syncs it to the disk, and renames it.

    Lightning's own writes the temporary file to the system's temporary folder, which may be
    another disk, does not wait for the disk, and holds the checkpoint in memory a second time.
    """

    def __init__(self) -> None:
        self._tolerant = False
        #: Why the last checkpoint could not be written, if it could not.
        self.failure: OSError | None = None

    @contextlib.contextmanager
    def tolerating(self) -> Iterator[None]:
        """Within, an error of the disk is kept in `failure` and not raised.

        Only the first process writes: if it raised, the others would wait for it for ever.
        """
        self._tolerant, self.failure = True, None
        try:
            yield
        finally:
            self._tolerant = False

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: str | Path,
        storage_options: Any = None,
    ) -> None:
        """Write the file.

        Raises:
            OSError: The disk is full, or whatever else it says.
        """
        path = Path(path)
        unfinished = path.with_name(f".{path.name}{_UNFINISHED}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with unfinished.open("wb") as file:
                _write(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
            sync_folder(path.parent)
        except OSError as error:
            with contextlib.suppress(OSError):
                unfinished.unlink(missing_ok=True)
            if not self._tolerant:
                raise
            self.failure = error


class _Sink:
    """A file whose first error is kept: raised inside torch's writer, it would become another."""

    def __init__(self, file: BinaryIO):
        self.file = file
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        if self.error is None:
            try:
                return self.file.write(data)
            except OSError as error:
                self.error = error
        return len(data)

    def flush(self) -> None:
        """Left to the end."""


def _write(checkpoint: dict[str, Any], file: BinaryIO) -> None:
    sink = _Sink(file)
    torch.save(checkpoint, sink)  # type: ignore[arg-type]  # it needs no more than these two
    if sink.error is not None:
        raise sink.error


def sync_folder(folder: Path) -> None:
    """Make renames in a folder last through a power failure, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def second_name(path: Path, other: Path) -> None:
    """Let a checkpoint be found under another name too, without writing it twice.

    What was there before is replaced in one step. Where the disk knows no hard links it is copied.
    """
    unfinished = other.with_name(f".{other.name}{_UNFINISHED}")
    remove(unfinished)
    if path.is_dir():
        shutil.copytree(path, unfinished, copy_function=_link)
    else:
        _link(str(path), str(unfinished))
    move(unfinished, other)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def move(path: Path, target: Path) -> None:
    """Rename a file, or the folder of a sharded checkpoint, over what is there."""
    if target.is_dir() or path.is_dir():
        remove(target)
    path.replace(target)


def remove(path: Path) -> None:
    """Delete a checkpoint, file or folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def remove_unfinished(folder: Path) -> None:
    """Delete what a process that was killed while it was writing left behind."""
    for path in folder.glob(f".*{_UNFINISHED}"):
        remove(path)
