"""Scores of classification: torchmetrics' own, and a calibration error that is a sum of counts."""

import warnings
from typing import Any

import torch
from torch import Tensor
from torchmetrics import (
    MeanAbsoluteError,
    Metric,
    MetricCollection,
    PearsonCorrCoef,
    SpearmanCorrCoef,
)
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassCohenKappa,
    MulticlassF1Score,
    MulticlassMatthewsCorrCoef,
    MultilabelF1Score,
)

from zoo.classification.precision import precise


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
        #: float `[bins, 3]`: texts, right ones, sum of probabilities.
        self.add_state("sums", torch.zeros(bins, 3, dtype=precise()), dist_reduce_fx="sum")

    def update(self, right: Tensor, confidence: Tensor) -> None:
        """Count some predictions.

        Args:
            right: Whether each is right, bool of any shape.
            confidence: Its probability, float of the same shape.
        """
        likely = confidence.to(self.sums.dtype).flatten()
        rows = torch.stack([torch.ones_like(likely), right.to(likely).flatten(), likely], dim=1)
        # A bin is open on the left and closed on the right.
        bins = ((likely * self.bins).ceil().long() - 1).clamp(0, self.bins - 1)
        self.sums = self.sums.index_add(0, bins, rows)

    def compute(self) -> Tensor:
        """The error, from 0 to 1; 0 if nothing was counted."""
        texts, right, likely = self.sums.unbind(dim=1)
        return (right - likely).abs().sum() / texts.sum().clamp(min=1)

    def diagram(self) -> list[tuple[float, float]]:
        """Mean probability and share of right ones of each bin that holds something."""
        return [
            (likely / count, right / count) for count, right, likely in self.sums.tolist() if count
        ]


class PearsonCorrelation(PearsonCorrCoef):
    """torchmetrics' own, right also where a process counted a single text, or none."""

    def compute(self) -> Tensor:
        """The correlation of all processes' texts."""
        if self.mean_x.numel() > 1:
            self._merge()
        found: Tensor = super().compute()
        return found

    def _merge(self) -> None:
        """Statistics of all from those of each process (Chan et al. 1983, doi 10.2307/2683386).

        torchmetrics takes the largest distance from a process's own mean as the scale of all: of
        one text that is 0, and it divides by it.
        """
        counts = self.n_total.reshape(-1)
        total = counts.sum()
        means, away = {}, {}
        for axis in ("x", "y"):
            own = getattr(self, f"mean_{axis}").reshape(-1)
            means[axis] = (counts * own).sum() / total.clamp(min=1)
            away[axis] = torch.where(counts > 0, own - means[axis], 0.0)
        for axis in ("x", "y"):
            spread = getattr(self, f"var_{axis}").sum() + (counts * away[axis].square()).sum()
            largest = (getattr(self, f"max_abs_dev_{axis}").reshape(-1) + away[axis].abs()).max()
            setattr(self, f"var_{axis}", spread.reshape(1))
            setattr(self, f"max_abs_dev_{axis}", largest.reshape(1))
            setattr(self, f"mean_{axis}", means[axis].reshape(1))
        together = self.corr_xy.sum() + (counts * away["x"] * away["y"]).sum()
        self.corr_xy, self.n_total = together.reshape(1), total.reshape(1)


def single_label_scores(labels: int, **options: Any) -> MetricCollection:
    """Accuracy, F1 in three averages and Matthews' correlation, of predicted and right label ids.

    Each state is a sum of counts, so that scores do not depend on the number of processes. In
    macro F1 a label that is neither there nor predicted is left out.

    Args:
        labels: Number of labels.
        options: What every metric of torchmetrics takes, such as `sync_on_compute`.
    """
    several: dict[str, Any] = {"num_classes": labels, "validate_args": False, **options}
    return _collection(
        accuracy=MulticlassAccuracy(average="micro", **several),
        f1_macro=MulticlassF1Score(average="macro", **several),
        f1_micro=MulticlassF1Score(average="micro", **several),
        f1_weighted=MulticlassF1Score(average="weighted", **several),
        mcc=MulticlassMatthewsCorrCoef(**several),
    )


def ordinal_scores(labels: int, **options: Any) -> MetricCollection:
    """Those of single labels; and quadratically weighted kappa and the mean error in steps."""
    kappa = MulticlassCohenKappa(
        num_classes=labels, weights="quadratic", validate_args=False, **options
    )
    return _collection(
        **dict(single_label_scores(labels, **options).items()),
        qwk=kappa,
        mae=MeanAbsoluteError(**options),
    )


def multi_label_scores(labels: int, **options: Any) -> MetricCollection:
    """F1 in three averages, of given and right labels as 0 or 1, int64 `[texts, labels]`."""
    several: dict[str, Any] = {"num_labels": labels, "validate_args": False, **options}
    return _collection(
        f1_macro=MultilabelF1Score(average="macro", **several),
        f1_micro=MultilabelF1Score(average="micro", **several),
        f1_weighted=MultilabelF1Score(average="weighted", **several),
    )


def regression_scores(**options: Any) -> MetricCollection:
    """Correlation of values (Pearson), of ranks (Spearman), and mean absolute error.

    Ranks need all values at once: this keeps two numbers of each text.
    """
    with warnings.catch_warnings():
        # That ranks need all values is said above, not to every user.
        warnings.filterwarnings("ignore", message=".*will save all targets and predictions")
        spearman = SpearmanCorrCoef(**options)
    scores = _collection(
        pearson=PearsonCorrelation(**options), spearman=spearman, mae=MeanAbsoluteError(**options)
    )
    # Sums of squares far from zero lose in float32 what tells the texts apart.
    scores.set_dtype(precise())
    return scores


def _collection(**metrics: Any) -> MetricCollection:
    # One state for all would be a little faster, but processes that counted nothing would then
    # have another number of states to bring together than the others.
    return MetricCollection(metrics, compute_groups=False)
