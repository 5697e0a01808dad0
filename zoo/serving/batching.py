"""The queue that turns requests of many clients into batches for one model in one thread."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self


class FullQueueError(Exception):
    """More inputs would wait than may."""


@dataclass
class Counts:
    """What went through a queue.

    Attributes:
        inputs: Inputs that were predicted.
        batches: Batches in which they were.
        together: How many of the inputs were in a batch with others.
    """

    inputs: int = 0
    batches: int = 0
    together: int = 0


@dataclass
class _Waiting:
    given: Any
    since: float
    answer: "asyncio.Future[Any]"


class Batcher:
    """Collects inputs and predicts on them together, in a thread of its own.

    While a batch is in the model the next one gathers; where the model is free, the first input
    waits a moment for others. Use it as `async with`: leaving it answers all that still wait.

    Args:
        predict: A prediction for each input, in order; called in one thread, never twice at a
            time.
        max_batch_size: Most inputs of a batch.
        max_wait: Longest time in seconds that an input waits for others while the model is free.
        max_queue: Most inputs that wait.
    """

    def __init__(
        self,
        predict: Callable[[Sequence[Any]], Sequence[Any]],
        *,
        max_batch_size: int,
        max_wait: float,
        max_queue: int,
    ):
        self.predict = predict
        self.max_batch_size = max_batch_size
        self.max_wait = max_wait
        self.max_queue = max_queue
        self.counts = Counts()
        self._queue: deque[_Waiting] = deque()
        self._changed = asyncio.Event()
        self._closing = False
        self._worker: ThreadPoolExecutor | None = None
        self._collector: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")
        self._collector = asyncio.create_task(self._collect(self._worker))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closing = True
        self._changed.set()
        if self._collector is not None:
            await self._collector
        if self._worker is not None:
            self._worker.shutdown()

    @property
    def waiting(self) -> int:
        """Inputs that wait for the model and whose answer someone still wants."""
        return sum(not one.answer.done() for one in self._queue)

    def put(self, inputs: Sequence[Any]) -> "list[asyncio.Future[Any]]":
        """Let inputs wait, all or none of them; cancelling an answer takes its input away.

        Raises:
            FullQueueError: There is no room for all of them.
        """
        if self.waiting + len(inputs) > self.max_queue or self._closing:
            raise FullQueueError
        loop = asyncio.get_running_loop()
        new = [_Waiting(given, loop.time(), loop.create_future()) for given in inputs]
        self._queue += new
        self._changed.set()
        return [one.answer for one in new]

    async def _collect(self, worker: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        while batch := await self._next():
            given = [one.given for one in batch]
            outcomes = await loop.run_in_executor(worker, outcomes_of, self.predict, given)
            self.counts.batches += 1
            self.counts.inputs += len(batch)
            self.counts.together += len(batch) if len(batch) > 1 else 0
            for one, outcome in zip(batch, outcomes, strict=True):
                if one.answer.done():  # its client went away meanwhile
                    continue
                if isinstance(outcome, Exception):
                    one.answer.set_exception(outcome)
                else:
                    one.answer.set_result(outcome)

    async def _next(self) -> list[_Waiting]:
        """The next batch, once it is full or has waited; none at the end."""
        loop = asyncio.get_running_loop()
        while True:
            self._queue = deque(one for one in self._queue if not one.answer.done())
            if self._closing or len(self._queue) >= self.max_batch_size:
                break
            until = self._queue[0].since + self.max_wait if self._queue else None
            if until is not None and until <= loop.time():
                break
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    await self._changed.wait()
        size = min(len(self._queue), self.max_batch_size)
        return [self._queue.popleft() for _ in range(size)]


def outcomes_of(
    predict: Callable[[Sequence[Any]], Sequence[Any]], inputs: Sequence[Any]
) -> list[Any]:
    """A prediction for each input, or the error that it alone causes.

    A batch that fails is halved until those that fail are alone.
    """
    try:
        found = list(predict(inputs))
        if len(found) != len(inputs):
            raise RuntimeError(f"{len(inputs)} inputs have {len(found)} predictions")
        return found
    except Exception as error:
        if len(inputs) == 1:
            return [error]
    middle = len(inputs) // 2
    return outcomes_of(predict, inputs[:middle]) + outcomes_of(predict, inputs[middle:])
