"""A cache of finished folders, keyed by content: made once, memory-mapped ever after."""

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock

from zoo.errors import DataError

#: Raise when what is written into the cache changes shape.
FORMAT = 3

T = TypeVar("T")

log = logging.getLogger(__name__)


def cache_root() -> Path:
    """The cache's folder: `ZOO_CACHE`, or `zoo` in the user's cache folder."""
    if "ZOO_CACHE" in os.environ:
        return Path(os.environ["ZOO_CACHE"]).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "zoo"


def digest_of_file(path: Path) -> str:
    """SHA-256 of a file's content.

    Raises:
        DataError: The file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"The file cannot be read ({error.strerror}).", path=path) from error


def digest_of(settings: Any) -> str:
    """SHA-256 of plain data (anything JSON can hold), whatever the order of its keys."""
    canonical = json.dumps(settings, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(canonical.encode("utf-8")).hexdigest()


def cached(
    kind: str, key: Mapping[str, Any], build: Callable[[Path], None], load: Callable[[Path], T]
) -> T:
    """What `load` finds in the folder that `build` fills for this key; built only once.

    The folder is filled under a temporary name and renamed when complete, and one process builds
    while others wait, so that a crash or a second start never leaves or sees half a cache. A folder
    that cannot be loaded is built anew.

    Args:
        kind: What it holds; becomes a folder's name.
        key: Everything that the content depends on.
        build: Fills the empty folder it is given.
        load: Reads the finished folder.

    Raises:
        DataError: The cache's folder cannot be written.
    """
    folder = cache_root() / kind / digest_of({"format": FORMAT, **key})[:32]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.with_suffix(".lock"))
        lock.acquire()
    except OSError as error:
        raise DataError(
            f"The cache cannot be written there ({error.strerror}). ZOO_CACHE names another "
            "folder.",
            path=folder.parent,
        ) from error
    try:
        if folder.is_dir():
            try:
                return load(folder)
            except (OSError, ValueError) as error:
                log.warning("The cache in %s is damaged (%s) and made anew.", folder, error)
                shutil.rmtree(folder)
        _fill(folder, build)
        return load(folder)
    finally:
        lock.release()


def _fill(folder: Path, build: Callable[[Path], None]) -> None:
    unfinished = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    try:
        build(unfinished)
        unfinished.rename(folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
