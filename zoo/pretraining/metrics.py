"""Scores of a masked language model, whose state is a sum of counts."""

import torch
from torch import Tensor
from torchmetrics import Metric


class MaskedLMScores(Metric):
    """Loss, perplexity, accuracy and bits per byte over masked tokens.

    The loss is the mean cross-entropy in nats; perplexity its exponential. Bits per byte divide the
    cross-entropy of the masked tokens by the UTF-8 bytes of text that they stand for, so that
    vocabularies of different sizes can be compared; as both sides of a mask are known, it is no
    length of a compressed text.
    """

    full_state_update = False
    nats: Tensor
    tokens: Tensor
    right: Tensor
    bytes_: Tensor

    def __init__(self, *, sync_on_compute: bool = True):
        super().__init__(sync_on_compute=sync_on_compute)
        self.add_state("nats", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        for name in ("tokens", "right", "bytes_"):
            self.add_state(name, torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")

    def update(self, nats: Tensor, right: Tensor, sizes: Tensor) -> None:
        """Count masked tokens.

        Args:
            nats: Cross-entropy of each, float `[tokens]`.
            right: Whether the most probable token is the right one, bool `[tokens]`.
            sizes: UTF-8 bytes of text that each stands for, int64 `[tokens]`.
        """
        self.nats += nats.double().sum()
        self.tokens += len(nats)
        self.right += right.sum()
        self.bytes_ += sizes.sum()

    def compute(self) -> dict[str, Tensor]:
        """`loss`, `perplexity`, `accuracy` and `bits_per_byte`; all NaN if nothing was masked."""
        loss = self.nats / self.tokens
        return {
            "loss": loss,
            "perplexity": loss.exp(),
            "accuracy": self.right / self.tokens,
            "bits_per_byte": self.nats / torch.tensor(2.0).log() / self.bytes_,
        }


class SentenceScores(Metric):
    """Loss and accuracy of a judgement of pairs, whose state is a sum of counts."""

    full_state_update = False
    nats: Tensor
    pairs: Tensor
    right: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("nats", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        for name in ("pairs", "right"):
            self.add_state(name, torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")

    def update(self, nats: Tensor, right: Tensor) -> None:
        """Count pairs.

        Args:
            nats: Cross-entropy of each, float `[pairs]`.
            right: Whether each was judged right, bool `[pairs]`.
        """
        self.nats += nats.double().sum()
        self.pairs += len(nats)
        self.right += right.sum()

    def compute(self) -> dict[str, Tensor]:
        """`sentence_loss`, the mean in nats, and `sentence_accuracy`; NaN of no pairs."""
        return {
            "sentence_loss": self.nats / self.pairs,
            "sentence_accuracy": self.right / self.pairs,
        }
