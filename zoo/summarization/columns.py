"""Which column of a source is what, and what stands there: names may reach into objects."""

import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo.data.readers.columns import choose_columns
from zoo.errors import DataError

#: Usual names of columns; where a source has several, the first wins. An abstract is what is
#: summarized, unless there is an article.
NAMES = {
    "id": ("id", "guid", "fname", "paper_id", "document_id", "doc_id", "article_id"),
    "source": (
        *("source", "article", "document", "dialogue", "dialog", "report", "chapter", "text"),
        *("documents", "content", "body", "description", "abstract", "sentences"),
    ),
    "target": (
        *("target", "targets", "summary", "summaries", "summary1", "highlights", "references"),
        *("reference", "tldr", "summary_text", "abstract", "headline", "title"),
    ),
}
#: The first of several columns with a summary each, as in DialogSum's test file.
_FIRST_OF_SEVERAL = re.compile(r"(.*\D)1")

#: By role, a column's name (with dots to reach into objects) or its 0-based position.
Columns = Mapping[str, str | int]
#: For each role its columns, each as the names that lead to it.
Paths = Mapping[str, list[tuple[str, ...]]]


def reach(value: Any, path: Sequence[str]) -> Any:
    """What stands under the first name, under the second within it, and so on.

    Of a list it is what stands there in each of its entries; nothing within nothing is None.

    Raises:
        ValueError: There is no such name.
    """
    for at, name in enumerate(path):
        if value is None:
            return None
        if isinstance(value, list):
            return [reach(one, path[at:]) for one in value]
        if not isinstance(value, Mapping) or name not in value:
            found = ", ".join(value) if isinstance(value, Mapping) else str(value)[:60]
            within = f" in {'.'.join(path[:at])!r}" if at else " here"
            raise ValueError(f"there is no {name!r}{within}; found: {found}.")
        value = value[name]
    return value


def reach_if_there(record: Mapping[str, Any], path: Sequence[str]) -> Any:
    """The same, and None where there is no such name."""
    try:
        return reach(record, path)
    except ValueError:
        return None


def choose_paths(
    found: Sequence[str],
    columns: Columns | None,
    path: str | Path,
    line: int | None,
    needed: Sequence[str],
) -> Paths:
    """Find the columns of each role, by the user's choice or by the usual names.

    Args:
        found: The columns there are.
        columns: The user's choice.
        path: The source, for messages.
        line: Where its columns are named.
        needed: Roles that must have a column.

    Raises:
        DataError: A column is not there, or a role that is needed has none.
    """
    asked = {role: _root(column, found) for role, column in (columns or {}).items()}
    try:
        roots = choose_columns(found, asked, NAMES)
    except DataError as error:
        raise DataError(str(error), path=path, line=line) from None
    missing = [role for role in needed if role not in roots]
    if missing:
        raise DataError(
            f"no column is called {' or '.join(missing)}; found: {', '.join(found)}. Say which is "
            "which: --data.columns '{source: NAME, target: NAME}'.",
            path=path,
            line=line,
        )
    chosen: dict[str, list[tuple[str, ...]]] = {role: [(root,)] for role, root in roots.items()}
    for role, column in (columns or {}).items():
        if isinstance(column, str) and column != roots[role]:
            chosen[role] = [(roots[role], *column[len(roots[role]) + 1 :].split("."))]
    several = _FIRST_OF_SEVERAL.fullmatch(roots.get("target", ""))
    if several is not None and len(chosen["target"][0]) == 1:
        numbered = (f"{several[1]}{number}" for number in itertools.count(2))
        chosen["target"] += [(one,) for one in itertools.takewhile(found.__contains__, numbered)]
    return chosen


def _root(column: str | int, found: Sequence[str]) -> str | int:
    """The column that a name with dots begins with, unless a column is called so itself."""
    if isinstance(column, int) or column in found:
        return column
    parts = column.split(".")
    starts = (".".join(parts[:size]) for size in range(len(parts) - 1, 0, -1))
    return next((start for start in starts if start in found), column)
