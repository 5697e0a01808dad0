"""A search's trials: each a process of its own, so that nothing of one is left to the next."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from zoo.errors import ZooError
from zoo.tracking.run_folder import ENVIRONMENT, RunFolder
from zoo.tracking.search.study import FailedTrialError, StoppedTrialError, Tried

#: Seconds between two looks at what a trial has written.
_POLL = 0.2
#: Seconds that a trial has to write its checkpoint when it is stopped.
_GRACE = 120
#: What would make a trial part of something else: an agent's run, this process's run folder.
_FOREIGN = (
    ENVIRONMENT,
    "WANDB_SWEEP_ID",
    "WANDB_RUN_ID",
    "WANDB_SWEEP_PARAM_PATH",
    "WANDB_SERVICE",
)


class Trials:
    """Runs a recipe with a trial's settings.

    Args:
        folder: Of the search; each trial's run folder lies in it.
        name: The recipe's name, as the user typed it.
        fixed: Flags that every trial is given by the sweep.
        overrides: Flags that the user gave.
        group: What the runs are grouped by.
        metric: The score that decides.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        *,
        fixed: Sequence[str],
        overrides: Sequence[str],
        group: str,
        metric: str,
    ):
        self.path = folder
        self.name = name
        self.fixed = list(fixed)
        self.overrides = list(overrides)
        self.group = group
        self.metric = metric

    def folder(self, number: int) -> Path:
        """A trial's run folder."""
        return self.path / f"trial-{number:03d}"

    def flags(self, settings: Mapping[str, str]) -> list[str]:
        """What a run with these settings is called with."""
        return [
            *self.fixed,
            *self.overrides,
            *(f"--{name}={value}" for name, value in settings.items()),
        ]

    @property
    def data_overrides(self) -> list[str]:
        """The overrides that say which data, for a test of the model."""
        kept, taken = [], False
        for word in self.overrides:
            if word.startswith("--"):
                taken = word.startswith("--data.")
            if taken:
                kept.append(word)
        return kept

    def attempt(
        self, number: int, settings: Mapping[str, str], report: Callable[[float], bool]
    ) -> float:
        """Fit with some settings, and watch the validations.

        Returns:
            The best score.

        Raises:
            StoppedTrialError: `report` said so.
            FailedTrialError: The run ended with an error.
            ZooError: The recipe does not have the score, or cannot run at all.
        """
        run = RunFolder(self.folder(number))
        command = [sys.executable, "-m", "recipes", self.name, "fit"]
        if run.last_checkpoint.is_file():  # it was interrupted
            command.append(f"--resume={run.path}")
        else:
            shutil.rmtree(run.path, ignore_errors=True)
            command += [*self.flags(settings), f"--run_dir={run.path}", f"--recipe={self.group}"]
        log = self._log(number)
        environment = {key: value for key, value in os.environ.items() if key not in _FOREIGN}
        with log.open("a", encoding="utf-8") as file:
            file.write(f"$ {shlex.join(command)}\n")
            file.flush()
            process = subprocess.Popen(
                command,
                stdout=file,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=environment,
                start_new_session=True,  # Ctrl-C comes to the search, which passes it on
            )
            try:
                stopped = self._watch(process, run, report)
            except BaseException:
                _stop(process)
                raise
        if stopped is not None:
            raise StoppedTrialError(stopped)
        if process.returncode != 0:
            self._fail(process.returncode, log, number)
        return self._score(run)

    def _watch(
        self,
        process: "subprocess.Popen[bytes]",
        run: RunFolder,
        report: Callable[[float], bool],
    ) -> float | None:
        """Report the validations until the trial ends; its last score if it was stopped."""
        seen: set[int] = set()
        while process.poll() is None:
            for row in run.read_history():
                if self.metric not in row or row["step"] in seen:
                    continue
                seen.add(row["step"])
                if report(row[self.metric]):
                    _stop(process)
                    return float(row[self.metric])
            time.sleep(_POLL)
        return None

    def _log(self, number: int) -> Path:
        return self.path / f"trial-{number:03d}.log"

    def _fail(self, status: int, log: Path, number: int) -> None:
        lines = [line.strip() for line in log.read_text(encoding="utf-8").splitlines()]
        errors = [line for line in lines if line.startswith("error: ")]
        reason = (errors or [line for line in lines if line] or ["nothing was said"])[-1]
        reason = reason.removeprefix("error: ")
        if status == 2 and number == 0:
            # What the first trial is refused for, the others are too.
            raise ZooError(reason)
        raise FailedTrialError(f"{reason} ({log})")

    def _score(self, run: RunFolder) -> float:
        metrics: dict[str, float] = json.loads(run.metrics.read_text(encoding="utf-8"))
        if self.metric not in metrics:
            known = [name for name in metrics if name.startswith("val/") and name.count("/") == 1]
            raise ZooError(
                f"The recipe has no score {self.metric}; say which decides: --metric "
                f"{' or '.join(known)}."
            )
        return metrics[self.metric]

    def tidy(self, tried: Iterable[Tried], *, keep: int | None) -> None:
        """Remove the checkpoints of trials that are over, and all their models but one."""
        for one in tried:
            run = RunFolder(self.folder(one.number))
            shutil.rmtree(run.checkpoints, ignore_errors=True)
            if one.number != keep:
                shutil.rmtree(run.model, ignore_errors=True)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """End a trial as Ctrl-C would: the step is done, and a checkpoint is written."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGINT)
    try:
        process.wait(timeout=_GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
