"""What the model learns: how likely each sentence of a document is to be its summary."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

#: How much better, in ROUGE, a sentence must be to be e times as likely.
TEMPERATURE = 0.05


def likelihoods(scores: Sequence[float], *, temperature: float = TEMPERATURE) -> list[float]:
    """For each sentence of a document how likely it is the best one: a softmax of its ROUGE.

    Args:
        scores: ROUGE of each sentence against the references, from 0 to 1.
        temperature: How much better a sentence must be to be e times as likely.
    """
    if not len(scores):
        return []
    values = np.asarray(scores, dtype=np.float64) / temperature
    weights = np.exp(values - values.max())
    found: list[float] = (weights / weights.sum()).tolist()
    return found


def listwise_loss(scores: Tensor, batch: Mapping[str, Any]) -> tuple[Tensor, int]:
    """Cross-entropy between the scores' softmax over a window's sentences and the targets.

    It is ListNet's loss (Cao et al. 2007, doi 10.1145/1273496.1273513). On SciTLDR it gave better
    summaries than a binary cross-entropy with the oracle's sentence as the label (ROUGE-1 0.410 and
    0.400 on half of dev, one run each). Where the document has
    more windows, the rest of it competes as one more sentence whose score is 0, so that scores of
    different windows can be compared. Windows without a sentence count nothing.

    Args:
        scores: Of the sentences, `[windows, most]`.
        batch: `targets` and `sentence_mask`, `[windows, most]`; `windows`, of each document.

    Returns:
        The mean over windows with a sentence (0 if there is none), and their number.
    """
    mask, targets = batch["sentence_mask"], batch["targets"]
    learned = mask.any(dim=1)
    several = torch.tensor([count > 1 for count in batch["windows"]], device=mask.device)
    elsewhere = (1 - targets.sum(dim=1)).clamp(min=0) * several
    lowest = torch.finfo(scores.dtype).min
    scores = scores.masked_fill(~mask, lowest)
    rest = torch.zeros_like(elsewhere).masked_fill(~several, lowest)
    log_likely = torch.cat([scores, rest[:, None]], dim=1).log_softmax(dim=1)
    wanted = torch.cat([targets, elsewhere[:, None]], dim=1)
    losses = -(wanted * log_likely.masked_fill(wanted == 0, 0.0)).sum(dim=1)
    count = int(learned.sum())
    return (losses * learned).sum() / max(1, count), count
