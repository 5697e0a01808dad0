"""Tagging schemes: recognising which one a file uses, and converting to and from IOB2."""

from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import Literal

from zoo.errors import DataError
from zoo.ner.reading.sentences import TaggedSentence
from zoo.ner.reading.tags import parse_tag


class Scheme(StrEnum):
    """How tags mark where an entity begins and ends.

    Attributes:
        IOB2: `B-` starts every entity (BIO). An `I-` that continues nothing, as sloppy files have,
            also starts one.
        IOB1: `B-` only between neighbours of one type.
        IO: only `I-`; neighbours of one type cannot be told apart.
        BIOES: `E-` ends an entity, `S-` is one of a single word (IOBES).
        BILOU: the same with `L-` and `U-`.
        BMES: the same with `M-` inside.
    """

    IOB2 = "IOB2"
    IOB1 = "IOB1"
    IO = "IO"
    BIOES = "BIOES"
    BILOU = "BILOU"
    BMES = "BMES"

    @classmethod
    def _missing_(cls, value: object) -> "Scheme | None":
        aliases = {
            "BIO": cls.IOB2,
            "IOB": cls.IOB1,
            "IOBES": cls.BIOES,
            "BIOLU": cls.BILOU,
            "BMESO": cls.BMES,
        }
        name = str(value).upper()
        return cls.__members__.get(name, aliases.get(name))


_Role = Literal["B", "I", "E", "S"]

#: What each prefix means, in the words of BIOES.
ROLES: dict[Scheme, dict[str, _Role]] = {
    Scheme.IOB2: {"B": "B", "I": "I"},
    Scheme.IOB1: {"B": "B", "I": "I"},
    Scheme.IO: {"I": "I"},
    Scheme.BIOES: {"B": "B", "I": "I", "E": "E", "S": "S"},
    Scheme.BILOU: {"B": "B", "I": "I", "L": "E", "U": "S"},
    Scheme.BMES: {"B": "B", "M": "I", "E": "E", "S": "S"},
}
_CLOSED = (Scheme.BIOES, Scheme.BILOU, Scheme.BMES)


class SchemeDetector:
    """Recognises a file's tagging scheme from all of its sentences, in constant memory.

    It remembers the first line of each prefix and of each kind of step from one tag to the next.

    Attributes:
        orphans: How many `I-` tags continue nothing (at the start of a sentence, after `O`, or
            after another type). In IOB2 they are sloppy; in IOB1 and IO they start entities.
    """

    def __init__(self) -> None:
        self.orphans = 0
        self._bad: DataError | None = None
        self._bad_line = 0
        self._prefixes: dict[str, tuple[int, str]] = {}
        self._steps: dict[tuple[str, str, bool], tuple[int, str, str]] = {}

    def add(self, sentence: TaggedSentence) -> None:
        """Take note of a sentence's tags. A bad tag is reported by `scheme`, which has the path."""
        if self._bad is not None:
            return
        before, type_before, tag_before, line = "O", "", "the start of the sentence", 0
        for tag, line in zip(sentence.tags, sentence.lines, strict=True):
            try:
                prefix, name = parse_tag(tag)
            except DataError as error:
                self._bad, self._bad_line = error, line
                return
            same = name == type_before
            self._prefixes.setdefault(prefix, (line, tag))
            self._steps.setdefault((before, prefix, same), (line, tag_before, tag))
            self.orphans += prefix == "I" and not (before in "BI" and same)
            before, type_before, tag_before = prefix, name, tag
        self._steps.setdefault((before, "O", False), (line, tag_before, "the end of the sentence"))

    def scheme(self, path: str | Path, *, force: Scheme | None = None) -> Scheme:
        """The scheme of all sentences so far.

        - Prefixes E, S, L, U or M name BIOES, BILOU or BMES (BIOES where several fit, as they then
          mean the same), and every entity must then be well formed.
        - Without `B-` it is IO: the same as IOB1 in which no neighbours share a type.
        - With `B-` it is IOB1 if some `I-` continues nothing and every `B-` follows a word of an
          entity of its type; else IOB2, in which such an `I-` starts an entity (see `orphans`).
        - Tags that are all `O` count as IOB2.

        Args:
            path: The source, for errors.
            force: Take this scheme, and only check that the tags follow it.

        Raises:
            DataError: A tag is malformed, or the tags follow no scheme, or not the forced one; with
                the line of the first that does not.
        """
        if self._bad is not None:
            raise DataError(str(self._bad), path=path, line=self._bad_line)
        letters = set(self._prefixes) - {"O"}
        if force is None:
            chosen = self._open_scheme(letters) if letters <= {"B", "I"} else _closed(letters)
        else:
            chosen = Scheme(force)
        # With no scheme for all prefixes, the one that the first ones fit says which is foreign.
        judge = chosen or self._closest()
        for line, tag in sorted(self._prefixes.values()):
            if parse_tag(tag)[0] not in {"O", *ROLES[judge]}:
                raise DataError(
                    f"the tag {tag!r} does not belong to {_describe(judge)}"
                    + (", which the tags before it follow." if force is None else "."),
                    path=path,
                    line=line,
                )
        if judge in _CLOSED:
            self._check_steps(judge, path)
        return judge

    def _open_scheme(self, letters: set[str]) -> Scheme:
        if letters == {"I"}:
            return Scheme.IO
        starts = [step for step in self._steps if step[1] == "B"]
        split = all(before in ("B", "I") and same for before, _, same in starts)
        return Scheme.IOB1 if self.orphans and starts and split else Scheme.IOB2

    def _closest(self) -> Scheme:
        letters: set[str] = set()
        fit: Scheme = Scheme.BIOES
        for _, tag in sorted(self._prefixes.values()):
            letters |= {parse_tag(tag)[0]} - {"O"}
            better = _closed(letters)
            if better is None:
                break
            fit = better
        return fit

    def _check_steps(self, scheme: Scheme, path: str | Path) -> None:
        roles = ROLES[scheme]
        wrong = [
            (line, before, after)
            for (prefix, following, same), (line, before, after) in self._steps.items()
            if not may_follow(roles.get(prefix), roles.get(following), same)
        ]
        if wrong:
            line, before, after = min(wrong)
            raise DataError(
                f"in {_describe(scheme)} {after} cannot follow {before}.", path=path, line=line
            )


