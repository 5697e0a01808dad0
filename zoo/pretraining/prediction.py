"""What prediction gives back: for each mask of a text its most probable tokens."""

import html
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from zoo.training.predictions import Predictions


@dataclass  # not frozen: Lightning's `predict` would refuse it
class MaskedBlock:
    """What evaluation knows of one block.

    Args:
        example: Row of the last document in the block.
        part: Number of the block among those that end in that document.
        ids: The block's tokens as they are.
        places: Where the masked ones stand.
        predicted: The most probable token at each of them.
        scores: Its probability, from 0 to 1.
        nats: Cross-entropy of the right token.
        sizes: UTF-8 bytes of text that each right token stands for.
    """

    example: int
    part: int
    ids: list[int]
    places: list[int]
    predicted: list[int]
    scores: list[float]
    nats: list[float]
    sizes: list[int]


@dataclass(frozen=True)
class Fill:
    """A token that could stand for a mask.

    Args:
        token: Its text, without the space before it.
        score: Its probability, from 0 to 1.
        text: The given text with it in place of this mask.
    """

    token: str
    score: float
    text: str


@dataclass(frozen=True)
class FilledText:
    """A text and, for each of its masks in order, the most probable tokens first."""

    text: str
    masks: list[list[Fill]]

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as a line of the JSON output."""
        return {
            "text": self.text,
            "masks": [
                [
                    {"token": one.token, "score": round(one.score, 4), "text": one.text}
                    for one in fills
                ]
                for fills in self.masks
            ],
        }

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<li>{', '.join(f'<b>{html.escape(one.token)}</b> {one.score:.2f}' for one in fills)}"
            "</li>"
            for fills in self.masks
        )
        return f"<p>{html.escape(self.text)}</p><ol>{rows}</ol>"


class FilledTexts(Predictions[FilledText]):
    """Predictions in the order of the input."""

    def _repr_html_(self) -> str:
        return "".join(one._repr_html_() for one in self)


@dataclass(frozen=True)
class Continuation:
    """A text and what a causal model goes on with."""

    text: str
    continuation: str

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as a line of the JSON output."""
        return {"text": self.text, "continuation": self.continuation}

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.text)}<b>{html.escape(self.continuation)}</b></p>"


class Continuations(Predictions[Continuation]):
    """Predictions in the order of the input."""

    def _repr_html_(self) -> str:
        return "".join(one._repr_html_() for one in self)


def window(ids: list[int], place: int, *, longest: int, frame: tuple[int, int]) -> tuple[int, int]:
    """Begin and end of the tokens around a place that the model can read at once.

    Args:
        ids: Tokens of a text, without special ones around.
        place: The token that must be in it.
        longest: What the model can read, special tokens included.
        frame: Special tokens before and behind.
    """
    room = longest - sum(frame)
    begin = max(0, min(place - room // 2, len(ids) - room))
    return begin, min(len(ids), begin + room)


def best_tokens(logits: Tensor, *, top_k: int) -> list[tuple[int, float]]:
    """The most probable tokens of one mask with their probabilities."""
    found = torch.softmax(logits.float(), dim=-1).topk(min(top_k, logits.shape[-1]))
    return list(zip(found.indices.tolist(), found.values.tolist(), strict=True))
