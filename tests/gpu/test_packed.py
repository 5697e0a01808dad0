"""On a GPU, too, a batch without its padding gives what the padded batch gives."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.backbones.test_packed import HEADS, LENGTHS, PACKED, batch_of, found, model_of
from tests.gpu.conftest import moved
from zoo import backbones
from zoo.backbones import packed, packed_attention

TINY = Callable[[str], Path]


def _backward(output: Any, mask: torch.Tensor) -> None:
    """Gradients of a sum in which every output counts differently."""
    weights = torch.Generator().manual_seed(2)
    shown = [
        (one.float() * torch.rand(one.shape, generator=weights).to(one.device)).sum()
        for one in found(output, mask)
    ]
    torch.stack(shown).sum().backward()


def _distance(one: torch.Tensor, other: torch.Tensor) -> float:
    """Norm of the difference over the norm of the second."""
    return float((one.double() - other.double()).norm() / other.double().norm().clamp_min(1e-12))


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("architecture", PACKED)
def test_outputs_and_gradients_are_those_of_the_padded_batch(
    tiny: TINY, architecture: str, head: backbones.Head
) -> None:
    plain = model_of(tiny, architecture, head).cuda()
    model = deepcopy(plain)
    for lengths in LENGTHS.values():
        inputs = moved(batch_of(lengths, model))
        mask = inputs["attention_mask"]
        right, mine = plain(**inputs), packed.packed_forward(model, inputs)
        for one, other in zip(found(mine, mask), found(right, mask), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
        for net, output in ((plain, right), (model, mine)):
            net.zero_grad()
            _backward(output, mask)
        for (name, one), other in zip(model.named_parameters(), plain.parameters(), strict=True):
            assert (one.grad is None) == (other.grad is None), name
            if one.grad is not None:
                torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-5, msg=name)


@pytest.fixture
def kernel_calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows with each call of torch's kernel for sequences of any lengths."""
    if not packed_attention._has_varlen(torch.zeros(1, 16, dtype=torch.float16, device="cuda")):
        pytest.skip("this GPU or torch has no such kernel")
    calls: list[int] = []
    own = packed_attention._varlen

    def counted(*arguments: Any) -> torch.Tensor:
        calls.append(1)
        return own(*arguments)

    monkeypatch.setattr(packed_attention, "_varlen", counted)
    return calls


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("architecture", PACKED)
def test_in_half_precision_it_errs_no_more_than_the_padded_batch_does(
    tiny: TINY, architecture: str, dtype: torch.dtype, kernel_calls: list[int]
) -> None:
    exact = model_of(tiny, architecture, "token-classification").cuda()
    with torch.no_grad():
        for own in exact.parameters():
            if own.dim() > 1:
                own.mul_(0.3)
    padded, model = deepcopy(exact).to(dtype), deepcopy(exact).to(dtype)
    inputs = moved(batch_of([9, 3, 1, 14, 14, 2, 7], model))
    mask = inputs["attention_mask"]
    outputs = (exact(**inputs), padded(**inputs), packed.packed_forward(model, inputs))
    assert kernel_calls, "the kernel for sequences of any lengths was not used"
    for output in outputs:
        _backward(output, mask)
    right, theirs, mine = (found(one, mask)[0] for one in outputs)
    assert _distance(mine, right) < 1.5 * _distance(theirs, right) + 1e-3
    names = [name for name, own in exact.named_parameters() if own.grad is not None]
    grads = [
        torch.cat([dict(net.named_parameters())[name].grad.double().flatten() for name in names])
        for net in (exact, padded, model)
    ]
    assert _distance(grads[2], grads[0]) < 1.5 * _distance(grads[1], grads[0]) + 1e-3


@pytest.mark.parametrize("architecture", PACKED)
def test_a_neighbour_changes_nothing(
    tiny: TINY, architecture: str, kernel_calls: list[int]
) -> None:
    model = model_of(tiny, architecture, "token-classification").to("cuda", torch.bfloat16)
    inputs = moved(batch_of([9, 3, 14, 13, 2], model))
    before = packed.packed_forward(model, inputs).logits
    changed = {**inputs, "input_ids": inputs["input_ids"].clone()}
    changed["input_ids"][2, :14] = torch.randint(5, model.config.vocab_size, (14,)).cuda()
    after = packed.packed_forward(model, changed).logits
    others = [0, 1, 3, 4]
    torch.testing.assert_close(after[others], before[others], rtol=0, atol=1e-6)
    assert (after[2] - before[2]).abs().max() > 1e-3
    assert kernel_calls


def test_layers_with_a_sliding_window_see_as_far_as_in_the_padded_batch(
    tiny: TINY, kernel_calls: list[int]
) -> None:
    model = model_of(tiny, "modernbert", "token-classification").cuda()
    inputs = moved(batch_of([30, 3, 29, 25, 1, 30, 12], model))
    mask = inputs["attention_mask"]
    other = found(model(**inputs), mask)[0]
    model.config.sliding_window = 4
    for layer in model.model.layers:
        layer.attn.sliding_window = 5
        layer.attention_type = "sliding_attention"
    right = found(model(**inputs), mask)[0]
    mine = found(packed.packed_forward(model.bfloat16(), inputs), mask)[0]
    assert kernel_calls
    assert _distance(mine, right) < 0.2 * _distance(other, right)
