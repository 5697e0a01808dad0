"""Which column of a source is what: by the user's choice, or by the usual names."""

from collections.abc import Mapping, Sequence

from zoo.errors import DataError


def choose_columns(
    found: Sequence[str],
    columns: Mapping[str, str | int] | None,
    names: Mapping[str, tuple[str, ...]],
) -> dict[str, str]:
    """Find the column for each role, by the user's choice or by the usual names, in any case.

    Args:
        found: The columns there are.
        columns: The user's choice by role: a name or a 0-based position.
        names: For each role its usual names in lower case; the first that is there wins.

    Raises:
        DataError: The user chose a column that is not there, or an unknown role.
    """
    chosen: dict[str, str] = {}
    for role, column in (columns or {}).items():
        if role not in names:
            raise DataError(f"`columns` knows {', '.join(names)}; found {role!r}.")
        if isinstance(column, int):
            if not -len(found) <= column < len(found):
                raise DataError(f"there is no column {column}; found: {', '.join(found)}.")
            column = found[column]
        elif column not in found:
            raise DataError(f"there is no column {column!r}; found: {', '.join(found)}.")
        chosen[role] = column
    by_lower_case = {name.lower(): name for name in reversed(found)}
    for role, candidates in names.items():
        for candidate in candidates:
            usual = by_lower_case.get(candidate)
            if usual is not None and usual not in chosen.values():
                chosen.setdefault(role, usual)
    return chosen
