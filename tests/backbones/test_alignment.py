"""Where the weights of a loaded model lie in memory."""

from collections.abc import Callable
from itertools import chain
from pathlib import Path

import pytest
import torch
from torch import nn

from zoo import backbones
from zoo.backbones.alignment import align


@pytest.mark.parametrize("architecture", ["bert", "modernbert"])
def test_loaded_weights_are_laid_as_those_that_are_built(
    architecture: str, tiny: Callable[[str], Path]
) -> None:
    model = backbones.load_model(str(tiny(architecture)), "token-classification", labels=["O"])
    assert {one.data_ptr() % 64 for one in chain(model.parameters(), model.buffers())} == {0}


def test_weights_are_moved_with_their_values_and_stay_tied() -> None:
    memory = torch.arange(101, dtype=torch.float32)
    model = nn.Sequential(nn.Linear(10, 10, bias=False), nn.Linear(10, 10, bias=False))
    weight = nn.Parameter(memory[1:].view(10, 10))  # 4 bytes too far
    assert weight.data_ptr() % 64
    model[0].weight = model[1].weight = weight
    align(model)
    assert model[0].weight is model[1].weight is weight
    assert weight.data_ptr() % 64 == 0
    assert weight.flatten().tolist() == list(range(1, 101))
    memory.zero_()
    assert weight.sum() == 5050
