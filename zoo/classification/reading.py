"""Labelled texts from any source: tables with or without a header, JSON lines, Parquet, the Hub."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from zoo.data.readers.columns import choose_columns
from zoo.data.readers.hub import dataset_name
from zoo.data.readers.jsonlines import iter_json_lines
from zoo.data.readers.tables import (
    csv_header,
    is_quoted,
    iter_csv,
    iter_parquet,
    parquet_class_names,
)
from zoo.data.readers.text import check_file
from zoo.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset

_JSON = {".jsonl", ".ndjson", ".json", ".jsonlines"}
#: Usual names of columns; where a source has several, the first wins.
_NAMES = {
    "text": (
        *("text", "text1", "sentence", "sentence1", "premise", "question", "question1"),
        *("content", "review", "tweet"),
    ),
    "text2": ("text2", "text_pair", "sentence2", "hypothesis", "question2"),
    "label": (
        *("label", "labels", "category", "class", "gold_label", "intent", "topic", "target"),
        *("score", "rating", "similarity"),
    ),
}
#: What Hub datasets put in a column of classes where nobody labelled the text.
_UNLABELLED = -1

Columns = Mapping[str, str | int]
Records = Iterable[tuple[int, Mapping[str, Any]]]


class LabelledText(NamedTuple):
    """A text or a pair of texts with its labels.

    Args:
        text: The text.
        text2: The second text of a pair.
        labels: Its labels as strings, a number's digits too; None where nobody labelled it.
        several: Whether the source may give a text several labels (or none).
        line: The 1-based line or row where it stands.
    """

    text: str
    text2: str | None
    labels: tuple[str, ...] | None
    several: bool
    line: int


def read_texts(
    source: "Path | Dataset",
    *,
    columns: Columns | None = None,
    header: bool | None = None,
    quotes: bool | None = None,
    separator: str | None = None,
) -> Iterator[LabelledText]:
    """Read labelled texts from a file or from a split of a Hub dataset.

    The file's suffix chooses the format: JSON lines (`.jsonl`, `.ndjson`, `.json`), Parquet
    (`.parquet`), else a table with commas or tabs between its fields.

    Args:
        source: A file, or a `datasets.Dataset`.
        columns: Which column is `text`, `text2` (of pairs) and `label`, by name or by 0-based
            position (negative from the end). By their usual names if None. Who names `text` and
            not `text2` has no pairs.
        header: Whether a table's first line names the columns. If None it does where a column
            is chosen by name, or its names are usual ones.
        quotes: Whether `"` quotes fields of a table. If None always in CSV, and in TSV if it
            does so in every field that begins with one.
        separator: What stands between the labels of a text, where it has several in one field.
            Lists of JSON lines, Parquet and the Hub need none.

    Yields:
        The texts in order; empty ones too.

    Raises:
        DataError: The source cannot be read, with the place where reading stopped.
    """
    place: str | Path
    if isinstance(source, (str, Path)):
        place = Path(source)
        rows = _from_file(place, columns, header, quotes, separator)
    else:
        place = dataset_name(source)
        rows = _from_dataset(source, place, columns, separator)
    empty = True
    for row in rows:
        empty = False
        yield row
    if empty:
        raise DataError("there is no text in it.", path=place)


def _from_file(
    path: Path,
    columns: Columns | None,
    header: bool | None,
    quotes: bool | None,
    separator: str | None,
) -> Iterator[LabelledText]:
    check_file(path)
    suffix = path.suffix.lower()
    if suffix in _JSON:
        return _from_records(iter_json_lines(path), path, columns, separator)
    if suffix == ".parquet":
        names = parquet_class_names(path)
        return _from_records(iter_parquet(path), path, columns, separator, class_names=names)
    return _from_table(path, columns, header, quotes, separator)


def _from_table(
    path: Path,
    columns: Columns | None,
    header: bool | None,
    quotes: bool | None,
    separator: str | None,
) -> Iterator[LabelledText]:
    tabs = path.suffix.lower() == ".tsv"
    if quotes is None:
        quotes = not tabs or is_quoted(path)
    delimiter = "\t" if tabs else None
    first = csv_header(path, delimiter=delimiter, quotes=quotes)
    if header is None:
        header = _has_header(first, columns)
    if header:
        rows = iter_csv(path, delimiter=delimiter, quotes=quotes)
        return _from_records(rows, path, columns, separator, first_line=1)
    names = [str(number) for number in range(len(first))]
    if columns is None or not {"text", "label"} <= set(columns):
        shown = ", ".join(f"{name}: {cell[:30]!r}" for name, cell in enumerate(first[:6]))
        raise DataError(
            f"the first line names no columns for text and label; its fields are {shown}. Say "
            "which is which: --data.columns '{text: 0, label: 1}', or by name where there is a "
            "header.",
            path=path,
            line=1,
        )
    rows = iter_csv(path, delimiter=delimiter, quotes=quotes, header=names)
    return _from_records(rows, path, columns, separator, first_line=1)


def _has_header(first: Sequence[str], columns: Columns | None) -> bool:
    if any(isinstance(column, str) for column in (columns or {}).values()):
        return True
    return {"text", "label"} <= set(choose_columns(first, None, _NAMES))


def _from_dataset(
    source: Any, place: str, columns: Columns | None, separator: str | None
) -> Iterator[LabelledText]:
    chosen = _chosen(source.column_names, columns, place, line=None)
    kind = source.features[chosen["label"]]
    names = getattr(getattr(kind, "feature", kind), "names", None)
    # Only these are decoded: other columns may hold images.
    rows = source.select_columns(list(chosen.values())).with_format(None)
    yield from _from_records(
        enumerate(rows, start=1),
        place,
        chosen,
        separator,
        class_names={} if names is None else {chosen["label"]: names},
    )


def _chosen(
    found: Sequence[str], columns: Columns | None, path: str | Path, line: int | None
) -> dict[str, str]:
    roles = _NAMES
    if columns and "text" in columns and "text2" not in columns:
        roles = {**_NAMES, "text2": ()}
    try:
        chosen = choose_columns(found, columns, roles)
    except DataError as error:
        raise DataError(str(error), path=path, line=line) from None
    missing = [role for role in ("text", "label") if role not in chosen]
    if missing:
        raise DataError(
            f"no column is called {' or '.join(missing)}; found: {', '.join(found)}. Say which is "
            "which: --data.columns '{text: NAME, label: NAME}'.",
            path=path,
            line=line,
        )
    return chosen


def _from_records(
    records: Records,
    path: str | Path,
    columns: Columns | None,
    separator: str | None,
    *,
    class_names: Mapping[str, Sequence[str]] | None = None,
    first_line: int | None = None,
) -> Iterator[LabelledText]:
    """The first record decides which columns there are."""
    records = iter(records)
    first = next(records, None)
    if first is None:
        return
    chosen = _chosen(list(first[1]), columns, path, first_line or first[0])
    names = (class_names or {}).get(chosen["label"])
    for line, record in chain([first], records):
        for column in chosen.values():
            if column not in record:
                raise DataError(
                    f"there is no {column!r} here; found: {', '.join(record)}.",
                    path=path,
                    line=line,
                )
        texts = [
            _text(record[chosen[role]], path, line) for role in ("text", "text2") if role in chosen
        ]
        value = record[chosen["label"]]
        if separator is not None:
            value = _parts(value, separator)
        several = isinstance(value, (list, tuple))
        try:
            labels = _labels(value, names)
        except ValueError as error:
            raise DataError(str(error), path=path, line=line) from None
        yield LabelledText(texts[0], texts[1] if len(texts) > 1 else None, labels, several, line)


def _text(value: Any, path: str | Path, line: int) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise DataError(f"the text must be a string; found {value!r}.", path=path, line=line)
    return value


def _parts(value: Any, separator: str) -> Any:
    """The labels of one field; none where it is empty."""
    if isinstance(value, str):
        return [part for part in value.split(separator) if part.strip()]
    if isinstance(value, (list, tuple, dict)):
        return value
    return [] if value is None else [value]


def _labels(value: Any, names: Sequence[str] | None) -> tuple[str, ...] | None:
    if isinstance(value, (list, tuple)):
        return tuple(dict.fromkeys(_label(one, names) for one in value))
    if names is not None and value == _UNLABELLED:
        return None
    return (_label(value, names),)


def _label(value: Any, names: Sequence[str] | None) -> str:
    if isinstance(value, (list, tuple, dict)):
        raise ValueError(f"a label must be a string or a number; found {str(value)[:60]}.")
    if names is not None and isinstance(value, int):
        if not 0 <= value < len(names):
            raise ValueError(f"label {value} is not among the {len(names)} classes of this column.")
        return names[value]
    label = "" if value is None else str(value).strip()
    if not label:
        raise ValueError("the label is empty.")
    return label
