"""Scores against scikit-learn and torchmetrics, and worked by hand."""

import pytest
import torch
from sklearn.metrics import (  # type: ignore[import-untyped]
    accuracy_score,
    f1_score,
    matthews_corrcoef,
)
from torchmetrics.functional.classification import multiclass_calibration_error

from zoo.classification.metrics import CalibrationError, single_label_scores


@pytest.mark.parametrize(("labels", "used"), [(2, 2), (7, 5), (1000, 300)])
def test_scores_equal_scikit_learn_s_whatever_the_batches(labels: int, used: int) -> None:
    # Some labels are never there: macro F1 leaves out those that are not predicted either.
    gold = torch.randint(used, (500,))
    logits = torch.randn(500, labels) + 3 * torch.nn.functional.one_hot(gold, labels)
    likely, predicted = logits.softmax(-1).max(-1)
    metric, calibration = single_label_scores(labels), CalibrationError()
    for rows in torch.arange(500).split(64):
        metric.update(predicted[rows], gold[rows])
        calibration.update(predicted[rows] == gold[rows], likely[rows])
    scores = {name: float(value) for name, value in metric.compute().items()}
    for average in ("macro", "micro", "weighted"):
        expected = f1_score(gold, predicted, average=average)
        assert scores[f"f1_{average}"] == pytest.approx(expected, abs=1e-6)
    assert scores["accuracy"] == pytest.approx(accuracy_score(gold, predicted), abs=1e-6)
    assert scores["mcc"] == pytest.approx(matthews_corrcoef(gold, predicted), abs=1e-5)
    theirs = multiclass_calibration_error(logits.softmax(-1), gold, labels, n_bins=15, norm="l1")
    assert float(calibration.compute()) == pytest.approx(float(theirs), abs=1e-6)


def test_calibration_error_worked_by_hand() -> None:
    metric = CalibrationError(bins=2)
    # Lower bin: 0.25 and 0.5, one of two right; upper bin: 0.75 and 1.0, both right.
    metric.update(torch.tensor([True, False, True, True]), torch.tensor([0.25, 0.5, 0.75, 1.0]))
    # (|0.5 - 0.375| * 2 + |1 - 0.875| * 2) / 4
    assert float(metric.compute()) == pytest.approx(0.125)
    assert metric.diagram() == [(0.375, 0.5), (0.875, 1.0)]


def test_states_are_sums_so_that_processes_add_up() -> None:
    metric = single_label_scores(3)
    reductions = {one._reductions[name] for one in metric.values() for name in one._reductions}
    assert {getattr(reduction, "__name__", None) for reduction in reductions} == {"dim_zero_sum"}


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_a_calibration_error_of_nothing_is_0() -> None:
    assert float(CalibrationError().compute()) == 0.0