def may_follow(before: _Role | None, after: _Role | None, same: bool) -> bool:
    """Whether one role may follow another (None is `O`) where every entity must be well formed.

    Args:
        before: The role of a word.
        after: The role of the next.
        same: Whether both are of the same type.
    """
    if before in ("B", "I"):
        return after in ("I", "E") and same
    return after not in ("I", "E")


def _closed(letters: set[str]) -> Scheme | None:
    return next((scheme for scheme in _CLOSED if letters <= set(ROLES[scheme])), None)


def _describe(scheme: Scheme) -> str:
    return f"{scheme} (prefixes {', '.join(ROLES[scheme])})"


def to_iob2(tags: list[str], scheme: Scheme) -> list[str]:
    """Convert a sentence's tags to IOB2, in which `B-` starts every entity.

    Tags that `SchemeDetector` would refuse for their order are read as far as they go: what
    continues nothing starts an entity.

    Raises:
        DataError: A tag is malformed or has a prefix that is not the scheme's; without a place.
    """
    converted: list[str] = []
    going_on = ""
    for tag in tags:
        prefix, name = parse_tag(tag)
        if prefix == "O":
            converted.append("O")
            going_on = ""
            continue
        role = ROLES[scheme].get(prefix)
        if role is None:
            raise DataError(f"the tag {tag!r} does not belong to {_describe(scheme)}.")
        starts = role in ("B", "S") or going_on != name
        converted.append(f"{'B' if starts else 'I'}-{name}")
        going_on = name if role in ("B", "I") else ""
    return converted


def from_iob2(tags: list[str], scheme: Scheme) -> list[str]:
    """Convert a sentence's IOB2 tags to another scheme; to IO, neighbours of one type merge.

    Raises:
        DataError: A tag is malformed or its prefix is neither `B` nor `I`.
    """
    letter = {role: prefix for prefix, role in ROLES[scheme].items()}
    parsed = [parse_tag(tag) for tag in to_iob2(tags, Scheme.IOB2)]
    converted: list[str] = []
    name_before = ""
    for (prefix, name), (following, _) in pairwise([*parsed, ("O", "")]):
        role: _Role = "B" if prefix == "B" else "I"
        if scheme in _CLOSED and following != "I":
            role = "S" if role == "B" else "E"
        elif scheme is Scheme.IO or (scheme is Scheme.IOB1 and name != name_before):
            role = "I"
        converted.append("O" if prefix == "O" else f"{letter[role]}-{name}")
        name_before = name
    return converted
