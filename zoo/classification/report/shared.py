"""What the reports of several modes share."""

from collections.abc import Sequence
from typing import Any

from zoo.tracking.report import Curve

#: Errors that are kept for the table.
ERRORS = 200
_LONGEST = 240

Diagram = Sequence[tuple[float, float]]


def shown(row: Any) -> str:
    """A text, or a pair, as a cell of a table."""
    text = row["text"] if row["text2"] is None else f"{row['text']} ‖ {row['text2']}"
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def texts_of(row: Any) -> dict[str, str]:
    """The text, or the pair, as part of a record."""
    pair = {} if row["text2"] is None else {"text2": row["text2"]}
    return {"text": row["text"], **pair}


def reliability(diagram: Diagram) -> dict[str, Curve]:
    """The reliability diagram: how often predictions of a probability are right."""
    if not diagram:
        return {}
    curve = Curve(
        "Reliability",
        "probability",
        "share that is right",
        {"model": list(diagram)},
        diagonal=True,
    )
    return {"reliability": curve}
