"""How much memory a way of training takes at its peak, each in a process of its own.

One process that trains several ways would show the largest of them for all. Each process starts as
a copy of one that has imported everything. On a CPU it is what the process grows by from before the
model is loaded to its largest resident size; on a GPU the largest sum of allocated tensors.
"""

import multiprocessing
import resource
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch

from benchmarks.speed.ways import Setup
from zoo.tracking.throughput import GIB
from zoo.training.allocator import keep_memory

#: Optimizer states are there from the second step on.
_STEPS = 2
_PRELOADED = ["benchmarks.speed.memory", "zoo", "lightning", "transformers.models.bert"]


def peak_gib(setup: Setup, way: str, batches: Sequence[Mapping[str, Any]]) -> float:
    """The peak of some training steps on the largest of the batches, in GiB.

    Args:
        setup: What is trained.
        way: How.
        batches: Padded batches, on the CPU.
    """
    largest = sorted(batches, key=lambda batch: batch["input_ids"].numel())[-_STEPS:]
    largest += [largest[-1]] * (_STEPS - len(largest))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "batches.pt"
        torch.save([dict(batch) for batch in largest], file)
        with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as pool:
            return pool.submit(_peak, setup, way, file).result()


def _peak(setup: Setup, way: str, file: Path) -> float:
    from benchmarks.speed.steps import moved

    keep_memory()
    batches: list[dict[str, Any]] = torch.load(file, weights_only=True)
    _use_torch()
    before = _resident()
    step = setup.step(way)
    for batch in batches:
        step(moved(batch, setup.device))
    if setup.device.type == "cuda":
        return torch.cuda.max_memory_allocated() / GIB
    return (_largest() - before) / GIB


def _use_torch() -> None:
    """Bring in what the first step of any model brings in, so that it counts for none."""
    layer = torch.nn.Linear(4, 4)
    optimizer = torch.optim.AdamW(layer.parameters(), fused=True)
    layer(torch.ones(2, 4)).sum().backward()
    optimizer.step()


def _largest() -> int:
    """Bytes of this process's largest resident size so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _resident() -> int:
    """Bytes of this process that are in memory now; its largest so far where none says it."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return _largest()
    return pages * resource.getpagesize()
