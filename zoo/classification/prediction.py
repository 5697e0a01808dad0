"""What prediction gives back: labels with probabilities or a number, and a table in notebooks."""

import html
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from zoo.training.predictions import Predictions


@dataclass  # not frozen: Lightning's `predict` would refuse it
class ClassifiedText:
    """What evaluation knows of one text that has one label.

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


@dataclass
class MultiLabelledText:
    """What evaluation knows of one text that has any number of labels.

    Args:
        example: The text's row in the table of examples.
        labels: Labels above their thresholds, the most probable first.
        probabilities: Their probabilities.
        gold: The labels that are right; none in prediction.
    """

    example: int
    labels: list[str]
    probabilities: list[float]
    gold: list[str]


@dataclass
class ValuedText:
    """What evaluation knows of one text that has a number.

    Args:
        example: The text's row in the table of examples.
        value: The predicted number, in the units of the data.
        gold: The right one; None in prediction.
    """

    example: int
    value: float
    gold: float | None


@dataclass(frozen=True)
class Prediction(ABC):
    """What is predicted of a text or a pair of texts.

    Args:
        text: The text, as given.
        text2: The second text of a pair.
    """

    text: str
    text2: str | None

    @property
    @abstractmethod
    def found(self) -> dict[str, Any]:
        """What was found, as plain data."""

    @property
    @abstractmethod
    def shown(self) -> Sequence[tuple[str, float | None]]:
        """Lines of the table in a notebook: words, and the probability that a bar shows."""

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as a line of the JSON output."""
        record: dict[str, Any] = {"text": self.text}
        if self.text2 is not None:
            record["text2"] = self.text2
        return record | self.found

    def _repr_html_(self) -> str:
        return _table([self])


@dataclass(frozen=True)
class ClassificationPrediction(Prediction):
    """A text with its most probable label.

    Args:
        label: The most probable label.
        probability: Its probability, from 0 to 1.
    """

    label: str
    probability: float

    @property
    def found(self) -> dict[str, Any]:
        """`label` and `probability`."""
        return {"label": self.label, "probability": round(self.probability, 4)}

    @property
    def shown(self) -> Sequence[tuple[str, float | None]]:
        """The label."""
        return [(self.label, self.probability)]


@dataclass(frozen=True)
class MultiLabelPrediction(Prediction):
    """A text with all labels that are above their thresholds; it may have none.

    Args:
        labels: Labels and their probabilities, the most probable first.
    """

    labels: tuple[tuple[str, float], ...]

    @property
    def found(self) -> dict[str, Any]:
        """`labels`, each with its `label` and `probability`."""
        pairs = [{"label": label, "probability": round(p, 4)} for label, p in self.labels]
        return {"labels": pairs}

    @property
    def shown(self) -> Sequence[tuple[str, float | None]]:
        """The labels."""
        return self.labels or [("(none)", None)]


@dataclass(frozen=True)
class RegressionPrediction(Prediction):
    """A text with a number.

    Args:
        value: The number, in the units of the training data.
    """

    value: float

    @property
    def found(self) -> dict[str, Any]:
        """`value`."""
        return {"value": float(f"{self.value:.7g}")}  # all that float32 knows

    @property
    def shown(self) -> Sequence[tuple[str, float | None]]:
        """The number."""
        return [(f"{self.value:.4g}", None)]


class ClassificationPredictions(Predictions[Any]):
    """Predictions in the order of the input; notebooks show them as a table."""

    #: Longest table in a notebook.
    ROWS = 100

    def _repr_html_(self) -> str:
        more = len(self) - self.ROWS
        return _table(self._predictions[: self.ROWS]) + (f"<p>and {more} more</p>" * (more > 0))


def _table(predictions: Sequence[Prediction]) -> str:
    rows = []
    for one in predictions:
        text = html.escape(one.text)
        if one.text2 is not None:
            text += f"<br>{html.escape(one.text2)}"
        names = "<br>".join(f"<b>{html.escape(name)}</b>" for name, _ in one.shown)
        bars = "".join(_bar(p) for _, p in one.shown if p is not None)
        rows.append(
            f'<tr><td style="text-align:left">{text}</td><td>{names}</td><td>{bars}</td></tr>'
        )
    head = "<tr><th>text</th><th>predicted</th><th>probability</th></tr>"
    return f"<table>{head}{''.join(rows)}</table>"


def _bar(probability: float) -> str:
    share = f"{probability:.0%}"
    colours = f"linear-gradient(90deg,#a5d8f3 {share},transparent {share})"
    return f'<div style="background:{colours}">{probability:.3f}</div>'
