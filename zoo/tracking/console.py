"""What a person sees in the terminal: the scores, where things are, what to do next."""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from zoo.tracking.report import Table


def console() -> Console:
    """The terminal; lines are not cut where the output is no terminal."""
    return Console(width=None if sys.stdout.isatty() else 160, highlight=False, soft_wrap=True)


def program(name: str) -> str:
    """How to call a program that lies beside this Python, where the shell would not find it."""
    ours = Path(sys.executable).with_name(name)
    found = shutil.which(name)
    if found is not None and Path(found).resolve() == ours.resolve() and Path(found) == ours:
        return name
    return shown(ours) if ours.exists() else name


def shown(path: Path) -> str:
    """A path as a person would type it here."""
    absolute = Path(os.path.abspath(path))  # noqa: PTH100  resolve() would leave the environment
    try:
        return str(absolute.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def print_table(table: Table) -> None:
    """A table of the report."""
    drawn = RichTable(title=escape(table.title), box=box.SIMPLE_HEAD, title_justify="left")
    for index, column in enumerate(table.columns):
        drawn.add_column(escape(column), justify="left" if index == 0 else "right")
    for row in table.rows:
        cells = (f"{cell:.3f}" if isinstance(cell, float) else escape(str(cell)) for cell in row)
        drawn.add_row(*cells)
    console().print(drawn)


def print_scores(metrics: Mapping[str, float], names: Sequence[str]) -> None:
    """Some scores, one a line; those that are not there are left out."""
    width = max((len(name) for name in names if name in metrics), default=0)
    for name in names:
        if name in metrics:
            value = metrics[name]
            shown = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3f}"
            console().print(f"  {name:<{width}}  {shown}")
