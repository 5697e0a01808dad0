"""Weights & Biases: one run, one owner, offline where there is no account."""

import logging
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import WandbLogger
from lightning_utilities.core.rank_zero import rank_zero_only

from zoo.errors import ZooError
from zoo.tracking.report import TaskReport
from zoo.tracking.wandb_artifact import data_artifact, model_artifact
from zoo.tracking.wandb_media import media_of
from zoo.tracking.wandb_record import WandbRecord

PROJECT = "zoo"
#: W&B refuses longer ones.
_LONGEST_TAG = 64
#: Seconds to wait for the server when a run begins.
_BEGIN = 30.0
#: Seconds to wait for the last uploads when a run ends; longer where a model is among them.
_END, _END_WITH_MODEL = 60.0, 900.0
#: The server's own words for a refusal, after which waiting helps nobody.
_REFUSED = re.compile(r"\berror (?:400|401|403|404)\b|permission denied|not logged in")

log = logging.getLogger(__name__)
#: Ids that the environment gave (an agent's) and that a run of this process has taken.
_taken: set[str] = set()


def _going_on(method: Callable[..., None]) -> Callable[..., None]:
    """A method of the logger whose failure is said, once, and ends no training."""

    @wraps(method)
    def guarded(self: "RunLogger", *arguments: Any, **options: Any) -> None:
        try:
            method(self, *arguments, **options)
        except ZooError:  # a key that is refused: said before training begins
            raise
        except Exception as error:
            if not self.failed:
                log.warning(
                    f"W&B no longer takes what is logged ({_first_line(error)}). Training goes on; "
                    "the run's own history.jsonl has it all."
                )
            self.failed = True

    return guarded


