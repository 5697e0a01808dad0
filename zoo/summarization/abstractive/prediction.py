"""What prediction gives back: summaries, shown beside their texts in notebooks."""

import html
from dataclasses import dataclass
from typing import Any

from zoo.training.predictions import Predictions


@dataclass  # not frozen: Lightning's `predict` would refuse it
class SummaryPrediction:
    """A text with its summary.

    Args:
        source: The text; where it was given as a list of sentences, these with a space between.
        summary: What was written; empty for an empty text.
        cut: Tokens at the text's end that were not read, as the model can take no more.
        id: As given; None where there was none.
    """

    source: str
    summary: str
    cut: int = 0
    id: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as a line of the JSON output; `cut` only where something was."""
        record: dict[str, Any] = {} if self.id is None else {"id": self.id}
        record["summary"] = self.summary
        if self.cut:
            record["cut"] = self.cut
        return record

    def _repr_html_(self) -> str:
        return _shown(self)


class SummaryPredictions(Predictions[SummaryPrediction]):
    """Predictions in the order of the input; notebooks show each summary above its text."""

    #: Most texts shown in a notebook.
    SHOWN = 20

    def _repr_html_(self) -> str:
        more = len(self) - self.SHOWN
        shown = "<hr>".join(map(_shown, self._predictions[: self.SHOWN]))
        return shown + (f"<p>and {more} more</p>" * (more > 0))


#: Characters of a text that are shown.
_BEGINNING = 600


def _shown(prediction: SummaryPrediction) -> str:
    text = prediction.source
    more = "…" if len(text) > _BEGINNING else ""
    return (
        f"<div><b>{html.escape(prediction.summary)}</b>"
        f'<p style="color:grey;white-space:pre-wrap">{html.escape(text[:_BEGINNING])}{more}</p>'
        "</div>"
    )
