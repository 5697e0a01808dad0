"""One of several labels that have an order, such as one to five stars."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.classification.metrics import ordinal_scores
from zoo.classification.modes.base import Batch
from zoo.classification.modes.single_label import SingleLabel


class Ordinal(SingleLabel):
    """Softmax over the labels, where a near miss costs less than a far one.

    The target is spread over all labels by their distance from the right one: the share of a label
    `d` steps away is proportional to `exp(-d^2)` (Diaz & Marathe 2019, "Soft Labels for Ordinal
    Regression", CVPR). A softmax head stays a softmax head, so that everything that reads
    classifiers reads this one; the temperature takes back what the spreading adds in doubt.
    """

    mode = "ordinal"

    def __init__(self, labels: Sequence[str], *, balanced: bool = False):
        super().__init__(labels, balanced=balanced)
        self.monitor = "qwk"

    def _label_scores(self) -> nn.Module:
        return ordinal_scores(len(self.labels))

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Cross-entropy to the spread target; texts with a label the model lacks are left out."""
        gold, size = batch["labels"], logits.shape[-1]
        steps = torch.arange(size, device=logits.device) - gold[:, None]
        target = (-steps.float().square()).softmax(dim=-1)
        losses: Tensor = F.cross_entropy(logits.float(), target, reduction="none")
        counted = (gold < size).float()
        if self.balanced:
            counted = counted * batch["class_weights"][gold]
        loss: Tensor = (losses * counted).sum() / counted.sum().clamp(min=1e-8)
        return loss
