"""What tests of the exchange of gradients run in each process."""

import os
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from tests.training.distributed_runs import train
from zoo.training import shared_memory
from zoo.training.exchange import RowExchange
from zoo.training.shared_memory import SharedMemory

ROWS, WIDTH = 400, 8

#: Which rows the batch of a process touched, by its number; None where it has no gradient.
CASES: dict[str, Any] = {
    "own rows": lambda rank: range(50 * rank, 50 * rank + 7 + 5 * rank),
    "common rows": lambda rank: range(10 + rank, 30),
    "none in the first": lambda rank: range(9 * rank),
    "no gradient in the first": lambda rank: range(12) if rank else None,
    "nothing anywhere": lambda rank: (),
    "no gradient anywhere": lambda rank: None,
    "all in the last": lambda rank: range(5) if rank == 0 else range(ROWS),
}


def drawn(case: str, rank: int) -> Tensor | None:
    """The gradient of a process."""
    rows = CASES[case](rank)
    if rows is None:
        return None
    generator = torch.Generator().manual_seed(10 * list(CASES).index(case) + rank)
    gradient = torch.zeros(ROWS, WIDTH)
    for row in rows:
        gradient[row, row % WIDTH :] = torch.randn(WIDTH - row % WIDTH, generator=generator)
    return gradient


def averaged(cases: list[str], world: int) -> dict[str, Any]:
    """Means by rows and by a plain sum, and how often all of a gradient was sent, for each case."""
    rank = int(os.environ["RANK"])
    dist.init_process_group("gloo", rank=rank, world_size=world)
    plain, sent = dist.all_reduce, [0]

    def counted(*arguments: Any, **options: Any) -> Any:
        sent[0] += 1
        return plain(*arguments, **options)

    found = {}
    for case in cases:
        gradient = drawn(case, rank)
        # An embedding that no process used beside it changes nothing.
        weight, other = (nn.Parameter(torch.zeros(ROWS, WIDTH)) for _ in range(2))
        weight.grad = None if gradient is None else gradient.clone()
        dist.all_reduce, sent[0] = counted, 0
        RowExchange([other, weight]).average()
        dist.all_reduce = plain
        whole = torch.zeros(ROWS, WIDTH) if gradient is None else gradient * (1.0 / world)
        dist.all_reduce(whole)
        found[case] = {"ours": weight.grad, "plain": whole, "sent": sent[0]}
        assert other.grad is None
    return found


def odd(dtype: torch.dtype, world: int) -> Tensor:
    """The mean of gradients with numbers that are hard to see: tiny, infinite, or none."""
    rank = int(os.environ["RANK"])
    dist.init_process_group("gloo", rank=rank, world_size=world)
    weight = nn.Parameter(torch.zeros(ROWS, WIDTH, dtype=dtype))
    weight.grad = torch.zeros(ROWS, WIDTH, dtype=dtype)
    if rank == world - 1:
        weight.grad[1, 1], weight.grad[2, 2] = 2.0**-130, -(2.0**-130)
        weight.grad[3, 3], weight.grad[4, 4] = float("inf"), float("nan")
    RowExchange([weight]).average()
    return weight.grad


def train_counting(*arguments: Any, **options: Any) -> dict[str, Any]:
    """What `train` gives, with how often rows were exchanged."""
    average, times = RowExchange.average, [0]

    def counted(exchange: RowExchange) -> None:
        times[0] += 1
        average(exchange)

    RowExchange.average = counted  # type: ignore[method-assign, assignment]
    return {**train(*arguments, **options), "exchanges": times[0]}


def shared(sizes: list[int], chunk: int, world: int) -> dict[str, Any]:
    """Means through shared memory and by a plain sum, of tensors of several sizes and types."""
    rank = int(os.environ["RANK"])
    dist.init_process_group("gloo", rank=rank, world_size=world)
    new_file = shared_memory._new_file
    made: list[Any] = []

    def recorded(size: int) -> Any:
        made.append(new_file(size))
        return made[-1]

    shared_memory._new_file = recorded
    memory = SharedMemory.of_all(chunk=chunk)
    shared_memory._new_file = new_file
    assert memory is not None
    pairs = []
    for size in sizes:
        for dtype in (torch.float32, torch.bfloat16, torch.float64):
            own = torch.randn(size, generator=torch.Generator().manual_seed(31 * size + rank))
            ours = own.to(dtype)
            plain = ours * (1.0 / world)
            memory.average(ours)
            dist.all_reduce(plain)
            pairs.append((ours, plain))
    return {"pairs": pairs, "made": len(made), "left": [Path(name).exists() for name, _ in made]}


def refused_memory(world: int) -> list[bool]:
    """Whether there was memory where the first could make none, and where one could not read it."""
    rank = int(os.environ["RANK"])
    dist.init_process_group("gloo", rank=rank, world_size=world)
    new_file, mapped = shared_memory._new_file, shared_memory._mapped
    shared_memory._new_file = lambda size: None
    found = [SharedMemory.of_all() is not None]
    shared_memory._new_file = new_file
    if rank == world - 1:  # as on another machine
        shared_memory._mapped = lambda *_: None
    found.append(SharedMemory.of_all() is not None)
    shared_memory._mapped = mapped
    return [*found, SharedMemory.of_all() is not None]
