"""Examples that stand twice: in one split, in several, and with other labels.

Two examples are the same where their texts are, after Unicode's NFC, with case folded and each run
of white space as one space. Only a digest of each is kept: 16 bytes, however long the text.
"""

import hashlib
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from zoo.data.doctor.findings import (
    Cases,
    Finding,
    Place,
    Severity,
    by_share,
    counted,
    quoted,
)

#: Share of a split to evaluate, from which on texts that train has too make its scores worthless.
LEAK_ERROR = 0.10
#: Shorter texts (in bytes of UTF-8: seven Chinese characters, four short English words) come twice
#: by nature: they count in the warning, not for the error.
LEAK_BYTES = 20
#: Share of a split from which on examples that stand twice are a warning.
DUPLICATES_WARNING = 0.01


def normalized(text: str) -> str:
    """A text as it is compared: NFC, case folded, each run of white space one space."""
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    return " ".join(text.casefold().split())


def digest(text: str) -> bytes:
    """What stands for a text that is compared."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


class Duplicates:
    """Compares the examples of all splits, added in the order train, validation, test.

    Args:
        noun: What the examples are called, in the plural.
        contradicting: What it means that the same text has another label or answer; empty if that
            is as it should be (a text may have several summaries).
    """

    def __init__(self, noun: str, *, contradicting: str):
        self._noun = noun
        self._contradicting = contradicting
        self._first: dict[bytes, tuple[str, str, bytes]] = {}  # split, where, label
        self._totals: Counter[str] = Counter()
        self._within: defaultdict[str, Cases] = defaultdict(Cases)
        self._across: defaultdict[tuple[str, str], Cases] = defaultdict(Cases)
        self._long: Counter[tuple[str, str]] = Counter()
        self._opposed: defaultdict[tuple[str, str], Cases] = defaultdict(Cases)

    def add(self, split: str, identity: Sequence[str], gold: str, where: str) -> None:
        """Compare one example with all before it."""
        self._totals[split] += 1
        text = "\x1f".join(normalized(part) for part in identity)
        if not text.replace("\x1f", ""):
            return  # empty texts are a finding of their own
        key, label = digest(text), digest(gold)
        first = self._first.get(key)
        if first is None:
            self._first[key] = (split, where, label)
            return
        other, there, label_there = first
        same_label = label == label_there
        cases = self._within[split] if other == split else self._across[other, split]
        place = None
        if cases.wanted or (not same_label and self._opposed[other, split].wanted):
            place = Place(where, f"{quoted(' | '.join(identity))} as in {there}")
        cases.add(place)
        if other != split:
            self._long[other, split] += len(text.encode("utf-8", "surrogatepass")) >= LEAK_BYTES
        if not same_label:
            self._opposed[other, split].add(place)

    def findings(self) -> Iterator[Finding]:
        """Leaks, contradictions, and duplicates within each split."""
        for (other, split), cases in self._across.items():
            yield self._leak(other, split, cases)
        if self._contradicting:
            for (other, split), cases in self._opposed.items():
                total = self._totals[split]
                also = "stand twice" if other == split else f"stand in {other} too"
                yield Finding(
                    "contradiction",
                    Severity.WARNING,
                    f"{counted(cases.count, total, f'{split} {self._noun}')} {also}, with "
                    f"{self._contradicting}.",
                    "Decide which is right, and correct or leave out the other.",
                    tuple(cases.places),
                    split,
                    cases.count,
                )
        for split, cases in self._within.items():
            total = self._totals[split]
            yield Finding(
                "duplicate",
                by_share(cases.count, total, warning=DUPLICATES_WARNING),
                f"{counted(cases.count, total, f'{split} {self._noun}')} stand earlier in {split} "
                "already, but for case and white space.",
                "Keep one of each, unless that is how often they occur where the model will be "
                "used."
                if split == "train"
                else "Each of them counts again in the scores.",
                tuple(cases.places),
                split,
                cases.count,
            )

    def _leak(self, other: str, split: str, cases: Cases) -> Finding:
        total = self._totals[split]
        severe = self._long[other, split] >= LEAK_ERROR * total
        return Finding(
            "leak",
            Severity.ERROR if severe and other == "train" else Severity.WARNING,
            f"{counted(cases.count, total, f'{split} {self._noun}')} stand in {other} too, but for "
            "case and white space"
            + (": they can be learned by heart." if other == "train" else "."),
            "Take them out of one of both, or split the data anew; scores on them tell nothing."
            if other == "train"
            else "Take them out of one of both: the checkpoint is chosen by the one and tested by "
            "the other.",
            tuple(cases.places),
            split,
            cases.count,
        )
