"""What a mode of classification has to say."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from zoo.backbones import ProblemType
from zoo.classification.encoding import Text
from zoo.classification.modes import Mode
from zoo.classification.prediction import Prediction
from zoo.tracking.report import TaskReport

Batch = Mapping[str, Any]


class Objective(nn.Module, ABC):
    """What sets a mode apart: targets, loss, scores, calibration and results.

    What is fitted on validation lies in buffers, so that a checkpoint carries it.

    Args:
        labels: All labels, in the order of their ids. A model may know fewer: those at the end
            are of data that it was not trained on.
    """

    mode: ClassVar[Mode]
    #: What transformers calls the mode; its pipeline chooses softmax or sigmoid by it.
    problem_type: ClassVar[ProblemType]
    #: The score that chooses the best checkpoint.
    monitor: str

    def __init__(self, labels: Sequence[str]):
        super().__init__()
        self.labels = list(labels)
        #: Mean probability and share of right ones, of the latest test.
        self.diagram: list[tuple[float, float]] = []

    # From data to a batch.

    @staticmethod
    @abstractmethod
    def target(labels: Sequence[str], ids: Mapping[str, int]) -> list[float]:
        """The target of one text as the cache keeps it: ids of labels, or the number."""

    @staticmethod
    @abstractmethod
    def targets(rows: Sequence[Sequence[float]], *, labels: int) -> Tensor:
        """The targets of a batch, from what `target` gave for each text."""

    @staticmethod
    @abstractmethod
    def constants(rows: Iterable[Sequence[str]], labels: Sequence[str]) -> dict[str, Tensor]:
        """What the loss must know of all of train, from the labels of each text; in each batch."""

    # Training.

    def begin(self, batch: Batch, output: nn.Linear, *, kept: bool) -> None:
        """Before the loss of each training batch.

        Args:
            batch: The batch, with the constants.
            output: The model's last layer.
            kept: Whether that layer is one that was trained before.
        """

    @abstractmethod
    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """The training loss, mean over the texts of a batch."""

    def weight(self, batch: Batch, *, known: int) -> Tensor | int:
        """How much a batch weighs beside others: the number of texts that its loss is a mean of.

        Args:
            batch: The batch.
            known: Labels that the model knows.
        """
        return len(batch["labels"])

    def validation_loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """The loss without what only training has, such as weights of classes."""
        return self.loss(logits, batch)

    def calibrated(self, logits: Tensor) -> Tensor:
        """Logits as an exported model gives them, where the loss depends on it."""
        return logits

    # Evaluation.

    @abstractmethod
    def count(self, stage: str, logits: Tensor, batch: Batch) -> None:
        """Count the texts of a batch; `stage` is `validate` or `test`."""

    def calibrate(self) -> None:
        """Fit on what was counted in validation what `calibration` holds."""

    @abstractmethod
    def scores(self, stage: str) -> dict[str, Tensor]:
        """Scores of what was counted, all processes together; then begin anew."""

    @property
    def calibration(self) -> dict[str, Any]:
        """What was fitted beside the weights and is not folded into them, as plain data."""
        return {}

    def restore(self, calibration: Mapping[str, Any]) -> None:
        """Take what an exported model says of its calibration."""

    def affine(self) -> tuple[Tensor, Tensor]:
        """Scale `[]` and shift `[]` or `[labels]` of the logits, folded into the last layer."""
        return torch.ones(()), torch.zeros(())

    # Results.

    @abstractmethod
    def results(self, logits: Tensor, batch: Batch) -> list[Any]:
        """What is predicted of each text of a batch, with its `example` and what is right."""

    @abstractmethod
    def prediction(self, text: Text, result: Any) -> Prediction:
        """What the user gets for one text."""

    @abstractmethod
    def report(self, results: Sequence[Any], examples: Any) -> TaskReport:
        """Tables and pictures of a test."""
