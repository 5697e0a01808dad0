"""Texts with their summaries from any source: JSON lines, tables, Parquet, the Hub."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from zoo.data.readers.columns import choose_columns
from zoo.data.readers.hub import dataset_name
from zoo.data.readers.jsonlines import iter_json_lines
from zoo.data.readers.tables import csv_header, is_quoted, iter_csv, iter_parquet
from zoo.data.readers.text import check_file
from zoo.errors import DataError
from zoo.summarization import fields
from zoo.summarization.columns import NAMES, Columns, Paths, choose_paths, reach, reach_if_there
from zoo.summarization.fields import Spans

if TYPE_CHECKING:
    from datasets import Dataset

_JSON = {".jsonl", ".ndjson", ".json", ".jsonlines"}

Records = Iterator[tuple[int, Mapping[str, Any]]]


class Example(NamedTuple):
    """A text with its summaries.

    Args:
        id: As in the source; the number of the line or row where it has none.
        source: The text to summarize.
        sentences: Where its sentences stand, if the source gives a list of them.
        references: Its summaries, at least one; `[""]` where there is none.
        line: The 1-based line or row where it stands.
    """

    id: str
    source: str
    sentences: Spans | None
    references: list[str]
    line: int


@dataclass
class ReadingNotes:
    """What a reader wants the user to know; filled while the examples are read."""

    examples: int = 0
    empty_sources: int = 0
    empty_targets: int = 0
    identical: int = 0
    longer: int = 0

    def add(self, example: Example) -> None:
        """Count one example."""
        source = example.source.strip()
        self.examples += 1
        self.empty_sources += not source
        self.empty_targets += not example.references[0]
        self.identical += bool(source) and source in [one.strip() for one in example.references]
        self.longer += bool(source) and len(example.references[0].strip()) > len(source)

    def sentences(self, split: str) -> list[str]:
        """What happened, one sentence each."""
        fate = "they are not learned from" if split == "train" else "they count in the scores"
        found = [
            (self.empty_sources, f"empty sources kept in {split}: {fate}"),
            (self.empty_targets, f"empty targets kept in {split}: {fate}"),
            (self.identical, f"targets kept in {split} that are the same text as their source"),
            (
                self.longer if 2 * self.longer > self.examples else 0,
                f"of {self.examples:,} targets in {split} are longer than their source: has "
                "--data.columns the right one for each",
            ),
        ]
        return [
            f"{count:,} {text}{'?' if 'has --' in text else '.'}" for count, text in found if count
        ]


def read_examples(
    source: "Path | Dataset",
    columns: Columns | None = None,
    *,
    header: bool | None = None,
    quotes: bool | None = None,
    notes: ReadingNotes | None = None,
    targets: bool = True,
) -> Iterator[Example]:
    """Read texts with their summaries from a file or from a split of a Hub dataset.

    The file's suffix chooses the format: JSON lines or one JSON array (`.jsonl`, `.ndjson`,
    `.json`), Parquet (`.parquet`), else a table with commas or tabs between its fields.

    Args:
        source: A file, or a `datasets.Dataset`.
        columns: Which column is `id`, `source` and `target`, by name or by 0-based position
            (negative from the end); by their usual names if None. `summary.challenge` is what is
            called `challenge` in the object `summary`; of a list of objects, in each of them. A
            target in a column whose name ends in 1 may have more in those that end in 2, 3, ...
        header: Whether a table's first line names the columns. If None it does where a column
            is chosen by name, or its names are usual ones.
        quotes: Whether `"` quotes fields of a table. If None always in CSV; in TSV if it does so
            in every field that begins with one, or the rows have equally many fields only then.
        notes: Filled with what is unusual.
        targets: Whether targets are needed; without, a source may lack them.

    Yields:
        The examples in order; those without text or summary too.

    Raises:
        DataError: The source cannot be read, with the place where reading stopped.
    """
    needed = ("source", "target") if targets else ("source",)
    place: str | Path
    first_line: int | None = None
    if isinstance(source, (str, Path)):
        place = Path(source)
        check_file(place)
        suffix = place.suffix.lower()
        if suffix in _JSON:
            records: Records = iter_json_lines(place)
        elif suffix == ".parquet":
            records = iter_parquet(place)
        else:
            records, first_line = _table(place, columns, header, quotes, needed), 1
    else:
        place = dataset_name(source)
        chosen = choose_paths(source.column_names, columns, place, None, needed)
        # Only these are decoded: other columns may hold images.
        roots = dict.fromkeys(path[0] for paths in chosen.values() for path in paths)
        records = enumerate(source.select_columns(list(roots)).with_format(None), start=1)
        columns = {role: ".".join(paths[0]) for role, paths in chosen.items()}
    first = next(records, None)
    if first is None:
        raise DataError("there is no text in it.", path=place)
    chosen = choose_paths(list(first[1]), columns, place, first_line or first[0], needed)
    for line, record in itertools.chain([first], records):
        try:
            example = _example(record, chosen, line)
        except ValueError as error:
            raise DataError(str(error), path=place, line=line) from None
        if notes is not None:
            notes.add(example)
        yield example


def _example(record: Mapping[str, Any], chosen: Paths, line: int) -> Example:
    text, sentences = fields.document(reach(record, chosen["source"][0]))
    paths = chosen.get("target", [])
    values = [reach(record, path) for path in paths[:1]]
    values += [reach_if_there(record, path) for path in paths[1:]]
    try:
        references = fields.references(values[0] if len(values) == 1 else values)
    except ValueError as error:
        value = values[0]
        if isinstance(value, Mapping) and value:
            name = ".".join((*paths[0], next(iter(value))))
            raise ValueError(f"{error} Say which: --data.columns '{{target: {name}}}'.") from None
        raise
    given = reach_if_there(record, chosen["id"][0]) if "id" in chosen else None
    own = str(line) if given is None or given == "" else str(given)
    return Example(own, text, sentences, references, line)


def _table(
    path: Path,
    columns: Columns | None,
    header: bool | None,
    quotes: bool | None,
    needed: Sequence[str],
) -> Records:
    delimiter = "\t" if path.suffix.lower() == ".tsv" else None
    if quotes is None:
        quotes = delimiter is None or _is_quoted(path)
    first = csv_header(path, delimiter=delimiter, quotes=quotes)
    by_name = any(isinstance(column, str) for column in (columns or {}).values())
    if header is None:
        header = by_name or set(needed) <= set(choose_columns(first, None, NAMES))
    if header:
        return iter_csv(path, delimiter=delimiter, quotes=quotes)
    if columns is None or by_name or not set(needed) <= set(columns):
        shown = ", ".join(f"{at}: {cell[:30]!r}" for at, cell in enumerate(first[:6]))
        raise DataError(
            f"the first line names no columns for {' and '.join(needed)}; its fields are {shown}. "
            "Say which is which: --data.columns '{source: 0, target: 1}', or by name where there "
            "is a header.",
            path=path,
            line=1,
        )
    names = [str(number) for number in range(len(first))]
    return iter_csv(path, delimiter=delimiter, quotes=quotes, header=names)


def _is_quoted(path: Path) -> bool:
    if is_quoted(path):
        return True
    # Quoted fields with line breaks look broken line by line.
    return not _is_even(path, quotes=False) and _is_even(path, quotes=True)


def _is_even(path: Path, *, quotes: bool) -> bool:
    """Whether every row of a TSV file has as many fields as the first."""
    names = [str(at) for at, _ in enumerate(csv_header(path, delimiter="\t", quotes=quotes))]
    try:
        for _ in iter_csv(path, delimiter="\t", quotes=quotes, header=names):
            pass
    except DataError:
        return False
    return True
