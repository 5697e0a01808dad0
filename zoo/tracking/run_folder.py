"""The folder that one run leaves behind, and the names in it."""

import json
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.errors import RunError

#: Rank 0 tells the processes it starts which folder it chose.
ENVIRONMENT = "ZOO_RUN_DIR"


@dataclass(frozen=True)
class RunFolder:
    """`runs/<task>/<run id>/`: settings, scores, predictions, report, checkpoints and model."""

    path: Path

    @property
    def id(self) -> str:
        """The run's id: the folder's name."""
        return self.path.name

    @property
    def config(self) -> Path:
        """All settings; reruns the run."""
        return self.path / "config.yaml"

    @property
    def metrics(self) -> Path:
        """All scores, flat."""
        return self.path / "metrics.json"

    @property
    def history(self) -> Path:
        """Scores while training, one JSON line each time."""
        return self.path / "history.jsonl"

    @property
    def predictions(self) -> Path:
        """A JSON line for each test example, in order."""
        return self.path / "predictions.jsonl"

    @property
    def report(self) -> Path:
        """The model card."""
        return self.path / "report.md"

    @property
    def plots(self) -> Path:
        """Pictures of the report."""
        return self.path / "plots"

    @property
    def checkpoints(self) -> Path:
        """Lightning's checkpoints: the best, the last and the one before it."""
        return self.path / "checkpoints"

    @property
    def best_checkpoint(self) -> Path:
        """The weights that are tested and exported."""
        return self.checkpoints / "best.ckpt"

    @property
    def last_checkpoint(self) -> Path:
        """Where training goes on."""
        return self.checkpoints / "last.ckpt"

    @property
    def previous_checkpoint(self) -> Path:
        """Where training goes on if the last one is damaged."""
        return self.checkpoints / "previous.ckpt"

    @property
    def model(self) -> Path:
        """The best model in the format of transformers."""
        return self.path / "model"

    @property
    def adapter(self) -> Path:
        """What was trained of the best model alone, in the format of peft, where it is little."""
        return self.path / "adapter"

    def add_metrics(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """Add scores to `metrics.json`, and return all that are in it now."""
        known: dict[str, float] = {}
        if self.metrics.is_file():
            try:
                known = json.loads(self.metrics.read_text(encoding="utf-8"))
            except ValueError as error:
                raise RunError(f"{self.metrics} is damaged ({error}). Move it away.") from error
        known |= metrics
        write_atomically(self.metrics, json.dumps(dict(sorted(known.items())), indent=2) + "\n")
        return known

    def add_history(self, record: Mapping[str, Any]) -> None:
        """Append a line to `history.jsonl`."""
        with self.history.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def cut_history(self, step: int) -> None:
        """Drop the lines of `history.jsonl` after a step."""
        rows = self.read_history()
        kept = [row for row in rows if row["step"] <= step]
        if len(kept) < len(rows):
            write_atomically(self.history, "".join(json.dumps(row) + "\n" for row in kept))

    def read_history(self) -> list[dict[str, Any]]:
        """All lines of `history.jsonl`."""
        if not self.history.is_file():
            return []
        rows = []
        for line in self.history.read_text(encoding="utf-8").splitlines():
            try:
                rows.append(json.loads(line))
            except ValueError:  # a crash can cut the last line
                continue
        return rows


def choose_run_folder(*, task: str, recipe: str, chosen: str | None) -> RunFolder:
    """The folder of a new run: the user's choice, or one named after recipe and time.

    Nothing is made on disk yet.

    Raises:
        RunError: The chosen folder is a file, or holds another run.
    """
    inherited = os.environ.get(ENVIRONMENT)
    first = int(os.environ.get("RANK") or os.environ.get("LOCAL_RANK") or 0) == 0
    if inherited and not first:
        return RunFolder(Path(inherited))
    # Processes that torchrun started inherit nothing from each other, but all know its id.
    launch = os.environ.get("TORCHELASTIC_RUN_ID") if "RANK" in os.environ else None
    if launch is not None and chosen and not first:
        return RunFolder(Path(chosen).expanduser())
    if chosen is not None:
        path = Path(chosen).expanduser()
        if not chosen.strip():
            raise RunError("--run_dir is empty; give a folder, or leave it out.")
        if path.exists() and not path.is_dir():
            raise RunError(f"--run_dir {path} is a file; give a folder.")
        if RunFolder(path).checkpoints.exists():
            raise RunError(
                f"--run_dir {path} holds a run already. Give another folder, or go on with it: "
                f"--resume {path}"
            )
        if path.is_dir() and any(path.iterdir()):
            raise RunError(
                f"--run_dir {path} is not empty, and a run would write over what is in it. Give a "
                "new folder."
            )
    else:
        path = new_run_folder(task=task, recipe=recipe, launch=launch)
        if launch is not None and first and path.exists():
            raise RunError(f"{path} exists: give this start another RUN_ID, or a --run_dir.")
    os.environ[ENVIRONMENT] = str(path.resolve())
    return RunFolder(path)


def new_run_folder(*, task: str, recipe: str, ending: str = "", launch: str | None = None) -> Path:
    """A folder that is not there yet, named after recipe and time; nothing is made on disk.

    Processes that were launched together name it after their launch, and may find it there.
    """
    slug = re.sub(r"[^a-zA-Z0-9.]+", "-", recipe).strip("-") or "run"
    when = re.sub(r"[^a-zA-Z0-9.-]+", "-", launch or time.strftime("%Y%m%d-%H%M%S"))
    base = Path("runs") / task / f"{slug}-{when}{ending}"
    path, number = base, 2
    while launch is None and path.exists():
        path = base.with_name(f"{base.name}-{number}")
        number += 1
    return path


def existing_run_folder(path: str, *, option: str) -> RunFolder:
    """The folder of a run that was begun before.

    Raises:
        RunError: There is none; says what is wrong with the path.
    """
    folder = RunFolder(Path(path).expanduser())
    if folder.path.is_file():
        raise RunError(f"{option} {path} is a file, not the folder of a run.")
    if not folder.path.is_dir():
        raise RunError(f"{option} {path}: there is no such folder.")
    if not folder.config.is_file():
        raise RunError(f"{option} {path}: no config.yaml in it, so it is not the folder of a run.")
    return folder


def write_atomically(path: Path, text: str) -> None:
    """Write a text file under a temporary name and rename it, so that no reader sees half of it."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)
