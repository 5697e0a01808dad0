"""What a benchmark found: a JSON file, and a table of it."""

import json
import os
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from benchmarks.speed import machine
from benchmarks.speed.timing import Spread
from zoo.training.allocator import HUGE_PAGES

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"


@dataclass(frozen=True)
class Goal:
    """A figure that was aimed at.

    Attributes:
        name: What was measured.
        found: Median and quartiles.
        goal: What it should be.
        side: Whether the goal is the least (`at least`) or the most that it should be.
    """

    name: str
    found: Spread
    goal: float
    side: Literal["at least", "at most"]

    @property
    def met(self) -> bool:
        """Whether the median reaches the goal."""
        found = self.found.median
        return found >= self.goal if self.side == "at least" else found <= self.goal


@dataclass
class Result:
    """A benchmark's figures: rows of a table, goals, and what was checked.

    Attributes:
        benchmark: Its name, and that of its file.
        settings: What it was called with.
        rows: One for each thing measured.
        goals: Which of the figures have a goal.
        checks: Differences between ways that must do the same: name and largest difference.
        errors: What could not be measured, and why.
        notes: What to know of the figures.
        before: The machine as it was at the beginning.
        complete: Whether it came to its end.
    """

    benchmark: str
    settings: dict[str, Any]
    rows: list[dict[str, Any]] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    checks: dict[str, float] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    notes: Sequence[str] = ()
    before: dict[str, Any] = field(default_factory=machine.describe)
    complete: bool = False

    @contextmanager
    def part(self, name: str, folder: Path) -> Iterator[None]:
        """Something to measure: what is known by then is written, and errors end nothing else.

        Args:
            name: What, for the error.
            folder: Where the record is written.
        """
        try:
            yield
        except (Exception, SystemExit) as error:
            traceback.print_exc()
            self.errors.append(f"{name}: {type(error).__name__}: {str(error)[:300]}")
        self.write(folder)

    def write(self, folder: Path) -> Path:
        """Write the JSON file; the file."""
        folder.mkdir(parents=True, exist_ok=True)
        record = {
            "benchmark": self.benchmark,
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": self.before,
            "load_average_after": machine.describe()["load_average"],
            "settings": self.settings,
            "rows": self.rows,
            "goals": [{**asdict(goal), "met": goal.met} for goal in self.goals],
            "checks": self.checks,
            "errors": self.errors,
            "notes": list(self.notes),
            "complete": self.complete,
        }
        file = folder / f"speed_{self.benchmark}.json"
        file.write_text(json.dumps(record, indent=1, default=_plain) + "\n", encoding="utf-8")
        return file


def read(folder: Path) -> dict[str, dict[str, Any]]:
    """The records of all benchmarks that lie in a folder, by name."""
    records = (
        json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("speed_*.json"))
    )
    return {record["benchmark"]: record for record in records}


def markdown(record: Mapping[str, Any]) -> str:
    """A benchmark's record as Markdown: where it was measured, its rows and its goals."""
    known = record["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in known["versions"].items())
    where = known["gpu"] or f"{known['processor']}, {known['processors']} processors"
    parts = [
        f"## {record['benchmark']}",
        f"{where}, {known['threads']} threads of torch, {known['system']}; Python "
        f"{known['python']}, {versions}; load {known['load_average'][0]} before. Median "
        "(quartiles) of rounds in turns.",
        table(record["rows"]),
    ]
    if record["goals"]:
        parts.append(
            table(
                [
                    {
                        "goal": goal["name"],
                        "found": Spread(*_spread(goal["found"])).text(3),
                        "wanted": f"{goal['side']} {goal['goal']:g}",
                        "met": "yes" if goal["met"] else "no",
                    }
                    for goal in record["goals"]
                ]
            )
        )
    if record["checks"]:
        checks = (f"{name} {value:.2g}" for name, value in record["checks"].items())
        parts.append(f"Largest differences: {'; '.join(checks)}.")
    if record.get("notes"):
        parts.append(" ".join(record["notes"]))
    if not record.get("complete", True):
        parts.append("**Unfinished:** the measurement was stopped before its end.")
    parts += [f"**Not measured:** {error}" for error in record.get("errors", [])]
    return "\n\n".join(parts) + "\n"


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as a Markdown table; columns in the order in which they first occur."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [names, ["---"] * len(names)]
    lines += [[_cell(row.get(name)) for name in names] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list | tuple) and len(value) == 3:
        return Spread(*value).text(_digits(value[0]))
    if isinstance(value, dict):
        return Spread(*_spread(value)).text(_digits(value["median"]))
    if isinstance(value, float):
        return f"{value:,.{_digits(value)}f}"
    return str(value)


def _digits(value: float) -> int:
    size = abs(value)
    return 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3


def _spread(value: Any) -> tuple[float, float, float]:
    if isinstance(value, Mapping):
        return value["median"], value["low"], value["high"]
    median, low, high = value
    return median, low, high


def environment() -> dict[str, str]:
    """Variables for processes that measure: offline, and with this package to be found.

    Huge pages, which `steps` asks for in its own process, are left to each of them.
    """
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    own = {name: value for name, value in os.environ.items() if name != HUGE_PAGES}
    return {**own, "PYTHONPATH": path, "WANDB_MODE": "offline", "HF_HUB_OFFLINE": "1"}


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value.item()
