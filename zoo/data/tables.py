"""Rows written as a stream to one Arrow file, and read back memory-mapped."""

from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import datasets

from zoo.data.batching import mark

#: Rows held in memory while writing.
CHUNK = 1000


def write_table(path: Path, rows: Iterable[Mapping[str, Any]], features: datasets.Features) -> int:
    """Write rows to an Arrow file without holding them; the number written."""
    from datasets.arrow_writer import ArrowWriter

    stream = iter(rows)
    count = 0
    with ArrowWriter(path=str(path), features=features) as writer:
        while chunk := list(islice(stream, CHUNK)):
            writer.write_batch({name: [row[name] for row in chunk] for name in features})
            count += len(chunk)
        if count == 0:
            writer.write_batch({name: [] for name in features})
        writer.finalize()
    return count


def read_table(path: Path) -> datasets.Dataset:
    """The rows of an Arrow file, memory-mapped."""
    return datasets.Dataset.from_file(str(path))


class Rows:
    """A map-style dataset for `torch`: a list of row numbers in, a list of rows out.

    Args:
        table: The rows.
        collate: Makes the batch from the rows, each a dict.
    """

    def __init__(self, table: datasets.Dataset, collate: Any):
        self.table = table
        self.collate = collate

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, rows: list[int]) -> Any:
        columns = self.table[rows]
        names = list(columns)
        batch = self.collate(
            [
                dict(zip(names, values, strict=True))
                for values in zip(*columns.values(), strict=True)
            ]
        )
        # By its rows what was kept of each elsewhere is found again, such as a teacher's outputs.
        return {**mark(batch, rows), "rows": list(rows)}
