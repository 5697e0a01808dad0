"""Real processes that train and test together over gloo on the loopback, for tests.

They are forked from a server that has imported everything once, so that a test of several costs
seconds. What they run is a function of this package, called by name in each.
"""

import importlib
import multiprocessing
import os
import pickle
import socket
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

_PRELOAD = ["lightning", "torch.distributed.fsdp", "transformers", "zoo.training.task"]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def together(
    world: int,
    function: Callable[..., Any],
    folder: Path,
    *arguments: Any,
    options: dict[str, Any] | None = None,
    timeout: float = 240,
) -> list[Any]:
    """What a function returns in each of so many processes.

    Args:
        world: How many processes.
        function: A function of a module of the tests, called in each process.
        folder: An empty folder for what they return.
        arguments: What the function is called with.
        options: What it is called with by name.
        timeout: Seconds after which they are ended and the test fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOAD)
    environment = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "WORLD_SIZE": str(world),
        "LOCAL_WORLD_SIZE": str(world),
        "GROUP_RANK": "0",
        "TORCHELASTIC_RUN_ID": "test",  # Lightning then takes them as torchrun's
        "OMP_NUM_THREADS": "1",
        **{name: os.environ[name] for name in ("ZOO_CACHE", "ZOO_RUN_DIR") if name in os.environ},
    }
    name = (function.__module__, function.__qualname__)
    started = [
        context.Process(
            target=_worker,
            args=(rank, environment, *name, arguments, options or {}, folder),
            daemon=True,
        )
        for rank in range(world)
    ]
    for process in started:
        process.start()
    deadline = time.monotonic() + timeout
    try:
        while any(process.is_alive() for process in started) and time.monotonic() < deadline:
            if any(process.exitcode for process in started):
                break
            time.sleep(0.02)
    finally:
        for process in started:
            process.join(0.5)
            if process.is_alive():
                process.kill()
    errors = [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.error"))]
    # A process whose peer has ended says only that: the other one knows why.
    errors.sort(key=lambda text: "by peer" in text)
    assert not errors, errors[0]
    found = []
    for rank in range(world):
        path = folder / f"{rank}.pickle"
        assert path.is_file(), f"process {rank} gave nothing within {timeout} s"
        found.append(pickle.loads(path.read_bytes()))
    return found


def _worker(
    rank: int,
    environment: dict[str, str],
    module: str,
    name: str,
    arguments: tuple[Any, ...],
    options: dict[str, Any],
    folder: Path,
) -> None:
    os.environ.update(environment)
    # Left by an earlier test of this process, it would seed all processes alike.
    os.environ.pop("PL_GLOBAL_SEED", None)
    os.environ["RANK"] = os.environ["LOCAL_RANK"] = str(rank)
    import torch

    torch.set_num_threads(1)
    try:
        result = getattr(importlib.import_module(module), name)(*arguments, **options)
        (folder / f"{rank}.pickle").write_bytes(pickle.dumps(result))
    except BaseException:
        (folder / f"{rank}.error").write_text(traceback.format_exc(), encoding="utf-8")
        os._exit(1)  # the others may wait for this one in a collective call for ever
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
