"""What the backbone's tokenizer makes of the data: how long it is, and what is lost."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import datasets
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from zoo.data.doctor.characters import named
from zoo.data.doctor.findings import Finding, Place, Severity, by_share, counted
from zoo.data.frames import whole_backend

#: Share of all tokens that the tokenizer does not know: from the first on a warning; from the
#: second on (three of four) next to nothing is left to learn from.
UNKNOWN_WARNING, UNKNOWN_ERROR = 0.005, 0.75
#: Share of examples that are cut off, from which on it is a warning.
CUT_WARNING = 0.05

#: Rows of features looked at in one go.
_ROWS = 10_000
#: Examples with unknown tokens that are cut into tokens again to see what they are.
_SEEN = 300

Ints = npt.NDArray[np.int64]


class Read(NamedTuple):
    """What the model reads of each example of a split, int64 `[examples]` each.

    Args:
        tokens: Tokens, special ones and what windows share included, and what is cut off.
        windows: Windows.
        cut: Tokens that are cut off.
        unknown: Tokens that the tokenizer does not know.
    """

    tokens: Ints
    windows: Ints
    cut: Ints
    unknown: Ints


def read_of(features: datasets.Dataset, *, examples: int, unknown: int | None, cut: bool) -> Read:
    """Count over the encoded features of a split.

    Args:
        features: The features.
        examples: Number of examples.
        unknown: Id of the unknown token; None if the tokenizer has none.
        cut: Whether the column `cut` counts tokens of the example that are left out.
    """
    tokens, windows, left_out, lost = (np.zeros(examples, dtype=np.int64) for _ in range(4))
    columns = ["input_ids", "example", *(["cut"] if cut else [])]
    for table in features.select_columns(columns).with_format("arrow").iter(_ROWS):
        example = np.asarray(table["example"], dtype=np.int64)
        ids = table["input_ids"].combine_chunks()
        if isinstance(ids, pa.ChunkedArray):  # of no rows
            continue
        np.add.at(tokens, example, np.asarray(pc.list_value_length(ids), dtype=np.int64))
        np.add.at(windows, example, 1)
        if cut:
            of_each = np.asarray(table["cut"], dtype=np.int64)
            np.add.at(left_out, example, of_each)
            np.add.at(tokens, example, of_each)
        if unknown is not None:
            is_unknown = np.asarray(pc.list_flatten(ids)) == unknown
            np.add.at(lost, example[np.asarray(pc.list_parent_indices(ids))[is_unknown]], 1)
    return Read(tokens, windows, left_out, lost)


def lost_characters(texts: Iterable[str], *, tokenizer: Any) -> list[str]:
    """The characters that yield unknown tokens most often, or the words where none alone does.

    Args:
        texts: Some texts with unknown tokens.
        tokenizer: A fast tokenizer of transformers.
    """
    backend = whole_backend(tokenizer)
    unknown = tokenizer.unk_token_id
    listed = list(texts)[:_SEEN]
    words: Counter[str] = Counter()
    for text, one in zip(
        listed, backend.encode_batch(listed, add_special_tokens=False), strict=True
    ):
        for token, (start, end) in zip(one.ids, one.offsets, strict=True):
            if token == unknown and start < end:
                words[text[start:end].strip()] += 1
    letters = sorted({letter for word in words for letter in word})
    alone = backend.encode_batch(letters, add_special_tokens=False)
    unread = {
        letter
        for letter, one in zip(letters, alone, strict=True)
        if unknown in one.ids or not one.ids
    }
    found: Counter[str] = Counter()
    for word, count in words.items():
        for part in [letter for letter in word if letter in unread] or [word]:
            found[part] += count
    return [named(part) for part, _ in found.most_common(5)]


def unknown_tokens(
    read: Read,
    *,
    split: str,
    noun: str,
    backbone: str,
    characters: Sequence[str],
    places: Sequence[Place],
) -> Iterator[Finding]:
    """A finding on tokens that the tokenizer does not know, if there are any.

    Args:
        read: What the model reads.
        split: The split.
        noun: What the examples are called, in the plural.
        backbone: Whose tokenizer it is.
        characters: What `lost_characters` found.
        places: Where some of them are.
    """
    lost, total = int(read.unknown.sum()), int(read.tokens.sum() - read.cut.sum())
    if not lost:
        return
    severity = by_share(lost, total, warning=UNKNOWN_WARNING, error=UNKNOWN_ERROR)
    mostly = f", mostly for {' '.join(characters)}" if characters else ""
    yield Finding(
        "unknown-token",
        severity,
        f"{counted(lost, total, f'{split} tokens')} are unknown to {backbone}, in "
        f"{int((read.unknown > 0).sum()):,} {noun}{mostly}: the model sees a blank there.",
        "Choose a backbone for the language of the data: `python -m recipes backbones` lists them."
        if severity is not Severity.NOTE
        else "",
        tuple(places),
        split,
        lost,
    )


def summary(counts: Ints) -> str:
    """Median, 95th percentile and most of some counts."""
    if not len(counts):
        return ""
    middle, high = np.percentile(counts, [50, 95]).round().astype(int)
    return f"{middle:,} / {high:,} / {int(counts.max()):,}"
