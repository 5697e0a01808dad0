"""The comparison as one page of HTML that needs nothing beside itself, or as a part of one."""

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from zoo.tracking.comparison import group_tables, tables
from zoo.tracking.comparison.pictures import curves_png
from zoo.tracking.report import Table

if TYPE_CHECKING:
    from zoo.tracking.comparison.comparison import Comparison
    from zoo.tracking.comparison.groups import GroupComparison

#: Examples shown on which one run is better than the other, each way.
EXAMPLES = 50
#: Those in a notebook, among other things.
_FEW_EXAMPLES = 5
#: Characters of an example's text that are shown.
_LONGEST = 600


def page(comparison: "Comparison | GroupComparison") -> str:
    """The page. Everything that comes from data is escaped."""
    return _render("page.html", comparison, limit=EXAMPLES)


def fragment(comparison: "Comparison | GroupComparison") -> str:
    """What a notebook shows: the page without its frame, and with few examples."""
    return _render("comparison.html", comparison, limit=_FEW_EXAMPLES)


def _render(template: str, comparison: "Comparison | GroupComparison", *, limit: int) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["short"] = _short
    parts = _parts(comparison)
    curves = curves_png(parts.pop("histories"), score=f"val/{comparison.main}")
    names, errors = comparison.letters, comparison.errors
    changes = (
        []
        if errors is None
        else [
            (names[1], names[0], errors.second_better),
            (names[0], names[1], errors.first_better),
        ]
    )
    return environment.get_template(template).render(
        comparison=comparison,
        curves=None if curves is None else base64.b64encode(curves).decode("ascii"),
        changes=changes,
        limit=limit,
        **parts,
    )


def tables_of(comparison: "Comparison | GroupComparison") -> list[Table | None]:
    """Runs, settings, scores, costs and counts of examples, for the terminal."""
    parts = _parts(comparison)
    first, settings, costs = parts["tables"]
    return [first, settings, parts["scores"], costs, parts["counts"]]


def _parts(comparison: "Comparison | GroupComparison") -> dict[str, Any]:
    from zoo.tracking.comparison.comparison import Comparison

    return _of_runs(comparison) if isinstance(comparison, Comparison) else _of_groups(comparison)


def _of_runs(comparison: "Comparison") -> dict[str, Any]:
    return {
        "title": " and ".join(run.name for run in comparison.runs),
        "tables": [
            tables.runs_table(comparison),
            tables.settings_table(comparison),
            tables.costs_table(comparison),
        ],
        "scores": tables.scores_table(comparison),
        "classes": tables.classes_table(comparison),
        "counts": tables.errors_table(comparison),
        "histories": {
            letter: run.folder.read_history()
            for letter, run in zip(comparison.letters, comparison.runs, strict=True)
        },
        "note": f"In brackets the middle 95% of {comparison.resamples:,} bootstrap resamples of "
        f"the {comparison.examples:,} test examples, the same for all runs. p: how often swapping "
        "predictions between two runs at random makes them differ as much (approximate "
        "randomisation, two-sided). Both speak of the choice of test examples alone: another seed "
        "of the training may move a score further. No p is corrected for how many there are.",
    }


def _of_groups(comparison: "GroupComparison") -> dict[str, Any]:
    return {
        "title": " and ".join(group.name for group in comparison.groups),
        "tables": [
            group_tables.groups_table(comparison),
            group_tables.group_settings_table(comparison),
            group_tables.group_costs_table(comparison),
        ],
        "scores": group_tables.group_scores_table(comparison),
        "classes": group_tables.group_classes_table(comparison),
        "counts": group_tables.group_errors_table(comparison),
        "histories": {
            f"{letter}, mean of {len(group.runs)} seeds": group_tables.mean_history(group)
            for letter, group in zip(comparison.letters, comparison.groups, strict=True)
        },
        "note": "After the mean over seeds, ±, the standard deviation between seeds. In brackets "
        "the 95% interval of the difference of the means, and p (two-sided), by Welch's t-test on "
        "the scores of the seeds with the variance over test examples added "
        f"({comparison.resamples:,} bootstrap resamples of the {comparison.examples:,} examples, "
        "the same for all seeds): both speak of other seeds and other test examples. No p is "
        "corrected for how many there are.",
    }


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
