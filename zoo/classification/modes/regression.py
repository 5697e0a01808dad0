"""A number for each text."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.classification.encoding import Text
from zoo.classification.metrics import regression_scores
from zoo.classification.modes.base import Batch, Objective
from zoo.classification.precision import precise
from zoo.classification.prediction import RegressionPrediction, ValuedText
from zoo.classification.report import regression_report
from zoo.tracking.report import TaskReport

#: What the only output of the model is called.
VALUE = "score"


class Regression(Objective):
    """Squared error of the target in standard deviations from the mean of train.

    The model's output is such a standard score; predictions and scores are in the units of the
    data. On export mean and spread are folded into the last layer.
    """

    mode = "regression"
    problem_type = "regression"
    mean: Tensor
    spread: Tensor
    unit: Tensor

    def __init__(self, labels: Sequence[str]):
        super().__init__(labels)
        self.monitor = "spearman"
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("spread", torch.ones(()))
        #: Spread of train, in which errors are told; an exported model has none in its outputs.
        self.register_buffer("unit", torch.ones(()))
        self.metrics = nn.ModuleDict({"validate": regression_scores(), "test": regression_scores()})
        self._began = False

    @staticmethod
    def target(labels: Sequence[str], ids: Mapping[str, int]) -> list[float]:
        """The number."""
        return [float(labels[0])]

    @staticmethod
    def targets(rows: Sequence[Sequence[float]], *, labels: int) -> Tensor:
        """Numbers, float `[texts]`."""
        return torch.tensor([row[0] for row in rows])

    @staticmethod
    def constants(rows: Iterable[Sequence[str]], labels: Sequence[str]) -> dict[str, Tensor]:
        """`scale`, float `[2]`: mean and standard deviation of train."""
        values = torch.from_numpy(np.fromiter((float(row[0]) for row in rows), dtype=np.float64))
        if not len(values):
            return {"scale": torch.tensor([0.0, 1.0])}
        mean, spread = values.mean(), values.std(correction=0)
        if spread <= 1e-6 * values.abs().max():  # all alike, but for rounding
            spread = torch.ones_like(spread)
        return {"scale": torch.stack([mean, spread]).float()}

    def begin(self, batch: Batch, output: nn.Linear, *, kept: bool) -> None:
        """Take the scale of train; a head that gave numbers in the data's units keeps doing so."""
        if self._began:
            return
        self._began = True
        mean, spread = batch["scale"].unbind()
        if kept and float(self.mean) == 0 and float(self.spread) == 1:
            with torch.no_grad():
                # Plain numbers: the weights may be this process's share alone.
                output.weight.div_(float(spread))
                output.bias.sub_(float(mean)).div_(float(spread))
        self.mean.copy_(mean)
        self.spread.copy_(spread)
        self.unit.copy_(spread)

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Mean squared error, in variances of train."""
        target = (batch["labels"] - self.mean) / self.spread
        return F.mse_loss(logits[:, 0].float(), target)

    def validation_loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Mean squared error, in variances of train, of an exported model too."""
        errors: Tensor = (self._values(logits) - batch["labels"]) / self.unit
        return errors.square().mean()

    @property
    def calibration(self) -> dict[str, Any]:
        """`spread`: standard deviation of train's targets."""
        return {"spread": float(self.unit)}

    def restore(self, calibration: Mapping[str, Any]) -> None:
        """Take the spread that an exported model was trained with."""
        self.unit.fill_(calibration.get("spread", 1.0))

    def _values(self, logits: Tensor) -> Tensor:
        # In float32 a large mean would swallow small differences, and with them the ranks.
        values: Tensor = logits[:, 0].to(precise()) * self.spread + self.mean
        return values

    def count(self, stage: str, logits: Tensor, batch: Batch) -> None:
        """Count the texts of a batch."""
        metrics: Any = self.metrics[stage]
        metrics.update(self._values(logits), batch["labels"].to(precise()))

    def scores(self, stage: str) -> dict[str, Tensor]:
        """Correlations, and the mean absolute error in the units of the data."""
        metrics: Any = self.metrics[stage]
        found: dict[str, Tensor] = metrics.compute()
        metrics.reset()
        # Where all predictions are equal there is no correlation. An error that is no number is
        # one: training went astray.
        return {
            name: value if name == "mae" else value.nan_to_num(0.0, 0.0, 0.0)
            for name, value in found.items()
        }

    def affine(self) -> tuple[Tensor, Tensor]:
        """Spread and mean of train."""
        return self.spread, self.mean

    def results(self, logits: Tensor, batch: Batch) -> list[Any]:
        """The number of each text."""
        values = self._values(logits).tolist()
        gold = batch["labels"].tolist() if "labels" in batch else [None] * len(values)
        return [ValuedText(*one) for one in zip(batch["example"], values, gold, strict=True)]

    def prediction(self, text: Text, result: ValuedText) -> RegressionPrediction:
        """The text with its number."""
        return RegressionPrediction(text[0], text[1], result.value)

    def report(self, results: Sequence[ValuedText], examples: Any) -> TaskReport:
        """Errors by size of the target, largest errors, predictions against targets."""
        return regression_report(results, examples)
