"""The largest token budget that fits: a search over trials, which may be measured anyhow."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

#: A doubling that makes training faster by less than this is as good as none.
GAIN = 0.05
#: Doublings without a gain before the search ends.
_IN_VAIN = 2
#: How near the search comes to the largest budget that fits, as a share of it.
_NEAR = 1 / 16


@dataclass(frozen=True)
class Trial:
    """What training with a budget took.

    Args:
        budget: Tokens in a batch.
        used: Memory, as a share of what may be used; infinite where it ran out.
        speed: Tokens a second.
    """

    budget: int
    used: float
    speed: float

    @property
    def fits(self) -> bool:
        """Whether it needs no more than may be used."""
        return self.used <= 1


@dataclass(frozen=True)
class Budget:
    """What a search found.

    Args:
        tokens: The budget.
        bound: What kept it from being larger: `memory`, `speed` (larger ones are no faster) or
            `data` (there is not more of it).
        trials: All that was tried, in order.
    """

    tokens: int
    bound: Literal["memory", "speed", "data"]
    trials: tuple[Trial, ...]


class NothingFitsError(Exception):
    """Not even one example fits."""


def find_budget(
    attempt: Callable[[int], Trial],
    *,
    smallest: int,
    largest: int,
    idle: float,
    catchable: bool,
    while_faster: bool,
) -> Budget:
    """Double the budget until it no longer fits, then halve what is between.

    Args:
        attempt: Trains with a budget and says what it took.
        smallest: The first budget, into which one example fits.
        largest: No more than this is of use.
        idle: What is in use before anything is trained, as a share of what may be used.
        catchable: Whether a trial that needs too much does no harm. Else a budget is tried only if
            those before let expect that it fits.
        while_faster: Stop where larger batches are no faster.

    Raises:
        NothingFitsError: Not even the smallest fits.
    """
    trials: list[Trial] = []
    fitting: list[Trial] = []

    def fits(budget: int) -> bool:
        if fitting and not catchable and _expected(fitting, budget, idle=idle) > 1:
            return False
        trial = attempt(budget)
        trials.append(trial)
        if trial.fits:
            fitting.append(trial)
        return trial.fits

    def found(tokens: int, bound: Literal["memory", "speed", "data"]) -> Budget:
        return Budget(tokens, bound, tuple(trials))

    budget, fastest, in_vain = smallest, -math.inf, 0
    best = smallest
    while fits(budget):
        speed = fitting[-1].speed
        if speed > fastest * (1 + GAIN) or fastest < 0:
            fastest, best, in_vain = speed, budget, 0
        else:
            in_vain += 1
        if while_faster and in_vain >= _IN_VAIN:
            return found(best, "speed")
        if budget >= largest:
            slower = while_faster and best < budget
            return found(best if slower else budget, "speed" if slower else "data")
        budget = min(2 * budget, largest)
    if not fitting:
        raise NothingFitsError
    if while_faster and in_vain:
        return found(best, "speed")
    low, high = fitting[-1].budget, budget
    while high - low > max(1, low * _NEAR):
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return found(low, "memory")


def _expected(fitting: list[Trial], budget: int, *, idle: float) -> float:
    """What a larger budget should need: a line through the last two, or steeper."""
    last = max(fitting, key=lambda trial: trial.budget)
    slope = (last.used - idle) / last.budget
    others = [trial for trial in fitting if trial.budget < last.budget]
    if others:
        before = max(others, key=lambda trial: trial.budget)
        slope = max(slope, (last.used - before.used) / (last.budget - before.budget))
    return last.used + max(slope, 0.0) * (budget - last.budget)
