"""All faults of a file's tags at once, where the reader stops at the first."""

from collections import Counter

from zoo.errors import DataError
from zoo.ner.reading.schemes import ROLES, Scheme, may_follow
from zoo.ner.reading.sentences import TaggedSentence
from zoo.ner.reading.tags import parse_tag

#: Schemes that a file may have meant; IOB2 stands for all without a tag that ends an entity.
_CANDIDATES = (Scheme.IOB2, Scheme.BIOES, Scheme.BILOU, Scheme.BMES)
#: Sentences with faults that are remembered one by one.
_LISTED = 1_000


class TagJudge:
    """Finds every sentence whose tags are malformed or break the scheme.

    The scheme is that which the fewest sentences break, so that one stray tag does not make all
    others wrong.

    Args:
        force: The scheme, where it is known.
    """

    def __init__(self, *, force: Scheme | None = None):
        self._candidates = _CANDIDATES if force is None else (Scheme(force),)
        self._malformed: list[tuple[int, str]] = []
        self._broken: dict[Scheme, list[tuple[int, str]]] = {one: [] for one in self._candidates}
        self._counts: Counter[Scheme] = Counter()

    def add(self, sentence: TaggedSentence) -> None:
        """Look at a sentence."""
        parsed = []
        for tag, line in zip(sentence.tags, sentence.lines, strict=True):
            try:
                parsed.append(parse_tag(tag))
            except DataError as error:
                if len(self._malformed) < _LISTED:
                    self._malformed.append((line, str(error)))
                return
        for scheme in self._candidates:
            fault = _first_fault(sentence, parsed, scheme)
            if fault is not None:
                self._counts[scheme] += 1
                if len(self._broken[scheme]) < _LISTED:
                    self._broken[scheme].append(fault)

    def faults(self) -> list[tuple[int, str]]:
        """Line and fault of each such sentence: its first."""
        scheme = min(self._candidates, key=lambda one: self._counts[one])
        return [*self._malformed, *self._broken[scheme]]


def _first_fault(
    sentence: TaggedSentence, parsed: list[tuple[str, str]], scheme: Scheme
) -> tuple[int, str] | None:
    roles = ROLES[scheme]
    closed = "E" in roles.values()
    before, type_before, tag_before, line = "O", "", "the beginning", 0
    for tag, (prefix, name), line in zip(sentence.tags, parsed, sentence.lines, strict=True):
        if prefix != "O" and prefix not in roles:
            return line, f"the tag {tag!r} does not belong to {scheme} ({', '.join(roles)})."
        if closed and not may_follow(roles.get(before), roles.get(prefix), name == type_before):
            return line, f"in {scheme} {tag!r} cannot follow {tag_before!r}."
        before, type_before, tag_before = prefix, name, tag
    if closed and not may_follow(roles.get(before), None, False):
        return line, f"in {scheme} no sentence can end with {tag_before!r}."
    return None
