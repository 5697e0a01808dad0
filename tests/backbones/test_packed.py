"""A batch without its padding gives what the padded batch gives."""

import logging
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import ARCHITECTURES
from zoo import backbones
from zoo.backbones import packed, packed_layout

TINY = Callable[[str], Path]
PACKED = tuple(one for one in ARCHITECTURES if one != "deberta-v2")
HEADS = ("token-classification", "sequence-classification", "question-answering", "masked-lm")
LENGTHS = {
    "ragged": [9, 3, 1, 14, 14, 2, 7],
    "one short": [6, 6, 6, 5],
    "one alone": [1, 30, 1],
    "like lengths": [10, 9, 11, 10, 8],
}


def model_of(tiny: TINY, architecture: str, head: backbones.Head, **changes: Any) -> Any:
    """A tiny model without dropout, with weights large enough for attention to matter."""
    labels = {"question-answering": ["start", "end"], "masked-lm": ["token"]}
    model = backbones.load_model(
        str(tiny(architecture)), head, labels=labels.get(head, ["a", "b", "c"])
    )
    torch.manual_seed(0)
    with torch.no_grad():
        for own in model.parameters():
            if own.dim() > 1:
                own.normal_(std=0.3)
    for name, value in changes.items():
        setattr(model.config, name, value)
    return model.double().eval()  # ModernBERT turns its positions in float32 all the same


def batch_of(lengths: list[int], model: Any) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    longest = max(*lengths, 1)
    mask = (torch.arange(longest) < torch.tensor(lengths)[:, None]).long()
    ids = torch.randint(5, model.config.vocab_size, mask.shape, generator=generator) * mask
    ids = ids.masked_fill(mask == 0, int(model.config.pad_token_id or 0))
    inputs = {"input_ids": ids, "attention_mask": mask}
    if model.config.model_type in ("bert", "electra", "albert"):
        inputs["token_type_ids"] = torch.randint(0, 2, mask.shape, generator=generator) * mask
    return inputs


def found(output: Any, mask: torch.Tensor) -> list[torch.Tensor]:
    """All outputs, without those of padding."""
    return [
        one if one.shape[:2] != mask.shape else one[mask.bool()]
        for one in output.values()
        if isinstance(one, torch.Tensor)
    ]


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("architecture", PACKED)
def test_outputs_and_gradients_are_those_of_the_padded_batch(
    tiny: TINY, architecture: str, head: backbones.Head
) -> None:
    plain = model_of(tiny, architecture, head)
    model = deepcopy(plain)
    for lengths in LENGTHS.values():
        inputs = batch_of(lengths, model)
        mask = inputs["attention_mask"]
        right, mine = plain(**inputs), packed.packed_forward(model, inputs)
        assert type(mine) is type(right)
        assert list(mine) == list(right)
        for one, other in zip(found(mine, mask), found(right, mask), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
        for net, output in ((plain, right), (model, mine)):
            net.zero_grad()
            weights = torch.Generator().manual_seed(2)
            sum(
                (one * torch.rand(one.shape, generator=weights)).sum()
                for one in found(output, mask)
            ).backward()
        for (name, one), other in zip(model.named_parameters(), plain.parameters(), strict=True):
            assert (one.grad is None) == (other.grad is None), name
            if one.grad is not None:
                torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-5, msg=name)
    assert model.state_dict().keys() == plain.state_dict().keys()
