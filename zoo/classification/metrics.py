"""Scores of classification: torchmetrics' own, and a calibration error that is a sum of counts."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassF1Score,
    MulticlassMatthewsCorrCoef,
)


class CalibrationError(Metric):
    """Expected calibration error: how far probabilities are from the share that is right.

    Texts are put into bins of equal width by the probability of their predicted label; the error
    is the mean distance between a bin's mean probability and its accuracy, weighted by its texts.
    torchmetrics' own keeps every probability; here a bin is three sums, which reduce exactly.

    Args:
        bins: Number of bins.
    """

    full_state_update = False
    higher_is_better = False
    sums: Tensor

    def __init__(self, bins: int = 15, **kwargs: Any):
        super().__init__(**kwargs)
        self.bins = bins
        #: float64 `[bins, 3]`: texts, right ones, sum of probabilities.
        self.add_state("sums", torch.zeros(bins, 3, dtype=torch.double), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor, confidence: Tensor) -> None:
        """Count some texts.

        Args:
            preds: Predicted label ids, int64 `[texts]`.
            target: Label ids that are right, int64 `[texts]`.
            confidence: Probability of the predicted labels, float `[texts]`.
        """
        likely = confidence.double()
        rows = torch.stack([torch.ones_like(likely), (preds == target).double(), likely], dim=1)
        # A bin is open on the left and closed on the right.
        bins = ((likely * self.bins).ceil().long() - 1).clamp(0, self.bins - 1)
        self.sums = self.sums.index_add(0, bins, rows)

    def compute(self) -> Tensor:
        """The error, from 0 to 1; 0 if nothing was counted."""
        texts, right, likely = self.sums.unbind(dim=1)
        return (right - likely).abs().sum() / texts.sum().clamp(min=1)


def classification_scores(labels: int, **options: Any) -> MetricCollection:
    """Accuracy, F1 in three averages, Matthews' correlation and calibration error.

    Each state is a sum of counts, so that scores do not depend on the number of processes. In
    macro F1 a label that is neither there nor predicted is left out.

    Args:
        labels: Number of labels.
        options: What every metric of torchmetrics takes, such as `sync_on_compute`.
    """
    # One state for all would be a little faster, but processes that counted nothing would then
    # have another number of states to bring together than the others.
    several: dict[str, Any] = {"num_classes": labels, "validate_args": False, **options}
    return MetricCollection(
        {
            "accuracy": MulticlassAccuracy(average="micro", **several),
            "f1_macro": MulticlassF1Score(average="macro", **several),
            "f1_micro": MulticlassF1Score(average="micro", **several),
            "f1_weighted": MulticlassF1Score(average="weighted", **several),
            "mcc": MulticlassMatthewsCorrCoef(**several),
            "ece": CalibrationError(**options),
        },
        compute_groups=False,
    )
