"""The loss, against that of torch."""

import torch
from torch.nn import functional as F

from zoo.classification.loss import cross_entropy


def test_the_loss_weighs_and_smooths_as_torch_does() -> None:
    logits, labels = torch.randn(6, 3), torch.tensor([0, 1, 2, 0, 0, 1])
    weights = torch.tensor([0.5, 2.0, 1.0])
    torch.testing.assert_close(cross_entropy(logits, labels), F.cross_entropy(logits, labels))
    torch.testing.assert_close(
        cross_entropy(logits, labels, weights[labels]),
        F.cross_entropy(logits, labels, weight=weights),
    )
    torch.testing.assert_close(
        cross_entropy(logits, labels, smoothing=0.2),
        F.cross_entropy(logits, labels, label_smoothing=0.2),
    )


def test_labels_that_the_model_does_not_know_are_left_out() -> None:
    logits = torch.randn(2, 3)
    unknown = cross_entropy(logits, torch.tensor([1, 3]))
    torch.testing.assert_close(unknown, F.cross_entropy(logits[:1], torch.tensor([1])))
    assert float(cross_entropy(logits, torch.tensor([3, 4]))) == 0.0
