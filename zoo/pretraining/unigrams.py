"""The baseline: the frequency of each token in train, whatever stands around it."""

from collections.abc import Iterable

from torch import Tensor

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
