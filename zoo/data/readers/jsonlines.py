"""Records of a JSON Lines file, or of one JSON array of objects."""

import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from zoo.data.readers.text import iter_lines
from zoo.errors import DataError

_BLANK = " \t\r\n"


def iter_json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Read the objects of a JSON Lines file, one a line; blank lines are skipped.

    A file whose first character is `[` is taken as one JSON array of objects, which may spread over
    lines as it likes. It is read as a whole, whereas JSON Lines stream.

    Yields:
        The 1-based line on which an object begins, and the object.

    Raises:
        DataError: The file cannot be read as UTF-8 text, holds broken JSON, or something other than
            objects.
    """
    path = Path(path)
    lines = ((number, line) for number, line in iter_lines(path) if line.strip(_BLANK))
    first = next(lines, None)
    if first is None:
        raise DataError("the file holds no record.", path=path)
    if first[1].lstrip(_BLANK).startswith("["):
        yield from _array(path)
        return
    for number, line in chain([first], lines):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise _broken(error, path, number) from None
        yield number, _checked(record, line, path, number)


def _array(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    text = "\n".join(line for _, line in iter_lines(path))
    decoder = json.JSONDecoder()
    position = _skip(text, 0) + 1
    number, counted = 1, 0
    first = True
    while True:
        position = _skip(text, position)
        number, counted = number + text.count("\n", counted, position), position
        if text[position : position + 1] == "]":
            break
        if not first:
            if text[position : position + 1] != ",":
                raise DataError("broken JSON array: expected `,` or `]`.", path=path, line=number)
            position = _skip(text, position + 1)
            number, counted = number + text.count("\n", counted, position), position
        try:
            record, end = decoder.raw_decode(text, position)
        except json.JSONDecodeError as error:
            raise _broken(error, path, error.lineno) from None
        except (ValueError, RecursionError) as error:
            raise _broken(error, path, number) from None
        yield number, _checked(record, text[position:end], path, number)
        first, position = False, end
    if _skip(text, position + 1) < len(text):
        raise DataError("there is more after the end of the JSON array.", path=path, line=number)


def _skip(text: str, position: int) -> int:
    while text[position : position + 1] in _BLANK and position < len(text):
        position += 1
    return position


def _checked(record: Any, source: str, path: Path, number: int) -> dict[str, Any]:
    if not isinstance(record, dict):
        kind = {list: "an array", str: "a string", type(None): "null"}.get(type(record), "a value")
        raise DataError(f"every record must be a JSON object, not {kind}.", path=path, line=number)
    # JSON can write half of a surrogate pair, which no tokenizer accepts.
    if "\\ud" in source.lower():
        try:
            json.dumps(record, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError:
            raise DataError(
                r"the text holds half of a surrogate pair (such as \ud83d), which is no character.",
                path=path,
                line=number,
            ) from None
    return record


def _broken(error: Exception, path: Path, number: int) -> DataError:
    if isinstance(error, json.JSONDecodeError):
        detail = f"{error.msg}, column {error.colno}"
    else:
        detail = "nested too deeply" if isinstance(error, RecursionError) else str(error)
    return DataError(
        f"broken JSON ({detail}). Each line must be one whole JSON object.", path=path, line=number
    )
