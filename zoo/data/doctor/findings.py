"""What a doctor says: findings with a severity, the places where they show, and tables of facts."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from unicodedata import category

#: Places that a finding names.
SHOWN = 3
#: Characters of an example that are quoted.
_QUOTED = 60


class Severity(StrEnum):
    """How bad a finding is; in order.

    Attributes:
        ERROR: Training is impossible, or its result is wrong or means nothing.
        WARNING: Training works, but loses something that mending the data would give.
        NOTE: Good to know; often as it should be.
    """

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True)
class Place:
    """Where in the data something is.

    Args:
        where: The file (or Hub id) with the line, as `train.conll:12`.
        quote: What stands there, shortened.
    """

    where: str
    quote: str = ""

    def __str__(self) -> str:
        return f"{self.where}  {self.quote}" if self.quote else self.where


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Args:
        code: What kind of thing it is: the same word in every family and version.
        severity: How bad it is.
        what: One sentence: what, and how many of how many.
        advice: One sentence: what to do about it; empty if there is nothing to do.
        places: The first few places.
        split: The split it is found in; None if it is about several, or all.
        count: How many examples (or labels, answers, ...) have it.
    """

    code: str
    severity: Severity
    what: str
    advice: str = ""
    places: tuple[Place, ...] = ()
    split: str | None = None
    count: int = 1

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "code": self.code,
            "severity": str(self.severity),
            "split": self.split,
            "count": self.count,
            "what": self.what,
            "advice": self.advice,
            "places": [{"where": place.where, "quote": place.quote} for place in self.places],
        }


@dataclass(frozen=True)
class Facts:
    """A table of what the data is like."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]

    def to_dict(self) -> dict[str, Any]:
        """As plain data: one object a row."""
        rows = [dict(zip(self.columns, row, strict=True)) for row in self.rows]
        return {"title": self.title, "rows": rows}


@dataclass(frozen=True)
class Examination:
    """All that a doctor has to say of some data.

    Args:
        findings: The worst first.
        facts: Tables: the sizes of the splits, the balance of the labels.
    """

    findings: Sequence[Finding]
    facts: Sequence[Facts]

    def count(self, severity: Severity) -> int:
        """How many findings are as bad as this."""
        return sum(one.severity == severity for one in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            **{f"{severity}s": self.count(severity) for severity in Severity},
            "facts": [table.to_dict() for table in self.facts],
            "findings": [finding.to_dict() for finding in self.findings],
        }


@dataclass
class Cases:
    """How many there are of something, with the first few places."""

    count: int = 0
    places: list[Place] = field(default_factory=list)

    def add(self, place: Place | None = None) -> None:
        """One more."""
        self.count += 1
        if place is not None and len(self.places) < SHOWN:
            self.places.append(place)

    @property
    def wanted(self) -> bool:
        """Whether a place would be kept: making one takes longer than counting."""
        return len(self.places) < SHOWN


def worst_first(findings: Sequence[Finding]) -> list[Finding]:
    """By severity; within one in the order given."""
    order = list(Severity)
    return sorted(findings, key=lambda one: order.index(one.severity))


def by_share(count: int, total: int, *, warning: float, error: float | None = None) -> Severity:
    """A severity by a share: a note below the first threshold.

    Args:
        count: How many have it.
        total: Of how many.
        warning: Share from which on it is a warning.
        error: Share from which on it is an error; None if it never is.
    """
    share = count / max(total, 1)
    if error is not None and share >= error:
        return Severity.ERROR
    return Severity.WARNING if share >= warning else Severity.NOTE


def counted(count: int, total: int, noun: str) -> str:
    """`12 of 1,200 texts (1.0%)`: a count that a reader can weigh."""
    percent = 100 * count / max(total, 1)
    share = f"{percent:.1f}%" if percent >= 0.1 or not count else "under 0.1%"
    return f"{count:,} of {total:,} {noun} ({share})"


def quoted(text: str, *, around: int = 0) -> str:
    """A text in quotation marks on one line, shortened; what cannot be seen is written out.

    Args:
        text: Any text.
        around: The character that has to be seen.
    """
    begin = max(0, around - _QUOTED // 2) if len(text) > _QUOTED else 0
    part = text[begin : begin + _QUOTED]
    # Marks without a letter and characters without a shape show as their number.
    visible = any(category(letter)[0] in "LNPS" for letter in part)
    shown = repr(part) if visible else ascii(part)
    left, right = "…" * (begin > 0), "…" * (begin + _QUOTED < len(text))
    return f"{shown[0]}{left}{shown[1:-1]}{right}{shown[-1]}"


def and_more(names: Sequence[str], *, most: int = 5) -> str:
    """Some names in a sentence; of more only the number."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
