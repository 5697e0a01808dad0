"""What a family says of a test, and the Markdown page that is made of it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Table:
    """A table of the report, shown on the page, in the terminal and in W&B alike."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]

    def markdown(self, limit: int | None = None) -> str:
        """As Markdown; numbers that are no counts with three decimals."""
        lines = [
            "| " + " | ".join(_cell(name) for name in self.columns) + " |",
            "|" + "|".join(" --- " for _ in self.columns) + "|",
        ]
        for row in self.rows[:limit]:
            lines.append("| " + " | ".join(_cell(value) for value in row) + " |")
        return "\n".join(lines)


@dataclass(frozen=True)
class ConfusionMatrix:
    """How often a gold class (row) was predicted as which class (column).

    Args:
        names: Class names, of rows and columns alike.
        counts: One row of counts for each gold class.
    """

    names: Sequence[str]
    counts: Sequence[Sequence[int]]


@dataclass(frozen=True)
class Curve:
    """Lines over one axis, such as scores over a threshold.

    Args:
        title: What the picture shows.
        x: Name of the horizontal axis.
        y: Name of the vertical axis.
        lines: Points `(x, y)` of each line, by the line's name, in order of x.
        mark: An x that is marked by an upright line, such as the threshold that was chosen.
        diagonal: Whether to draw y = x, where a perfect model's line would lie.
    """

    title: str
    x: str
    y: str
    lines: Mapping[str, Sequence[tuple[float, float]]]
    mark: float | None = None
    diagonal: bool = False


@dataclass(frozen=True)
class TaskReport:
    """What a family knows of a test beyond its scores.

    Args:
        tables: By key, such as `errors`; the key is also the one in W&B.
        predictions: One plain record for each example, in the order of the data.
        confusion: Gold against predicted classes, where that makes sense.
        curves: Lines to draw, by the name of the picture's file; the key is also the one in W&B.
        main_table: Key of the table that the terminal shows after a test.
    """

    tables: Mapping[str, Table]
    predictions: Iterable[Mapping[str, Any]]
    confusion: ConfusionMatrix | None = None
    curves: Mapping[str, Curve] = field(default_factory=dict)
    main_table: str | None = None


@dataclass
class ReportPage:
    """The page `report.md` of a run: a model card with data, settings, results and pictures."""

    title: str
    facts: Mapping[str, Any]
    metrics: Mapping[str, float]
    notes: Sequence[str] = ()
    tables: Sequence[Table] = ()
    pictures: Mapping[str, Path] = field(default_factory=dict)
    config: str = ""
    usage: str = ""

    #: Longest table on the page; W&B and predictions.jsonl have the rest.
    ROWS = 30

    def markdown(self) -> str:
        """The page."""
        parts = [f"# {self.title}"]
        parts.append("\n".join(f"- **{key}**: {value}" for key, value in self.facts.items()))
        if self.metrics:
            parts.append(
                "## Results\n\n" + Table("", ("score", "value"), _scores(self.metrics)).markdown()
            )
        if self.notes:
            parts.append("## Notes on the data\n\n" + "\n".join(f"- {note}" for note in self.notes))
        for table in self.tables:
            shown = min(len(table.rows), self.ROWS)
            more = f"\n\n{shown} of {len(table.rows)} rows." if shown < len(table.rows) else ""
            parts.append(f"## {table.title}\n\n{table.markdown(self.ROWS)}{more}")
        for title, path in self.pictures.items():
            parts.append(f"## {title}\n\n![{title}]({path.as_posix()})")
        if self.usage:
            parts.append(f"## Use\n\n{self.usage}")
        if self.config:
            parts.append(f"## Settings\n\n```yaml\n{self.config.strip()}\n```")
        return "\n\n".join(parts) + "\n"


def facts_of(page: str) -> dict[str, str]:
    """The facts at the top of a page, by their names."""
    top = page.split("\n## ", 1)[0]
    return dict(re.findall(r"^- \*\*(.+?)\*\*: (.*)$", top, flags=re.MULTILINE))


def _scores(metrics: Mapping[str, float]) -> list[tuple[str, float]]:
    """What a reader looks for first; scores of single classes have a table of their own."""
    order = ("test/", "baseline/", "val/", "perf/")
    return [
        (key, value)
        for prefix in order
        for key, value in sorted(metrics.items())
        if key.startswith(prefix) and (key.count("/") < 2 or prefix == "baseline/")
    ]


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 100 else f"{value:,.0f}"
    return " ".join(str(value).replace("|", "\\|").splitlines())
