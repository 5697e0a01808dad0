"""What prediction gives back: a label and its probability, and a table in notebooks."""

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload


@dataclass  # not frozen: Lightning's `predict` would refuse it
class ClassifiedText:
    """What evaluation knows of one text.

    Args:
        example: The text's row in the table of examples.
        label: The most probable label.
        probability: Its probability.
        gold: The label that is right; empty in prediction.
    """

    example: int
    label: str
    probability: float
    gold: str


@dataclass(frozen=True)
class ClassificationPrediction:
    """A text, or a pair of texts, with its most probable label.

    Args:
        text: The text, as given.
        label: The most probable label.
        probability: Its probability, from 0 to 1.
        text2: The second text of a pair.
    """

    text: str
    label: str
    probability: float
    text2: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as a line of the JSON output."""
        record: dict[str, Any] = {"text": self.text}
        if self.text2 is not None:
            record["text2"] = self.text2
        return record | {"label": self.label, "probability": round(self.probability, 4)}

    def _repr_html_(self) -> str:
        return _table([self])


class ClassificationPredictions(Sequence[ClassificationPrediction]):
    """Predictions in the order of the input; notebooks show them as a table."""

    #: Longest table in a notebook.
    ROWS = 100

    def __init__(self, predictions: Sequence[ClassificationPrediction]):
        self._predictions = list(predictions)

    @overload
    def __getitem__(self, index: int) -> ClassificationPrediction: ...
    @overload
    def __getitem__(self, index: slice) -> "ClassificationPredictions": ...
    def __getitem__(
        self, index: int | slice
    ) -> "ClassificationPrediction | ClassificationPredictions":
        if isinstance(index, slice):
            return ClassificationPredictions(self._predictions[index])
        return self._predictions[index]

    def __len__(self) -> int:
        return len(self._predictions)

    def __iter__(self) -> Iterator[ClassificationPrediction]:
        return iter(self._predictions)

    def __repr__(self) -> str:
        return f"ClassificationPredictions({self._predictions!r})"

    def _repr_html_(self) -> str:
        more = len(self) - self.ROWS
        return _table(self._predictions[: self.ROWS]) + (f"<p>and {more} more</p>" * (more > 0))


def _table(predictions: Sequence[ClassificationPrediction]) -> str:
    rows = []
    for one in predictions:
        text = html.escape(one.text)
        if one.text2 is not None:
            text += f"<br>{html.escape(one.text2)}"
        share = f"{one.probability:.0%}"
        rows.append(
            f'<tr><td style="text-align:left">{text}</td><td><b>{html.escape(one.label)}</b></td>'
            f'<td style="background:linear-gradient(90deg,#a5d8f3 {share},transparent {share})">'
            f"{one.probability:.3f}</td></tr>"
        )
    head = "<tr><th>text</th><th>label</th><th>probability</th></tr>"
    return f"<table>{head}{''.join(rows)}</table>"
