"""Mean ROUGE, length and repetition of summaries."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from zoo.summarization.evaluation import ScoredSummary
from zoo.summarization.rouge import ROUGE

_NAMES = (*ROUGE, "summary_words", "repeated_trigrams")


class SummaryScores(Metric):
    """Means over all summaries.

    The state is a sum of numbers, so that it reduces exactly over processes.
    """

    full_state_update = False
    higher_is_better = True
    sums: Tensor

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        #: float64: the number of summaries, then the sums of what `compute` names.
        zeros = torch.zeros(1 + len(_NAMES), dtype=torch.double)
        self.add_state("sums", zeros, dist_reduce_fx="sum")

    def update(self, summaries: Sequence[ScoredSummary]) -> None:
        """Count summaries; there may be none."""
        rows = [
            [1.0, *(one.scores[name].f1 for name in ROUGE), float(one.tokens), one.repeated]
            for one in summaries
        ]
        new = torch.tensor(rows, dtype=torch.double).view(-1, 1 + len(_NAMES)).sum(dim=0)
        self.sums = self.sums + new.to(self.sums.device)

    def compute(self) -> dict[str, Tensor]:
        """F1 of each of `ROUGE`, mean length in tokens, mean share of repeated trigrams.

        Each is 0 without summaries.
        """
        means = self.sums[1:] / self.sums[0].clamp(min=1)
        return dict(zip(_NAMES, means, strict=True))
