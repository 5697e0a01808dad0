"""Batches on their way to a device."""

import torch

from zoo import NERDataModule


def test_tensors_are_moved_wherever_they_are_and_everything_else_stays_itself() -> None:
    data = NERDataModule("ner-sample")
    plain = {
        "rows": [3, 1],
        "texts": ["a", "b"],
        "offsets": [[(0, 1)], [(1, 2)]],
        "none": None,
        "empty": [],
        "tokens": 7,
    }
    tensors = {"input_ids": torch.ones(2, 3), "parts": [torch.ones(1), torch.zeros(2)]}
    moved = data.transfer_batch_to_device({**plain, **tensors}, torch.device("meta"), 0)
    assert list(moved) == [*plain, *tensors]
    assert all(moved[name] is value for name, value in plain.items())
    assert moved["input_ids"].device.type == "meta"
    assert moved["input_ids"].shape == (2, 3)
    assert [part.device.type for part in moved["parts"]] == ["meta", "meta"]
