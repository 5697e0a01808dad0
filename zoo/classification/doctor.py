"""What only classification knows of its data: labels that are no classes, targets, likely slips."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from zoo.classification.datamodule import ClassificationDataModule
from zoo.classification.labels import as_number
from zoo.classification.suspects import find_suspects
from zoo.data.doctor.duplicates import normalized
from zoo.data.doctor.examination import Doctor, Record
from zoo.data.doctor.findings import (
    Cases,
    Examination,
    Finding,
    Place,
    Severity,
    and_more,
    counted,
    quoted,
)
from zoo.data.sources import Split

#: Labels for each text of train from which on the label column is probably the wrong one.
_LABEL_PER_TEXT = 0.5
#: Texts that are enough to say so.
_ENOUGH = 20
#: Standard deviations from the mean from which on a number stands out.
_FAR = 6.0


class ClassificationDoctor(Doctor[ClassificationDataModule]):
    """Examines labelled texts, or pairs of them."""

    columns = ("text", "text2", "labels", "line")
    covered = re.compile(r"Label |\d+ empty|\d+ of ")

    def __init__(self, data: ClassificationDataModule):
        super().__init__(data)
        self._counts: defaultdict[Split, Counter[str]] = defaultdict(Counter)
        self._same_pair: defaultdict[Split, Cases] = defaultdict(Cases)
        self._unlabelled: Counter[Split] = Counter()

    @property
    def cuts(self) -> bool:
        """Tokens that are cut off are counted."""
        return True

    @property
    def _numbers(self) -> bool:
        return self.data.mode == "regression"

    def record(self, split: Split, row: Mapping[str, Any]) -> Record:
        """A text, or a pair, with its labels in the order of the alphabet."""
        texts = (row["text"],) if row["text2"] is None else (row["text"], row["text2"])
        # Two mean ratings of one text differ a little, and contradict each other no more than that.
        gold = "" if self._numbers else "\x1f".join(sorted(row["labels"]))
        return Record(texts, texts, gold, row["line"])

    def labels(self) -> Mapping[Split, Mapping[str, int]]:
        """How often each label occurs; nothing of numbers."""
        if self._numbers:
            return {}
        return {split: self._counts[split] for split in self.tables}

    def sizes(self, split: Split) -> dict[str, str]:
        """Labels a text, where it may have several; mean and spread of numbers."""
        counts, size = self._counts[split], max(1, len(self.tables[split]))
        if self._numbers:
            values = _values(counts)
            return {"mean": f"{values.mean():.3f}", "spread": f"{values.std():.3f}"}
        if self.data.mode == "multi_label":
            return {
                "labels / text": f"{counts.total() / size:.2f}",
                "without label": f"{self._unlabelled[split]:,}",
            }
        return {"labels": f"{len(counts):,}"}

    def see(self, split: Split, row: Mapping[str, Any], record: Record) -> None:
        """Count labels, and pairs of a text with itself."""
        self._counts[split].update(row["labels"])
        self._unlabelled[split] += not row["labels"]
        if len(record.fields) == 2 and normalized(record.fields[0]) == normalized(record.fields[1]):
            self._same_pair[split].add(self.place_of(split, record))

    def own_findings(self) -> Iterator[Finding]:
        """Labels that are no classes, numbers that stand out, likely slips."""
        for split, cases in self._same_pair.items():
            yield Finding(
                "same-pair",
                Severity.NOTE,
                f"{counted(cases.count, len(self.tables[split]), f'{split} pairs')} are a text "
                "with itself.",
                "Look whether both columns are the right ones.",
                tuple(cases.places),
                split,
                cases.count,
            )
        if "train" not in self.tables:
            return
        if self._numbers:
            yield from self._outliers()
        else:
            yield from self._too_many_labels()
        yield from self._unlikely()

    def _too_many_labels(self) -> Iterator[Finding]:
        counts, size = self._counts["train"], len(self.tables["train"])
        if size < _ENOUGH or len(counts) < _LABEL_PER_TEXT * size:
            return
        yield Finding(
            "label-per-text",
            Severity.ERROR,
            f"Train has {len(counts):,} different labels for {size:,} texts, such as "
            f"{and_more([quoted(name) for name in list(counts)[:3]])}: hardly any can be learned.",
            "Is the label column the right one? --data.columns '{text: NAME, label: NAME}' chooses "
            "it; numbers are predicted with --data.mode regression.",
            split="train",
            count=len(counts),
        )

    def _outliers(self) -> Iterator[Finding]:
        values = _values(self._counts["train"])
        mean, spread = float(values.mean()), float(values.std())
        for split in self.tables:
            cases = Cases()
            for _, row in self.rows(split):
                value = as_number(row["labels"][0]) or 0.0
                if abs(value - mean) > _FAR * max(spread, 1e-12):
                    where = self.where(split, row["line"])
                    cases.add(Place(where, f"{value:g}  {quoted(row['text'])}"))
            if cases.count:
                yield Finding(
                    "far-target",
                    Severity.WARNING,
                    f"{counted(cases.count, len(self.tables[split]), f'{split} targets')} are more "
                    f"than {_FAR:g} standard deviations from the mean of train ({mean:.3g} ± "
                    f"{spread:.3g}).",
                    "Look whether they are slips: squared errors follow them.",
                    tuple(cases.places),
                    split,
                    cases.count,
                )

    def _unlikely(self) -> Iterator[Finding]:
        if self.data.mode not in ("single_label", "ordinal"):
            return
        texts, labels = self.data.joined("train")
        found = find_suspects(texts, [one[0] for one in labels])
        if not found.suspects:
            return
        table = self.tables["train"]
        places = []
        for one in found.suspects[:3]:
            where = self.where("train", table[one.row]["line"])
            places.append(Place(where, f"{one.given}, not {one.likely}? {quoted(texts[one.row])}"))
        count = len(found.suspects)
        yield Finding(
            "unlikely-label",
            Severity.NOTE,
            f"{counted(count, found.judged, 'train texts')} have a label that a bag of words, "
            "trained on other parts of train, thinks far less likely than another "
            f"(confident learning; it is right in {found.accuracy:.0%} of train).",
            "Look at some: it knows words only, and hard texts are among them.",
            tuple(places),
            "train",
            count,
        )


def _values(counts: Mapping[str, int]) -> Any:
    numbers = [as_number(label) or 0.0 for label in counts]
    return np.repeat(np.array(numbers or [0.0]), list(counts.values()) or [1])


def examine(data: ClassificationDataModule) -> Examination:
    """Examine the data of a datamodule: see `Doctor`."""
    return ClassificationDoctor(data).examine()
