"""`python -m recipes compare RUN_DIR RUN_DIR ...`: runs side by side, from their folders alone."""

import argparse
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipes.catalog import FAMILIES
from zoo.errors import RunError, ZooError, check_at_least

if TYPE_CHECKING:
    from zoo.tracking.comparison.comparison import Comparison
    from zoo.tracking.comparison.groups import GroupComparison, RunGroup
    from zoo.tracking.comparison.runs import RecordedRun


def main(arguments: Sequence[str]) -> int:
    """Compare, print and write the page; the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m recipes compare",
        description="Compare tested runs of one task: settings, scores with intervals, "
        "significance, speed, errors. Prints tables and writes a page of HTML.",
        epilog="Runs after the first are compared with it. Without folders: the newest two runs of "
        "the task that was run last, in runs/.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "runs",
        nargs="*",
        metavar="FOLDER",
        help="a run's folder, or a folder of runs such as runs/ner, which stands for its newest "
        "two that were tested; or a folder that --seeds made: two of them are compared by their "
        "means over seeds, one alone seed by seed",
    )
    parser.add_argument("--all", action="store_true", help="all tested runs of a folder of runs")
    parser.add_argument("--score", help="the score that decides, such as f1_macro")
    parser.add_argument("--output", help="the page; comparison.html beside the runs by default")
    parser.add_argument(
        "--resamples",
        type=int,
        default=2000,
        help="resamples for intervals and p-values (%(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, help="fixes the resamples (%(default)s)")
    parser.add_argument(
        "--wandb_report",
        metavar="ENTITY/PROJECT",
        help="also save the comparison as a report at W&B, with the runs' curves",
    )
    options = parser.parse_args(arguments)
    check_at_least("--resamples", options.resamples, 100)
    check_at_least("--seed", options.seed, 0)
    output = None if options.output is None else _page_path(options.output)

    from zoo.tracking.comparison.groups import find_groups
    from zoo.tracking.comparison.runs import find_runs
    from zoo.tracking.console import shown

    place = None
    if options.wandb_report is not None:
        from zoo.tracking.comparison.wandb_report import place_of

        place = place_of(options.wandb_report)  # a wrong one shows before the work
    names = options.runs or ["runs"]
    groups = [] if options.all else find_groups(names)
    asked = {"score": options.score, "resamples": options.resamples, "seed": options.seed}
    comparison: Comparison | GroupComparison
    single: Comparison | None = None
    if groups and place is not None:
        raise ZooError(
            "--wandb_report writes of single runs: give their folders, such as "
            f"{shown(groups[0].path)}/seed-42."
        )
    if groups:
        comparison = compare_seeds(groups, **asked)
        beside = groups[-1].path
    else:
        runs = find_runs(names, newest=None if options.all else 2)
        comparison = single = compare(runs, **asked)
        beside = runs[-1].folder.path
    _print(comparison)
    if not groups:
        _print_spreads(runs)
    from zoo.tracking.comparison.page import page
    from zoo.tracking.run_folder import write_atomically

    output = output or beside.resolve().parent / "comparison.html"
    output.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(output, page(comparison))
    print(f"page  {shown(output)}")  # noqa: T201
    if place is not None and single is not None:
        _report(single, *place)
    return 0


def _report(comparison: "Comparison", entity: str, project: str) -> None:
    from zoo.tracking.comparison.wandb_report import not_sent, save
    from zoo.tracking.console import program, shown

    for run in not_sent(comparison.runs):
        folder = shown(run.folder.path / "wandb")
        print(  # noqa: T201
            f"note: {run.name} was kept on disk; its curves show once it is sent: "
            f"{program('wandb')} sync {folder}"
        )
    print(f"W&B   {save(comparison, entity, project)}")  # noqa: T201


def compare(
    runs: "Sequence[RecordedRun]",
    *,
    score: str | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> "Comparison":
    """Compare runs, as `zoo.tracking.comparison` does, by the family that they are of.

    Raises:
        RunError: The runs are of different tasks, or of one that is not known here.
    """
    from zoo.tracking.comparison.comparison import compare as compared
    from zoo.tracking.console import shown

    module = _account(runs)
    return compared(
        runs,
        module.outcomes,
        module.FIELDS,
        score=score,
        resamples=resamples,
        seed=seed,
        shown=lambda run: shown(run.folder.path),
    )


def compare_seeds(
    groups: "Sequence[RunGroup]",
    *,
    score: str | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> "GroupComparison":
    """Compare groups of seeds by their means, as `zoo.tracking.comparison.groups` does.

    Raises:
        RunError: The runs are of different tasks, or of one that is not known here.
    """
    from zoo.tracking.comparison.groups import compare_groups
    from zoo.tracking.console import shown

    module = _account([run for group in groups for run in group.runs])
    return compare_groups(
        groups,
        module.outcomes,
        module.FIELDS,
        score=score,
        resamples=resamples,
        seed=seed,
        shown=lambda run: shown(run.folder.path),
    )


def _account(runs: "Sequence[RecordedRun]") -> Any:
    """The module of the family that all runs are of."""
    from zoo.tracking.console import shown

    families = [_family(run) for run in runs]
    for run, family in zip(runs[1:], families[1:], strict=True):
        if family != families[0]:
            raise RunError(
                f"{shown(runs[0].folder.path)} is a run of {families[0]} and "
                f"{shown(run.folder.path)} one of {family}: there is nothing to compare."
            )
    return import_module(f"zoo.{families[0]}.comparison")


def _family(run: "RecordedRun") -> str:
    for family, tasks in FAMILIES.items():
        if run.task in tasks:
            return family
    known = ", ".join(task for tasks in FAMILIES.values() for task in tasks)
    raise RunError(f"{run.folder.config} is of the task {run.task!r}; known are {known}.")


def _page_path(name: str) -> Path:
    path = Path(name).expanduser()
    if path.suffix not in (".html", ".htm"):
        raise ZooError(f"--output {name} is the page to write: give it a name that ends in .html.")
    if path.is_dir():
        raise ZooError(f"--output {name} is a folder; give a file.")
    return path


def _print(comparison: "Comparison | GroupComparison") -> None:
    from zoo.tracking.comparison.page import tables_of
    from zoo.tracking.console import console, print_table

    out = console()
    for table in tables_of(comparison):
        if table is not None and table.rows:
            print_table(table)
        elif table is not None and table.title == "What differs":
            out.print("All settings are the same.\n")
    for sentence in comparison.warnings:
        out.print(f"warning: {sentence}", markup=False)
    for sentence in comparison.verdicts:
        out.print(sentence, markup=False)


def _print_spreads(runs: "Sequence[RecordedRun]") -> None:
    """Mean and spread of each folder of seeds among runs that are compared one by one."""
    from zoo.tracking.console import print_table, shown
    from zoo.tracking.seed_group import is_group, spread_table, spreads

    groups: dict[Path, list[RecordedRun]] = {}
    for run in runs:
        groups.setdefault(run.folder.path.parent, []).append(run)
    for path, seeds in groups.items():
        if is_group(path) and len(seeds) > 1:
            found = spreads([run.metrics for run in seeds])
            scores = {
                name: spread
                for name, spread in found.items()
                if name.startswith("test/") and name.count("/") == 1
            }
            print_table(spread_table(f"Over the seeds of {shown(path)}", scores))
