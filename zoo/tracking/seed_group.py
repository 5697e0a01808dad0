"""The folder of one recipe run with several seeds: a run for each, and what they say together."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from zoo.errors import RunError
from zoo.tracking.report import Table
from zoo.tracking.run_folder import RunFolder, write_atomically


class Spread(NamedTuple):
    """A score of several seeds: one value for each, in the order of the seeds."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean over the seeds."""
        return statistics.fmean(self.values)

    @property
    def deviation(self) -> float | None:
        """Standard deviation between seeds (of a sample: over n - 1); None of a single one."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None


@dataclass(frozen=True)
class SeedGroup:
    """`runs/<task>/<recipe>-<time>-seeds/`: `seed-42/`, ..., `seeds.json` and `report.md`."""

    path: Path

    @property
    def record(self) -> Path:
        """What was asked for, how each seed ended, and the scores; makes a folder a group."""
        return self.path / "seeds.json"

    @property
    def report(self) -> Path:
        """The scores as a page."""
        return self.path / "report.md"

    @property
    def curves(self) -> Path:
        """Training curves of all seeds."""
        return self.path / "curves.png"

    def run(self, seed: int) -> RunFolder:
        """The folder of a seed's run."""
        return RunFolder(self.path / f"seed-{seed}")

    def read(self) -> dict[str, Any]:
        """The record.

        Raises:
            RunError: It is damaged.
        """
        try:
            found = json.loads(self.record.read_text(encoding="utf-8"))
            {int(seed) for seed in found["seeds"]}, dict(found["settings"])
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(
                f"{self.record} is damaged ({error}). Its runs are in the folders beside it; run "
                "the seeds again in a new folder, or name those runs one by one."
            ) from error
        return found  # type: ignore[no-any-return]

    def write(self, record: Mapping[str, Any]) -> None:
        """Write the record."""
        text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
        write_atomically(self.record, text)

    def metrics(self, seed: int) -> dict[str, float]:
        """All scores of a seed's run; none where it was never scored.

        Raises:
            RunError: Its `metrics.json` is damaged.
        """
        path = self.run(seed).metrics
        if not path.is_file():
            return {}
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            return {str(name): float(value) for name, value in found.items()}
        except (ValueError, TypeError, AttributeError) as error:
            raise RunError(
                f"{path} is damaged ({error}). Move {path.parent} away, and give the command "
                "again: it runs the seed anew."
            ) from error


def is_group(path: Path) -> bool:
    """Whether a folder is that of several seeds."""
    return SeedGroup(path).record.is_file()


def spreads(metrics: Sequence[Mapping[str, float]]) -> dict[str, Spread]:
    """The scores that all seeds have, test scores first.

    Args:
        metrics: Scores of each seed, in the order of the seeds.
    """
    if not metrics:
        return {}
    order = ("test/", "val/", "baseline/", "perf/")
    names = [name for name in metrics[0] if all(name in one for one in metrics)]
    names.sort(key=lambda name: (_place(name, order), name.count("/"), name))
    return {name: Spread(tuple(one[name] for one in metrics)) for name in names}


def _place(name: str, order: Sequence[str]) -> int:
    return next((at for at, start in enumerate(order) if name.startswith(start)), len(order))


def spread_table(title: str, found: Mapping[str, Spread]) -> Table:
    """Mean, standard deviation, lowest, highest and all values of each score."""
    rows = []
    for name, spread in found.items():
        shown = "{:,.0f}" if abs(spread.mean) >= 100 else "{:.3f}"
        deviation = "-" if spread.deviation is None else shown.format(spread.deviation)
        ends = (shown.format(min(spread.values)), shown.format(max(spread.values)))
        values = "  ".join(shown.format(value) for value in spread.values)
        rows.append((name, shown.format(spread.mean), deviation, *ends, values))
    columns = ("score", "mean", "standard deviation", "min", "max", "values, by seed")
    return Table(title, columns, rows)
