"""Memory that a training step frees is kept for the next one, in large pages."""

import ctypes
import os
import platform

#: Torch's own switch: blocks of 2 MiB and more are asked for in huge pages.
HUGE_PAGES = "THP_MEM_ALLOC_ENABLE"

#: Parameters of glibc's `mallopt` (malloc.h), and what they are set to: free memory at the end of
#: the heap stays there, and large blocks are of the heap as well.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_NEVER, _NO_BLOCKS = -1, 0


def keep_memory() -> bool:
    """Let this process keep what it frees; before torch is first used.

    A training step on a CPU makes and frees the same hundreds of megabytes each time. glibc gives
    large blocks back to the system, which hands them out again page by page, each filled with
    zeros: 13,000 page faults in a step of MiniLM. The process then stays as large as it ever was.

    Nothing is done where there is no glibc, nor where the environment chooses: `MALLOC_...` or
    `GLIBC_TUNABLES` for malloc, or `THP_MEM_ALLOC_ENABLE=0`. Processes that are started from here
    inherit the huge pages, but have to call this for the rest.

    Returns:
        Whether memory is kept.
    """
    chosen = (
        os.environ.get(HUGE_PAGES) == "0"
        or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "")
        or any(name.startswith("MALLOC_") for name in os.environ)
    )
    if chosen or platform.libc_ver()[0] != "glibc":
        return False
    os.environ[HUGE_PAGES] = "1"
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(_MMAP_MAX, _NO_BLOCKS) and mallopt(_TRIM_THRESHOLD, _NEVER))
