"""What only summarization knows of its data: summaries that cannot be ones of their texts."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from zoo.data.doctor.duplicates import digest, normalized
from zoo.data.doctor.examination import Doctor, Record
from zoo.data.doctor.findings import (
    Cases,
    Examination,
    Finding,
    Place,
    Severity,
    by_share,
    counted,
    quoted,
)
from zoo.data.doctor.tokens import CUT_WARNING, Read
from zoo.data.sources import Split
from zoo.summarization.datamodule import SummaryDataModule
from zoo.summarization.rouge import tokens

#: Share of summaries that are longer than their text, from which on columns are probably swapped.
_LONGER_ERROR = 0.5
_LONGER_WARNING = 0.02
#: Share of summaries that are their whole text, from which on there is nothing to learn.
_COPIED_ERROR = 0.5
#: Share of a summary's words that its text has, at the median: where it is lower, languages differ
#: and summaries without a common word are natural.
_USUAL_OVERLAP = 0.3
#: Words a summary needs to be judged by them.
_FEWEST_WORDS = 4
#: Times that one summary may be that of different texts, and the share of a split that is many.
_REPEATED, _REPEATED_SHARE = 3, 0.01
#: Texts of a split whose words are compared with those of their summaries.
_COMPARED = 5_000


class SummaryDoctor(Doctor[SummaryDataModule]):
    """Examines texts with their summaries."""

    # A text may have several summaries, each in a row of its own.
    contradicting = ""
    columns = ("source", "references", "line", "sentence_starts")

    def __init__(self, data: SummaryDataModule):
        super().__init__(data)
        self._words: defaultdict[Split, list[int]] = defaultdict(list)
        self._longer: defaultdict[Split, Cases] = defaultdict(Cases)
        self._copied: defaultdict[Split, Cases] = defaultdict(Cases)
        self._no_target: defaultdict[Split, Cases] = defaultdict(Cases)
        self._overlaps: defaultdict[Split, list[float]] = defaultdict(list)
        self._strange: defaultdict[Split, Cases] = defaultdict(Cases)
        self._targets: defaultdict[Split, dict[bytes, tuple[int, Place]]] = defaultdict(dict)

    @property
    def cuts(self) -> bool:
        """Of texts to be rewritten tokens are cut off; of those to be read in windows, none."""
        return "cut_target" in self.data.feature_columns

    def record(self, split: Split, row: Mapping[str, Any]) -> Record:
        """A text with its summaries; two with one text are the same."""
        fields = (row["source"], *row["references"])
        gold = "\x1f".join(sorted(normalized(one) for one in row["references"]))
        return Record(fields, (row["source"],), gold, row["line"])

    def labels(self) -> Mapping[Split, Mapping[str, int]]:
        """There are none."""
        return {}

    def sizes(self, split: Split) -> dict[str, str]:
        """Length of texts and of summaries."""
        words = self._words[split]
        median = f"{int(np.median(words)):,}" if words else ""
        return {"summary: words (median)": median}

    def see(self, split: Split, row: Mapping[str, Any], record: Record) -> None:
        """Compare a text with its summaries."""
        source, target = row["source"].strip(), row["references"][0].strip()
        place = Place(self.where(split, row["line"]), quoted(target))
        if not target:
            self._no_target[split].add(Place(place.where, f"the text begins {quoted(source)}"))
            return
        key = digest(normalized(target))
        times, first = self._targets[split].get(key, (0, place))
        self._targets[split][key] = (times + 1, first)
        if not source:
            return
        if source == target:
            self._copied[split].add(place)
        elif len(target) > len(source):
            self._longer[split].add(place)
        if len(self._overlaps[split]) < _COMPARED:
            self._compare(split, source, target, place)

    def _compare(self, split: Split, source: str, target: str, place: Place) -> None:
        how = self.data.rouge_in
        words = tokens(target, rouge_in=how, stem=True)
        self._words[split].append(len(words))
        if len(words) < _FEWEST_WORDS:
            return
        there = set(tokens(source, rouge_in=how, stem=True))
        shared = sum(word in there for word in words) / len(words)
        self._overlaps[split].append(shared)
        if not shared:
            self._strange[split].add(place)

    def own_findings(self) -> Iterator[Finding]:
        """Summaries that are empty, longer than their texts, copied, or of something else."""
        for split, table in self.tables.items():
            yield from self._of_split(split, len(table))

    def _of_split(self, split: Split, size: int) -> Iterator[Finding]:
        summaries = f"{split} summaries"
        cases = self._no_target[split]
        if cases.count:
            fate = "are not learned from" if split == "train" else "count as missed"
            yield Finding(
                "empty-summary",
                by_share(cases.count, size, warning=0.0, error=0.5),
                f"{counted(cases.count, size, summaries)} are empty: they {fate}.",
                "Write them, or leave the texts out; if none should be, check --data.columns.",
                tuple(cases.places),
                split,
                cases.count,
            )
        cases = self._longer[split]
        if cases.count:
            yield Finding(
                "summary-longer-than-text",
                by_share(cases.count, size, warning=_LONGER_WARNING, error=_LONGER_ERROR),
                f"{counted(cases.count, size, summaries)} are longer than their text.",
                "Has --data.columns the right column for each?"
                if cases.count >= _LONGER_ERROR * size
                else "Look whether both belong together.",
                tuple(cases.places),
                split,
                cases.count,
            )
        cases = self._copied[split]
        if cases.count:
            yield Finding(
                "summary-is-text",
                by_share(cases.count, size, warning=0.0, error=_COPIED_ERROR),
                f"{counted(cases.count, size, summaries)} are their whole text.",
                "Leave them out: they teach to copy.",
                tuple(cases.places),
                split,
                cases.count,
            )
        cases, overlaps = self._strange[split], self._overlaps[split]
        if cases.count and float(np.median(overlaps)) >= _USUAL_OVERLAP:
            yield Finding(
                "unlikely-summary",
                by_share(cases.count, len(overlaps), warning=0.02),
                f"{counted(cases.count, len(overlaps), summaries)} share no word with their text, "
                f"though half of all share {float(np.median(overlaps)):.0%} or more of theirs.",
                "Look whether they stand beside the right text: rows may be shifted.",
                tuple(cases.places),
                split,
                cases.count,
            )
        yield from self._repeated(split, size)

    def _repeated(self, split: Split, size: int) -> Iterator[Finding]:
        often = [one for one in self._targets[split].values() if one[0] >= _REPEATED]
        count = sum(times for times, _ in often)
        if not count:
            return
        often.sort(key=lambda one: -one[0])
        yield Finding(
            "repeated-summary",
            by_share(count, size, warning=_REPEATED_SHARE),
            f"{counted(count, size, f'{split} texts')} have a summary that {_REPEATED} or more "
            f"have; the most usual one stands {often[0][0]:,} times.",
            "If it says that there is nothing to say, decide whether that should be learned.",
            tuple(place for _, place in often[:3]),
            split,
            count,
        )

    def findings_of_features(self, split: Split, read: Read) -> Iterator[Finding]:
        """Summaries, or single sentences, that are too long."""
        features = self.data.features(split)
        if "cut_target" not in features.column_names:
            cut = int(np.asarray(features.data.column("cut")).sum())
            if cut:
                yield Finding(
                    "long-sentence",
                    Severity.NOTE,
                    f"{cut:,} {split} sentences are longer than a window of "
                    f"{self.data.max_length} tokens: only their beginning is read.",
                    split=split,
                    count=cut,
                )
            return
        left_out = np.asarray(features.data.column("cut_target"))
        long = np.flatnonzero(left_out)
        if len(long):
            yield Finding(
                "summary-truncated",
                by_share(len(long), len(left_out), warning=CUT_WARNING),
                f"{counted(len(long), len(left_out), f'{split} summaries')} are longer than "
                f"--data.max_target_length: {int(left_out.sum()):,} tokens are not learned.",
                "Raise it, and --model.generation with it.",
                tuple(self.places(split, long[:3])),
                split,
                len(long),
            )


def examine(data: SummaryDataModule) -> Examination:
    """Examine the data of a datamodule: see `Doctor`."""
    return SummaryDoctor(data).examine()
