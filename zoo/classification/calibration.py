"""What makes outputs mean something: a temperature and thresholds, fitted on sums of counts.

Both see each validation text once and keep no outputs, so that their memory does not grow with the
data and several processes fit exactly what one would.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import Metric

#: Temperatures that are tried; the best one is refined between its neighbours.
_COLDEST, _HOTTEST, _STEPS = 0.2, 20.0, 93
#: Logits in one slice of the grid, so that many labels do not need much memory.
_AT_ONCE = 4_000_000


class TemperatureFit(Metric):
    """The temperature that makes the probabilities of a validation set most likely.

    Logits are divided by it before the softmax (or sigmoid); no prediction changes. Guo et al.
    2017, "On Calibration of Modern Neural Networks" (arXiv 1706.04599). The negative
    log-likelihood is summed for each temperature of a grid from 0.2 to 20; the least is refined by
    a parabola through its neighbours.

    Args:
        several: Whether labels are independent of each other (sigmoid), or one of them is right.
    """

    full_state_update = False
    losses: Tensor
    grid: Tensor

    def __init__(self, *, several: bool = False, **options: Any):
        super().__init__(**options)
        self.several = several
        steps = torch.linspace(0, 1, _STEPS, dtype=torch.double)
        ratio = torch.tensor(_HOTTEST / _COLDEST, dtype=torch.double)
        self.register_buffer("grid", _COLDEST * ratio**steps, persistent=False)
        self.add_state("losses", torch.zeros(_STEPS, dtype=torch.double), dist_reduce_fx="sum")

    def update(self, logits: Tensor, targets: Tensor) -> None:
        """Count some texts.

        Args:
            logits: Float `[texts, labels]`.
            targets: Label ids, int64 `[texts]`, all of which the logits know; with `several` 0 or
                1, float `[texts, labels]`.
        """
        if not len(targets):
            return
        logits = logits.double()
        size = max(1, _AT_ONCE // logits.numel())
        for start in range(0, _STEPS, size):
            scaled = logits / self.grid[start : start + size, None, None].to(logits.device)
            if self.several:
                wanted = targets.double().expand_as(scaled)
                lost = F.binary_cross_entropy_with_logits(scaled, wanted, reduction="none")
                lost = lost.sum(dim=(1, 2))
            else:
                chosen = scaled.gather(2, targets.expand(len(scaled), -1)[..., None])[..., 0]
                lost = (scaled.logsumexp(dim=2) - chosen).sum(dim=1)
            self.losses[start : start + size] += lost

    def compute(self) -> Tensor:
        """The temperature, float64 `[]`; 1 if nothing was counted."""
        if not self.losses.any():
            return torch.ones((), dtype=torch.double, device=self.losses.device)
        best = int(self.losses.argmin())
        position = torch.tensor(float(best), dtype=torch.double)
        if 0 < best < _STEPS - 1:
            before, here, after = self.losses[best - 1 : best + 2].tolist()
            bend = before - 2 * here + after
            position += 0.0 if bend <= 0 else 0.5 * (before - after) / bend
        return _COLDEST * (_HOTTEST / _COLDEST) ** (position / (_STEPS - 1))


class Thresholds(NamedTuple):
    """For each label where it begins, and what that gives on the data it was fitted on.

    Args:
        logits: Least logit with which a label is given, float64 `[labels]`.
        right: Texts that have the label and get it, float64 `[labels]`.
        given: Texts that get the label, float64 `[labels]`.
        wanted: Texts that have the label, float64 `[labels]`.
    """

    logits: Tensor
    right: Tensor
    given: Tensor
    wanted: Tensor


class LabelCurves(Metric):
    """How logits of texts with and without a label lie: ranking scores and best thresholds.

    For each label it is a histogram of log-odds from -16 to 16 in steps of 0.04, of texts that
    have the label and of those that lack it. torchmetrics' binned curves compare every output with
    every threshold, which takes seconds a batch for a thousand labels, and fit no thresholds.

    Args:
        labels: Number of labels.
    """

    BINS = 800
    REACH = 16.0

    full_state_update = False
    counts: Tensor

    def __init__(self, labels: int, **options: Any):
        super().__init__(**options)
        self.labels = labels
        #: float64 `[labels, bins, 2]`: texts that lack the label, texts that have it.
        self.add_state(
            "counts",
            torch.zeros(labels, self.BINS, 2, dtype=torch.double),
            dist_reduce_fx="sum",
        )

    def update(self, odds: Tensor, has: Tensor) -> None:
        """Count some texts.

        Args:
            odds: Log-odds of each label, float `[texts, labels]`.
            has: Whether the text has the label, bool `[texts, labels]`.
        """
        width = 2 * self.REACH / self.BINS
        bins = ((odds.double() + self.REACH) / width).floor().long().clamp(0, self.BINS - 1)
        label = torch.arange(self.labels, device=odds.device)
        places = ((label * self.BINS + bins) * 2 + has.long()).flatten()
        found = torch.bincount(places, minlength=self.counts.numel())
        self.counts += found.view_as(self.counts)

    def compute(self) -> dict[str, Tensor]:
        """Means over the labels that some texts have and some lack: `auroc`, `average_precision`.

        Area under the ROC curve of each label against the rest, and average precision; both count
        logits of one bin as equal. 0 where no label can be told apart.
        """
        lack, have = self.counts.unbind(dim=-1)
        some = (lack.sum(dim=1) > 0) & (have.sum(dim=1) > 0)
        if not some.any():
            none = self.counts.new_zeros(())
            return {"auroc": none, "average_precision": none}
        lack, have = lack[some], have[some]
        below = lack.cumsum(dim=1) - lack / 2
        auroc = (have * below).sum(dim=1) / (have.sum(dim=1) * lack.sum(dim=1))
        right, given = _at_least(have), _at_least(have + lack)
        precision = right / given.clamp(min=1)
        average = (have * precision).sum(dim=1) / have.sum(dim=1)
        return {"auroc": auroc.mean(), "average_precision": average.mean()}

    def thresholds(self) -> Thresholds:
        """For each label the border of bins with the best F1; of several equal ones the middle.

        A label that no text has begins at the log-odds 0, which is a probability of one half.
        """
        lack, have = self.counts.unbind(dim=-1)
        right, given = _at_least(have), _at_least(have + lack)
        wanted = have.sum(dim=1)
        f1 = 2 * right / (given + wanted[:, None]).clamp(min=1)
        equal = f1 >= f1.max(dim=1, keepdim=True).values - 1e-12
        # The longest run of equal ones is where a threshold has most room on both sides.
        best = torch.tensor(
            [
                _middle(row) if one else self.BINS // 2
                for row, one in zip(equal, wanted, strict=True)
            ],
            device=f1.device,
        )
        at = best[:, None]
        return Thresholds(
            best * (2 * self.REACH / self.BINS) - self.REACH,
            right.gather(1, at)[:, 0],
            given.gather(1, at)[:, 0],
            wanted,
        )


def _at_least(counts: Tensor) -> Tensor:
    """Texts in this bin or above, for each bin."""
    return counts.flip(1).cumsum(dim=1).flip(1)


def _middle(row: Tensor) -> int:
    """The middle of the longest run of true values."""
    best, begin = (0, 0), 0
    values = [*row.tolist(), False]
    for place, value in enumerate(values):
        if value:
            continue
        best = max(best, (place - begin, begin), key=lambda run: run[0])
        begin = place + 1
    length, start = best
    return start + (length - 1) // 2


def log_odds(logits: Tensor) -> Tensor:
    """Log-odds of each label against all others under a softmax, float64 `[texts, labels]`."""
    logits = logits.double()
    likely = logits.log_softmax(dim=-1)
    # The probability of the others, not 1 - p: near 1 nothing of that would be left.
    size = logits.shape[-1]
    if size == 1:
        return torch.full_like(logits, torch.inf)
    others = torch.log(-torch.expm1(likely.clamp(max=-1e-15)))
    return likely - others
