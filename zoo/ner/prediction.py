"""What prediction gives back: entities with their place in the text, and a picture in notebooks."""

import html
from dataclasses import asdict, dataclass, field
from typing import Any

from zoo.training.predictions import Predictions

#: Background colours of entity types, in the order in which types appear (lightened Okabe-Ito).
_COLOURS = ("#fbd38d", "#a5d8f3", "#a7e3cf", "#f3c6dd", "#f5ec9a", "#c9d5ea", "#f2b8a0", "#dddddd")


@dataclass  # not frozen: Lightning's `predict` would refuse it
class TaggedDocument:
    """What evaluation knows of one document.

    Args:
        example: The document's row in the table of examples.
        tags: Predicted BIO tags, one a word.
        scores: Probability of each of those tags.
        gold: The tags that are right; empty in prediction.
    """

    example: int
    tags: list[str]
    scores: list[float]
    gold: list[str]


@dataclass(frozen=True)
class PredictedEntity:
    """One entity of a text.

    Args:
        type: Its type, such as `PER`.
        text: The stretch of text.
        start: Offset of its first character (code point) in the text.
        end: Offset one past its last character.
        score: Mean probability of the tags of its words, from 0 to 1.
    """

    type: str
    text: str
    start: int
    end: int
    score: float


@dataclass(frozen=True)
class NERPrediction:
    """A text and its entities, in the order of the text.

    Args:
        text: The text, as given; of a list of words, the words joined by single spaces.
        entities: The entities.
        tokens: The words, where the input was a list of words.
        tags: A BIO tag for each of those words.
    """

    text: str
    entities: list[PredictedEntity]
    tokens: list[str] | None = field(default=None, repr=False)
    tags: list[str] | None = field(default=None, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as a line of the JSON output."""
        record: dict[str, Any] = {"text": self.text, "entities": []}
        record["entities"] = [
            {**asdict(entity), "score": round(entity.score, 4)} for entity in self.entities
        ]
        if self.tokens is not None:
            record |= {"tokens": self.tokens, "tags": self.tags}
        return record

    def _repr_html_(self) -> str:
        types = list(dict.fromkeys(entity.type for entity in self.entities))
        return _paragraph(self, {name: _COLOURS[i % len(_COLOURS)] for i, name in enumerate(types)})


class NERPredictions(Predictions[NERPrediction]):
    """Predictions in the order of the input; notebooks show their entities in colour."""

    def _repr_html_(self) -> str:
        types = dict.fromkeys(entity.type for one in self for entity in one.entities)
        colours = {name: _COLOURS[i % len(_COLOURS)] for i, name in enumerate(types)}
        return "".join(_paragraph(one, colours) for one in self)


def _paragraph(prediction: NERPrediction, colours: dict[str, str]) -> str:
    parts, at = [], 0
    for entity in prediction.entities:
        parts.append(html.escape(prediction.text[at : entity.start]))
        parts.append(
            f'<mark style="background:{colours[entity.type]};color:#111;padding:.1em .3em;'
            f'border-radius:.3em" title="score {entity.score:.2f}">{html.escape(entity.text)} '
            f'<small style="font-weight:bold">{html.escape(entity.type)}</small></mark>'
        )
        at = entity.end
    parts.append(html.escape(prediction.text[at:]))
    return f'<p style="line-height:1.9">{"".join(parts)}</p>'
