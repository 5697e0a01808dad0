"""A prompt before texts of any length."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from zoo.backbones import load_model, positions_of
from zoo.errors import ZooError
from zoo.training.adaptation.prompts import insert


@pytest.mark.parametrize("architecture", ["bert", "roberta", "distilbert"])
def test_a_text_that_leaves_its_prompt_no_room_is_refused_with_what_to_give(
    architecture: str, tiny: Callable[[str], Path]
) -> None:
    model = load_model(str(tiny(architecture)), "token-classification", labels=["O", "B-X"]).eval()
    limit = positions_of(model.config)
    assert limit is not None
    insert(model, 5)
    ids = torch.full((1, limit - 5), 7)
    with torch.no_grad():
        found = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    assert found.shape == (1, limit - 5, 2)
    assert found.isfinite().all()
    longer = torch.full((1, limit - 4), 7)
    with pytest.raises(ZooError, match=f"give --data.max_length {limit - 5}"):
        model(input_ids=longer, attention_mask=torch.ones_like(longer))
