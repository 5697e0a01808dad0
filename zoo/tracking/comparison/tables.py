"""The tables of a comparison, for the terminal and the page alike."""

from collections.abc import Sequence

from zoo.tracking.comparison.comparison import Comparison, Difference, Estimate, ScoreRow, shown_p
from zoo.tracking.comparison.runs import differing
from zoo.tracking.console import shown
from zoo.tracking.report import Table

#: What a run cost, with the decimals to show.
COSTS = (
    ("perf/tokens_per_second", "tokens/s in training", 0),
    ("perf/peak_memory_gib", "peak memory, GiB", 2),
    ("perf/fit_seconds", "time to fit, s", 0),
    ("perf/test_seconds", "time to test, s", 1),
)


def runs_table(comparison: Comparison) -> Table:
    """Which run is which."""
    rows = [
        (letter, shown(run.folder.path), str(run.config.get("recipe") or "-"))
        for letter, run in zip(comparison.letters, comparison.runs, strict=True)
    ]
    return Table("Runs", ("", "run", "recipe"), rows)


def settings_table(comparison: Comparison) -> Table:
    """What differs in settings, data and versions."""
    rows = [(name, *values) for name, values in differing(comparison.runs)]
    return Table("What differs", ("setting", *comparison.letters), rows)


def scores_table(comparison: Comparison) -> Table:
    """Scores with intervals, differences from the first run with intervals and p-values."""
    return _scores(comparison, "Test scores", [r for r in comparison.rows if not of_class(r.name)])


def classes_table(comparison: Comparison) -> Table:
    """The same for scores of single types or labels."""
    return _scores(
        comparison, "Test scores of each class", [r for r in comparison.rows if of_class(r.name)]
    )


def of_class(name: str) -> bool:
    """Whether a score is of one type or label."""
    return "/" in name and not name.startswith("baseline/")


def _scores(comparison: Comparison, title: str, rows: Sequence[ScoreRow]) -> Table:
    names = comparison.letters
    pairs = [f"{letter} - {names[0]}" for letter in names[1:]]
    columns = ["score", *names]
    for pair in pairs:
        columns += [pair, "p"]
    cells = []
    for row in rows:
        line = [row.name + (" (lower is better)" if row.lower_is_better else "")]
        line += [_estimate(one) for one in row.estimates]
        for one in row.differences:
            line += [difference_cell(one), _p(one, comparison.resamples)]
        cells.append(line)
    return Table(title, columns, cells)


def _p(one: Difference, shuffles: int) -> str:
    return "" if one.p is None else shown_p(one.p, shuffles).removeprefix("= ")


def _estimate(one: Estimate) -> str:
    if one.interval is None:
        return f"{one.value:.3f}"
    return f"{one.value:.3f} [{one.interval.low:.3f}, {one.interval.high:.3f}]"


def difference_cell(one: Difference) -> str:
    """A difference with its interval."""
    if one.interval is None:
        return f"{one.value:+.3f}"
    return f"{one.value:+.3f} [{one.interval.low:+.3f}, {one.interval.high:+.3f}]"


def costs_table(comparison: Comparison) -> Table:
    """Speed, memory and time."""
    rows = []
    for key, name, decimals in COSTS:
        values = [run.metrics.get(key) for run in comparison.runs]
        if any(value is not None for value in values):
            cells = ["-" if value is None else f"{value:,.{decimals}f}" for value in values]
            rows.append((name, *cells))
    return Table("Speed, memory and time", ("", *comparison.letters), rows)


def errors_table(comparison: Comparison) -> Table | None:
    """How many examples each of two runs has right, or better than the other."""
    errors, names = comparison.errors, comparison.letters
    if errors is None:
        return None
    rows = [
        (f"{names[1]} better than {names[0]}", len(errors.second_better)),
        (f"{names[0]} better than {names[1]}", len(errors.first_better)),
        ("alike", errors.alike),
    ]
    if errors.right is not None:
        both, first, second, none = errors.right
        rows += [
            ("both right", both),
            (f"only {names[1]} right", second),
            (f"only {names[0]} right", first),
            ("none right", none),
        ]
    return Table("Test examples", ("", "examples"), rows)
