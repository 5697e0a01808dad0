"""What is left of a run for people: the report's page, and what the terminal says at the end."""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from recipes.cli import RecipeCLI
from recipes.facts import circumstances
from zoo.tracking.console import console, print_scores, print_table, program, shown
from zoo.tracking.plots import confusion_picture, curve_picture, curves_picture
from zoo.tracking.report import ReportPage, TaskReport
from zoo.tracking.run_folder import write_atomically
from zoo.tracking.wandb_logger import RunLogger, has_account


def write_page(cli: RecipeCLI, report: TaskReport | None, metrics: Mapping[str, float]) -> None:
    """Write the report's page, with its pictures.

    Args:
        cli: The run, which is done.
        report: What the test gave; None where nothing was tested.
        metrics: All scores.
    """
    folder = cli.folder
    folder.plots.mkdir(exist_ok=True)
    pictures: dict[str, Path] = {}
    if report is not None and report.confusion is not None:
        confusion_picture(report.confusion, folder.plots / "confusion.png")
        pictures["Gold against predicted"] = Path("plots/confusion.png")
    for key, curve in (report.curves if report is not None else {}).items():
        curve_picture(curve, folder.plots / f"{key}.png")
        pictures[curve.title] = Path(f"plots/{key}.png")
    if curves_picture(
        folder.read_history(), folder.plots / "curves.png", monitor=cli.model.monitor
    ):
        pictures["Training"] = Path("plots/curves.png")
    data = cli.datamodule
    page = ReportPage(
        title=f"{cli.recipe.name}: {folder.id}",
        facts={
            "task": cli.model.family,
            "backbone": cli.model.backbone,
            "adaptation": _adaptation(cli, metrics),
            "data": f"{data.sources.name} (fingerprint {data.fingerprint})",
            "examples": ", ".join(
                f"{len(table):,} {name}" for name, table in data.splits().items()
            ),
            "labels": ", ".join(cli.model.labels),
            **{
                key.replace("_", " "): value
                for key, value in circumstances(cli).items()
                if key != "data_fingerprint"
            },
        },
        metrics=metrics,
        notes=data.notes,
        tables=list(report.tables.values()) if report else [],
        pictures=pictures,
        config=cli.settings(),
        usage=_usage(cli),
    )
    write_atomically(folder.report, page.markdown())


def _adaptation(cli: RecipeCLI, metrics: Mapping[str, float]) -> str:
    """What was trained of the model, in words."""
    kind = cli.model.adaptation.kind
    if "perf/trained_parameters" not in metrics:
        return kind
    return (
        f"{kind}: {metrics['perf/trained_parameters']:,.0f} parameters trained "
        f"({metrics['perf/trained_share']:.2%}), {metrics['perf/trained_mb']:.2f} MB"
    )


def _usage(cli: RecipeCLI) -> str:
    name = type(cli.model).__name__
    return (
        "```python\n"
        f"from zoo import {name}\n"
        f'task = {name}.from_run("{shown(cli.folder.path)}")\n'
        "```\n\n"
        f"or `python -m recipes predict {shown(cli.folder.path)} FILE`; `model/` also loads in "
        "plain transformers."
    )


def say_results(cli: RecipeCLI, report: TaskReport | None, metrics: Mapping[str, float]) -> None:
    """Print the scores, and where everything lies.

    Args:
        cli: The run, which is done.
        report: What the test gave; None where nothing was tested.
        metrics: All scores.
    """
    if report is not None and report.main_table is not None:
        print_table(report.tables[report.main_table])
    if report is not None and "distillation" in report.tables:
        print_table(report.tables["distillation"])
    heads = [
        name for name in metrics if name.count("/") == 1 and name.startswith(("val/", "test/"))
    ]
    heads = [name for name in heads if not name.endswith("/loss")]
    others = [name for name in metrics if name.startswith("baseline/")]
    print_scores(
        metrics,
        [*heads, *others, "perf/tokens_per_second", "perf/fit_seconds", "perf/peak_memory_gib"],
    )
    folder, out = cli.folder, console()
    out.print(f"\nrun      {shown(folder.path)}/")
    for label, path in (
        ("report", folder.report),
        ("model", folder.model),
        ("adapter", folder.adapter),
    ):
        if path.exists():
            out.print(f"{label:<8} {shown(path)}")
    offline = cli.run_logger.offline_folder if cli.run_logger is not None else None
    if offline is not None:
        chosen = os.environ.get("WANDB_MODE")
        reason = f"WANDB_MODE={chosen}" if chosen else "no API key"
        reason = "no answer" if has_account() else reason
        out.print(f"W&B      offline ({reason}); {_sync_command(cli.run_logger)}")
    if folder.model.exists():
        given, file = cli.datamodule.predict_example
        command = f"{program('python')} -m recipes predict {shown(folder.path)}"
        out.print(f"next     {f'echo {given!r} | ' if given else ''}{command} {file}".rstrip())


def say_where_online(cli: RecipeCLI) -> None:
    """The page of the run, or how to send what did not get there."""
    logger = cli.run_logger
    if logger is None or logger.url is None or not cli.trainer.is_global_zero:
        return
    console().print(f"W&B      {logger.url}")
    if logger.offline_folder is not None:
        console().print(
            f"         not everything arrived there; send the rest: {_sync_command(logger)}"
        )


def _sync_command(logger: RunLogger | None) -> str:
    return "" if logger is None else shlex.join([program("wandb"), *logger.sync_command])


__all__ = ["say_results", "say_where_online", "write_page"]
