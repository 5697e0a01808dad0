"""Several runs of one task on the same test: what differs, by how much, and is it chance."""

import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from zoo.errors import RunError
from zoo.tracking.comparison.outcomes import Array, Outcomes, OutcomesOf, Shown
from zoo.tracking.comparison.resampling import Interval, bootstrap, interval, randomisation
from zoo.tracking.comparison.runs import RecordedRun

#: Error of rounding to float32, in which Lightning keeps scores.
_FLOAT32 = 1e-5
#: Scores of a test that are errors and need more than the predictions.
_ERRORS = ("test/loss", "test/ece", "test/mae")
#: Below this p-value, and with an interval without 0, a difference is called one.
LEVEL = 0.05


class Estimate(NamedTuple):
    """A value with its interval; without one where it cannot be counted again."""

    value: float
    interval: Interval | None = None


class Difference(NamedTuple):
    """A later run's score less the first run's; `p` is None where it was not asked."""

    value: float
    interval: Interval | None = None
    p: float | None = None


@dataclass(frozen=True)
class ScoreRow:
    """A score of all runs: an estimate of each, and a difference of each but the first."""

    name: str
    estimates: Sequence[Estimate]
    differences: Sequence[Difference]
    lower_is_better: bool = False


class Changed(NamedTuple):
    """An example on which one run is better than the other.

    `counts` says of groups of seeds how many of each have it right.
    """

    number: int
    first: Shown
    second: Shown
    counts: tuple[str, str] = ("", "")


@dataclass(frozen=True)
class Errors:
    """Where two runs differ: examples on which each is better.

    Those that the better one has right come first, then the largest differences.
    `right` counts examples that both, only the first, only the second and none has right; it is
    None where predictions are better or worse, never right.
    """

    second_better: Sequence[Changed]
    first_better: Sequence[Changed]
    alike: int
    right: tuple[int, ...] | None


@dataclass(frozen=True)
class Comparison:
    """What there is to say of several runs."""

    runs: Sequence[RecordedRun]
    examples: int
    main: str
    rows: Sequence[ScoreRow]
    errors: Errors | None
    warnings: Sequence[str]
    resamples: int

    @property
    def letters(self) -> list[str]:
        """Short names of the runs: A, B, ..."""
        return letters(len(self.runs))

    def _repr_html_(self) -> str:
        from zoo.tracking.comparison.page import fragment

        return fragment(self)

    @property
    def main_row(self) -> ScoreRow:
        """The row of the score that decides."""
        return next(row for row in self.rows if row.name == self.main)

    @property
    def verdicts(self) -> list[str]:
        """A sentence for each run but the first."""
        row, names = self.main_row, self.letters
        found = []
        for letter, difference in zip(names[1:], row.differences, strict=True):
            assert difference.interval is not None
            assert difference.p is not None
            low, high = difference.interval
            facts = (
                f"{row.name} {letter} - {names[0]} = {difference.value:+.3f} "
                f"[{low:+.3f}, {high:+.3f}], "
                f"p {shown_p(difference.p, self.resamples)}"
            )
            if difference.value == 0:
                found.append(f"{names[0]} and {letter} score the same: {facts}.")
            elif difference.p < LEVEL and not low <= 0 <= high:
                better = letter if (difference.value > 0) != row.lower_is_better else names[0]
                found.append(f"{better} is better: {facts}.")
            else:
                found.append(f"The test cannot tell {letter} from {names[0]}: {facts}.")
        return found


def letters(count: int) -> list[str]:
    """A, B, ..., Z, R27, R28, ..."""
    names = string.ascii_uppercase
    return [names[at] if at < len(names) else f"R{at + 1}" for at in range(count)]


def shown_p(p: float, shuffles: int) -> str:
    """A p-value with its sign, as far as the shuffles tell it."""
    least = 2 / (shuffles + 1)
    return f"< {least:.2g}" if p < least else f"= {p:.3f}"


