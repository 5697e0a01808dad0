"""How much memory there is, and how much a training takes of it at most."""

import gc
import os
import resource
import sys
from pathlib import Path
from typing import Protocol

import torch

#: Share of the memory that is free that a training may take; the rest is headroom.
SHARE = 0.9

#: What allocators say when there is no memory left, where the error has no class of its own.
_NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory")


class Meter(Protocol):
    """Measures the peak of memory, in bytes."""

    #: Bytes that may be in use at most.
    limit: int
    #: Whether taking too much is an error that can be caught.
    catchable: bool

    def reset(self) -> None:
        """Begin to measure anew."""

    def peak(self) -> int:
        """The most that was in use since `reset`, in bytes."""


class AcceleratorMeter:
    """Memory of a CUDA device, which raises when there is no more.

    Args:
        device: The device of this process.
    """

    catchable = True

    def __init__(self, device: torch.device):
        self.device = device
        free, _ = torch.cuda.mem_get_info(device)
        # What torch keeps for later counts as free; all but the headroom may be taken.
        self.limit = int(SHARE * (free + torch.cuda.memory_reserved(device)))

    def reset(self) -> None:
        """Begin to measure anew, with nothing kept for later."""
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(self.device)

    def peak(self) -> int:
        """The most that torch had reserved, in bytes."""
        return torch.cuda.max_memory_reserved(self.device)


class ProcessMeter:
    """Resident memory of this process, of which the system gives no error but an end.

    Args:
        processes: Processes that share the machine's memory with this one, itself included.
    """

    catchable = False

    def __init__(self, processes: int = 1):
        self.limit = resident() + int(SHARE * available() / processes)

    def reset(self) -> None:
        """Begin to measure anew, where the system can; else the peak is that since the start."""
        try:
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        except OSError:
            return

    def peak(self) -> int:
        """The most that was resident, in bytes."""
        found = _status("VmHWM")
        if found is not None:
            return found
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def meter_of(device: torch.device, *, processes: int) -> Meter:
    """What measures a training on a device.

    Args:
        device: The device of this process.
        processes: Processes of the training on this machine.
    """
    return AcceleratorMeter(device) if device.type == "cuda" else ProcessMeter(processes)


def resident() -> int:
    """Memory that this process holds now, in bytes."""
    found = _status("VmRSS")
    return ProcessMeter.peak(object.__new__(ProcessMeter)) if found is None else found


def available(*, proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int:
    """Memory that processes may still take, in bytes; a container's limit counts.

    Where the system does not say, half of what the machine has.

    Args:
        proc: Where Linux tells of processes.
        groups: Where Linux tells of control groups.
    """
    free = [room for room in (_of_groups(proc, groups), _of_machine(proc)) if room is not None]
    if free:
        return max(0, min(free))
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _of_machine(proc: Path) -> int | None:
    try:
        lines = (proc / "meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    sizes = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(sizes[0]) * 1024 if sizes else None


def _of_groups(proc: Path, groups: Path) -> int | None:
    """The least room in the control groups of this process and in those around them."""
    try:
        lines = (proc / "self" / "cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    rooms = []
    for line in lines:
        _, kinds, own = line.split(":", 2)
        if kinds and "memory" not in kinds.split(","):
            continue
        root = groups / "memory" if kinds else groups
        at = root / own.lstrip("/")
        # In a container the path may be of another view: its own group is then the root.
        for folder in (at, *at.parents):
            room = _room(folder, old=bool(kinds))
            rooms += [] if room is None else [room]
            if folder == root:
                break
    return min(rooms, default=None)


def _room(folder: Path, *, old: bool) -> int | None:
    names = ("memory.max", "memory.current")
    if old:
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes")
    try:
        limit, used = ((folder / name).read_text(encoding="ascii").strip() for name in names)
        stat = (folder / "memory.stat").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return None
    if limit == "max" or int(limit) >= 1 << 60:
        return None
    # The system takes files that it has read back when it needs the room.
    counts = dict(zip(stat[::2], map(int, stat[1::2]), strict=True))
    return int(limit) - int(used) + counts.get("inactive_file", 0)


def _status(name: str) -> int | None:
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    sizes = [line.split()[1] for line in lines if line.startswith(f"{name}:")]
    return int(sizes[0]) * 1024 if sizes else None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that there is no memory left, on an accelerator or beside it."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    said = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in said for words in _NO_MEMORY)
