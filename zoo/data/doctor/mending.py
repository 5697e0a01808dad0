"""Reads on behind what cannot be read, so that one look finds as many faults as possible.

A line that a reader refuses is left out of a copy of the file, whose lines keep their numbers, and
the copy is read; it and all that is cached of it live in a folder that goes away in the end. So the
user's own files and cache stay as they are.
"""

import csv
import os
import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from zoo.data.cache import digest_of_file
from zoo.data.datamodule import TextDataModule
from zoo.data.doctor.findings import Cases, Finding, Place, Severity
from zoo.data.readers.tables import is_quoted
from zoo.data.sources import SPLITS, Sources, Split
from zoo.errors import DataError

#: Times that a split is read anew, each time without what was refused before.
MOST = 10
#: Lines from the beginning that are refused for one reason, after which all are taken to be.
_FIRST = 3


class Fault(NamedTuple):
    """What a reader refuses.

    Args:
        split: The split; None if it is about several.
        line: The 1-based line; None where it is not about one.
        message: What is wrong, without the place.
    """

    split: Split | None
    line: int | None
    message: str


#: All faults of a split that can be told from the first that stopped reading.
FaultsOf = Callable[[Split, Fault], list[Fault]]
#: The lines that have to go with a line.
LinesWith = Callable[[Path, int], Iterable[int]]


class Mended:
    """Data of which some may not be readable.

    Args:
        data: The datamodule; its `sources` are replaced by readable ones.
        faults_of: All faults of a split at once, where a family can tell.
        lines_with: The lines that have to go with a line, such as those of a sentence.

    Attributes:
        faults: What was refused.
        original: Where each split came from.
    """

    def __init__(
        self,
        data: TextDataModule,
        *,
        faults_of: FaultsOf | None = None,
        lines_with: LinesWith | None = None,
    ):
        self.data = data
        self.faults: list[Fault] = []
        self.stopped: list[Split] = []
        self.original: dict[Split, object] = dict(data.sources.splits)
        self._faults_of = faults_of or (lambda _, fault: [fault])
        self._lines_with = lines_with or row_lines
        self._left_out: defaultdict[Split, set[int]] = defaultdict(set)
        self._times: defaultdict[Split, int] = defaultdict(int)

    @contextmanager
    def reading(self) -> Iterator[bool]:
        """Read; within, the data holds what can be read. Whether anything can be."""
        before = os.environ.get("ZOO_CACHE")
        with tempfile.TemporaryDirectory(prefix="zoo-doctor-") as folder:
            try:
                yield self._read(Path(folder))
            finally:
                if before is None:
                    os.environ.pop("ZOO_CACHE", None)
                else:
                    os.environ["ZOO_CACHE"] = before

    def _read(self, folder: Path) -> bool:
        while self.data.sources.splits:
            try:
                self.data.known  # noqa: B018  reads all splits
            except DataError as error:
                if not self._mend(error, folder):
                    return False
            else:
                return True
        return False

    def _mend(self, error: DataError, folder: Path) -> bool:
        """Leave out what was refused; False where that is all of it."""
        splits = self.data.sources.splits
        split = next((one for one in splits if self._is_of(error, one)), None)
        if split is None:
            self.faults.append(Fault(None, None, str(error)))
            return False
        message = (
            str(error).removeprefix(f"{error.path}: ").removeprefix(f"{error.path}:{error.line}: ")
        )
        message = message.replace(str(splits[split]), str(self.original[split]))
        found = self._faults_of(split, Fault(split, error.line, message))
        self.faults += found
        self._times[split] += 1
        # What was refused is cached under the name of what it was read as: not among the user's.
        os.environ["ZOO_CACHE"] = str(folder / "cache")
        lines = [fault.line for fault in found if fault.line is not None]
        source = self.original[split]
        rest = dict(splits)
        given_up = self._times[split] >= MOST or self._all_alike(split)
        if not lines or given_up or not _has_lines(source):
            self.stopped.append(split)
            del rest[split]
        else:
            assert isinstance(source, Path)
            for line in lines:
                self._left_out[split] |= set(self._lines_with(source, line))
            rest[split] = _copy(source, folder / split / source.name, self._left_out[split])
        key: dict[str, str] = {
            one: f"{path.name} {digest_of_file(path)}" if isinstance(path, Path) else str(path)
            for one, path in rest.items()
        }
        self.data.sources = Sources(
            {one: rest[one] for one in SPLITS if one in rest}, self.data.sources.name, key
        )
        return True

    def _all_alike(self, split: Split) -> bool:
        """Whether the first lines are all refused, and for one reason: so will be the others."""
        of_split = [fault for fault in self.faults if fault.split == split]
        kinds = {_kind(fault.message) for fault in of_split}
        lines = [fault.line for fault in of_split if fault.line is not None]
        return len(kinds) == 1 and len(of_split) >= _FIRST and max(lines) <= len(lines) + 1

    def _is_of(self, error: DataError, split: Split) -> bool:
        return error.path is not None and str(error.path) in (
            self.data.sources.place(split),
            str(self.data.sources.splits[split]),
        )

    def findings(self, where: Callable[[Split, int], str]) -> Iterator[Finding]:
        """One finding for each kind of fault in a split.

        Args:
            where: What a line of a split is called.
        """
        kinds: dict[tuple[Split | None, str], tuple[str, Cases]] = {}
        for fault in self.faults:
            key = (fault.split, _kind(fault.message))
            message, cases = kinds.setdefault(key, (fault.message, Cases()))
            place = None
            if fault.split is not None and fault.line is not None:
                place = Place(where(fault.split, fault.line))
            cases.add(place)
        for (split, _), (message, cases) in kinds.items():
            lines = "1 place" if cases.count == 1 else f"{cases.count:,} places"
            which = f"{split} cannot be read in {lines}" if split else "The data cannot be read"
            if not cases.places and split:
                which = f"{split} cannot be read ({self.original[split]})"
            elif split and self._all_alike(split):
                which = f"{split} cannot be read from its first line on"
            yield Finding(
                "unreadable",
                Severity.ERROR,
                f"{which[0].upper()}{which[1:]}: {message}",
                "Correct it: training would stop here."
                + (" The rest is examined without." if split and split not in self.stopped else ""),
                tuple(cases.places),
                split,
                cases.count,
            )
        for split in self.stopped:
            times = self._times[split]
            if times >= MOST and not self._all_alike(split):
                yield Finding(
                    "unreadable",
                    Severity.ERROR,
                    f"Reading {split} was given up after {times} attempts: it may hold more such "
                    "faults, and nothing else of it is examined.",
                    "Correct these and call the doctor again.",
                    split=split,
                )


