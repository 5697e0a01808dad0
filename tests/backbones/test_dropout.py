"""Dropout that is drawn quickly drops as much as torch's, and only where torch would drop."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from zoo import backbones
from zoo.backbones.dropout import QuickDropout, kept, quicken_dropout


@pytest.mark.parametrize("share", [0.1, 0.5, 1e-6, 0.999])
def test_as_many_values_are_dropped_as_asked_for(share: float) -> None:
    torch.manual_seed(1)
    stay = kept(torch.zeros(999, 1001), share)  # not a multiple of four
    assert set(stay.unique().tolist()) <= {0.0, 1.0}
    # A million draws: six standard deviations are below 0.003.
    assert abs(float(stay.mean()) - (1 - share)) < 0.003


def test_values_that_stay_are_scaled_and_gradients_flow_through_them_alone() -> None:
    torch.manual_seed(1)
    values = torch.randn(40, 50, requires_grad=True)
    found = QuickDropout(0.25)(values)
    stay = found != 0
    torch.testing.assert_close(found[stay], values[stay] / 0.75)
    found.sum().backward()
    expected = torch.where(stay, 1 / 0.75, 0.0)
    torch.testing.assert_close(values.grad, expected)


@pytest.mark.parametrize(("share", "training"), [(0.0, True), (0.5, False), (1.0, True)])
def test_nothing_is_drawn_where_torch_draws_nothing(share: float, training: bool) -> None:
    values = torch.randn(7, 3)
    state = torch.get_rng_state()
    found = QuickDropout(share).train(training)(values)
    assert torch.equal(found, nn.Dropout(share).train(training)(values))
    if share < 1:
        assert torch.equal(torch.get_rng_state(), state)


def test_a_seed_fixes_what_is_dropped_in_half_precision_too() -> None:
    values = torch.ones(33, 5, dtype=torch.bfloat16)
    drop, found = QuickDropout(0.5), []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        found.append(drop(values))
    assert found[0].dtype == torch.bfloat16
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_all_dropout_modules_become_quick_and_keep_share_and_mode() -> None:
    inner = nn.Sequential(nn.Dropout(0.2)).eval()
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.3), inner)
    quicken_dropout(model)
    found = [module for module in model.modules() if isinstance(module, nn.Dropout)]
    assert {type(module) for module in found} == {QuickDropout}
    assert [(module.p, module.training) for module in found] == [(0.3, True), (0.2, False)]


@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert"])
def test_a_loaded_model_has_quick_dropout_and_the_weights_of_transformers(
    tiny: Callable[[str], Path], kind: str
) -> None:
    from transformers import AutoModelForTokenClassification

    folder = tiny(kind)
    model = backbones.load_model(str(folder), "token-classification", labels=["O", "B-X", "I-X"])
    plain = AutoModelForTokenClassification.from_pretrained(folder, num_labels=3)
    kinds = {type(module) for module in model.modules() if isinstance(module, nn.Dropout)}
    assert kinds == {QuickDropout}
    assert list(model.state_dict()) == list(plain.state_dict())
