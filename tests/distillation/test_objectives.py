"""The losses of distillation, against arithmetic by hand and a second way of computing them."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from zoo.distillation.objectives import (
    attention_mse,
    hidden_cosine,
    hidden_mse,
    relation,
    relation_divergence,
    soft_labels,
    soft_targets,
    squared_error,
)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_soft_targets_are_the_divergence_of_softened_distributions_times_the_square() -> None:
    # At T=2 the teacher says 3/4 and 1/4, the student a half each.
    teacher = torch.tensor([[2 * math.log(3.0), 0.0]])
    student = torch.tensor([[0.7, 0.7]])
    expected = 4 * (0.75 * math.log(1.5) + 0.25 * math.log(0.5))
    assert soft_targets(student, teacher, temperature=2.0).item() == pytest.approx(expected)


def test_soft_targets_have_hintons_gradient() -> None:
    # T (q - p) of each item's mean: his eq. 2, times T^2.
    student, teacher = draw(5, 4).requires_grad_(), draw(5, 4, seed=1)
    soft_targets(student, teacher, temperature=3.0).backward()
    expected = 3.0 * ((student / 3).softmax(-1) - (teacher / 3).softmax(-1)) / 5
    torch.testing.assert_close(student.grad, expected.detach())


def test_a_class_that_is_out_of_the_choice_adds_nothing() -> None:
    lowest = torch.finfo(torch.float).min
    student, teacher = draw(3, 2), draw(3, 2, seed=1)
    masked = [F.pad(one, (0, 1), value=lowest).requires_grad_() for one in (student, teacher)]
    loss = soft_targets(masked[0], masked[1], temperature=0.5)
    torch.testing.assert_close(loss, soft_targets(student, teacher, temperature=0.5))
    loss.backward()
    assert masked[0].grad is not None
    assert masked[0].grad.isfinite().all()
    assert (masked[0].grad[:, 2] == 0).all()


def test_soft_labels_are_soft_targets_of_having_a_label_or_not() -> None:
    student, teacher = draw(4, 3), draw(4, 3, seed=1)
    pairs = [torch.stack([one.flatten(), torch.zeros(12)], dim=1) for one in (student, teacher)]
    expected = soft_targets(pairs[0], pairs[1], temperature=2.0)
    torch.testing.assert_close(soft_labels(student, teacher, temperature=2.0), expected)


def test_numbers_are_told_by_their_squared_difference() -> None:
    found, wanted = torch.tensor([[1.0], [2.0]]), torch.tensor([[4.0], [1.0]])
    assert squared_error(found, wanted).item() == pytest.approx((9 + 1) / 2)


def test_hidden_states_count_at_tokens_alone() -> None:
    student = torch.tensor([[[1.0, 0.0], [0.0, 2.0], [9.0, 9.0]]])
    teacher = torch.tensor([[[0.0, 1.0], [0.0, 5.0], [-9.0, 9.0]]])
    mask = torch.tensor([[True, True, False]])
    # At a right angle and in the same direction; squares of 1, 1 and 0, 3 over a width of 2.
    assert hidden_cosine(student, teacher, mask).item() == pytest.approx((1 + 0) / 2)
    assert hidden_mse(student, teacher, mask).item() == pytest.approx((1 + 4.5) / 2)


def test_a_relation_is_attention_before_the_softmax() -> None:
    queries, keys, values = (draw(2, 5, 6, seed=seed) for seed in range(3))
    scores = relation(queries, keys, heads=3)
    split = [one.unflatten(-1, (3, 2)).transpose(1, 2) for one in (queries, keys, values)]
    expected = F.scaled_dot_product_attention(*split)
    torch.testing.assert_close(scores.softmax(-1) @ split[2], expected)


def test_attention_counts_pairs_of_tokens_alone() -> None:
    student, teacher = draw(1, 2, 3, 3), draw(1, 2, 3, 3, seed=1)
    mask = torch.tensor([[True, True, False]])
    expected = F.mse_loss(student[:, :, :2, :2], teacher[:, :, :2, :2])
    torch.testing.assert_close(attention_mse(student, teacher, mask), expected)


def test_a_relations_divergence_is_that_of_what_remains_without_padding() -> None:
    student, teacher = draw(1, 2, 3, 3), draw(1, 2, 3, 3, seed=1)
    mask = torch.tensor([[True, True, False]])
    found, wanted = (one[:, :, :2, :2].reshape(4, 2) for one in (student, teacher))
    expected = F.kl_div(
        found.log_softmax(-1), wanted.log_softmax(-1), log_target=True, reduction="batchmean"
    )
    torch.testing.assert_close(relation_divergence(student, teacher, mask), expected)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_whoever_is_equal_to_the_teacher_has_nothing_to_learn(temperature: float) -> None:
    scores, states, mask = draw(3, 4), draw(2, 3, 4), torch.ones(2, 3, dtype=torch.bool)
    maps = draw(2, 2, 3, 3)
    for loss in (
        soft_targets(scores, scores, temperature=temperature),
        soft_labels(scores, scores, temperature=temperature),
        squared_error(scores, scores),
        hidden_mse(states, states, mask),
        attention_mse(maps, maps, mask),
        relation_divergence(maps, maps, mask),
    ):
        assert loss.item() == 0
    assert hidden_cosine(states, states, mask).item() == pytest.approx(0, abs=1e-6)
