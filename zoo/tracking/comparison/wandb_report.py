"""The comparison as a report at W&B, beside the runs themselves."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from zoo.errors import RunError, ZooError
from zoo.tracking.comparison import tables
from zoo.tracking.comparison.comparison import Comparison
from zoo.tracking.comparison.runs import RecordedRun
from zoo.tracking.wandb_logger import has_account, host
from zoo.tracking.wandb_record import WandbRecord

if TYPE_CHECKING:
    from zoo.tracking.report import Table


def place_of(name: str) -> tuple[str, str]:
    """Entity and project of `ENTITY/PROJECT`.

    Raises:
        ZooError: The name is no such pair, there is no account, or a package is missing.
    """
    entity, slash, project = name.strip().partition("/")
    if not (entity and slash and project) or "/" in project:
        raise ZooError(f"--wandb_report {name}: give ENTITY/PROJECT, as in the project's address.")
    _workspaces()
    if not has_account():
        raise ZooError(
            f"--wandb_report needs an account at {host()}: `wandb login`, or set WANDB_API_KEY "
            "(and leave WANDB_MODE alone). The page that is written without one says the same."
        )
    return entity, project


def ids_of(runs: Sequence[RecordedRun]) -> list[str]:
    """The ids of runs at W&B.

    Raises:
        RunError: A run was not logged.
    """
    found = []
    for run in runs:
        record = WandbRecord.read(run.folder.path)
        if record is None:
            raise RunError(
                f"{run.folder.path} has no run at W&B (there is no wandb/run.json in it): it ran "
                "with --trainer.logger false, or was tested on its own."
            )
        found.append(record.id)
    return found


def not_sent(runs: Sequence[RecordedRun]) -> list[RecordedRun]:
    """Runs that were kept on disk when they ran; W&B has them only if they were sent since."""
    records = [(run, WandbRecord.read(run.folder.path)) for run in runs]
    return [run for run, record in records if record is not None and record.url is None]


def build(comparison: Comparison, entity: str, project: str) -> Any:
    """The report, not saved yet: scores, what differs, costs, and curves of the runs.

    Args:
        comparison: The comparison.
        entity: User or team that the runs are of.
        project: Their project.
    """
    reports = _workspaces()
    ids = ids_of(comparison.runs)
    runs = reports.Runset(
        entity=entity,
        project=project,
        name="compared",
        filters=f"ID in [{', '.join(repr(one) for one in ids)}]",
    )
    shown: list[Table | None] = [
        tables.scores_table(comparison),
        tables.settings_table(comparison),
        tables.costs_table(comparison),
        tables.errors_table(comparison),
    ]
    blocks: list[Any] = [
        reports.MarkdownBlock(text="\n".join(f"- {one}" for one in comparison.verdicts)),
        reports.MarkdownBlock(text=tables.runs_table(comparison).markdown()),
    ]
    if comparison.warnings:
        blocks.append(reports.MarkdownBlock(text="\n".join(comparison.warnings)))
    for table in shown:
        if table is not None and table.rows:
            blocks += [
                reports.H2(text=table.title),
                reports.MarkdownBlock(text=table.markdown()),
            ]
    x = "trainer/global_step"
    curves = [
        reports.LinePlot(title=name, x=x, y=[name])
        for name in (f"val/{comparison.main}", "train/loss", "train/lr", "perf/tokens_per_second")
    ]
    bars = reports.BarPlot(title=f"test/{comparison.main}", metrics=[f"test/{comparison.main}"])
    blocks += [
        reports.H2(text="Curves"),
        reports.PanelGrid(runsets=[runs], panels=[*curves, bars]),
    ]
    return reports.Report(
        entity=entity,
        project=project,
        title=_title(comparison),
        description=f"{comparison.examples:,} test examples; intervals of 95%, "
        f"{comparison.resamples:,} resamples.",
        blocks=blocks,
    )


def save(comparison: Comparison, entity: str, project: str) -> str:
    """Build the report and save it; its address.

    Raises:
        ZooError: W&B refuses it, or does not answer.
        RunError: A run was not logged.
    """
    ids_of(comparison.runs)
    try:
        report = build(comparison, entity, project)
        report.save()
    except ZooError:
        raise
    except Exception as error:  # whatever the server or the client says
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise ZooError(
            f"W&B at {host()} did not take the report for {entity}/{project} ({reason}). The page "
            "was written all the same."
        ) from error
    return str(report.url)


def _title(comparison: Comparison) -> str:
    title = " and ".join(run.name for run in comparison.runs)
    return title if len(title) <= 100 else f"{len(comparison.runs)} runs, {title[:80]}…"


def _workspaces() -> Any:
    try:
        import wandb_workspaces.reports.v2 as reports
    except ImportError:
        raise ZooError(
            "--wandb_report needs wandb-workspaces, which is not installed: "
            "pip install 'lightning-text-zoo[search]'"
        ) from None
    return reports
