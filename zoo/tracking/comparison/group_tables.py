"""The tables of a comparison of groups of seeds."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from zoo.tracking.comparison.groups import GroupComparison, GroupRow, RunGroup
from zoo.tracking.comparison.runs import differing
from zoo.tracking.comparison.tables import COSTS, difference_cell, of_class
from zoo.tracking.console import shown
from zoo.tracking.report import Table


def groups_table(comparison: GroupComparison) -> Table:
    """Which group is which."""
    rows = [
        (letter, shown(group.path), str(group.runs[0].config.get("recipe") or "-"), seeds_of(group))
        for letter, group in zip(comparison.letters, comparison.groups, strict=True)
    ]
    return Table("Groups", ("", "group", "recipe", "seeds"), rows)


def seeds_of(group: RunGroup) -> str:
    """The seeds of a group's runs."""
    return ", ".join(str(run.config.get("seed_everything")) for run in group.runs)


def group_settings_table(comparison: GroupComparison) -> Table:
    """What differs between the groups, seeds aside."""
    rows = differing([group.runs[0] for group in comparison.groups])
    kept = [(name, *values) for name, values in rows if name != "--seed_everything"]
    return Table("What differs", ("setting", *comparison.letters), kept)


def group_scores_table(comparison: GroupComparison) -> Table:
    """Means and deviations, differences of means with intervals and p-values."""
    rows = [row for row in comparison.rows if not of_class(row.name)]
    return _scores(comparison, "Test scores over seeds", rows)


def group_classes_table(comparison: GroupComparison) -> Table:
    """The same for scores of single types or labels."""
    rows = [row for row in comparison.rows if of_class(row.name)]
    return _scores(comparison, "Test scores of each class over seeds", rows)


def _scores(comparison: GroupComparison, title: str, rows: Sequence[GroupRow]) -> Table:
    names = comparison.letters
    columns = ["score", *names]
    for letter in names[1:]:
        columns += [f"{letter} - {names[0]}", "p"]
    cells = []
    for row in rows:
        line = [row.name + (" (lower is better)" if row.lower_is_better else "")]
        line += [f"{one.mean:.3f} ± {one.deviation or 0:.3f}" for one in row.spreads]
        for one in row.differences:
            p = "" if one.p is None else "< 0.001" if one.p < 0.001 else f"{one.p:.3f}"
            line += [difference_cell(one), p]
        cells.append(line)
    return Table(title, columns, cells)


def group_costs_table(comparison: GroupComparison) -> Table:
    """Speed, memory and time: means over the seeds."""
    rows = []
    for key, name, decimals in COSTS:
        found = [
            [run.metrics[key] for run in group.runs if key in run.metrics]
            for group in comparison.groups
        ]
        if any(found):
            cells = [f"{fmean(values):,.{decimals}f}" if values else "-" for values in found]
            rows.append((name, *cells))
    return Table("Speed, memory and time (mean)", ("", *comparison.letters), rows)


def group_errors_table(comparison: GroupComparison) -> Table | None:
    """On how many examples the seeds of each of two groups do better."""
    errors, names = comparison.errors, comparison.letters
    if errors is None:
        return None
    rows = [
        (f"more seeds of {names[1]} right", len(errors.second_better)),
        (f"more seeds of {names[0]} right", len(errors.first_better)),
        ("alike", errors.alike),
    ]
    return Table("Test examples", ("", "examples"), rows)


def mean_history(group: RunGroup) -> list[dict[str, Any]]:
    """Mean over the seeds of what was logged at the same steps."""
    found: dict[tuple[int, str], list[float]] = {}
    for run in group.runs:
        for row in run.folder.read_history():
            for key, value in row.items():
                if key != "step" and isinstance(value, int | float) and "step" in row:
                    found.setdefault((row["step"], key), []).append(value)
    whole = {place: values for place, values in found.items() if len(values) == len(group.runs)}
    return [{"step": step, key: fmean(values)} for (step, key), values in sorted(whole.items())]
