"""What prediction gives back: summaries with their sentences, marked in the text in notebooks."""

import html
from dataclasses import dataclass
from typing import Any

from zoo.summarization.extractive.selection import joined
from zoo.training.predictions import Predictions


@dataclass  # not frozen: Lightning's `predict` would refuse it
class SummarySentence:
    """A sentence of a text that is part of its summary.

    Args:
        index: Its number among the sentences of the text, from 0.
        start: Its first character in the text.
        end: One past its last character.
        score: The model's; the higher, the more it says of the summary. Comparable within a text.
    """

    index: int
    start: int
    end: int
    score: float

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "index": self.index,
            "start": self.start,
            "end": self.end,
            "score": round(self.score, 4),
        }


@dataclass  # not frozen: Lightning's `predict` would refuse it
class SummaryPrediction:
    """A text with its summary.

    Args:
        source: The text; where it was given as a list of sentences, these with a space between.
        sentences: Those that make the summary, in the order of the text.
        id: As given; None where there was none.
    """

    source: str
    sentences: list[SummarySentence]
    id: str | None = None

    @property
    def summary(self) -> str:
        """The sentences as one text; empty where the text has none."""
        return joined([self.source[one.start : one.end] for one in self.sentences])

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as a line of the JSON output."""
        record: dict[str, Any] = {} if self.id is None else {"id": self.id}
        record["summary"] = self.summary
        record["sentences"] = [one.to_dict() for one in self.sentences]
        return record

    def _repr_html_(self) -> str:
        return _shown(self)


class SummaryPredictions(Predictions[SummaryPrediction]):
    """Predictions in the order of the input; notebooks show each text with its summary marked."""

    #: Most texts shown in a notebook.
    SHOWN = 20

    def _repr_html_(self) -> str:
        more = len(self) - self.SHOWN
        shown = "<hr>".join(map(_shown, self._predictions[: self.SHOWN]))
        return shown + (f"<p>and {more} more</p>" * (more > 0))


#: Characters of a text that are shown around the sentences of its summary.
_AROUND = 600


def _shown(prediction: SummaryPrediction) -> str:
    parts, at = [], 0
    for one in prediction.sentences:
        parts.append(_between(prediction.source[at : one.start], first=at == 0))
        parts.append(
            f'<mark style="background:#a5d8f3" title="{one.score:.2f}">'
            f"{html.escape(prediction.source[one.start : one.end])}</mark>"
        )
        at = one.end
    rest = prediction.source[at:]
    parts.append(html.escape(rest[:_AROUND]) + "…" * (len(rest) > _AROUND))
    return f'<div style="white-space:pre-wrap">{"".join(parts)}</div>'


def _between(text: str, *, first: bool) -> str:
    """What stands before a sentence; of much text only what is near."""
    if len(text) <= 2 * _AROUND:
        return html.escape(text)
    before = "" if first else html.escape(text[:_AROUND])
    return f"{before} … {html.escape(text[-_AROUND:])}"
