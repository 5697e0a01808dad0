"""Several ways to do the same, in turns, so that what else the machine does weighs on all alike."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np


class Spread(NamedTuple):
    """Median and quartiles."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Of some values, at least one."""
        low, high = np.quantile(values, [0.25, 0.75]).tolist()
        return cls(statistics.median(values), low, high)

    def text(self, digits: int = 2) -> str:
        """As `2.10 (2.05-2.20)`."""
        ends = f"{self.low:,.{digits}f}-{self.high:,.{digits}f}"
        return f"{self.median:,.{digits}f} ({ends})"


def ratios(above: Sequence[float], below: Sequence[float]) -> Spread:
    """Of what was measured in the same rounds, pair by pair."""
    return Spread.of([a / b for a, b in zip(above, below, strict=True)])


def turns(names: Sequence[str], number: int) -> list[str]:
    """The names in the order of a turn: each is first as often as the others."""
    at = number % len(names)
    return [*names[at:], *names[:at]]


def in_turns(
    ways: Mapping[str, Callable[[], Any]],
    *,
    rounds: int,
    warm_up: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Seconds of each way in each round.

    Args:
        ways: What to do, by name.
        rounds: How often each is measured.
        warm_up: How often each is done before without being measured.
        clock: Tells seconds; `time.process_time` on a machine that others use.
    """
    for _ in range(warm_up):
        for way in ways.values():
            way()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        for name in turns(list(ways), number):
            began = clock()
            ways[name]()
            seconds[name].append(clock() - began)
    return seconds
