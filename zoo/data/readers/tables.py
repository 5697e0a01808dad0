"""Rows of tables: CSV and TSV as text, Parquet by record batch."""

import csv
import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from zoo.data.readers.text import check_file, iter_lines
from zoo.errors import DataError

_QUOTED = re.compile(r'"(?:[^"]|"")*"')


def iter_csv(
    path: Path,
    *,
    delimiter: str | None = None,
    header: Sequence[str] | None = None,
    quotes: bool = True,
) -> Iterator[tuple[int, dict[str, str]]]:
    """Read the rows of a CSV or TSV file; blank lines are skipped.

    Fields may be quoted and then hold the delimiter, doubled quotes and line ends (CRLF inside a
    field becomes LF).

    Args:
        path: The file.
        delimiter: Between fields; left out, a tab where the first line has one, else a comma.
        header: The columns' names for a file without a header line; left out, the first row.
        quotes: False where `"` is an ordinary character, as in many TSV files.

    Yields:
        The 1-based line on which a row begins, and the row by column name.

    Raises:
        DataError: The file cannot be read as UTF-8 text, a row has more or fewer fields than the
            header, a quoted field is broken, or two columns share a name.
    """
    path = Path(path)
    # The default limit of 128 KiB a field is smaller than one long document.
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    names = None if header is None else list(header)
    for number, row in _rows(path, delimiter, quotes):
        if names is None:
            names = row
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise DataError(f"two columns are named {twice[0]!r}.", path=path, line=number)
            continue
        if len(row) != len(names):
            raise DataError(
                f"expected {len(names)} fields ({', '.join(names)}), found {len(row)}."
                + (
                    " A field with quotes or line breaks must be quoted, its quotes doubled."
                    * quotes
                ),
                path=path,
                line=number,
            )
        yield number, dict(zip(names, row, strict=True))


def csv_header(path: Path, *, delimiter: str | None = None, quotes: bool = True) -> list[str]:
    """The fields of a CSV or TSV file's first row.

    Raises:
        DataError: The file cannot be read as UTF-8 text or its first row is broken.
    """
    return next(_rows(Path(path), delimiter, quotes), (0, []))[1]


def is_quoted(path: Path) -> bool:
    """Whether `"` quotes fields in a TSV file: in some it does, in others it is a character.

    If it quotes, it does so in every field that begins with one.

    Raises:
        DataError: The file cannot be read as UTF-8 text.
    """
    return all(
        _QUOTED.fullmatch(field)
        for _, line in iter_lines(path)
        for field in line.split("\t")
        if field.startswith('"')
    )


def _rows(path: Path, delimiter: str | None, quotes: bool) -> Iterator[tuple[int, list[str]]]:
    if delimiter is None:
        delimiter = "\t" if "\t" in next(iter_lines(path))[1] else ","
    reader = csv.reader(
        (line + "\n" for _, line in iter_lines(path)),
        delimiter=delimiter,
        quoting=csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE,
        strict=True,
    )
    while True:
        number = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "unexpected end of data" in str(error):
                problem = "a quoted field that begins in this row never ends"
            else:
                problem = f"a quoted field is broken ({error})"
            raise DataError(
                f"{problem}. A field with quotes must be quoted, its quotes doubled.",
                path=path,
                line=number,
            ) from None
        if row:
            yield number, row


def iter_parquet(
    path: Path, *, columns: Sequence[str] | None = None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Read the rows of a Parquet file, one record batch in memory at a time.

    Args:
        path: The file.
        columns: Read only these; left out, all.

    Yields:
        The 1-based number of a row, and the row by column name.

    Raises:
        DataError: The file is missing, empty, a folder, or not Parquet, or lacks a column.
    """
    path = Path(path)
    file = _open_parquet(path)
    missing = set(columns or ()) - set(file.schema_arrow.names)
    if missing:
        found = ", ".join(file.schema_arrow.names)
        raise DataError(f"there is no column {min(missing)!r}; found: {found}.", path=path)
    number = 0
    try:
        for batch in file.iter_batches(
            batch_size=1024, columns=None if columns is None else list(columns)
        ):
            for row in batch.to_pylist():
                number += 1
                yield number, row
    except (OSError, ValueError) as error:
        raise DataError(f"the Parquet file is damaged ({error}).", path=path) from error
    finally:
        file.close()


def parquet_class_names(path: Path) -> dict[str, list[str]]:
    """The names behind integer columns, where the `datasets` library left them in the file.

    Returns:
        For each column of class labels, or of lists of them, the name of every integer from 0.

    Raises:
        DataError: The file is missing, empty, a folder, or not Parquet.
    """
    with _open_parquet(Path(path)) as file:
        metadata = (file.schema_arrow.metadata or {}).get(b"huggingface")
    found: dict[str, list[str]] = {}
    try:
        features = json.loads(metadata or b"{}")["info"]["features"]
        for column, feature in features.items():
            inner = feature.get("feature", feature)
            if isinstance(inner, dict) and inner.get("_type") == "ClassLabel":
                found[column] = [str(name) for name in inner["names"]]
    except (KeyError, TypeError, AttributeError, ValueError):
        return {}
    return found


def _open_parquet(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    check_file(path)
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"this is not a Parquet file ({error}).", path=path) from error
