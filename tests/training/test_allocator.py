"""A process that is told to keeps the memory that it frees, unless its environment chose."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from zoo.training.allocator import HUGE_PAGES

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone is told")

#: Makes and frees 64 MiB five times; prints what keep_memory said and the page faults of the last.
_PROGRAM = """
import resource, sys
from zoo.training.allocator import keep_memory
kept = keep_memory() if sys.argv[1] == "keep" else None
assert "torch" not in sys.modules
import torch
for _ in range(5):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(2 ** 24)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(kept, faults)
"""


def _run(what: str, **variables: str) -> tuple[str, int]:
    own = {name: value for name, value in os.environ.items() if name != HUGE_PAGES}
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, what],
        env={**own, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    said, faults = done.stdout.split()
    return said, int(faults)


@glibc
def test_memory_that_was_freed_is_used_again_without_asking_the_system() -> None:
    said, faults = _run("keep")
    assert said == "True"
    # 64 MiB are 16,384 pages of 4 KiB; at the edges of huge pages a few are asked for.
    assert faults < 1000
    if os.sysconf("SC_PAGE_SIZE") == 4096 and not _always_huge():
        assert _run("leave")[1] > 10_000


def _always_huge() -> bool:
    switch = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    return switch.exists() and "[always]" in switch.read_text(encoding="ascii")


@glibc
@pytest.mark.parametrize(
    ("name", "value"),
    [
        (HUGE_PAGES, "0"),
        ("MALLOC_TRIM_THRESHOLD_", "131072"),
        ("GLIBC_TUNABLES", "glibc.malloc.arena_max=1"),
    ],
)
def test_what_the_environment_chose_stays(name: str, value: str) -> None:
    assert _run("keep", **{name: value})[0] == "False"


@glibc
def test_a_process_that_inherits_huge_pages_keeps_memory_too() -> None:
    assert _run("keep", **{HUGE_PAGES: "1"})[0] == "True"