class RunLogger(WandbLogger):
    """Lightning's logger with a run of its own, and the same keys in every task.

    Lightning's takes over any run that is live in the process, so that two trainings in one
    notebook would end up in one; this one always starts its own and is the only one to finish it.
    Without an API key, or where the server cannot be reached, the run is kept on disk (`offline`)
    and can be sent later. Whatever happens to the server later, training goes on.

    Args:
        folder: Where the run's files go (below `wandb/`).
        name: The run's name.
        group: Recipe; runs of one recipe lie together.
        job_type: Subcommand.
        tags: Task, backbone and whatever else tells runs apart.
        project: W&B project; `WANDB_PROJECT` or `zoo`.
        monitor: The score whose best value the summary keeps, with the others of its epoch.
        monitor_mode: Whether `max` or `min` of it is best.
        resume: Go on with the run whose id `folder` keeps.
        log_model: Upload the model, instead of only saying where it lies.
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
        monitor: str | None = None,
        monitor_mode: str = "max",
        resume: bool = False,
        log_model: bool = False,
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
        self.folder = folder.absolute()
        self.monitor = monitor
        self.monitor_mode = monitor_mode
        self.upload_model = log_model
        self.finished = False
        #: Whether something could not be logged.
        self.failed = False
        #: Whether everything that was logged is at the server.
        self.arrived = False
        #: Whether W&B knows where rows are counted on from.
        self._numbered = False
        self._settings: dict[str, Any] = {}
        self._before = WandbRecord.read(self.folder) if resume else None
        self._record: WandbRecord | None = None

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The run; started on first use.

        Raises:
            ZooError: The server refuses the key or the project.
        """
        if self._experiment is None:
            Path(str(self._save_dir)).mkdir(parents=True, exist_ok=True)
            self._record = self._identity()
            self._experiment = run = self._start()
            run.define_metric("trainer/global_step")
            run.define_metric("*", step_metric="trainer/global_step", step_sync=True)
            if not run.disabled:
                self._record.project = run.project or str(self._project)
                if not self._offline:
                    self._record.entity, self._record.url = run.entity, run.url
                self._record.write(self.folder)
        return self._experiment

    def _identity(self) -> WandbRecord:
        """The id that an agent gave, the resumed run's, or a new one."""
        from wandb.sdk.lib.runid import generate_id

        given = os.environ.get("WANDB_RUN_ID", "")
        if given and given not in _taken:
            _taken.add(given)
            if self._before is not None and self._before.id != given:
                self._before = None
        else:
            given = ""
        return replace(self._before) if self._before else WandbRecord(given or generate_id())

    def _start(self) -> Any:
        import wandb
        from wandb.errors import AuthenticationError, CommError, UsageError
        from wandb.sdk.lib.runid import generate_id

        assert self._record is not None
        options = dict(self._wandb_init)
        options.pop("anonymous", None)
        options |= {"id": self._record.id, "reinit": "create_new", "config": self._settings}
        settings = wandb.Settings(
            silent=True,
            console="off",
            init_timeout=_BEGIN,
            finish_timeout=_END_WITH_MODEL if self.upload_model else _END,
            finish_timeout_raises=True,
        )
        # Said outright: wandb reads the environment only once in a process.
        mode: Any = os.environ.get("WANDB_MODE") or ("offline" if self._offline else None)
        if not self._offline:
            try:
                return wandb.init(**options, mode=mode, settings=settings)
            except (AuthenticationError, UsageError, CommError) as error:
                wrong = isinstance(error, AuthenticationError | UsageError)
                if wrong or _REFUSED.search(str(error)):
                    raise ZooError(_refusal(error)) from error
                log.warning(
                    f"W&B at {host()} does not answer, so this run is kept on disk only "
                    f"({_first_line(error)})."
                )
                self._offline, mode = True, "offline"
                # W&B's process holds on to the id that it could not begin with.
                options["id"] = generate_id()
                if self._before is None:
                    self._record.id = options["id"]
        options["resume"] = None  # what it goes on from is not on disk in W&B's format
        return wandb.init(**options, mode=mode, settings=settings)

    @rank_zero_only
    def start(self) -> None:
        """Start the run now: a key that is refused shows before training, not after it.

        Raises:
            ZooError: The server refuses the key or the project.
        """
        _ = self.experiment

    @rank_zero_only
    @_going_on
    def log_settings(self, settings: Mapping[str, Any]) -> None:
        """The whole resolved recipe, data fingerprint and versions, as the run's config."""
        self._settings |= settings
        if self._experiment is not None:
            self._experiment.config.update(dict(settings), allow_val_change=True)

    @rank_zero_only
    def log_hyperparams(self, params: Any) -> None:
        """Left out: Lightning's copy of the task's arguments is in the recipe already."""

    @rank_zero_only
    @_going_on
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """A row of history; of a resumed run only what it has not logged before it stopped."""
        run, record = self.experiment, self._known()
        row = dict(metrics)
        if step is not None:
            if self._before is not None:
                row = self._before.new_in(row, step)
            if not row:
                return
            record.count(row, step)
            row["trainer/global_step"] = step
        self._log(row)
        if self.monitor in row and step is not None:
            best = record.note_best(row, step, monitor=str(self.monitor), mode=self.monitor_mode)
            run.summary.update(best)
        self._keep()

    def _log(self, row: Mapping[str, Any]) -> None:
        """A row of history, numbered on from those that a resumed run had before.

        W&B counts on by itself. To ask it how far it is, should others log to the run as well,
        takes longer than to log: that is done with validations only.
        """
        run, record = self.experiment, self._known()
        at = None
        if not self._numbered or self.monitor in row:
            at = record.rows = max(record.rows, run.step)
            self._numbered = True
        run.log(dict(row), step=at, commit=True)
        record.rows += 1

    def _keep(self) -> None:
        if not self.experiment.disabled:
            self._known().write(self.folder)

    def _known(self) -> WandbRecord:
        assert self._record is not None, "made when the run is started"
        return self._record

    @rank_zero_only
    @_going_on
    def log_scores(self, metrics: Mapping[str, float]) -> None:
        """Scores into the summary."""
        self.experiment.summary.update(dict(metrics))

    @rank_zero_only
    @_going_on
    def log_report(self, report: TaskReport, metrics: Mapping[str, float]) -> None:
        """Scores into the summary; tables and the confusion matrix as W&B's own."""
        self.log_scores(metrics)
        self._log(media_of(report))
        self._keep()

    @rank_zero_only
    @_going_on
    def log_data(self, name: str, facts: Mapping[str, Any]) -> None:
        """The data that the run reads, as an artifact that it uses.

        Args:
            name: The data's name.
            facts: Fingerprint, sizes, sources.
        """
        folder = WandbRecord.path(self.folder).parent
        self._log_artifact(data_artifact(name, facts, folder), use=True)

    @rank_zero_only
    @_going_on
    def log_model(self, name: str, folder: Path, facts: Mapping[str, Any]) -> None:
        """The trained model, as an artifact that the run made of the data.

        Args:
            name: Models of one name are versions of one artifact.
            folder: The exported model.
            facts: Task, backbone, scores, data.
        """
        self._log_artifact(model_artifact(name, folder, facts, upload=self.upload_model), use=False)

    def _log_artifact(self, artifact: Any, *, use: bool) -> None:
        run = self.experiment
        if run.disabled:
            return
        try:
            # `use_artifact` refuses offline runs and waits for the server; this does neither, and
            # what it writes is the same.
            run._log_artifact(artifact, is_user_created=True, use_after_commit=use)
        except Exception as error:  # a server that is gone must not end the run
            log.warning(
                f"W&B did not take the {artifact.type} {artifact.name} ({_first_line(error)})."
            )

    @property
    def offline_folder(self) -> Path | None:
        """The folder to give to `wandb sync`, of a run that is not, or not all, at the server."""
        if self._experiment is None or self._experiment.disabled:
            return None
        if not self._offline and not (self.finished and not self.arrived):
            return None
        return Path(str(self._experiment.dir)).parent

    @property
    def sync_command(self) -> list[str]:
        """What follows `wandb` to send a run that is not, or not all, at the server."""
        from zoo.tracking.console import shown

        folder = self.offline_folder
        if folder is None:
            return []
        options = [] if self._offline else ["--include-online"]
        if self._before is not None and self._offline:
            # With what it wrote before it was resumed: the parts are put together by the id.
            folder, options = folder.parent, ["--id", str(self._record and self._record.id)]
        return ["sync", *options, shown(folder)]

    @property
    def offline(self) -> bool:
        """Whether the run is kept on disk only."""
        return bool(self._offline)

    @property
    def url(self) -> str | None:
        """The run's page, where it has one."""
        return None if self._record is None or self._offline else self._record.url

    @rank_zero_only
    def finish(self, *, failed: bool = False) -> None:
        """End the run; nothing happens if it was never started.

        Waits for the last uploads, but not for ever (`arrived` says whether they came through).
        """
        if self._experiment is None or self.finished:
            return
        self.finished = True
        try:
            self._experiment.finish(exit_code=1 if failed else 0)
            self.arrived = not self._offline and not self.failed
        except Exception as error:
            self.arrived = False
            if not isinstance(error, TimeoutError):
                log.warning(f"W&B could not end this run ({_first_line(error)}).")


def has_account() -> bool:
    """Whether there is an API key, and the user did not choose to stay offline."""
    if os.environ.get("WANDB_MODE") in ("offline", "dryrun", "disabled"):
        return False
    if os.environ.get("WANDB_API_KEY"):
        return True
    import netrc

    try:
        known = netrc.netrc()
    except (OSError, netrc.NetrcParseError):
        return False
    server = host()
    return server is not None and known.authenticators(server) is not None


def host() -> str | None:
    """The name of W&B's server: `WANDB_BASE_URL`, or W&B's own."""
    import wandb

    return urlsplit(os.environ.get("WANDB_BASE_URL") or wandb.Settings().base_url).hostname


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def _refusal(error: BaseException) -> str:
    return (
        f"W&B at {host()} refuses this run: {_first_line(error)}. Mend the key (WANDB_API_KEY, or "
        "`wandb login`) or the project (WANDB_ENTITY, WANDB_PROJECT); or keep the run on disk with "
        "WANDB_MODE=offline, to send it later; or leave W&B out with --trainer.logger false."
    )
