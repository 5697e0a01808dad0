"""Documents of plain text from any source: text files, JSON lines, tables, Parquet, the Hub."""

from collections.abc import Iterator, Mapping, Sequence
from glob import has_magic
from pathlib import Path
from typing import Any, NamedTuple

from zoo.data.readers.columns import choose_columns
from zoo.data.readers.hub import dataset_name
from zoo.data.readers.jsonlines import iter_json_lines
from zoo.data.readers.tables import iter_csv, iter_parquet
from zoo.data.readers.text import iter_lines
from zoo.errors import DataError

#: Characters of a document, about; more of one are several documents, so that none of them, and no
#: thousand of them, is more than memory holds.
LONGEST = 100_000

_JSON = {".jsonl", ".ndjson", ".json", ".jsonlines"}
_TABLES = {".csv": ",", ".tsv": "\t"}
_NAMES = {"text": ("text", "content", "document", "source", "context", "sentence")}


class TextDocument(NamedTuple):
    """A document and the 1-based line or row where it begins."""

    text: str
    line: int


class Files(tuple[Path, ...]):
    """Several files of one split, in order."""

    def __str__(self) -> str:
        return ", ".join(map(str, self))


def find_files(given: str | Sequence[str], *, option: str) -> Files:
    """The files of names and of patterns such as `part-*.jsonl.gz`, which are sorted.

    Args:
        given: Names and patterns.
        option: What they were given as, for the message.

    Raises:
        DataError: A pattern matches no file, or there is no such file.
    """
    found: list[Path] = []
    for name in [given] if isinstance(given, str) else given:
        path = Path(name).expanduser()
        if path.is_file():
            found.append(path)
            continue
        root = Path(path.anchor)
        matches = sorted(root.glob(str(path.relative_to(root))))
        files = [one for one in matches if one.is_file()]
        if not files:
            what = "No file matches" if has_magic(name) else "There is no such file"
            raise DataError(f"{what} (given as {option}).", path=name)
        found += files
    return Files(found)


def read_documents(
    source: Any, columns: Mapping[str, str | int] | None = None
) -> Iterator[TextDocument]:
    """Read documents from a file or from a split of a Hub dataset; empty ones are left out.

    In a text file a blank line ends a document, and its lines are joined by spaces; a file without
    blank lines has a document on each line. What is longer than `LONGEST` is cut between words.

    Args:
        source: A file, several of them, or a `datasets.Dataset`. One that ends in .gz is unpacked.
        columns: Which column is `text`, where there are columns; by its usual names if None.

    Raises:
        DataError: The source cannot be read or holds no text, with the place.
    """
    if isinstance(source, Files):
        for path in source:
            yield from read_documents(path, columns)
        return
    place: str | Path = source if isinstance(source, Path) else dataset_name(source)
    suffix = ""
    if isinstance(source, Path):
        suffix = Path(source.stem if source.suffix.lower() == ".gz" else source).suffix.lower()
    if not isinstance(source, Path):
        found = _of_records(enumerate(source.with_format(None), start=1), columns, place)
    elif suffix in _JSON:
        found = _of_records(iter_json_lines(source), columns, place)
    elif suffix == ".parquet":
        found = _of_records(iter_parquet(source), columns, place)
    elif suffix in _TABLES:
        found = _of_records(iter_csv(source, delimiter=_TABLES[suffix]), columns, place)
    else:
        found = _of_text(source)
    count = 0
    for document in found:
        if document.text:
            count += 1
            yield from _cut(document)
    if not count:
        raise DataError("there is no text in it.", path=place)


def _cut(document: TextDocument) -> Iterator[TextDocument]:
    text, line = document
    while len(text) > LONGEST:
        at = text.find(" ", LONGEST)
        if at < 0:
            break
        yield TextDocument(text[:at], line)
        text = text[at + 1 :]
    yield TextDocument(text, line)


def _of_text(path: Path) -> Iterator[TextDocument]:
    blank = any(not line.strip() for _, line in iter_lines(path))
    lines: list[str] = []
    begin, size = 1, 0
    for number, line in iter_lines(path):
        text = line.strip()
        if text:
            begin = begin if lines else number
            size = len(text) + (size + 1 if lines else 0)
            lines.append(text)
        if lines and (not text or not blank or size >= LONGEST):
            yield TextDocument(" ".join(lines), begin)
            lines = []
    if lines:
        yield TextDocument(" ".join(lines), begin)


def _of_records(
    records: Iterator[tuple[int, Mapping[str, Any]]],
    columns: Mapping[str, str | int] | None,
    place: str | Path,
) -> Iterator[TextDocument]:
    column: str | None = None
    for line, record in records:
        if column is None:
            column = choose_columns(list(record), columns, _NAMES).get("text")
        if column is None:
            raise DataError(
                f"no column is known to hold text; there are {', '.join(record)}. Name it: "
                "--data.columns '{text: NAME}'.",
                path=place,
                line=line,
            )
        text = record.get(column)
        if text is not None and not isinstance(text, str):
            raise DataError(f"{column!r} is not text but {text!r:.60}.", path=place, line=line)
        yield TextDocument(" ".join((text or "").split()), line)
