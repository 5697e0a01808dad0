"""The comparison as one page of HTML that needs nothing beside itself."""

import base64
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from zoo.tracking.comparison.comparison import Comparison
from zoo.tracking.comparison.pictures import curves_png
from zoo.tracking.comparison.tables import (
    classes_table,
    costs_table,
    errors_table,
    runs_table,
    scores_table,
    settings_table,
)

#: Examples shown on which one run is better than the other, each way.
EXAMPLES = 50
#: Characters of an example's text that are shown.
_LONGEST = 600


def page(comparison: Comparison) -> str:
    """The page. Everything that comes from data is escaped."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["short"] = _short
    histories = {
        letter: run.folder.read_history()
        for letter, run in zip(comparison.letters, comparison.runs, strict=True)
    }
    curves = curves_png(histories, score=f"val/{comparison.main}")
    names, errors = comparison.letters, comparison.errors
    changes = (
        []
        if errors is None
        else [
            (names[1], names[0], errors.second_better),
            (names[0], names[1], errors.first_better),
        ]
    )
    return environment.get_template("page.html").render(
        comparison=comparison,
        title=f"{' and '.join(run.name for run in comparison.runs)}",
        tables=[runs_table(comparison), settings_table(comparison), costs_table(comparison)],
        scores=scores_table(comparison),
        classes=classes_table(comparison),
        counts=errors_table(comparison),
        curves=None if curves is None else base64.b64encode(curves).decode("ascii"),
        changes=changes,
        limit=EXAMPLES,
    )


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
