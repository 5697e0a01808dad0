"""Rows of the table of features as a padded batch."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from zoo.data.batching import padded
from zoo.data.frames import Frame
from zoo.pretraining.blocks import piece_numbers
from zoo.pretraining.encoding import NO_WORD
from zoo.pretraining.pairs import TRUE, types_of


def collate(features: Sequence[Mapping[str, Any]], *, pad_token_id: int) -> dict[str, Any]:
    """A padded batch from blocks.

    Returns:
        `input_ids`, `attention_mask`, `pieces` (the piece that a token is of, from 1), `words`
        (`NO_WORD` at special tokens and padding) and `sizes`, int64 `[blocks, longest]`; `example`
        and `part`, lists with one entry a block; `tokens`, how many there are.
    """
    return {
        "input_ids": padded([row["input_ids"] for row in features], fill=pad_token_id),
        "attention_mask": padded([[1] * len(row["input_ids"]) for row in features], fill=0),
        "pieces": piece_numbers([row["pieces"] for row in features]),
        "words": padded([row["words"] for row in features], fill=NO_WORD),
        "sizes": padded([row["sizes"] for row in features], fill=0),
        "example": [row["example"] for row in features],
        "part": [row["part"] for row in features],
        "tokens": sum(len(row["input_ids"]) for row in features),
    }


def collate_pairs(features: Sequence[Mapping[str, Any]], *, frame: Frame) -> dict[str, Any]:
    """What a batch of pairs has beside or in place of that of blocks.

    Returns:
        `pieces`, all of one piece; `token_type_ids`, int64 `[pairs, longest]`; `sentence_labels`,
        int64 `[pairs]`: 0 of pairs that stand so in their document, 1 of others.
    """
    return {
        "pieces": piece_numbers([[sum(row["pieces"])] for row in features]),
        "token_type_ids": padded([types_of(row, frame) for row in features], fill=0),
        "sentence_labels": torch.tensor(
            [row.get("sentence_label", TRUE) for row in features], dtype=torch.long
        ),
    }
