"""A cache of finished folders, keyed by content: made once, memory-mapped ever after."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

#: Raise when what is written into the cache changes shape.
FORMAT = 1


def cache_root() -> Path:
    """The cache's folder: `ZOO_CACHE`, or `zoo` in the user's cache folder."""
    if "ZOO_CACHE" in os.environ:
        return Path(os.environ["ZOO_CACHE"]).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "zoo"


def digest_of_file(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of(settings: Any) -> str:
    """SHA-256 of plain data (anything JSON can hold), whatever the order of its keys."""
    canonical = json.dumps(settings, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(canonical.encode("utf-8")).hexdigest()


def cached_folder(kind: str, key: Mapping[str, Any], build: Callable[[Path], None]) -> Path:
    """The folder that `build` fills for this key; built only if no one has done so before.

    The folder is filled under a temporary name and renamed when complete, and one process builds
    while others wait, so that a crash or a second start never leaves or sees half a cache.

    Args:
        kind: What it holds; becomes a folder's name.
        key: Everything that the content depends on.
        build: Fills the empty folder it is given.
    """
    name = digest_of({"format": FORMAT, **key})[:32]
    parent = cache_root() / kind
    folder = parent / name
    if folder.is_dir():
        return folder
    parent.mkdir(parents=True, exist_ok=True)
    with FileLock(parent / f"{name}.lock"):
        if folder.is_dir():
            return folder
        unfinished = Path(tempfile.mkdtemp(prefix=f"{name}.", dir=parent))
        try:
            build(unfinished)
            unfinished.rename(folder)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
    return folder
