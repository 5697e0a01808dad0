"""What was measured on, and whether it is idle."""

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

#: A benchmark starts only below this load average of the last minute.
IDLE = 0.3

_PACKAGES = (
    *("torch", "lightning", "transformers", "accelerate", "datasets", "tokenizers", "numpy"),
    *("seqeval", "rouge-score"),
)


def require_idle(*, anyway: bool) -> None:
    """Refuse to measure on a machine that does something else, or warn.

    Raises:
        SystemExit: The load average of the last minute is above `IDLE`, and not `anyway`.
    """
    load = os.getloadavg()[0]
    if load <= IDLE:
        return
    said = f"The load average of the last minute is {load:.2f}, above {IDLE}"
    if not anyway:
        raise SystemExit(f"{said}: wait until the machine is idle, or measure with --anyway.")
    print(f"{said}: what follows is no measurement of this machine.", file=sys.stderr)


def describe() -> dict[str, Any]:
    """Hardware, threads, versions and load: what a figure depends on."""
    import torch

    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "processor": processor(),
        "processors": os.cpu_count(),
        "gpu": gpu,
        "threads": torch.get_num_threads(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": versions,
        "load_average": [round(load, 2) for load in os.getloadavg()],
    }


def processor() -> str:
    """The processor's name, as far as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
