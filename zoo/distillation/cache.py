"""What a teacher says of every row, computed once and memory-mapped ever after."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import datasets
import numpy as np
import torch
from torch import Tensor

from zoo.data.cache import cached, digest_of_file
from zoo.data.tables import Rows

if TYPE_CHECKING:
    from zoo.distillation.signals import Signal

#: Rows whose values are held while writing, and in a pass.
_CHUNK, _PASS = 1024, 32
_FLOAT = np.dtype("<f4")


class SoftTargets:
    """A teacher's values of each row of a table, as `Signal.by_row` gives them, float32.

    Args:
        folder: What `build` wrote.
    """

    def __init__(self, folder: Path):
        known = json.loads((folder / "known.json").read_text(encoding="utf-8"))
        self._width = int(known["width"])
        self._ends = np.load(folder / "ends.npy", mmap_mode="r")
        size = (folder / "values.bin").stat().st_size
        if size != int(self._ends[-1]) * self._width * _FLOAT.itemsize:
            raise ValueError("values.bin has another length than it should")
        self._values = (
            np.memmap(folder / "values.bin", dtype=_FLOAT, mode="r").reshape(-1, self._width)
            if size
            else np.zeros((0, max(1, self._width)), dtype=_FLOAT)
        )

    def of(self, rows: Sequence[int]) -> Tensor:
        """The values of some rows behind each other, float `[places, width]`."""
        parts = [self._values[self._ends[row] : self._ends[row + 1]] for row in rows]
        return torch.from_numpy(np.concatenate(parts).astype(np.float32))


def soft_targets_of(
    table: datasets.Dataset,
    collate: Any,
    say: Callable[[dict[str, Any]], "Signal"],
    *,
    key: dict[str, Any],
) -> SoftTargets:
    """A teacher's values of each row of a table, from the cache or computed now.

    Several processes may ask at once: one computes while the others wait.

    Args:
        table: Encoded rows, of one file.
        collate: Makes a batch of rows.
        say: What the teacher says of a batch.
        key: Whatever the values depend on beside the table's content.
    """

    def build(folder: Path) -> None:
        _write(folder, Rows(table, collate), say, _lengths(table))

    files = [digest_of_file(Path(one["filename"])) for one in table.cache_files]
    return cached("soft-targets", {"table": files, **key}, build, SoftTargets)


@torch.no_grad()
def _write(
    folder: Path, rows: Rows, say: Callable[[dict[str, Any]], "Signal"], lengths: Any
) -> None:
    ends, width = [0], 1
    with (folder / "values.bin").open("wb") as file:
        for start in range(0, len(rows), _CHUNK):
            numbers = range(start, min(start + _CHUNK, len(rows)))
            ordered = sorted(numbers, key=lambda row: -int(lengths[row]))
            found: dict[int, Tensor] = {}
            for at in range(0, len(ordered), _PASS):
                some = ordered[at : at + _PASS]
                found |= dict(zip(some, say(rows[some]).by_row(), strict=True))
            for row in numbers:
                values = found[row].float().cpu().numpy().astype(_FLOAT)
                width = values.shape[1]
                ends.append(ends[-1] + len(values))
                file.write(values.tobytes())
    np.save(folder / "ends.npy", np.asarray(ends, dtype=np.int64))
    (folder / "known.json").write_text(json.dumps({"width": width}), encoding="utf-8")


def _lengths(table: datasets.Dataset) -> Any:
    import pyarrow.compute as pc

    return np.asarray(pc.list_value_length(table.data.column("input_ids")))


def bytes_of(table: datasets.Dataset, *, width: int, column: str) -> int:
    """At most how many bytes the values of a table take.

    Args:
        table: Encoded rows.
        width: Numbers at each place.
        column: A column of lists with at least an entry for each place.
    """
    import pyarrow.compute as pc

    places = pc.sum(pc.list_value_length(table.data.column(column))).as_py() or 0
    return int(places) * width * _FLOAT.itemsize


__all__ = ["SoftTargets", "bytes_of", "soft_targets_of"]
