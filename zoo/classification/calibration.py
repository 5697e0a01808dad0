"""What makes outputs mean something: a temperature and thresholds, fitted on sums of counts.

Both see each validation text once and keep no outputs, so that their memory does not grow with the
data and several processes fit exactly what one would.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import Metric

from zoo.classification.precision import precise

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
        steps = torch.linspace(0, 1, _STEPS, dtype=precise())
        self.register_buffer("grid", _COLDEST * (_HOTTEST / _COLDEST) ** steps, persistent=False)
        self.add_state("losses", torch.zeros(_STEPS, dtype=precise()), dist_reduce_fx="sum")

    def update(self, logits: Tensor, targets: Tensor) -> None:
        """Count some texts.

        Args:
            logits: Float `[texts, labels]`.
            targets: Label ids, int64 `[texts]`, all of which the logits know; with `several` 0 or
                1, float `[texts, labels]`.
        """
        if not len(targets):
            return
        logits = logits.to(self.losses.dtype)
        size = max(1, _AT_ONCE // logits.numel())
        found = []
        for start in range(0, _STEPS, size):
            scaled = logits / self.grid[start : start + size, None, None].to(logits.device)
            if self.several:
                wanted = targets.to(logits.dtype).expand_as(scaled)
                lost = F.binary_cross_entropy_with_logits(scaled, wanted, reduction="none")
                lost = lost.sum(dim=(1, 2))
            else:
                chosen = scaled.gather(2, targets.expand(len(scaled), -1)[..., None])[..., 0]
                lost = (scaled.logsumexp(dim=2) - chosen).sum(dim=1)
            found.append(lost)
        self.losses = self.losses + torch.cat(found)

    def compute(self) -> Tensor:
        """The temperature, float `[]`; 1 if nothing was counted."""
        if not self.losses.any():
            return torch.ones_like(self.losses[0])
        best = int(self.losses.argmin())
        position = float(best)
        if 0 < best < _STEPS - 1:
            before, here, after = self.losses[best - 1 : best + 2].tolist()
            bend = before - 2 * here + after
            position += 0.0 if bend <= 0 else 0.5 * (before - after) / bend
        temperature = _COLDEST * (_HOTTEST / _COLDEST) ** (position / (_STEPS - 1))
        return torch.full_like(self.losses[0], temperature)


class Thresholds(NamedTuple):
    """For each label where it begins, and what that gives on the data it was fitted on.

    Args:
        logits: Least logit with which a label is given, float `[labels]`.
        right: Texts that have the label and get it, int64 `[labels]`.
        given: Texts that get the label, int64 `[labels]`.
        wanted: Texts that have the label, int64 `[labels]`.
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
    _WIDTH = 2 * REACH / BINS

    full_state_update = False
    counts: Tensor

    def __init__(self, labels: int, **options: Any):
        super().__init__(**options)
        self.labels = labels
        #: int64 `[labels, bins, 2]`: texts that lack the label, texts that have it.
        self.add_state(
            "counts", torch.zeros(labels, self.BINS, 2, dtype=torch.long), dist_reduce_fx="sum"
        )

    def update(self, odds: Tensor, has: Tensor) -> None:
        """Count some texts.

        Args:
            odds: Log-odds of each label, float `[texts, labels]`.
            has: Whether the text has the label, bool `[texts, labels]`.
        """
        # Clamped as floats first: infinity has no integer.
        places = (odds.to(precise()).clamp(-self.REACH, self.REACH) + self.REACH) / self._WIDTH
        bins = places.floor().long().clamp(0, self.BINS - 1)
        label = torch.arange(self.labels, device=odds.device)
        cells = ((label * self.BINS + bins) * 2 + has.long()).flatten()
        found = torch.bincount(cells, minlength=self.counts.numel())
        self.counts = self.counts + found.view_as(self.counts)

    def compute(self) -> dict[str, Tensor]:
        """Means over the labels that some texts have and some lack: `auroc`, `average_precision`.

        Area under the ROC curve of each label against the rest, and average precision; both count
        logits of one bin as equal. 0 where no label can be told apart.
        """
        lack, have = self.counts.unbind(dim=-1)
        some = (lack.sum(dim=1) > 0) & (have.sum(dim=1) > 0)
        if not some.any():
            none = torch.zeros((), device=lack.device)
            return {"auroc": none, "average_precision": none}
        lack, have = lack[some], have[some]
        wanted = have.sum(dim=1).to(precise())
        # Whole numbers as long as can be: twice the texts below, of those in the same bin half.
        below = (have * (2 * lack.cumsum(dim=1) - lack)).sum(dim=1)
        auroc = below / 2 / (wanted * lack.sum(dim=1))
        right, given = _at_least(have), _at_least(have + lack)
        precision = right.to(precise()) / given.clamp(min=1)
        average = (have * precision).sum(dim=1) / wanted
        return {"auroc": auroc.mean(), "average_precision": average.mean()}

    def thresholds(self) -> Thresholds:
        """For each label the border of bins with the best F1; of several equal ones the middle.

        A label that no text has begins at the log-odds 0, which is a probability of one half.
        """
        lack, have = self.counts.unbind(dim=-1)
        right, given = _at_least(have), _at_least(have + lack)
        wanted = have.sum(dim=1)
        f1 = 2 * right.to(precise()) / (given + wanted[:, None]).clamp(min=1)
        equal = f1 >= f1.max(dim=1, keepdim=True).values
        # The longest run of equal ones is where a threshold has most room on both sides.
        best = torch.tensor(
            [
                _middle(row) if one else self.BINS // 2
                for row, one in zip(equal, wanted, strict=True)
            ],
            device=f1.device,
        )
        at = best[:, None]
        borders = best.to(precise()) * self._WIDTH - self.REACH
        return Thresholds(
            # Below the lowest border there are texts too: those of the first bin.
            borders.masked_fill(best == 0, -torch.inf),
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
    """Log-odds of each label against all others under a softmax, float `[texts, labels]`."""
    logits = logits.to(precise())
    below = logits - logits.amax(dim=-1, keepdim=True)
    best = logits.argmax(dim=-1, keepdim=True)
    # The others are summed without the best one: of 1 - p nothing is left where p is almost 1.
    rest = below.exp().scatter(-1, best, 0)
    total = rest.sum(dim=-1, keepdim=True)
    others = (total - rest + 1).scatter(-1, best, total)
    return below - others.log()
