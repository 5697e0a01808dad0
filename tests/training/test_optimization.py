"""The optimizer's groups and the learning rate over the steps."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from zoo.backbones import load_model
from zoo.errors import ZooError
from zoo.training.optimization import Schedule, adamw, parameter_groups, scheduler


def _rates(schedule: Schedule, *, warmup: int, total: int, steps: int) -> list[float]:
    """The learning rate of each step, for a highest rate of 1 and `warmup` steps to reach it."""
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    rates = scheduler(
        optimizer, schedule=schedule, warmup=warmup / total, total_steps=lambda: total
    )
    found = []
    for _ in range(steps):
        found.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        rates.step()
    return found


@pytest.mark.parametrize(
    ("schedule", "after"),
    [
        # 4 steps after the warm-up: 0, 1/4, 1/2 and 3/4 of the way done.
        ("linear", [1.0, 0.75, 0.5, 0.25]),
        # Half of 1 + cos: of 0, 45, 90 and 135 degrees.
        ("cosine", [1.0, 0.5 + 2**0.5 / 4, 0.5, 0.5 - 2**0.5 / 4]),
        ("constant", [1.0, 1.0, 1.0, 1.0]),
    ],
)
def test_the_rate_rises_in_equal_steps_and_then_follows_the_schedule(
    schedule: Schedule, after: list[float]
) -> None:
    rates = _rates(schedule, warmup=3, total=7, steps=7)
    assert rates == pytest.approx([0.0, 1 / 3, 2 / 3, *after])


@pytest.mark.parametrize(
    ("schedule", "last"), [("linear", 0.0), ("cosine", 0.0), ("constant", 1.0)]
)
def test_beyond_its_end_the_schedule_stays_where_it_ended(schedule: Schedule, last: float) -> None:
    assert _rates(schedule, warmup=1, total=3, steps=6)[3:] == pytest.approx([last] * 3)


def test_without_a_warm_up_the_first_step_has_the_full_rate() -> None:
    assert _rates("linear", warmup=0, total=2, steps=3) == pytest.approx([1.0, 0.5, 0.0])


def test_a_warm_up_as_long_as_the_training_never_divides_by_zero() -> None:
    assert _rates("cosine", warmup=2, total=2, steps=3) == pytest.approx([0.0, 0.5, 1.0])


def test_a_warm_up_is_at_least_one_step() -> None:
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    # A hundredth of 5 steps would round to none.
    rates = scheduler(optimizer, schedule="constant", warmup=0.01, total_steps=lambda: 5)
    assert rates.get_last_lr() == [0.0]
    optimizer.step()
    rates.step()
    assert rates.get_last_lr() == [1.0]


def test_a_training_without_an_end_is_refused_with_what_to_give() -> None:
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    rates = scheduler(optimizer, schedule="linear", warmup=0.1, total_steps=lambda: float("inf"))
    optimizer.step()
    with pytest.raises(ZooError, match=r"--trainer\.max_epochs"):
        rates.step()


@pytest.mark.parametrize("architecture", ["bert", "roberta", "deberta-v2", "modernbert"])
def test_norms_and_biases_have_no_weight_decay(
    tiny: Callable[[str], Path], architecture: str
) -> None:
    model = load_model(str(tiny(architecture)), "token-classification", labels=["O", "B-X"])
    decayed, plain = parameter_groups(model, weight_decay=0.1)
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.1, 0.0)
    # By kind of module here: norms and whatever is called a bias.
    expected_plain = {
        id(parameter)
        for module in model.modules()
        for name, parameter in module.named_parameters(recurse=False)
        if "Norm" in type(module).__name__ or name == "bias"
    }
    groups: Any = (decayed["params"], plain["params"])
    assert {id(parameter) for parameter in groups[1]} == expected_plain
    listed = [id(parameter) for group in groups for parameter in group]
    assert sorted(listed) == sorted({id(parameter) for parameter in model.parameters()})


def test_frozen_parameters_are_in_no_group() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.LayerNorm(3))
    model[1].requires_grad_(False)
    model[0].bias.requires_grad_(False)
    (group,) = parameter_groups(model, weight_decay=0.5)
    assert group == {"params": [model[0].weight], "weight_decay": 0.5}


def test_a_step_of_adamw_is_the_one_of_the_paper() -> None:
    weight, bias = (
        torch.nn.Parameter(torch.tensor([[2.0]])),
        torch.nn.Parameter(torch.tensor([2.0])),
    )
    groups: list[dict[str, object]] = [
        {"params": [weight], "weight_decay": 0.5},
        {"params": [bias], "weight_decay": 0.0},
    ]
    optimizer = adamw(groups, learning_rate=0.1, betas=(0.9, 0.98))
    weight.grad, bias.grad = torch.tensor([[3.0]]), torch.tensor([-3.0])
    optimizer.step()
    # The first step goes by the rate against the gradient's sign, after the decay 1 - 0.1 * 0.5.
    assert weight.item() == pytest.approx(2.0 * 0.95 - 0.1)
    assert bias.item() == pytest.approx(2.0 + 0.1)
    assert {group["betas"] for group in optimizer.param_groups} == {(0.9, 0.98)}