def compare(
    runs: Sequence[RecordedRun],
    outcomes_of: OutcomesOf,
    fields: Mapping[str, type | tuple[type, ...]],
    *,
    score: str | None = None,
    resamples: int = 2000,
    seed: int = 0,
    shown: Callable[[RecordedRun], str] = lambda run: run.name,
) -> Comparison:
    """Compare runs of one task that were tested on the same examples.

    Args:
        runs: Two runs or more; the others are compared with the first.
        outcomes_of: The family's account of a test.
        fields: What each prediction must hold, by the family.
        score: The score that decides; the family's main score by default.
        resamples: Resamples of the test examples, and shuffles for the p-values.
        seed: Fixes them.
        shown: What a message calls a run.

    Raises:
        RunError: The runs were not tested on the same examples, or there is no such score.
        DataError: The predictions of a run are damaged.
    """
    records = [run.records(fields) for run in runs]
    scored, accounts, values, warnings, known, main = tested(
        runs, records, outcomes_of, score=score, shown=shown
    )
    first, examples = accounts[0], len(accounts[0].asked)
    drawn = bootstrap(
        [account.scores for account in accounts], examples, resamples=resamples, seed=seed
    )
    labels = list(dict.fromkeys(label for run in runs for label in run.labels))
    chances = [
        randomisation(
            account_of(outcomes_of, runs[0], [*records[0], *other], labels, scored).scores,
            examples,
            shuffles=resamples,
            seed=seed,
        )
        for other in records[1:]
    ]
    rows = [
        ScoreRow(
            name,
            [
                Estimate(own[name], interval(found[name]))
                for own, found in zip(values, drawn, strict=True)
            ],
            [
                Difference(
                    own[name] - values[0][name], interval(found[name] - drawn[0][name]), p[name]
                )
                for own, found, p in zip(values[1:], drawn[1:], chances, strict=True)
            ],
            name in first.lower_is_better,
        )
        for name in sorted(known, key=lambda name: (name != main, "/" in name))
    ]
    rows += _other_rows(runs, known, main)
    errors = _errors(*accounts) if len(accounts) == 2 else None
    return Comparison(runs, examples, main, rows, errors, warnings, resamples)


def main_score(
    first: Outcomes,
    values: Sequence[Mapping[str, float]],
    scored: frozenset[str],
    chosen: str | None,
) -> tuple[list[str], str]:
    """The scores that all runs have, and the one that decides.

    Raises:
        RunError: There is none, or not the one that was chosen.
    """
    known = [name for name in values[0] if all(name in own for own in values)]
    known = [name for name in known if name in scored or "/" in name]
    main = chosen or (first.main if first.main in known else "")
    if main not in known:
        raise RunError(
            f"{f'There is no score {chosen!r}' if chosen else 'The runs have no score in common'} "
            f"that can be counted again from predictions; there are {', '.join(known) or 'none'}."
        )
    return known, main


class Tested(NamedTuple):
    """What runs that were tested on the same examples say of their tests.

    Args:
        scored: Scores that all runs counted.
        accounts: Example by example, of each run.
        values: Its scores.
        warnings: Where these are not those that the run counted.
        known: The scores that are compared.
        main: The one that decides.
    """

    scored: frozenset[str]
    accounts: list[Outcomes]
    values: list[dict[str, float]]
    warnings: list[str]
    known: list[str]
    main: str


def tested(
    runs: Sequence[RecordedRun],
    records: Sequence[Sequence[Mapping[str, Any]]],
    outcomes_of: OutcomesOf,
    *,
    score: str | None,
    shown: Callable[[RecordedRun], str],
) -> Tested:
    """The tests of runs, whose predictions are `records`.

    Raises:
        RunError: They are not of the same examples, or there is no such score.
    """
    scored = frozenset.intersection(*(frozenset(run.test_scores) for run in runs))
    accounts = [
        account_of(outcomes_of, run, rows, run.labels, scored)
        for run, rows in zip(runs, records, strict=True)
    ]
    require_same_test(runs, accounts, shown)
    values = [account.values() for account in accounts]
    warnings = [
        sentence
        for run, account, own in zip(runs, accounts, values, strict=True)
        for sentence in unlike_metrics(run, account, own, shown)
    ]
    known, main = main_score(accounts[0], values, scored, score)
    return Tested(scored, accounts, values, warnings, known, main)


