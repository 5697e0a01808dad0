"""What a family says of each test example, so that the scores of any resample are exact."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]

#: How often each example counts in each resample, float64 `[resamples, examples]`.
Weights: TypeAlias = Array


class Piece(NamedTuple):
    """Part of a prediction; `right` is None where there is no right or wrong, only better."""

    text: str
    right: bool | None


class Shown(NamedTuple):
    """An example as a person reads it; what is gold and was missed is not `right`."""

    text: str
    gold: Sequence[Piece]
    predicted: Sequence[Piece]


@dataclass(frozen=True)
class Outcomes:
    """The test of a run, example by example.

    Args:
        scores: From weights to values `[resamples]` of each score, by its name without `test/`.
            A name with a slash, such as `f1/PER`, is of one class.
        main: The score that decides.
        asked: What is asked in each example and what is right. Equal lists are the same test.
        quality: How good each prediction is, `[examples]`; only the order of values counts.
        perfect: The quality of a prediction that is right; None where there is only better.
        show: The example of a number, for people.
        lower_is_better: Names of scores that are errors.
        rounding: How far the scores of examples may lie from what the run counted.
    """

    scores: Callable[[Weights], Mapping[str, Array]]
    main: str
    asked: Sequence[Hashable]
    quality: Array
    perfect: float | None
    show: Callable[[int], Shown]
    lower_is_better: frozenset[str] = frozenset()
    rounding: float = 0.0

    def values(self) -> dict[str, float]:
        """The scores, every example counted once."""
        once = self.scores(np.ones((1, len(self.asked))))
        return {name: float(value[0]) for name, value in once.items()}


class OutcomesOf(Protocol):
    """What each family has as `zoo.FAMILY.comparison.outcomes`."""

    def __call__(
        self,
        records: Sequence[Mapping[str, Any]],
        *,
        labels: Sequence[str],
        scored: frozenset[str],
    ) -> Outcomes:
        """The outcomes of a test.

        Args:
            records: The lines of `predictions.jsonl`, in order; or those of two runs, one after
                the other.
            labels: The labels that the model knows, in order, as far as that is known.
            scored: Names of the scores that the run has, without `test/`.

        Raises:
            LookupError, TypeError, ValueError, AttributeError: The records are of another family.
        """


def ratio(above: Array, below: Array) -> Array:
    """Quotients; 0 where the denominator is 0."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)
