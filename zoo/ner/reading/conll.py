"""CoNLL-style files: one token a line in columns, a blank line between sentences."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice, pairwise
from pathlib import Path

from zoo.data.readers.text import iter_lines
from zoo.errors import DataError
from zoo.ner.reading.sentences import TaggedSentence

_PROBE = 4000
_TAG = re.compile(r"O|[A-Z]-\S.*")
_ID = re.compile(r"\d+")
# In CoNLL-U, the surface form of several words and an empty word.
_NO_WORD_ID = re.compile(r"\d+[-.]\d+")

Line = tuple[int, str]


@dataclass(frozen=True, slots=True)
class _Layout:
    width: int
    tabs: bool
    tokens: int
    tags: int
    ids: bool


def read_conll(
    path: Path, *, columns: Mapping[str, str | int] | None = None
) -> Iterator[TaggedSentence]:
    """Read a CoNLL-style file.

    A line's columns are separated by tabs if it has one, else by spaces. The tags are in the last
    column whose values look like tags, the tokens in the first column, or in the second where the
    first counts the words; such files may have CoNLL-U's lines for a span of words (`1-2`) and for
    empty words (`1.1`), which repeat or add no word and are skipped. The start of the file decides.

    A line that begins with `#` is a token line if it has a tab or, in files separated by spaces, if
    it has the right number of columns and a tag in the tag column; else it is a comment.

    Args:
        path: The file.
        columns: 0-based positions for `tokens` and `tags`, negative ones from the end.

    Raises:
        DataError: A line has more or fewer columns than the first token line, a token is empty, no
            column looks like tags, or there is no token line.
    """
    lines = iter_lines(path)
    # Enough lines to see tags; decided on the start only, so that any file streams.
    probe = list(islice(lines, _PROBE))
    layout = _layout(probe, columns or {}, path)
    tokens: list[str] = []
    tags: list[str] = []
    numbers: list[int] = []
    for number, line in chain(probe, lines):
        fields = _split(line)
        if not fields or _is_docstart(fields):
            if tokens:
                yield TaggedSentence(tokens, tags, numbers)
                tokens, tags, numbers = [], [], []
            continue
        if _is_comment(line, fields, layout):
            continue
        if len(fields) != layout.width:
            raise DataError(
                f"expected {layout.width} columns (separated by "
                f"{'tabs' if layout.tabs else 'spaces'}) as in the lines before, found "
                f"{len(fields)}: {line[:60]!r}.",
                path=path,
                line=number,
            )
        if layout.ids and _NO_WORD_ID.fullmatch(fields[0]):
            continue
        if not fields[layout.tokens]:
            raise DataError("the token is empty.", path=path, line=number)
        tokens.append(fields[layout.tokens])
        tags.append(fields[layout.tags])
        numbers.append(number)
    if tokens:
        yield TaggedSentence(tokens, tags, numbers)


def _split(line: str) -> list[str]:
    # Never `line.split()`: U+00A0 and its like are parts of tokens, or whole tokens.
    content = line.rstrip(" \t")
    if "\t" in content:
        return [field.strip(" ") or field for field in line.split("\t")]
    return [field for field in content.split(" ") if field]


def _is_docstart(fields: list[str]) -> bool:
    return any(field.startswith("-DOCSTART-") for field in fields[:2])


def _is_comment(line: str, fields: list[str], layout: _Layout) -> bool:
    if not line.startswith("#") or "\t" in line:
        return False
    return layout.tabs or not (len(fields) == layout.width and _TAG.fullmatch(fields[layout.tags]))


def _layout(probe: list[Line], columns: Mapping[str, str | int], path: Path) -> _Layout:
    rows = [(number, line, _split(line)) for number, line in probe]
    tokens = [row for row in rows if row[2] and not _is_docstart(row[2])]
    sure = [row for row in tokens if not row[1].startswith("#") or "\t" in row[1]]
    if not sure:
        # Nothing but lines with `#`: tokens if the last column holds tags, else comments.
        sure = [row for row in tokens if len(row[2]) > 1 and _TAG.fullmatch(row[2][-1])]
    if not sure:
        raise DataError("there is no line with a token and a tag.", path=path)
    number, line, fields = sure[0]
    width = len(fields)
    if width < 2:
        raise DataError(
            "expected at least 2 columns (a token and its tag, separated by a tab or spaces), "
            f"found 1: {line[:60]!r}.",
            path=path,
            line=number,
        )
    tabs = "\t" in line.rstrip(" \t")
    chosen = {role: _position(role, column, width, path) for role, column in columns.items()}
    even = [row[2] for row in sure if len(row[2]) == width]
    ids = width > 2 and _counts_words([fields[0] for fields in even])
    tags = chosen.get("tags", -1)
    if tags < 0:
        words = [fields for fields in even if not (ids and _NO_WORD_ID.fullmatch(fields[0]))]
        tags = _tag_column(words, width, path, number)
    ids = ids and tags != 1
    return _Layout(width, tabs, chosen.get("tokens", int(ids)), tags, ids)


def _position(role: str, column: str | int, width: int, path: Path) -> int:
    if role not in ("tokens", "tags"):
        raise DataError(f"`columns` knows tokens and tags; found {role!r}.", path=path)
    try:
        position = int(column)
    except ValueError:
        raise DataError(
            f"this file has no header, so its columns have numbers from 0, not names such as "
            f"{column!r}.",
            path=path,
        ) from None
    if not -width <= position < width:
        raise DataError(f"there is no column {position}; there are {width}.", path=path)
    return position % width


def _counts_words(column: list[str]) -> bool:
    numbers = [value for value in column if not _NO_WORD_ID.fullmatch(value)]
    if len(numbers) < 2 or not all(_ID.fullmatch(value) for value in numbers):
        return False
    counts = [int(value) for value in numbers]
    return counts[0] in (0, 1) and all(
        after in (0, 1, before + 1) for before, after in pairwise(counts)
    )


def _tag_column(rows: list[list[str]], width: int, path: Path, number: int) -> int:
    shares = [
        sum(_TAG.fullmatch(row[column]) is not None for row in rows) / max(len(rows), 1)
        for column in range(1, width)
    ]
    best = max(shares)
    # A stray tag is for the scheme's check, which names its line; columns of words are not tags.
    if best < 0.5:
        raise DataError(
            "no column looks like tags (O, B-PER, ...). If one is, say so: "
            "--data.columns '{tokens: 0, tags: 1}'.",
            path=path,
            line=number,
        )
    return width - 1 - shares[::-1].index(best)
