"""Scores of masked tokens, by hand."""

import math

import pytest
import torch

from zoo.pretraining.metrics import MaskedLMScores
from zoo.pretraining.unigrams import unigram_scores


def test_scores_are_those_of_the_sums_over_batches() -> None:
    metric = MaskedLMScores()
    metric.update(torch.tensor([1.0, 2.0]), torch.tensor([True, False]), torch.tensor([3, 5]))
    metric.update(torch.tensor([]), torch.tensor([], dtype=torch.bool), torch.tensor([]).long())
    metric.update(torch.tensor([6.0]), torch.tensor([True]), torch.tensor([4]))
    found = {name: value.item() for name, value in metric.compute().items()}
    assert found == pytest.approx(
        {
            "loss": 3.0,
            "perplexity": math.exp(3.0),
            "accuracy": 2 / 3,
            "bits_per_byte": 9 / math.log(2) / 12,
        }
    )


def test_unigrams_guess_by_frequency_with_one_added() -> None:
    counts = torch.tensor([0, 2, 5, 1])  # with one each: 1, 3, 6, 2 of 12
    asked = [(torch.tensor([2, 0]), torch.tensor([4, 1])), (torch.tensor([3]), torch.tensor([1]))]
    found = unigram_scores(counts, asked)
    nats = -math.log(6 / 12) - math.log(1 / 12) - math.log(2 / 12)
    assert found == pytest.approx(
        {
            "loss": nats / 3,
            "perplexity": math.exp(nats / 3),
            "accuracy": 1 / 3,
            "bits_per_byte": nats / math.log(2) / 6,
        }
    )
