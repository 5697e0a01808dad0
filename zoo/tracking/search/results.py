"""What a search found: a table, a picture and a file."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from zoo.tracking.report import Table
from zoo.tracking.run_folder import write_atomically
from zoo.tracking.search.space import Range, Space
from zoo.tracking.search.study import Search, Tried, best_of

#: Most trials that the terminal shows; `search.json` has all.
SHOWN = 20


def trials_table(search: Search) -> Table:
    """The trials, the best first."""
    space, tried = search.space, search.tried()
    names = list(search.parameters)
    rank = {"complete": 0, "stopped": 1, "failed": 2}
    sign = -1 if space.maximize else 1
    tried.sort(key=lambda one: (rank[one.state], sign * (one.value or 0.0), one.number))
    rows = [
        (
            f"trial {one.number}",
            "-" if one.value is None else f"{one.value:.4f}",
            one.state,
            *(one.settings.get(name, "-") for name in names),
            "-" if one.seconds is None else f"{one.seconds:,.0f}",
        )
        for one in tried
    ]
    title = f"{len(rows)} trials, the best first"
    if len(rows) > SHOWN:
        title += f" ({SHOWN} of them)"
    return Table(title, ("", space.metric, "", *names, "seconds"), rows[:SHOWN])


def write_results(search: Search, path: Path, facts: dict[str, Any]) -> None:
    """All trials as JSON.

    Args:
        search: The search.
        path: The file.
        facts: What else belongs there.
    """
    best = search.best()
    content = {
        **facts,
        "sweep": str(search.space.path),
        "metric": search.space.metric,
        "goal": "maximize" if search.space.maximize else "minimize",
        "best": None if best is None else asdict(best),
        "trials": [asdict(one) for one in search.tried()],
    }
    write_atomically(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def picture(search: Search, path: Path) -> bool:
    """The score of each trial, over time and over each parameter; False where there is none."""
    tried = [one for one in search.tried() if one.value is not None]
    if not tried:
        return False
    names = list(search.parameters)
    figure = Figure(figsize=(3.4 * (1 + len(names)), 3.4), layout="constrained")
    first, *others = figure.subplots(1, 1 + len(names), sharey=True, squeeze=False)[0]
    _points(first, [float(one.number) for one in tried], tried)
    best = [best_of(tried[: at + 1], maximize=search.space.maximize) for at in range(len(tried))]
    steps = [
        (one.number, so_far.value)
        for one, so_far in zip(tried, best, strict=True)
        if so_far is not None
    ]
    first.step(
        *zip(*steps, strict=True), where="post", color="grey", linewidth=1
    ) if steps else None
    first.set_xlabel("trial")
    first.set_ylabel(search.space.metric)
    for name, axes in zip(names, others, strict=True):
        _parameter(axes, name, tried, search.space)
    figure.savefig(path, dpi=120)
    return True


def _parameter(axes: Any, name: str, tried: Sequence[Tried], space: Space) -> None:
    kind = space.parameters[name]
    axes.set_xlabel(name.rpartition(".")[2].replace("_", " "))
    if isinstance(kind, Range):
        _points(axes, [float(one.settings[name]) for one in tried], tried)
        if kind.log:
            axes.set_xscale("log")
        return
    places = {value: float(at) for at, value in enumerate(kind.values)}
    _points(axes, [places.get(one.settings[name], -1.0) for one in tried], tried)
    axes.set_xticks(list(places.values()), list(places))


def _points(axes: Any, xs: Sequence[float], tried: Sequence[Tried]) -> None:
    """Stopped trials are hollow: their scores are of fewer validations."""
    for stopped in (False, True):
        kept = [
            (x, one.value)
            for x, one in zip(xs, tried, strict=True)
            if (one.state == "stopped") is stopped
        ]
        if kept:
            face = "none" if stopped else "tab:blue"
            axes.scatter(
                [x for x, _ in kept],
                [y for _, y in kept],
                facecolors=face,
                edgecolors="tab:blue",
                s=28,
                label="stopped" if stopped else None,
            )
    if any(one.state == "stopped" for one in tried):
        axes.legend(frameon=False, fontsize=8)
