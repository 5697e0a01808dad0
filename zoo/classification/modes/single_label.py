"""One of several labels for each text."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.classification.calibration import LabelCurves, TemperatureFit, log_odds
from zoo.classification.encoding import Text
from zoo.classification.loss import cross_entropy
from zoo.classification.metrics import CalibrationError, single_label_scores
from zoo.classification.modes import Mode
from zoo.classification.modes.base import Batch, Objective
from zoo.classification.prediction import ClassificationPrediction, ClassifiedText
from zoo.classification.report import single_label_report
from zoo.tracking.report import TaskReport

#: Log-odds of a label that the model does not know.
_NEVER = -1e9


class SingleLabel(Objective):
    """Softmax over the labels, cross-entropy, and a temperature fitted on validation.

    Args:
        labels: All labels.
        balanced: Whether all labels of train count alike.
        smoothing: Share of the target that is spread over all labels.
    """

    mode: ClassVar[Mode] = "single_label"
    problem_type = "single_label_classification"
    temperature: Tensor

    def __init__(self, labels: Sequence[str], *, balanced: bool = False, smoothing: float = 0.0):
        super().__init__(labels)
        self.balanced = balanced
        self.smoothing = smoothing
        self.monitor = "f1_macro" if balanced else "accuracy"
        self.register_buffer("temperature", torch.ones(()))
        self.fit = TemperatureFit()
        self.metrics = nn.ModuleDict(
            {
                stage: nn.ModuleDict(
                    {
                        "labels": self._label_scores(),
                        "curves": LabelCurves(len(labels)),
                        "ece": CalibrationError(),
                    }
                )
                for stage in ("validate", "test")
            }
        )

    def _label_scores(self) -> nn.Module:
        return single_label_scores(len(self.labels))

    @staticmethod
    def target(labels: Sequence[str], ids: Mapping[str, int]) -> list[float]:
        """The id of the label."""
        return [ids[labels[0]]]

    @staticmethod
    def targets(rows: Sequence[Sequence[float]], *, labels: int) -> Tensor:
        """Label ids, int64 `[texts]`."""
        return torch.tensor([row[0] for row in rows], dtype=torch.long)

    @staticmethod
    def constants(rows: Iterable[Sequence[str]], labels: Sequence[str]) -> dict[str, Tensor]:
        """`class_weights`, float `[labels]`, with which all labels of train count alike.

        A label of `n` out of `N` texts and `K` labels weighs `N / (K n)`; one that train lacks 0.
        """
        had = Counter(row[0] for row in rows)
        counts = torch.tensor([had[label] for label in labels], dtype=torch.float)
        weights = counts.sum() / ((counts > 0).sum().clamp(min=1) * counts.clamp(min=1))
        return {"class_weights": weights * (counts > 0)}

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Cross-entropy, weighted and smoothed as asked for."""
        gold = batch["labels"]
        weights = batch["class_weights"][gold] if self.balanced else None
        return cross_entropy(logits, gold, weights, smoothing=self.smoothing)

    def weight(self, batch: Batch, *, known: int) -> Tensor:
        """The weights of the texts whose label the model knows."""
        gold = batch["labels"]
        counted: Tensor = (gold < known).float()
        if self.balanced:
            counted = counted * batch["class_weights"][gold]
        return counted.sum()

    def validation_loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Cross-entropy."""
        return cross_entropy(logits, batch["labels"])

    def count(self, stage: str, logits: Tensor, batch: Batch) -> None:
        """Count the texts of a batch."""
        gold = batch["labels"]
        if stage == "validate":
            known = gold < logits.shape[-1]
            self.fit.update(logits[known], gold[known])
        metrics: Any = self.metrics[stage]
        likely, best = self._best(logits)
        metrics["labels"].update(best, gold)
        metrics["ece"].update(best == gold, likely)
        # Calibrated, so that an export's logits fall into the same bins.
        odds = log_odds(self.calibrated(logits.float()))
        odds = F.pad(odds, (0, len(self.labels) - logits.shape[-1]), value=_NEVER)
        has = torch.arange(len(self.labels), device=gold.device) == gold[:, None]
        metrics["curves"].update(odds, has)

    def calibrate(self) -> None:
        """Fit the temperature."""
        self.temperature.fill_(float(self.fit.compute()))
        self.fit.reset()

    def scores(self, stage: str) -> dict[str, Tensor]:
        """Scores of labels, of ranking, and calibration error."""
        metrics: Any = self.metrics[stage]
        found: dict[str, Tensor] = {
            **metrics["labels"].compute(),
            **metrics["curves"].compute(),
            "ece": metrics["ece"].compute(),
        }
        with metrics["ece"].sync_context():
            self.diagram = metrics["ece"].diagram()
        self.fit.reset()
        for metric in metrics.values():
            metric.reset()
        # Where one label is all there is and all that was found, no kappa is defined.
        return {name: value.nan_to_num(0.0) for name, value in found.items()}

    def calibrated(self, logits: Tensor) -> Tensor:
        """Logits divided by the temperature."""
        return logits / self.temperature

    def affine(self) -> tuple[Tensor, Tensor]:
        """The temperature as a scale."""
        return 1 / self.temperature, torch.zeros_like(self.temperature)

    def _best(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        likely, best = (logits.float() / self.temperature).softmax(dim=-1).max(dim=-1)
        return likely, best

    def results(self, logits: Tensor, batch: Batch) -> list[Any]:
        """The most probable label of each text."""
        likely, best = self._best(logits)
        gold = batch["labels"].tolist() if "labels" in batch else [None] * len(best)
        return [
            ClassifiedText(
                example, self.labels[label], p, "" if right is None else self.labels[right]
            )
            for example, label, p, right in zip(
                batch["example"], best.tolist(), likely.tolist(), gold, strict=True
            )
        ]

    def prediction(self, text: Text, result: ClassifiedText) -> ClassificationPrediction:
        """The text with its label."""
        return ClassificationPrediction(text[0], text[1], result.label, result.probability)

    def report(self, results: Sequence[ClassifiedText], examples: Any) -> TaskReport:
        """Scores of each label, confusions, errors, reliability."""
        return single_label_report(results, examples, labels=self.labels, diagram=self.diagram)
