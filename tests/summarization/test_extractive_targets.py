"""What is learned of each sentence, and the loss, by hand."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from zoo.summarization.extractive.targets import likelihoods, listwise_loss


def _batch(targets: list[list[float]], sentences: list[int], windows: list[int]) -> dict[str, Any]:
    most = max(map(len, targets))
    return {
        "targets": torch.tensor([row + [0.0] * (most - len(row)) for row in targets]),
        "sentence_mask": torch.arange(most) < torch.tensor(sentences)[:, None],
        "windows": windows,
    }


def test_a_sentence_one_temperature_better_is_e_times_as_likely() -> None:
    found = likelihoods([0.3, 0.35, 0.2], temperature=0.05)
    assert sum(found) == pytest.approx(1)
    assert found[1] / found[0] == pytest.approx(math.e)
    assert found[0] / found[2] == pytest.approx(math.e**2)
    assert likelihoods([0.0, 0.0]) == [0.5, 0.5]
    assert likelihoods([]) == []


def test_the_loss_is_the_cross_entropy_over_the_sentences_by_hand() -> None:
    # Softmax of 0 and ln 3 is a quarter and three quarters; what is beyond the sentences is not
    # looked at.
    scores = torch.tensor([[0.0, math.log(3), 50.0], [7.0, 7.0, 7.0]])
    batch = _batch([[0.5, 0.5], [0.2, 0.3, 0.5]], [2, 3], [1, 1])
    loss, count = listwise_loss(scores, batch)
    first = -(0.5 * math.log(0.25) + 0.5 * math.log(0.75))
    assert loss.item() == pytest.approx((first + math.log(3)) / 2)
    assert count == 2


def test_of_several_windows_the_rest_of_the_document_scores_0() -> None:
    scores = torch.tensor([[math.log(0.2 / 0.5), math.log(0.3 / 0.5)]], requires_grad=True)
    loss, _ = listwise_loss(scores, _batch([[0.2, 0.3]], [2], [3]))
    # These scores say exactly what is wanted: the loss is the entropy and cannot fall.
    assert loss.item() == pytest.approx(-sum(p * math.log(p) for p in (0.2, 0.3, 0.5)))
    loss.backward()
    assert isinstance(scores.grad, Tensor)
    assert scores.grad.abs().max() < 1e-6
    # Adding to all scores of the window makes a difference, for a whole document none.
    more, _ = listwise_loss(scores + 1, _batch([[0.2, 0.3]], [2], [3]))
    assert more.item() > loss.item() + 0.01
    whole = [listwise_loss(scores + by, _batch([[0.4, 0.6]], [2], [1]))[0].item() for by in (0, 1)]
    assert whole[0] == pytest.approx(whole[1])


def test_windows_without_a_sentence_count_nothing() -> None:
    scores = torch.zeros(2, 2, requires_grad=True)
    loss, count = listwise_loss(scores, _batch([[0.5, 0.5], []], [2, 0], [1, 1]))
    assert loss.item() == pytest.approx(math.log(2))
    assert count == 1
    nothing, count = listwise_loss(scores, _batch([[0.0, 0.0], []], [0, 0], [1, 1]))
    assert (nothing.item(), count) == (0.0, 0)
    nothing.backward()
    assert scores.grad is not None
    assert torch.isfinite(scores.grad).all()
