"""Weights & Biases: one run, one owner, offline where there is no account."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import WandbLogger
from lightning_utilities.core.rank_zero import rank_zero_only

from zoo.tracking.report import TaskReport

PROJECT = "zoo"
#: W&B refuses longer ones.
_LONGEST_TAG = 64


class RunLogger(WandbLogger):
    """Lightning's logger with a run of its own, and the same keys in every task.

    Lightning's takes over any run that is live in the process, so that two trainings in one
    notebook would end up in one; this one always starts its own and is the only one to finish it.
    Without an API key the run is kept on disk (`offline`) and can be sent later.

    Args:
        folder: Where the run's files go (below `wandb/`).
        name: The run's name.
        group: Recipe; runs of one recipe lie together.
        job_type: Subcommand.
        tags: Task, backbone and whatever else tells runs apart.
        project: W&B project; `WANDB_PROJECT` or `zoo`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        name: str,
        group: str,
        job_type: str,
        tags: Sequence[str],
        project: str | None = None,
    ):
        super().__init__(
            name=name,
            # W&B's own process writes the files, and stays in the folder where it was started.
            save_dir=str(folder.absolute()),
            project=project or os.environ.get("WANDB_PROJECT") or PROJECT,
            offline=not has_account(),
            group=group,
            job_type=job_type,
            tags=[tag[:_LONGEST_TAG] for tag in tags],
        )
        self._settings: dict[str, Any] = {}
        self.finished = False

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The run; started on first use."""
        if self._experiment is None:
            import wandb

            Path(str(self._save_dir)).mkdir(parents=True, exist_ok=True)
            # Said outright: wandb reads the environment only once in a process.
            mode: Any = os.environ.get("WANDB_MODE") or ("offline" if self._offline else None)
            options = dict(self._wandb_init)
            options.pop("anonymous", None)
            options.pop("resume", None)
            self._experiment = wandb.init(
                **options,
                mode=mode,
                reinit="create_new",
                config=self._settings,
                settings=wandb.Settings(silent=True, console="off"),
            )
            self._experiment.define_metric("trainer/global_step")
            self._experiment.define_metric("*", step_metric="trainer/global_step", step_sync=True)
        return self._experiment

    @rank_zero_only
    def log_settings(self, settings: Mapping[str, Any]) -> None:
        """The whole resolved recipe, data fingerprint and versions, as the run's config."""
        self._settings |= settings
        if self._experiment is not None:
            self._experiment.config.update(dict(settings), allow_val_change=True)

    @rank_zero_only
    def log_hyperparams(self, params: Any) -> None:
        """Left out: Lightning's copy of the task's arguments is in the recipe already."""

    @rank_zero_only
    def log_report(self, report: TaskReport, metrics: Mapping[str, float]) -> None:
        """Scores into the summary; tables and the confusion matrix as W&B's own."""
        import wandb

        run = self.experiment
        for name, value in metrics.items():
            run.summary[name] = value
        media: dict[str, Any] = {}
        for key, table in report.tables.items():
            rows = [list(row) for row in table.rows]
            media[f"test/{key}"] = wandb.Table(columns=list(table.columns), data=rows)
        if report.confusion is not None:
            names = list(report.confusion.names)
            pairs = [
                (row, column)
                for row, counts in enumerate(report.confusion.counts)
                for column, count in enumerate(counts)
                for _ in range(count)
            ]
            if pairs:
                media["test/confusion_matrix"] = wandb.plot.confusion_matrix(
                    y_true=[row for row, _ in pairs],
                    preds=[column for _, column in pairs],
                    class_names=names,
                )
        for key, curve in report.curves.items():
            names = list(curve.lines)
            media[f"test/{key}"] = wandb.plot.line_series(
                xs=[[x for x, _ in curve.lines[name]] for name in names],
                ys=[[y for _, y in curve.lines[name]] for name in names],
                keys=names,
                title=curve.title,
                xname=curve.x,
            )
        run.log(media)

    @property
    def offline_folder(self) -> Path | None:
        """The folder to give to `wandb sync`, of a run that is kept offline."""
        if not self._offline or self._experiment is None or self._experiment.disabled:
            return None
        return Path(str(self._experiment.dir)).parent

    @rank_zero_only
    def finish(self, *, failed: bool = False) -> None:
        """End the run; nothing happens if it was never started."""
        if self._experiment is not None and not self.finished:
            self._experiment.finish(exit_code=1 if failed else 0)
            self.finished = True


def has_account() -> bool:
    """Whether there is an API key, and the user did not choose to stay offline."""
    if os.environ.get("WANDB_MODE") in ("offline", "dryrun", "disabled"):
        return False
    if os.environ.get("WANDB_API_KEY"):
        return True
    import netrc

    import wandb

    try:
        known = netrc.netrc()
    except (OSError, netrc.NetrcParseError):
        return False
    host = urlsplit(os.environ.get("WANDB_BASE_URL") or wandb.Settings().base_url).hostname
    return host is not None and known.authenticators(host) is not None
