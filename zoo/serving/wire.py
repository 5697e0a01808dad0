"""What goes over the wire: the answers of each address, and how a request is refused."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel


class RequestError(Exception):
    """A request that is not answered with predictions.

    Args:
        status: The HTTP status.
        sentence: What is wrong and what to do.
        headers: Headers of the answer.
    """

    def __init__(self, status: int, sentence: str, *, headers: Mapping[str, str] | None = None):
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.headers = dict(headers or {})


class Problem(BaseModel):
    """The answer to a request that was refused."""

    error: str


class Answers(BaseModel):
    """Predictions, one for each input, in their order: what `recipes predict` writes as lines."""

    predictions: list[dict[str, Any]]


class Health(BaseModel):
    """How the server does.

    Attributes:
        status: `ok`.
        waiting: Inputs that wait for the model.
        inputs: Inputs that were predicted since the start.
        batches: Batches in which they were.
        together: How many of the inputs were in a batch with others.
    """

    status: Literal["ok"] = "ok"
    waiting: int
    inputs: int
    batches: int
    together: int


class Info(BaseModel):
    """What is served.

    Attributes:
        task: Name of the task's class.
        family: `ner`, `classification`, `qa`, `summarization`, ...
        backbone: The pretrained model that was fine-tuned.
        recipe: The recipe of the run; None for a model from elsewhere.
        labels: The head's labels.
        pairs: Whether inputs are pairs of texts; None where it is not known.
        limits: What the server takes.
        version: Of this library.
    """

    task: str
    family: str
    backbone: str
    recipe: str | None
    labels: list[str]
    pairs: bool | None
    limits: dict[str, int | float]
    version: str