def account_of(
    outcomes_of: OutcomesOf,
    run: RecordedRun,
    records: Sequence[Mapping[str, Any]],
    labels: Sequence[str],
    scored: frozenset[str],
) -> Outcomes:
    """A family's account of a run's test.

    Raises:
        RunError: The records are of another family.
    """
    try:
        return outcomes_of(records, labels=labels, scored=scored)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise RunError(
            f"{run.folder.predictions} holds predictions that are not of {run.task} "
            f"({type(error).__name__}: {error}); test the run again."
        ) from error


def require_same_test(
    runs: Sequence[RecordedRun],
    accounts: Sequence[Outcomes],
    shown: Callable[[RecordedRun], str],
) -> None:
    """Refuse runs that were not tested on the same examples.

    Raises:
        RunError: They were not.
    """
    first = accounts[0].asked
    for run, account in zip(runs[1:], accounts[1:], strict=True):
        names = f"{shown(runs[0])} and {shown(run)} were not tested on the same examples"
        advice = "Scores of different tests cannot be compared; test both models on one of them."
        if len(account.asked) != len(first):
            raise RunError(f"{names}: {len(first):,} and {len(account.asked):,}. {advice}")
        for number, (one, other) in enumerate(zip(first, account.asked, strict=True)):
            if one != other:
                raise RunError(
                    f"{names}: example {number} is {_short(one)} in one and {_short(other)} in "
                    f"the other. {advice}"
                )


def _short(asked: Any, longest: int = 100) -> str:
    text = " ".join(str(asked).split())
    return text if len(text) <= longest else text[: longest - 1] + "…"


def unlike_metrics(
    run: RecordedRun,
    account: Outcomes,
    values: Mapping[str, float],
    shown: Callable[[RecordedRun], str],
) -> list[str]:
    """What to say where the predictions do not give the scores that the run has."""
    wrong = [
        f"{name} {values[name]:.4f} instead of {told:.4f}"
        for name, told in run.test_scores.items()
        if name in values
        and not abs(values[name] - told) <= account.rounding + _FLOAT32 * max(1.0, abs(told))
    ]
    if not wrong:
        return []
    return [
        f"The predictions of {shown(run)} do not give the scores in its metrics.json "
        f"({', '.join(wrong)}): one of the two is of another test."
    ]


def _other_rows(runs: Sequence[RecordedRun], known: Sequence[str], main: str) -> list[ScoreRow]:
    """Scores that need more than the predictions, and baselines of the main score."""
    first = runs[0]
    names = [f"test/{name}" for name in first.test_scores if name not in known]
    names = [name for name in names if name.count("/") == 1]
    names += [name for name in first.metrics if name.startswith("baseline/")]
    rows = []
    for name in names:
        if name.startswith("baseline/") and not name.endswith(f"/{main}"):
            continue
        if all(name in run.metrics for run in runs):
            values = [run.metrics[name] for run in runs]
            rows.append(
                ScoreRow(
                    name.removeprefix("test/"),
                    [Estimate(value) for value in values],
                    [Difference(value - values[0]) for value in values[1:]],
                    name in _ERRORS,
                )
            )
    return rows


def _errors(first: Outcomes, second: Outcomes) -> Errors:
    gain = second.quality - first.quality

    def changed(gains: Array, better: Outcomes) -> list[Changed]:
        # Equal ones in the order of the data.
        order = np.lexsort((-gains, better.quality != better.perfect))
        return [
            Changed(int(at), first.show(int(at)), second.show(int(at)))
            for at in order
            if gains[at] > 0
        ]

    right: tuple[int, ...] | None = None
    if first.perfect is not None:
        one, other = (account.quality == account.perfect for account in (first, second))
        right = tuple(
            int(cell.sum()) for cell in (one & other, one & ~other, ~one & other, ~one & ~other)
        )
    return Errors(changed(gain, second), changed(-gain, first), int((gain == 0).sum()), right)
