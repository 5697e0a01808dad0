"""What is counted while a split streams from its source into its table."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from zoo.classification.labels import as_number
from zoo.classification.modes import Mode
from zoo.classification.reading import LabelledText
from zoo.errors import DataError


class Tally:
    """Counts of one split, and a look at each target.

    Args:
        place: What a message calls the split.
        mode: What the targets should be, where that is known.
    """

    def __init__(self, place: str, mode: Mode | None):
        self.place = place
        self.mode = mode
        self.labels: Counter[str] = Counter()
        self.empty = 0
        self.unlabelled = 0
        self.pairs = False
        self.several = False
        #: The first label that is no number, with its line.
        self.word: tuple[str, int] | None = None

    def of(self, texts: Iterable[LabelledText]) -> Iterator[dict[str, Any]]:
        """Rows of the table of examples.

        Raises:
            DataError: A target is not of the mode; no text has a label.
        """
        for one in texts:
            self.pairs = one.text2 is not None
            if one.labels is None:
                self.unlabelled += 1
                continue
            self._check(one)
            self.several |= one.several
            self.labels.update(one.labels)
            self.empty += not one.text.strip() or (one.text2 is not None and not one.text2.strip())
            yield {
                "text": one.text,
                "text2": one.text2,
                "labels": list(one.labels),
                "line": one.line,
            }
        if self.unlabelled and not self.labels and not self.several:
            raise DataError(
                "No text has a label here. Another split of a Hub dataset is chosen with "
                "--data.splits '{test: validation}'; to predict, use `python -m recipes predict`.",
                path=self.place,
            )

    def _check(self, one: LabelledText) -> None:
        if one.several and (self.mode not in (None, "multi_label") or not self._alike(one)):
            raise DataError(
                f"a text has one label here; found the list {list(one.labels or ())}. For any "
                "number of labels: --data.mode multi_label.",
                path=self.place,
                line=one.line,
            )
        if not one.several and not self._alike(one):
            raise DataError(
                f"a text has a list of labels here; found {(one.labels or ('',))[0][:60]!r} alone. "
                "For any number of labels: --data.mode multi_label.",
                path=self.place,
                line=one.line,
            )
        for label in one.labels or ():
            if self.word is None and as_number(label) is None:
                self.word = (label, one.line)
        if self.mode == "regression":
            require_numbers([self])

    def _alike(self, one: LabelledText) -> bool:
        """Whether all texts so far have lists, or none has, as this one."""
        begun = self.several or self.labels
        return self.several == one.several or not begun or self.mode == "multi_label"

    def notes(self, split: str) -> list[str]:
        """Sentences for the user."""
        found = []
        if self.empty:
            noun = "text" if self.empty == 1 else "texts"
            found.append(f"{self.empty} empty {noun} kept in {split}.")
        if self.unlabelled:
            noun = "text" if self.unlabelled == 1 else "texts"
            found.append(f"{self.unlabelled} {noun} of {split} without a label left out.")
        return found


def require_clear_numbers(tallies: Iterable[Tally]) -> None:
    """Refuse words among labels most of which are numbers with decimals.

    Raises:
        DataError: With the first such word and its line.
    """
    tallies = list(tallies)
    labels = {label for tally in tallies for label in tally.labels}
    if 2 * sum(bool((as_number(label) or 0.0) % 1) for label in labels) <= len(labels):
        return
    for tally in tallies:
        if tally.word is not None:
            label, line = tally.word
            raise DataError(
                f"most labels are numbers with decimals, but here is {label[:60]!r}. Correct it "
                "to predict numbers; --data.mode single_label takes each as a class of its own.",
                path=tally.place,
                line=line,
            )


def require_numbers(tallies: Iterable[Tally]) -> None:
    """Refuse targets of a regression that are no numbers.

    Raises:
        DataError: With the first of them and its line.
    """
    for tally in tallies:
        if tally.word is not None:
            label, line = tally.word
            raise DataError(
                f"the target of a regression must be a number; found {label[:60]!r}.",
                path=tally.place,
                line=line,
            )
