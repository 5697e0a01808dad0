"""Encoded texts as padded batches."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from zoo.data.batching import padded


def collate(features: Sequence[Mapping[str, Any]], *, pad_token_id: int) -> dict[str, Any]:
    """A padded batch from encoded texts.

    Args:
        features: Rows with `input_ids`, `token_types`, `windows` and `example`.
        pad_token_id: What rows are filled up with.

    Returns:
        `input_ids`, `attention_mask` and `token_type_ids`, int64 `[windows, longest]`; `text_of`,
        the text of each window, int64 `[windows]`; `example`, a list of rows; `tokens`, how many
        there are without padding.
    """
    ids, types, text_of = [], [], []
    for number, row in enumerate(features):
        begin = 0
        for size in row["windows"]:
            ids.append(row["input_ids"][begin : begin + size])
            types.append(row["token_types"][begin : begin + size])
            text_of.append(number)
            begin += size
    input_ids = padded(ids, fill=pad_token_id)
    lengths = torch.tensor([len(one) for one in ids])
    return {
        "input_ids": input_ids,
        "attention_mask": (torch.arange(input_ids.shape[1]) < lengths[:, None]).long(),
        "token_type_ids": padded(types, fill=0),
        "text_of": torch.tensor(text_of),
        "example": [row["example"] for row in features],
        "tokens": int(lengths.sum()),
    }
