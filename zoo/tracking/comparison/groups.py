"""Groups of seeds side by side: differences of means, tested against new seeds and new examples."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import stats  # type: ignore[import-untyped]

from zoo.errors import RunError
from zoo.tracking.comparison.comparison import (
    LEVEL,
    Changed,
    Difference,
    Errors,
    letters,
    tested,
)
from zoo.tracking.comparison.outcomes import Array, Outcomes, OutcomesOf
from zoo.tracking.comparison.resampling import Interval, bootstrap
from zoo.tracking.comparison.runs import (
    RecordedRun,
    groups_in,
    newest_is_group,
    seeds_in,
    task_folder,
)
from zoo.tracking.seed_group import Spread, is_group


@dataclass(frozen=True)
class RunGroup:
    """Runs of one recipe with several seeds."""

    path: Path
    runs: Sequence[RecordedRun]

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.resolve().name


def find_groups(names: Sequence[str]) -> list[RunGroup]:
    """The groups of seeds to compare; none where single runs are to be compared.

    Args:
        names: Folders of seeds, two or more; or a folder of runs (`runs/ner`, `runs`), of which
            the newest two groups are taken where the newest run in it is of a group.

    Raises:
        RunError: No seed of a group was tested.
    """
    paths = [Path(name).expanduser() for name in names]
    if len(paths) == 1 and paths[0].is_dir() and not (paths[0] / "config.yaml").is_file():
        task = task_folder(paths[0])
        paths = (
            groups_in(task)[:2][::-1] if not is_group(paths[0]) and newest_is_group(task) else []
        )
    found = dict.fromkeys(path.resolve() for path in paths)
    if len(found) < 2 or not all(is_group(path) for path in found):
        return []
    shown = {path.resolve(): path for path in reversed(paths)}
    return [RunGroup(shown[path], seeds_in(path)) for path in found]


class GroupRow(NamedTuple):
    """A score of all groups: its spread in each, and a difference of each but the first."""

    name: str
    spreads: Sequence[Spread]
    differences: Sequence[Difference]
    lower_is_better: bool = False


@dataclass(frozen=True)
class GroupComparison:
    """What there is to say of several groups of seeds."""

    groups: Sequence[RunGroup]
    examples: int
    main: str
    rows: Sequence[GroupRow]
    errors: Errors | None
    warnings: Sequence[str]
    resamples: int

    @property
    def letters(self) -> list[str]:
        """Short names of the groups: A, B, ..."""
        return letters(len(self.groups))

    def _repr_html_(self) -> str:
        from zoo.tracking.comparison.page import fragment

        return fragment(self)

    @property
    def verdicts(self) -> list[str]:
        """A sentence for each group but the first."""
        row = next(row for row in self.rows if row.name == self.main)
        found = []
        for letter, difference in zip(self.letters[1:], row.differences, strict=True):
            assert difference.interval is not None
            assert difference.p is not None
            low, high = difference.interval
            facts = (
                f"mean {row.name} {letter} - A = {difference.value:+.3f} [{low:+.3f}, {high:+.3f}],"
                f" p {'< 0.001' if difference.p < 0.001 else f'= {difference.p:.3f}'}"
            )
            if difference.p < LEVEL:
                better = letter if (difference.value > 0) != row.lower_is_better else "A"
                found.append(f"{better} is better over seeds: {facts}.")
            else:
                found.append(f"Seeds and test cannot tell {letter} from A: {facts}.")
        return found


def difference_of_means(
    first: Sequence[float], second: Sequence[float], of_test: float
) -> Difference:
    """The second mean less the first, with a 95% interval and a two-sided p-value.

    Welch's t-test on the scores of the seeds (Welch 1947, "The generalization of 'Student's'
    problem when several different population variances are involved", Biometrika 34) with one more
    part in the variance: that of the difference over test examples, which is known so well that it
    takes no degrees of freedom. The seeds' variance on one test holds a share of it already, so
    the interval is, if anything, too wide.

    Args:
        first: A score of each seed of the first group.
        second: The same of the second; the numbers of seeds may differ.
        of_test: Variance of the difference of the means over resamples of the test examples.
    """
    value = float(np.mean(second) - np.mean(first))
    parts = [float(np.var(one, ddof=1)) / len(one) for one in (first, second)]
    error = (sum(parts) + of_test) ** 0.5
    if error == 0:
        # Every seed and every resample says the same.
        return Difference(value, Interval(value, value), 1.0 if value == 0 else 0.0)
    lost = sum(part**2 / (len(one) - 1) for part, one in zip(parts, (first, second), strict=True))
    freedom = error**4 / lost if lost > 0 else np.inf
    reach = float(stats.t.ppf(0.975, freedom)) * error
    p = float(2 * stats.t.sf(abs(value) / error, freedom))
    return Difference(value, Interval(value - reach, value + reach), p)


def compare_groups(
    groups: Sequence[RunGroup],
    outcomes_of: OutcomesOf,
    fields: Mapping[str, type | tuple[type, ...]],
    *,
    score: str | None = None,
    resamples: int = 2000,
    seed: int = 0,
    shown: Callable[[RecordedRun], str] = lambda run: run.name,
) -> GroupComparison:
    """Compare groups of seeds that were tested on the same examples.

    Args:
        groups: Two groups or more; the others are compared with the first.
        outcomes_of: The family's account of a test.
        fields: What each prediction must hold, by the family.
        score: The score that decides; the family's main score by default.
        resamples: Resamples of the test examples.
        seed: Fixes them.
        shown: What a message calls a run.

    Raises:
        RunError: The runs were not tested on the same examples, there is no such score, or a group
            has a single seed.
        DataError: The predictions of a run are damaged.
    """
    for group in groups:
        if len(group.runs) < 2:
            raise RunError(
                f"{group.path} has one tested seed, which has no spread. Run more of them (python "
                f"-m recipes NAME --seeds 5 --run_dir {group.path}), or compare single runs."
            )
    runs = [run for group in groups for run in group.runs]
    _, accounts, values, warnings, known, main = tested(
        runs, [run.records(fields) for run in runs], outcomes_of, score=score, shown=shown
    )
    examples = len(accounts[0].asked)
    drawn = bootstrap(
        [account.scores for account in accounts], examples, resamples=resamples, seed=seed
    )
    ends = np.cumsum([0, *(len(group.runs) for group in groups)])
    places = [slice(start, end) for start, end in pairwise(ends)]
    rows = []
    for name in sorted(known, key=lambda name: (name != main, "/" in name)):
        spreads = [Spread(tuple(own[name] for own in values[place])) for place in places]
        means = [np.mean([found[name] for found in drawn[place]], axis=0) for place in places]
        differences = [
            difference_of_means(
                spreads[0].values, spread.values, float(np.var(mean - means[0], ddof=1))
            )
            for spread, mean in zip(spreads[1:], means[1:], strict=True)
        ]
        rows.append(GroupRow(name, spreads, differences, name in accounts[0].lower_is_better))
    errors = _errors(*(accounts[place] for place in places)) if len(groups) == 2 else None
    return GroupComparison(groups, examples, main, rows, errors, warnings, resamples)


def _errors(first: Sequence[Outcomes], second: Sequence[Outcomes]) -> Errors:
    """Examples that one group's seeds do better on, the largest difference of means first."""
    one, other = (_quality(group) for group in (first, second))
    gain = other - one

    def changed(gains: Array) -> list[Changed]:
        order = np.argsort(-gains, kind="stable")
        return [
            Changed(
                int(at),
                first[0].show(int(at)),
                second[0].show(int(at)),
                (_count(first, int(at)), _count(second, int(at))),
            )
            for at in order
            if gains[at] > 0
        ]

    return Errors(changed(gain), changed(-gain), int((gain == 0).sum()), None)


def _quality(group: Sequence[Outcomes]) -> Array:
    """Share of seeds that have an example right, or the mean quality where there is no right."""
    if group[0].perfect is None:
        return np.asarray(np.mean([one.quality for one in group], axis=0))
    return np.asarray(np.mean([one.quality == one.perfect for one in group], axis=0))


def _count(group: Sequence[Outcomes], at: int) -> str:
    if group[0].perfect is None:
        return ""
    right = sum(bool(one.quality[at] == one.perfect) for one in group)
    return f"{right} of {len(group)} seeds right"
