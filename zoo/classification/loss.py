"""The loss of classification."""

from torch import Tensor
from torch.nn import functional as F

#: Target that the loss skips.
_IGNORED = -100


def cross_entropy(
    logits: Tensor, labels: Tensor, weights: Tensor | None = None, *, smoothing: float = 0.0
) -> Tensor:
    """Mean cross-entropy over texts; 0 if none of them has a label that the model knows.

    Args:
        logits: Float `[texts, labels]`.
        labels: Label ids, int64 `[texts]`. Those that only the data has are left out: the model
            has no output for them, so there is nothing to learn.
        weights: How much each text counts, float `[texts]`; all alike if None.
        smoothing: Share of the target that is spread over all labels.
    """
    targets = labels.masked_fill(labels >= logits.shape[-1], _IGNORED)
    losses = F.cross_entropy(
        logits.float(),
        targets,
        ignore_index=_IGNORED,
        label_smoothing=smoothing,
        reduction="none",
    )
    counted = (targets != _IGNORED).float()
    if weights is not None:
        counted = counted * weights
    return (losses * counted).sum() / counted.sum().clamp(min=1e-8)
