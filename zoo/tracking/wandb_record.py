"""What a run folder keeps of its W&B run, so that a resumed run goes on in the same one."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from zoo.tracking.run_folder import write_atomically


@dataclass
class WandbRecord:
    """`wandb/run.json`: which run it is, and how far it has come.

    Args:
        id: The run's id at W&B.
        project: Its project.
        entity: Its user or team; None while it is only on disk.
        url: Its page; None while it is only on disk.
        rows: Rows of history so far.
        step: The step of training that was logged last; -1 before the first.
        keys: What was logged at that step.
        best: The validation scores of the best epoch, with that step and epoch.
    """

    id: str
    project: str = ""
    entity: str | None = None
    url: str | None = None
    rows: int = 0
    step: int = -1
    keys: list[str] = field(default_factory=list)
    best: dict[str, float] = field(default_factory=dict)

    @staticmethod
    def path(run_folder: Path) -> Path:
        """Where it lies in a run's folder."""
        return run_folder / "wandb" / "run.json"

    @classmethod
    def read(cls, run_folder: Path) -> "WandbRecord | None":
        """The record in a run's folder; None where there is none that can be read."""
        try:
            found = json.loads(cls.path(run_folder).read_text(encoding="utf-8"))
            return cls(**found) if isinstance(found["id"], str) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, run_folder: Path) -> None:
        """Keep it in a run's folder."""
        path = self.path(run_folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(asdict(self), indent=2) + "\n")

    def new_in(self, row: Mapping[str, Any], step: int) -> dict[str, Any]:
        """What of a row was not logged yet.

        A run that goes on from its last checkpoint does the steps after it once more, with the
        same results.
        """
        if step < self.step:
            return {}
        seen = self.keys if step == self.step else ()
        new = {key: value for key, value in row.items() if key not in seen}
        return new if set(new) - {"epoch"} else {}

    def count(self, row: Mapping[str, Any], step: int) -> None:
        """Note that a row was logged at a step."""
        known = self.keys if step == self.step else []
        self.keys = sorted({*known, *row} - {"epoch"})
        self.step = step

    def note_best(
        self, row: Mapping[str, float], step: int, *, monitor: str, mode: str
    ) -> dict[str, float]:
        """The best validation so far, with the one in `row`; the first of equals."""
        value, sign = row[monitor], 1 if mode == "max" else -1
        before = self.best.get(monitor, math.nan)
        if math.isnan(before) or sign * value > sign * before:
            self.best = {name: value for name, value in row.items() if name.startswith("val/")}
            self.best["best/step"] = step
            if "epoch" in row:
                self.best["best/epoch"] = row["epoch"]
        return self.best
