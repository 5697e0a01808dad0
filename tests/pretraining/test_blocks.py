"""No piece of a block sees another: against each piece read alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import ARCHITECTURES
from zoo.pretraining.blocks import attention, logits_at, logits_of, piece_numbers, positions
from zoo.pretraining.task import MaskedLMTask

Tiny = Callable[[str], Path]

#: Three blocks, the second of them one piece alone.
LENGTHS = [[5, 3, 7], [6], [9, 2]]


def _batch(seed: int = 0) -> dict[str, Any]:
    pieces = piece_numbers(LENGTHS)
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(5, 60, pieces.shape, generator=generator)
    real = pieces > 0
    return {
        "input_ids": ids.masked_fill(~real, 0),
        "attention_mask": real.long(),
        "pieces": pieces,
    }


def _net(folder: Path) -> Any:
    task = MaskedLMTask(str(folder))
    task.configure_model()
    return task.net.eval()


def test_pieces_are_numbered_and_positions_begin_anew_in_each() -> None:
    pieces = piece_numbers([[2, 3], [1]])
    assert pieces.tolist() == [[1, 1, 2, 2, 2], [1, 0, 0, 0, 0]]
    assert positions(pieces).tolist() == [[0, 1, 0, 1, 2], [0, 0, 1, 2, 3]]


@pytest.mark.parametrize("causal", [False, True])
def test_a_token_looks_at_those_of_its_own_piece(causal: bool) -> None:
    pieces = piece_numbers([[2, 3], [4]])
    seen = attention(pieces, causal=causal)
    for row, own in enumerate(pieces.tolist()):
        for one, of_one in enumerate(own):
            for other, of_other in enumerate(own):
                may = of_one == of_other and (other <= one or not causal)
                assert bool(seen[row, 0, one, other]) == may


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_each_piece_has_the_logits_that_it_has_alone(
    architecture: str, implementation: str, tiny: Tiny
) -> None:
    net = _net(tiny(architecture))
    if implementation == "eager":
        net.set_attn_implementation("eager")
    batch = _batch()
    with torch.inference_mode():
        found = logits_of(net, batch)
        for row, lengths in enumerate(LENGTHS):
            at = 0
            for length in lengths:
                ids = batch["input_ids"][row : row + 1, at : at + length]
                alone = net(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0]
                torch.testing.assert_close(
                    found[row, at : at + length], alone, rtol=1e-4, atol=1e-5
                )
                at += length


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_another_neighbour_changes_nothing(architecture: str, tiny: Tiny) -> None:
    net = _net(tiny(architecture))
    batch, other = _batch(), _batch(seed=1)
    second = batch["pieces"] == 2
    changed = {**batch, "input_ids": torch.where(second, other["input_ids"], batch["input_ids"])}
    with torch.inference_mode():
        one, two = logits_of(net, batch), logits_of(net, changed)
    rest = (batch["pieces"] > 0) & ~second
    torch.testing.assert_close(one[rest], two[rest], rtol=1e-5, atol=1e-6)
    # The model does read its input: what was changed has other logits.
    assert (one[second] - two[second]).abs().max() > 1e-3


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_logits_of_some_tokens_are_those_of_all_and_so_are_the_gradients(
    architecture: str, tiny: Tiny
) -> None:
    net = _net(tiny(architecture))
    batch = _batch()
    generator = torch.Generator().manual_seed(2)
    asked = (torch.rand(batch["pieces"].shape, generator=generator) < 0.3) & (batch["pieces"] > 0)
    weight = next(net.parameters())
    every = logits_of(net, batch)[asked]
    some = logits_at(net, batch, asked)
    torch.testing.assert_close(some, every, rtol=1e-5, atol=1e-6)
    gradients = [torch.autograd.grad(one.square().sum(), weight)[0] for one in (some, every)]
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-3, atol=1e-4)
    nothing = logits_at(net, batch, torch.zeros_like(asked))
    assert nothing.shape == (0, every.shape[-1])
    # Nothing is left behind in the model.
    assert net(input_ids=batch["input_ids"]).logits.shape[:2] == asked.shape