def _kind(message: str) -> str:
    """What is wrong, without what was found: that differs from line to line."""
    return re.sub(r"'[^']*'|\"[^\"]*\"|\d+", "*", message)


def _has_lines(source: object) -> bool:
    if not isinstance(source, Path) or source.suffix == ".parquet":
        return False
    with source.open("rb") as file:
        return file.read(1024).lstrip(b"\xef\xbb\xbf \t\r\n")[:1] != b"["  # no JSON array


def _copy(source: Path, target: Path, left_out: set[int]) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    with source.open("rb") as given, target.open("wb") as made:
        for number, line in enumerate(given, start=1):
            made.write(b"\n" if number in left_out else line)
    return target


def row_lines(path: Path, line: int) -> Iterable[int]:
    """The lines of the row of a table that begins at a line; of other files the line itself."""
    tabs = path.suffix.lower() == ".tsv"
    try:
        if path.suffix.lower() not in (".csv", ".tsv") or (tabs and not is_quoted(path)):
            return [line]
    except DataError:  # not UTF-8
        return [line]
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
        rows = csv.reader(file, delimiter="\t" if tabs else ",")
        begin = 1
        for _ in rows:
            if rows.line_num >= line:
                end = rows.line_num
                # A quote that never ends takes the rest of the file with it.
                whole = begin == line and (end == line or next(rows, None) is not None)
                return range(line, end + 1) if whole else [line]
            begin = rows.line_num + 1
    return [line]
