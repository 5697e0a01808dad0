"""The optimizer's groups and the learning rate over the steps."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from zoo.backbones import load_model, parameter_depths
from zoo.errors import ZooError
from zoo.training.adaptation import Adaptation
from zoo.training.adaptation.adapters import insert
from zoo.training.optimization import Schedule, adamw, parameter_groups, scheduler
from zoo.training.schedules import PlateauLR, schedule_options


def _rates(
    schedule: Schedule, *, warmup: int, total: int, steps: int, **options: float
) -> list[float]:
    """The learning rate of each step, for a highest rate of 1 and `warmup` steps to reach it."""
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    rates = scheduler(
        optimizer,
        schedule=schedule,
        warmup=warmup / total,
        total_steps=lambda: total,
        options=options,
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
        # The root of 3 (the warm-up) over the step: 3, 4, 5 and 6.
        ("inverse_sqrt", [1.0, (3 / 4) ** 0.5, (3 / 5) ** 0.5, 0.5**0.5]),
        # A fifth of 7 steps is 1 step, the last one, at whose end the rate is 0.
        ("warmup_stable_decay", [1.0, 1.0, 1.0, 1.0]),
        ("plateau", [1.0, 1.0, 1.0, 1.0]),
    ],
)
def test_the_rate_rises_in_equal_steps_and_then_follows_the_schedule(
    schedule: Schedule, after: list[float]
) -> None:
    rates = _rates(schedule, warmup=3, total=7, steps=7)
    assert rates == pytest.approx([0.0, 1 / 3, 2 / 3, *after])


@pytest.mark.parametrize(
    ("schedule", "last"),
    [("linear", 0.0), ("cosine", 0.0), ("constant", 1.0), ("warmup_stable_decay", 0.0)],
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


@pytest.mark.parametrize("architecture", ["bert", "t5"])
def test_scales_of_ia3_have_no_weight_decay(tiny: Callable[[str], Path], architecture: str) -> None:
    backbone = str(tiny(architecture))
    head: Any = "text-to-text" if architecture == "t5" else "token-classification"
    model = load_model(backbone, head, labels=["summary"] if architecture == "t5" else ["O", "B-X"])
    insert(model, Adaptation(kind="ia3"), backbone=backbone)
    scales = [own for name, own in model.named_parameters() if "ia3_" in name]
    assert {own.shape.index(1) for own in scales} == {0, 1}  # of inputs and of outputs
    (group,) = parameter_groups(model, weight_decay=0.1)
    assert group == {"params": scales, "weight_decay": 0.0}


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


def test_a_stable_schedule_decays_over_its_share_of_the_steps() -> None:
    rates = _rates("warmup_stable_decay", warmup=1, total=10, steps=11, decay=0.4)
    assert rates == pytest.approx([0, 1, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25, 0])


def test_a_decay_never_begins_before_the_warm_up_has_ended() -> None:
    rates = _rates("warmup_stable_decay", warmup=2, total=4, steps=5, decay=0.9)
    assert rates == pytest.approx([0, 0.5, 1, 0.5, 0])


def test_without_a_warm_up_the_inverse_root_begins_at_the_first_step() -> None:
    rates = _rates("inverse_sqrt", warmup=0, total=5, steps=5)
    assert rates == pytest.approx([1, 1, 2**-0.5, 3**-0.5, 0.5])


def test_schedules_without_an_end_need_to_know_none() -> None:
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    rates = scheduler(
        optimizer, schedule="inverse_sqrt", warmup=0, total_steps=lambda: float("inf")
    )
    optimizer.step()
    rates.step()
    assert rates.get_last_lr() == [1.0]


@pytest.mark.parametrize(
    ("schedule", "options", "said"),
    [
        ("inverse_sqr", {}, "Did you mean inverse_sqrt?"),
        ("linear", {"decay": 0.1}, "linear has no such option; it has none"),
        ("plateau", {"patient": 2}, "it has factor, patience, floor"),
        ("plateau", {"patience": 0.5}, "at least 1"),
        ("plateau", {"factor": 1}, "less than 1"),
        ("warmup_stable_decay", {"decay": 1.5}, "from 0 to 1"),
    ],
)
def test_wrong_schedules_and_options_are_refused_with_what_there_is(
    schedule: Any, options: dict[str, float], said: str
) -> None:
    with pytest.raises(ZooError) as raised:
        schedule_options(schedule, options)
    assert said in str(raised.value)


def _plateau(mode: str = "max", warmup: float = 0.0, **options: float) -> PlateauLR:
    weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    optimizer = torch.optim.SGD(
        [{"params": [weights[0]], "lr": 1.0}, {"params": [weights[1]], "lr": 0.1}], lr=1.0
    )
    rates = scheduler(
        optimizer,
        schedule="plateau",
        warmup=warmup,
        total_steps=lambda: 10,
        options=options,
        mode=mode,
    )
    assert isinstance(rates, PlateauLR)
    return rates


def _lr(rates: PlateauLR) -> list[float]:
    return [float(group["lr"]) for group in rates.optimizer.param_groups]


def test_a_plateau_lowers_all_rates_after_so_many_validations_without_a_better_score() -> None:
    rates = _plateau(patience=2, factor=0.5, floor=0.0)
    seen = []
    for score in (0.3, 0.5, 0.5, 0.4, float("nan"), 0.6, 0.1, 0.2):
        rates.observe(score)
        rates.optimizer.step()
        rates.step()
        seen.append(_lr(rates)[0])
    # Two without a better one at 0.4; one (nan) until 0.6 begins the count anew; two at 0.2.
    assert seen == [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.25]
    assert _lr(rates) == pytest.approx([0.25, 0.025])


def test_a_plateau_of_losses_waits_for_smaller_ones_and_stops_at_its_floor() -> None:
    rates = _plateau("min", factor=0.1, floor=0.05)
    for score in (2.0, 1.0, 1.5, 1.5, 1.5):
        rates.observe(score)
    assert _lr(rates) == pytest.approx([0.05, 0.005])


def test_a_plateau_lowers_nothing_while_the_rate_still_rises() -> None:
    rates = _plateau(warmup=0.4, factor=0.5)
    seen = []
    for _ in range(6):
        rates.optimizer.step()
        rates.step()
        rates.observe(0.5)
        seen.append(_lr(rates)[0])
    # Four steps of warm-up; the first score is the best, equal ones are not better.
    assert seen == [0.25, 0.5, 0.75, 0.5, 0.25, 0.125]


def test_a_restored_plateau_goes_on_as_if_there_had_been_no_stop() -> None:
    scores = [0.5, 0.4, 0.6, 0.5, 0.5, 0.7, 0.1]
    for cut in range(len(scores)):
        first, second = _plateau(patience=2), _plateau(patience=2)
        whole = _plateau(patience=2)
        for number, score in enumerate(scores):
            if number == cut:
                second.optimizer.load_state_dict(first.optimizer.state_dict())
                second.load_state_dict(first.state_dict())
            for one in (whole, first if number < cut else second):
                one.observe(score)
                one.optimizer.step()
                one.step()
        assert _lr(second) == _lr(whole)


def _depths(folder: str, head: Any = "token-classification") -> dict[str, int]:
    model = load_model(folder, head, labels=["O", "B-X"] if head != "text-to-text" else [])
    depths = parameter_depths(folder, model)
    return {name: depths[parameter] for name, parameter in model.named_parameters()}


@pytest.mark.parametrize(
    "architecture",
    ["bert", "roberta", "deberta-v2", "electra", "distilbert", "xlm-roberta", "modernbert"],
)
def test_a_parameter_is_as_deep_as_its_block_is_from_the_top(
    tiny: Callable[[str], Path], architecture: str
) -> None:
    depths = _depths(str(tiny(architecture)))
    for name, depth in depths.items():
        block = re.search(r"\.layers?\.(\d+)\.", name)
        if block is not None:
            assert depth == 2 - int(block[1]), name
        elif "embeddings" in name:
            assert depth == 3, name
        else:
            assert depth == ("final_norm" in name), name
    assert set(depths.values()) >= {0, 1, 2, 3}


def test_the_one_block_of_albert_counts_once(tiny: Callable[[str], Path]) -> None:
    for name, depth in _depths(str(tiny("albert"))).items():
        assert depth == (0 if "classifier" in name else 1 if "groups" in name else 2), name


@pytest.mark.parametrize(("architecture", "stack"), [("t5", "block"), ("bart", "layers")])
def test_each_half_of_an_encoder_decoder_is_counted_from_its_own_top(
    tiny: Callable[[str], Path], architecture: str, stack: str
) -> None:
    depths = _depths(str(tiny(architecture)), "text-to-text")
    for name, depth in depths.items():
        block = re.search(rf"(?:encoder|decoder)\.{stack}\.(\d+)\.", name)
        if block is not None:
            assert depth == 2 - int(block[1]), name
        else:
            assert depth == (1 if "final_layer_norm" in name else 3), name


def test_adapters_are_as_deep_as_the_block_that_they_are_in(tiny: Callable[[str], Path]) -> None:
    from peft import LoraConfig, get_peft_model

    folder = str(tiny("bert"))
    model = load_model(folder, "token-classification", labels=["O", "B-X"])
    wrapped = get_peft_model(
        model, LoraConfig(target_modules=["query"], modules_to_save=["classifier"], r=2)
    )
    depths = parameter_depths(folder, wrapped)
    trained = {name: depths[one] for name, one in wrapped.named_parameters() if one.requires_grad}
    assert len(trained) == 2 * 2 + 2
    for name, depth in trained.items():
        expected = 2 if "layer.0." in name else 1 if "layer.1." in name else 0
        assert ("lora_" in name) == (depth > 0)
        assert depth == expected, name


def test_layer_decay_multiplies_the_rate_once_for_each_layer(tiny: Callable[[str], Path]) -> None:
    folder = str(tiny("bert"))
    model = load_model(folder, "token-classification", labels=["O", "B-X"])
    groups: Any = parameter_groups(
        model,
        weight_decay=0.1,
        learning_rate=1.0,
        layer_decay=0.5,
        depths=parameter_depths(folder, model),
    )
    rates = {id(one): group["lr"] for group in groups for one in group["params"]}
    decays = {id(one): group["weight_decay"] for group in groups for one in group["params"]}
    assert len(rates) == len(list(model.parameters()))
    for name, parameter in model.named_parameters():
        part = "head" if name.startswith("classifier") else ".".join(name.split(".")[1:4])
        expected = {"head": 1.0, "encoder.layer.1": 0.5, "encoder.layer.0": 0.25}.get(part, 0.125)
        assert rates[id(parameter)] == expected, name
        assert decays[id(parameter)] == (0.1 if parameter.ndim > 1 else 0.0)
    assert [group["lr"] for group in groups] == sorted(
        (group["lr"] for group in groups), reverse=True
    )
