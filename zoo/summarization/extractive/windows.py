"""Windows as rows and batches, and how far they overlap unless told: to train and to predict."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo import backbones
from zoo.data.batching import padded
from zoo.data.frames import Frame
from zoo.errors import DataError
from zoo.summarization.extractive.encoding import Layout, Window

#: Sentences that neighbouring windows of a document share, unless told.
USUAL_OVERLAP = 4


def overlap_of(backbone: str) -> int:
    """Overlap of windows in sentences: of an exported model what it was trained with, else 4."""
    trained_with = backbones.metadata(backbone).get("encoding", {}).get("overlap")
    return USUAL_OVERLAP if trained_with is None else int(trained_with)


def layout_of(tokenizer: Any, max_length: int, overlap: int) -> Layout:
    """Length and overlap of windows with this tokenizer's special tokens.

    Raises:
        DataError: They leave no room for a sentence.
    """
    try:
        return Layout(max_length, overlap, Frame.of(tokenizer, pairs=False))
    except ValueError as error:
        raise DataError(f"--data.{error}") from error


def window_row(window: Window, number: int, windows: int) -> dict[str, Any]:
    """A window as a row of features: the number-th of a document's."""
    return {**window._asdict(), "keep": list(window.keep), "window": number, "windows": windows}


def collate(features: Sequence[Mapping[str, Any]], *, pad_token_id: int) -> dict[str, Any]:
    """A padded batch from encoded windows.

    Returns:
        `input_ids`, `attention_mask` and `token_type_ids`, int64 `[windows, longest]`; types
        alternate from sentence to sentence, as in BertSum. `sentence_of`, int64 of the same shape,
        the number in its window of the sentence that a token is of; `most` where there is no token.
        `sentence_mask`, bool `[windows, most]`, true where there is a sentence. Lists with one
        entry a window: `example`, `window`, `windows`, `first`, `keep`.
    """
    input_ids = padded([row["input_ids"] for row in features], fill=pad_token_id)
    lengths = torch.tensor([len(row["input_ids"]) for row in features])
    counts = torch.tensor([len(row["places"]) for row in features])
    places = padded([row["places"] for row in features], fill=0)
    attention_mask = (torch.arange(input_ids.shape[1]) < lengths[:, None]).long()
    sentence_mask = torch.arange(places.shape[1]) < counts[:, None]
    opens = torch.zeros_like(input_ids)
    opens[sentence_mask.nonzero(as_tuple=True)[0], places[sentence_mask]] = 1
    sentence_of = (opens.cumsum(dim=1) - 1).clamp(min=0)
    return {
        "input_ids": input_ids,
        "attention_mask": attention_mask,
        "token_type_ids": sentence_of % 2 * attention_mask,
        # Where there is no token, one past the last sentence.
        "sentence_of": sentence_of.masked_fill(attention_mask == 0, places.shape[1]),
        "sentence_mask": sentence_mask,
        **{
            name: [row[name] for row in features]
            for name in ("example", "window", "windows", "first", "keep")
        },
        "tokens": int(lengths.sum()),
    }


class Waiting:
    """Scores of documents whose windows have not all been seen."""

    def __init__(self) -> None:
        self._parts: dict[int, list[tuple[int, list[float]]]] = {}
        self._seen: Counter[int] = Counter()

    def clear(self) -> None:
        """Forget them."""
        self._parts.clear()
        self._seen.clear()

    def add(self, batch: Mapping[str, Any], scores: Tensor) -> Iterator[tuple[int, list[float]]]:
        """Documents that a batch completes.

        Args:
            batch: What `collate` made.
            scores: Of the sentences of each window, `[windows, most]`.

        Yields:
            The place in the batch of the document's last window, and the score of each sentence
            of the document, from the window where it stands farthest from a cut.
        """
        rows = scores.detach().float().cpu().numpy().astype(np.float64)
        columns = zip(
            *(batch[name] for name in ("example", "windows", "first", "keep")), strict=True
        )
        for place, (example, windows, first, (begin, stop)) in enumerate(columns):
            kept = rows[place, begin - first : stop - first].tolist()
            self._parts.setdefault(example, []).append((begin, kept))
            self._seen[example] += 1
            if self._seen[example] == windows:
                del self._seen[example]
                parts = sorted(self._parts.pop(example), key=lambda part: part[0])
                yield place, [score for _, part in parts for score in part]
