"""The baseline: the frequency of each token in train, whatever stands around it."""

from collections.abc import Iterable

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.pretraining.metrics import MaskedLMScores


def unigram_scores(counts: Tensor, asked: Iterable[tuple[Tensor, Tensor]]) -> dict[str, float]:
    """Scores of guessing each masked token by its frequency, with one added to each count.

    Args:
        counts: How often each token of the vocabulary occurs in train, int64.
        asked: Ids that are asked for, with the bytes that each stands for.
    """
    smoothed = (counts + 1).double()
    nats = smoothed.sum().log() - smoothed.log()
    scores = MaskedLMScores(sync_on_compute=False)
    for ids, sizes in asked:
        scores.update(nats[ids], ids == smoothed.argmax(), sizes)
    return {name: value.item() for name, value in scores.compute().items()}


def begin_with_unigrams(output: torch.nn.Module, counts: Tensor) -> None:
    """Let a new head begin with what unigrams know: its bias becomes their log-probability.

    A new head has to learn first how frequent each token is, which costs hundreds of steps.

    Args:
        output: The layer that gives the logits.
        counts: How often each token occurs in train, int64; one is added to each.

    Raises:
        ZooError: The layer has no bias.
    """
    bias = output.bias
    if not isinstance(bias, torch.nn.Parameter):
        raise ZooError("The model's output has no bias, so it cannot begin with unigrams.")
    smoothed = (counts + 1).double()
    with torch.no_grad():
        # A vocabulary may be smaller than the layer, which some models round up.
        bias.fill_(-smoothed.sum().log().item())
        bias[: len(counts)] = (smoothed / smoothed.sum()).log().to(bias)
