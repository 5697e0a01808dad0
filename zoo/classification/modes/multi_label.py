"""Any number of labels for each text."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.classification.calibration import LabelCurves, TemperatureFit, Thresholds
from zoo.classification.encoding import Text
from zoo.classification.metrics import CalibrationError, multi_label_scores
from zoo.classification.modes.base import Batch, Objective
from zoo.classification.precision import precise
from zoo.classification.prediction import MultiLabelledText, MultiLabelPrediction
from zoo.classification.report import multi_label_report
from zoo.tracking.report import TaskReport

#: Logit of a label that the model does not know.
_NEVER = -1e4
#: How much more than the others a rare label's texts may count.
_MOST_WEIGHT = 100.0


class MultiLabel(Objective):
    """A sigmoid for each label, with a threshold of its own.

    The threshold of a label is the one with the best F1 on validation, and the temperature the one
    with which the probabilities of validation are most likely.

    Args:
        labels: All labels.
        balanced: Whether texts with a label and texts without it count alike, for each label.
        smoothing: Share of the target that is spread over having the label and not.
    """

    mode = "multi_label"
    problem_type = "multi_label_classification"
    temperature: Tensor
    thresholds: Tensor

    def __init__(self, labels: Sequence[str], *, balanced: bool = False, smoothing: float = 0.0):
        super().__init__(labels)
        self.balanced = balanced
        self.smoothing = smoothing
        self.monitor = "f1_macro"
        self.register_buffer("temperature", torch.ones(()))
        #: Least logit with which a label is given, float `[labels]`.
        self.register_buffer("thresholds", torch.zeros(len(labels)))
        self.fit = TemperatureFit(several=True)
        self._fitted: dict[str, Tensor] = {}
        self.metrics = nn.ModuleDict(
            {
                stage: nn.ModuleDict(
                    {
                        "labels": multi_label_scores(len(labels)),
                        "curves": LabelCurves(len(labels)),
                        "ece": CalibrationError(),
                    }
                )
                for stage in ("validate", "test")
            }
        )

    @staticmethod
    def target(labels: Sequence[str], ids: Mapping[str, int]) -> list[float]:
        """The ids of the labels."""
        return [ids[label] for label in labels]

    @staticmethod
    def targets(rows: Sequence[Sequence[float]], *, labels: int) -> Tensor:
        """1 for each label of a text and else 0, float `[texts, labels]`."""
        has = torch.zeros(len(rows), labels)
        for number, row in enumerate(rows):
            has[number, [int(label) for label in row]] = 1
        return has

    @staticmethod
    def constants(rows: Iterable[Sequence[str]], labels: Sequence[str]) -> dict[str, Tensor]:
        """`class_weights`, float `[labels]`: texts without a label for each one with it.

        At most 100; 1 for a label that train lacks.
        """
        had: Counter[str] = Counter()
        texts = 0
        for row in rows:
            had.update(row)
            texts += 1
        counts = torch.tensor([had[label] for label in labels], dtype=torch.float)
        weights = ((texts - counts) / counts.clamp(min=1)).clamp(max=_MOST_WEIGHT)
        return {"class_weights": torch.where(counts > 0, weights, 1.0)}

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Mean binary cross-entropy over texts and labels, weighted and smoothed as asked for."""
        known = logits.shape[-1]
        target = batch["labels"][:, :known]
        target = target * (1 - self.smoothing) + self.smoothing / 2
        weights = batch["class_weights"][:known] if self.balanced else None
        return F.binary_cross_entropy_with_logits(logits.float(), target, pos_weight=weights)

    def validation_loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Mean binary cross-entropy."""
        return F.binary_cross_entropy_with_logits(
            logits.float(), batch["labels"][:, : logits.shape[-1]]
        )

    def _all(self, logits: Tensor) -> Tensor:
        """Logits of all labels: those that the model lacks are never given."""
        missing = len(self.labels) - logits.shape[-1]
        return F.pad(logits.float(), (0, missing), value=_NEVER)

    def count(self, stage: str, logits: Tensor, batch: Batch) -> None:
        """Count the texts of a batch."""
        gold, known = batch["labels"], logits.shape[-1]
        if stage == "validate":
            self.fit.update(logits, gold[:, :known])
        metrics: Any = self.metrics[stage]
        logits = self._all(logits)
        metrics["labels"].update((logits >= self.thresholds).long(), gold.long())
        metrics["ece"].update(gold.bool(), (logits / self.temperature).sigmoid())
        # On validation thresholds of plain logits are fitted; on test an export's logits, which are
        # calibrated, must fall into the same bins.
        odds = self.calibrated(logits) if stage == "test" else logits
        metrics["curves"].update(odds, gold.bool())

    def calibrate(self) -> None:
        """Fit thresholds and temperature."""
        curves: Any = self.metrics["validate"]["curves"]  # type: ignore[index]
        with curves.sync_context():
            fitted = curves.thresholds()
        self.thresholds.copy_(fitted.logits)
        self.temperature.fill_(float(self.fit.compute()))
        # What was counted had the thresholds of the epoch before.
        self._fitted = f1_scores(fitted)

    def scores(self, stage: str) -> dict[str, Tensor]:
        """F1 at the thresholds, scores of ranking, and calibration error."""
        metrics: Any = self.metrics[stage]
        found: dict[str, Tensor] = {
            **metrics["labels"].compute(),
            **metrics["curves"].compute(),
            "ece": metrics["ece"].compute(),
            **self._fitted,
        }
        with metrics["ece"].sync_context():
            self.diagram = metrics["ece"].diagram()
        self._fitted = {}
        self.fit.reset()
        for metric in metrics.values():
            metric.reset()
        return found

    @property
    def calibration(self) -> dict[str, Any]:
        """`thresholds`: the least probability with which each label is given."""
        likely = (self.thresholds.cpu().double() / self.temperature.cpu()).sigmoid()
        return {"thresholds": dict(zip(self.labels, likely.tolist(), strict=True))}

    def restore(self, calibration: Mapping[str, Any]) -> None:
        """Take the thresholds of an exported model, whose temperature is in its weights."""
        had = calibration.get("thresholds", {})
        likely = torch.tensor([had.get(label, 0.5) for label in self.labels], dtype=torch.double)
        self.thresholds.copy_(likely.logit(eps=1e-12))
        self.temperature.fill_(1)

    def calibrated(self, logits: Tensor) -> Tensor:
        """Logits divided by the temperature."""
        return logits / self.temperature

    def affine(self) -> tuple[Tensor, Tensor]:
        """The temperature as a scale."""
        return 1 / self.temperature, torch.zeros_like(self.temperature)

    def results(self, logits: Tensor, batch: Batch) -> list[Any]:
        """The labels of each text, the most probable first."""
        logits = self._all(logits)
        likely = (logits / self.temperature).sigmoid()
        given = logits >= self.thresholds
        gold = batch["labels"].bool().tolist() if "labels" in batch else [[]] * len(likely)
        found = []
        for example, row, chosen, right in zip(
            batch["example"], likely.tolist(), given.tolist(), gold, strict=True
        ):
            ids = sorted(
                (number for number, one in enumerate(chosen) if one), key=lambda one: -row[one]
            )
            found.append(
                MultiLabelledText(
                    example,
                    [self.labels[one] for one in ids],
                    [row[one] for one in ids],
                    [label for label, one in zip(self.labels, right, strict=False) if one],
                )
            )
        return found

    def prediction(self, text: Text, result: MultiLabelledText) -> MultiLabelPrediction:
        """The text with its labels."""
        pairs = tuple(zip(result.labels, result.probabilities, strict=True))
        return MultiLabelPrediction(text[0], text[1], pairs)

    def report(self, results: Sequence[MultiLabelledText], examples: Any) -> TaskReport:
        """Scores and threshold of each label, errors, reliability."""
        return multi_label_report(
            results, examples, thresholds=self.calibration["thresholds"], diagram=self.diagram
        )


def f1_scores(fitted: Thresholds) -> dict[str, Tensor]:
    """F1 in three averages, as `multi_label_scores` has them, from the counts of each label."""
    right, given, wanted = fitted.right, fitted.given, fitted.wanted
    each = 2 * right.to(precise()) / (given + wanted).clamp(min=1)
    there = given + wanted > 0
    return {
        "f1_macro": each[there].mean() if there.any() else each.new_zeros(()),
        "f1_micro": 2 * right.sum() / (given.sum() + wanted.sum()).clamp(min=1),
        "f1_weighted": (each * wanted).sum() / wanted.sum().clamp(min=1),
    }
