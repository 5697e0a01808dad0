"""The queue: batches, order, one thread, errors that stay alone, and clients who go away."""

import asyncio
import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest

from zoo.serving.batching import Batcher, FullQueueError, outcomes_of


class Model:
    """Doubles numbers; slow, if told, and unable to take 13."""

    def __init__(self, seconds: float = 0.0):
        self.seconds = seconds
        self.batches: list[list[int]] = []
        self.threads: set[int] = set()
        self.inside = 0
        self.most_inside = 0
        self.begun = threading.Event()

    def __call__(self, inputs: Sequence[int]) -> list[int]:
        self.inside += 1
        self.most_inside = max(self.most_inside, self.inside)
        self.begun.set()
        self.threads.add(threading.get_ident())
        self.batches.append(list(inputs))
        time.sleep(self.seconds)
        self.inside -= 1
        if 13 in inputs:
            raise ValueError("13 is no number")
        return [2 * number for number in inputs]


def batcher(model: Model, **options: Any) -> Batcher:
    return Batcher(model, **{"max_batch_size": 4, "max_wait": 0.02, "max_queue": 100, **options})


async def begun(model: Model) -> None:
    assert await asyncio.to_thread(model.begun.wait, 30)


def test_each_caller_gets_its_own_answers_though_batches_are_shared() -> None:
    model = Model(0.005)

    async def caller(queue: Batcher, first: int) -> list[int]:
        numbers = [first + step for step in range(first % 3 + 1)]
        return list(await asyncio.gather(*queue.put(numbers)))

    async def run() -> list[list[int]]:
        async with batcher(model) as queue:
            return await asyncio.gather(*(caller(queue, first) for first in range(100, 140, 4)))

    found = asyncio.run(run())
    assert found == [[2 * (n + step) for step in range(n % 3 + 1)] for n in range(100, 140, 4)]
    assert max(map(len, model.batches)) == 4
    assert [n for batch in model.batches for n in batch] == [
        n + step for n in range(100, 140, 4) for step in range(n % 3 + 1)
    ], "first come, first served"
    assert len(model.threads) == 1
    assert threading.get_ident() not in model.threads
    assert model.most_inside == 1


def test_inputs_that_come_while_the_model_works_go_together_after_it() -> None:
    model = Model(0.05)

    async def run() -> Any:
        async with batcher(model, max_wait=0.0) as queue:
            first = queue.put([1])
            await begun(model)
            others = [queue.put([number])[0] for number in (2, 3, 4)]
            await asyncio.gather(*first, *others)
            return queue.counts

    counts = asyncio.run(run())
    assert model.batches == [[1], [2, 3, 4]]
    assert (counts.inputs, counts.batches, counts.together) == (4, 2, 3)


def test_a_full_batch_does_not_wait_and_a_small_one_only_as_long_as_it_may() -> None:
    model = Model()

    async def run() -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        async with batcher(model, max_wait=1.5) as queue:
            start = loop.time()
            await asyncio.gather(*queue.put([1, 2, 3, 4]))
            full = loop.time() - start
            start = loop.time()
            await asyncio.gather(*queue.put([5]))
            return full, loop.time() - start

    full, alone = asyncio.run(run())
    assert full < 1.4
    assert alone >= 1.5


def test_an_input_that_fails_leaves_those_of_its_batch_alone() -> None:
    found = outcomes_of(Model(), [1, 2, 13, 4, 13])
    assert found[0] == 2
    assert found[1] == 4
    assert found[3] == 8
    assert [type(found[at]) for at in (2, 4)] == [ValueError, ValueError]
    model = Model()

    async def run() -> list[Any]:
        async with batcher(model) as queue:
            waiting = queue.put([1, 13, 3])
            return list(await asyncio.gather(*waiting, return_exceptions=True))

    found = asyncio.run(run())
    assert (found[0], str(found[1]), found[2]) == (2, "13 is no number", 6)


def test_a_model_that_loses_a_prediction_gives_an_error_and_no_wrong_answer() -> None:
    found = outcomes_of(lambda inputs: inputs[:1], [1, 2, 3])
    assert found == [1, 2, 3], "one alone is not lost"
    (error,) = outcomes_of(lambda inputs: [], [1])
    assert isinstance(error, RuntimeError)


def test_inputs_whose_callers_went_away_are_never_predicted_and_make_room() -> None:
    model = Model(0.05)

    async def run() -> None:
        async with batcher(model, max_queue=3) as queue:
            first = queue.put([1])
            await begun(model)
            gone = queue.put([2, 3, 4])
            with pytest.raises(FullQueueError):
                queue.put([5])
            gone[0].cancel()
            gone[2].cancel()
            assert queue.waiting == 1
            late = queue.put([6, 7])
            await asyncio.gather(first[0], gone[1], *late)

    asyncio.run(run())
    assert model.batches == [[1], [3, 6, 7]]


def test_a_queue_takes_all_inputs_of_a_caller_or_none() -> None:
    model = Model(0.05)

    async def run() -> None:
        async with batcher(model, max_queue=3) as queue:
            first = queue.put([1])
            await begun(model)
            kept = queue.put([2, 3])
            with pytest.raises(FullQueueError):
                queue.put([4, 5])
            await asyncio.gather(*first, *kept)

    asyncio.run(run())
    assert model.batches == [[1], [2, 3]]


def test_at_the_end_all_that_waits_is_answered_and_nothing_new_is_taken() -> None:
    model = Model(0.01)

    async def run() -> list[int]:
        async with batcher(model, max_wait=60.0) as queue:
            waiting = queue.put([1, 2, 3, 4, 5, 6])
        with pytest.raises(FullQueueError):
            queue.put([7])
        assert all(one.done() for one in waiting)
        return [one.result() for one in waiting]

    assert asyncio.run(run()) == [2, 4, 6, 8, 10, 12]
