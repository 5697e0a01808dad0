"""Windows as rows and batches, and how long they are unless told: for training and prediction."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch

from zoo import backbones
from zoo.data.batching import padded
from zoo.data.frames import Frame
from zoo.errors import DataError
from zoo.qa.encoding import Layout, Window

#: Longest window and overlap of windows in tokens, unless told.
USUAL_MAX_LENGTH = 384
USUAL_STRIDE = 128


def stride_of(backbone: str, max_length: int) -> int:
    """Overlap of windows in tokens: of an exported model what it was trained with, else 128.

    Of windows shorter than 384 tokens it is a third of their length.
    """
    trained_with = backbones.metadata(backbone).get("encoding", {}).get("stride")
    return min(USUAL_STRIDE, max_length // 3) if trained_with is None else int(trained_with)


def layout_of(
    tokenizer: Any, max_length: int, stride: int, *, of: Literal["data", "model"] = "data"
) -> Layout:
    """Length and overlap of windows behind this tokenizer's special tokens.

    Args:
        tokenizer: A fast tokenizer of transformers.
        max_length: Longest window in tokens.
        stride: Overlap of neighbouring windows in tokens.
        of: Whose settings these are, for the error.

    Raises:
        DataError: They leave no room for a question and a text.
    """
    try:
        return Layout(max_length, stride, Frame.of(tokenizer, pairs=True))
    except ValueError as error:
        raise DataError(f"--{of}.{error}") from error


def window_row(window: Window, number: int) -> dict[str, Any]:
    """A window as a row of features."""
    return {**window._asdict(), "stop": window.begin + len(window.starts), "window": number}


def collate(features: Sequence[Mapping[str, Any]], *, pad_token_id: int) -> dict[str, Any]:
    """A padded batch from encoded windows.

    Returns:
        `input_ids`, `attention_mask` and `token_type_ids`, int64 `[windows, longest]`;
        `context_mask`, bool of the same shape, true at tokens of the text; `start` and `end`,
        int64 `[windows]`, the answer's first and last token or 0; and lists with one entry a
        window: `example`, `window`, `windows`.
    """
    input_ids = padded([row["input_ids"] for row in features], fill=pad_token_id)
    positions = torch.arange(input_ids.shape[1])
    lengths, begin, stop, start, end = (
        torch.tensor(column)
        for column in zip(
            *(
                (len(row["input_ids"]), row["begin"], row["stop"], row["start"], row["end"])
                for row in features
            ),
            strict=True,
        )
    )
    return {
        "input_ids": input_ids,
        "attention_mask": (positions < lengths[:, None]).long(),
        "token_type_ids": padded([row["token_types"] for row in features], fill=0),
        "context_mask": (positions >= begin[:, None]) & (positions < stop[:, None]),
        "start": start,
        "end": end,
        "example": [row["example"] for row in features],
        "window": [row["window"] for row in features],
        "windows": [row["windows"] for row in features],
        "tokens": int(lengths.sum()),
    }


def offsets_of(features: Sequence[Mapping[str, Any]], width: int) -> torch.Tensor:
    """First and last (exclusive) character of each token of the text, int64 `[windows, width, 2]`.

    0 at all other tokens.
    """
    # numpy: filling a tensor row by row takes forty times as long.
    offsets = np.zeros((len(features), width, 2), dtype=np.int64)
    for number, row in enumerate(features):
        span = slice(row["begin"], row["stop"])
        offsets[number, span, 0] = row["starts"]
        offsets[number, span, 1] = row["ends"]
    return torch.from_numpy(offsets)
