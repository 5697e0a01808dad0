"""Averaging over the processes of one machine through memory that they share."""

import os
import tempfile
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor
from torch.futures import Future

#: Bytes that a process puts in at a time: they stay in a processor's cache.
_CHUNK = 8 * 2**20
#: Each reads what all have put in: with more processes than this, a ring moves less.
_MOST_PROCESSES = 8
#: Its files are memory.
_FOLDER = "/dev/shm"


class SharedMemory:
    """Averages tensors of CPUs; between processes of one machine faster than over its loopback.

    The sum is taken in the order of the processes, so it is the same to the bit in all of them, and
    for two the same as that of `torch.distributed.all_reduce`.

    Args:
        memory: Bytes that all processes have mapped, `[2, processes, size]`: they write into one
            half while the slowest still reads the other.
    """

    def __init__(self, memory: Tensor):
        self._memory = memory
        self._half = 0
        self._arrived = torch.zeros(1)
        self._buckets: list[tuple[Tensor, Future[Tensor]]] = []

    @classmethod
    def of_all(cls, *, chunk: int = _CHUNK) -> "SharedMemory | None":
        """Memory of all processes, which must all call this.

        Args:
            chunk: Bytes that a process puts in at a time, a multiple of 8.

        Returns:
            None if they are not of one machine, are too many, or have no memory free.
        """
        world, rank = dist.get_world_size(), dist.get_rank()
        if not 1 < world <= _MOST_PROCESSES:
            return None
        size = 2 * world * chunk
        given = [_new_file(size) if rank == 0 else None]
        dist.broadcast_object_list(given, 0)
        if given[0] is None:
            return None
        name, content = given[0]
        memory = _mapped(name, content, size)
        everyone = torch.tensor([float(memory is not None)])
        dist.all_reduce(everyone, op=dist.ReduceOp.MIN)
        if rank == 0:
            # Mapped, it needs no name: nothing is left of it, however the processes end.
            Path(name).unlink()
        if memory is None or not everyone.item():
            return None
        return cls(memory.view(2, world, chunk))

    def average(self, tensor: Tensor) -> None:
        """Make a tensor the mean over all processes; all must call it.

        Args:
            tensor: Contiguous floating-point numbers, as many in each process.
        """
        _, world, size = self._memory.shape
        rank, scale = dist.get_rank(), 1.0 / world
        for part in tensor.view(-1).split(size // tensor.element_size()):
            held = self._memory[self._half, :, : part.numel() * part.element_size()]
            parts = [one.view(part.dtype) for one in held]
            torch.mul(part, scale, out=parts[rank])
            dist.all_reduce(self._arrived)
            torch.add(parts[0], parts[1], out=part)
            for other in parts[2:]:
                part.add_(other)
            # Who has come to the next meeting has read this half.
            self._half = 1 - self._half

    def average_bucket(self, bucket: dist.GradBucket) -> Future[Tensor]:  # type: ignore[name-defined]
        """Average a bucket of `DistributedDataParallel`, as its communication hook.

        All are averaged when the last is ready: in between, processes would wait for each other.
        """
        if bucket.index() == 0:
            self._buckets = []  # of a pass that broke off
        future: Future[Tensor] = Future()
        self._buckets.append((bucket.buffer(), future))
        if bucket.is_last():
            waiting, self._buckets = self._buckets, []
            for buffer, done in waiting:
                self.average(buffer)
                done.set_result(buffer)
        return future


def _new_file(size: int) -> tuple[str, bytes] | None:
    """A file in memory and what it begins with, or None if there is not so much free."""
    content = os.urandom(8)
    try:
        number, name = tempfile.mkstemp(prefix="zoo-", dir=_FOLDER)
    except OSError:  # another system than Linux has no such folder
        return None
    try:
        # Memory that is not there would else be missed at the first write, which ends a process.
        os.posix_fallocate(number, 0, size)
        os.write(number, content)
    except OSError:
        Path(name).unlink()
        return None
    finally:
        os.close(number)
    return name, content


def _mapped(name: str, content: bytes, size: int) -> Tensor | None:
    """The bytes of a file that another process has made; None if it is not here."""
    try:
        if Path(name).stat().st_size != size:
            return None
        memory = torch.from_file(name, shared=True, size=size, dtype=torch.uint8)
    except (OSError, RuntimeError):
        return None
    return memory if bytes(memory[:8].tolist()) == content else None
