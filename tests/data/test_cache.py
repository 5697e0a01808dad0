"""The cache of finished folders: made once, never half."""

import hashlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from zoo.data.cache import cache_root, cached, digest_of, digest_of_file
from zoo.errors import DataError

_BUILDER = """
import os, sys, time
from pathlib import Path
from zoo.data.cache import cached

def build(folder):
    with open(sys.argv[1], "a") as log:
        log.write("built\\n")
    time.sleep(0.5)
    (folder / "content").write_text(str(os.getpid()))

print(cached("things", {"a": 1}, build, lambda folder: (folder / "content").read_text()))
"""


class _Builder:
    def __init__(self, seconds: float = 0.0) -> None:
        self.folders: list[Path] = []
        self.seconds = seconds

    def __call__(self, folder: Path) -> None:
        self.folders.append(folder)
        time.sleep(self.seconds)
        (folder / "content").write_text(f"number {len(self.folders)}")


def _cached(kind: str, key: dict[str, object], build: Callable[[Path], None]) -> Path:
    """The finished folder itself."""
    return cached(kind, key, build, lambda folder: folder)


def _left(root: Path) -> list[str]:
    """What lies in the cache, but for the locks."""
    return [path.name for path in root.rglob("*") if path.suffix != ".lock" and path.is_dir()]


def test_a_folder_is_built_once_and_found_ever_after() -> None:
    build = _Builder()
    first = _cached("things", {"a": 1}, build)
    second = _cached("things", {"a": 1}, build)
    assert first == second
    assert first.parent == cache_root() / "things"
    assert (first / "content").read_text() == "number 1"
    assert len(build.folders) == 1


def test_it_is_built_under_another_name_than_it_is_found() -> None:
    build = _Builder()
    assert _cached("things", {"a": 1}, build) != build.folders[0]
    assert not build.folders[0].exists()


@pytest.mark.parametrize("other", [{"a": 2}, {"b": 1}, {"a": 1, "b": 1}, {"a": "1"}, {}])
def test_another_key_is_built_anew(other: dict[str, object]) -> None:
    build = _Builder()
    first = _cached("things", {"a": 1}, build)
    second = _cached("things", other, build)
    assert first != second
    assert (first / "content").read_text() == "number 1"
    assert (second / "content").read_text() == "number 2"


def test_another_kind_is_built_anew() -> None:
    build = _Builder()
    assert _cached("things", {}, build) != _cached("others", {}, build)
    assert len(build.folders) == 2


def test_another_format_is_built_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    build = _Builder()
    first = _cached("things", {}, build)
    monkeypatch.setattr("zoo.data.cache.FORMAT", 10_000)
    assert _cached("things", {}, build) != first


@pytest.mark.parametrize("error", [ValueError("broken data"), KeyboardInterrupt()])
def test_what_ends_with_an_exception_leaves_nothing(error: BaseException) -> None:
    def build(folder: Path) -> None:
        (folder / "half").write_text("half")
        raise error

    with pytest.raises(type(error)):
        _cached("things", {"a": 1}, build)
    assert _left(cache_root()) == ["things"]
    after = _Builder()
    assert (_cached("things", {"a": 1}, after) / "content").read_text() == "number 1"


def test_threads_that_ask_together_build_once() -> None:
    build = _Builder(seconds=0.3)
    found: list[str] = []

    def ask() -> None:
        found.append((_cached("things", {"a": 1}, build) / "content").read_text())

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["number 1"] * 3
    assert len(build.folders) == 1


def test_processes_that_ask_together_build_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = [sys.executable, "-c", _BUILDER, str(log)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=60)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0]
    assert log.read_text() == "built\n"
    assert said[0] == said[1] != ""


def test_the_cache_lies_where_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ZOO_CACHE", "~/mine")
    assert cache_root() == tmp_path / "home" / "mine"
    monkeypatch.delenv("ZOO_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_root() == tmp_path / "xdg" / "zoo"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_root() == tmp_path / "home" / ".cache" / "zoo"


def test_a_digest_of_settings_does_not_depend_on_the_order_of_keys() -> None:
    canonical = '{"a": [1, "é"], "b": null}'
    expected = hashlib.sha256(canonical.encode("utf-8")).hexdigest()
    assert digest_of({"b": None, "a": [1, "é"]}) == expected
    assert digest_of({"a": [1, "é"], "b": None}) == expected
    assert digest_of({"a": ["é", 1], "b": None}) != expected


def test_a_digest_of_a_file_changes_with_one_byte(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    # The SHA-256 of "abc", from FIPS 180-2.
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert digest_of_file(path) == expected
    path.write_bytes(b"abd")
    assert digest_of_file(path) != expected


def test_a_folder_that_cannot_be_loaded_is_built_anew(caplog: pytest.LogCaptureFixture) -> None:
    build = _Builder()

    def load(folder: Path) -> int:
        return int((folder / "content").read_text().removeprefix("number "))

    assert cached("things", {}, build, load) == 1
    (_cached("things", {}, build) / "content").write_text("half a num")
    assert cached("things", {}, build, load) == 2
    assert "is damaged" in caplog.text


def test_a_cache_that_cannot_be_written_is_said_with_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match="ZOO_CACHE names another"):
        _cached("things", {}, _Builder())
