"""`python -m recipes compare RUN_DIR RUN_DIR ...`: runs side by side, from their folders alone."""

import argparse
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from recipes.catalog import FAMILIES
from zoo.errors import RunError, ZooError, check_at_least

if TYPE_CHECKING:
    from zoo.tracking.comparison.comparison import Comparison
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
        "two that were tested",
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

    from zoo.tracking.comparison.runs import find_runs
    from zoo.tracking.console import shown

    place = None
    if options.wandb_report is not None:
        from zoo.tracking.comparison.wandb_report import place_of

        place = place_of(options.wandb_report)  # a wrong one shows before the work
    runs = find_runs(options.runs or ["runs"], newest=None if options.all else 2)
    comparison = compare(runs, score=options.score, resamples=options.resamples, seed=options.seed)
    _print(comparison)
    from zoo.tracking.comparison.page import page
    from zoo.tracking.run_folder import write_atomically

    output = output or runs[-1].folder.path.resolve().parent / "comparison.html"
    output.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(output, page(comparison))
    print(f"page  {shown(output)}")  # noqa: T201
    if place is not None:
        _report(comparison, *place)
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

    families = [_family(run) for run in runs]
    for run, family in zip(runs[1:], families[1:], strict=True):
        if family != families[0]:
            raise RunError(
                f"{shown(runs[0].folder.path)} is a run of {families[0]} and "
                f"{shown(run.folder.path)} one of {family}: there is nothing to compare."
            )
    module = import_module(f"zoo.{families[0]}.comparison")
    return compared(
        runs,
        module.outcomes,
        module.FIELDS,
        score=score,
        resamples=resamples,
        seed=seed,
        shown=lambda run: shown(run.folder.path),
    )


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


def _print(comparison: "Comparison") -> None:
    from zoo.tracking.comparison import tables
    from zoo.tracking.console import console, print_table

    out = console()
    print_table(tables.runs_table(comparison))
    settings = tables.settings_table(comparison)
    if settings.rows:
        print_table(settings)
    else:
        out.print("All settings are the same.\n")
    print_table(tables.scores_table(comparison))
    costs = tables.costs_table(comparison)
    if costs.rows:
        print_table(costs)
    counts = tables.errors_table(comparison)
    if counts is not None:
        print_table(counts)
    for sentence in comparison.warnings:
        out.print(f"warning: {sentence}", markup=False)
    for sentence in comparison.verdicts:
        out.print(sentence, markup=False)
