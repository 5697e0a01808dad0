"""The base of all doctors: looks at data before a model is trained on it.

What is an error, a warning or a note follows one rule. An error makes training impossible or its
result worthless: what cannot be read, nothing to learn, no text in most examples, a test of which a
tenth or more is in train (`duplicates.LEAK_ERROR`), a language that the tokenizer cannot read
(`tokens.UNKNOWN_ERROR`). A warning costs something, and public corpora have some: a few leaked
examples, labels that cannot be learned, answers that had to be moved, texts that are cut off. A
note is worth a look. The thresholds stand as constants at the top of the module of each check.
"""

import logging
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import datasets
import numpy as np

from zoo.data.datamodule import TextDataModule
from zoo.data.doctor import labels as label_checks
from zoo.data.doctor.characters import Characters
from zoo.data.doctor.duplicates import Duplicates
from zoo.data.doctor.findings import (
    Cases,
    Examination,
    Facts,
    Finding,
    Place,
    Severity,
    by_share,
    counted,
    quoted,
    worst_first,
)
from zoo.data.doctor.mending import Fault, Mended, row_lines
from zoo.data.doctor.tokens import (
    CUT_WARNING,
    Read,
    lost_characters,
    read_of,
    summary,
    unknown_tokens,
)
from zoo.data.sources import SPLITS, Split
from zoo.data.tables import CHUNK
from zoo.errors import DataError

#: Examples of a split below which its scores, or what is learned from it, are mostly chance.
FEW = {"train": 100, "validation": 50, "test": 50}
#: Share of empty texts from which on the column is probably the wrong one.
EMPTY_ERROR = 0.5

Data = TypeVar("Data", bound=TextDataModule)


class Record(NamedTuple):
    """An example as all doctors see it.

    Args:
        fields: The texts that the model reads; each is looked at.
        identity: What makes two examples the same.
        gold: Its label, answer or summary, written so that equal ones are equal.
        line: Where it stands in its source.
    """

    fields: tuple[str, ...]
    identity: tuple[str, ...]
    gold: str
    line: int


class Doctor(ABC, Generic[Data]):
    """Examines the data of one datamodule.

    A family says what an example is (`record`), what it counts (`labels`), and what it alone knows
    (`own_findings`, `findings_of_features`).

    Args:
        data: The datamodule, as a recipe would use it. It is changed where its data cannot be read.
    """

    #: What examples are called, in the plural, and what a label is.
    noun: ClassVar[str] = "texts"
    label_noun: ClassVar[str] = "label"
    #: What it means that the same text has another label; empty if that is as it should be.
    contradicting: ClassVar[str] = "another label"
    #: Columns of the table of examples that `record` needs.
    columns: ClassVar[Sequence[str]]
    #: Beginnings of the datamodule's notes that a finding tells better, with places.
    covered: ClassVar[re.Pattern[str]] = re.compile(r"\d")

    def __init__(self, data: Data):
        self.data = data
        self.mended = Mended(data, faults_of=self.faults_of, lines_with=self.lines_with)

    # What a family fills in.

    @abstractmethod
    def record(self, split: Split, row: Mapping[str, Any]) -> Record:
        """An example, from its row of the table of examples."""

    @abstractmethod
    def labels(self) -> Mapping[Split, Mapping[str, int]]:
        """For each split how often each label occurs; empty where there are none."""

    def looked_at(self, split: Split, record: Record) -> tuple[str, ...]:
        """The texts of an example whose characters are looked at."""
        return record.fields

    def see(self, split: Split, row: Mapping[str, Any], record: Record) -> None:
        """Look at an example, one after another, to say in `own_findings` what was seen."""

    def own_findings(self) -> Iterator[Finding]:
        """What the family alone knows of the examples."""
        yield from ()

    def findings_of_features(self, split: Split, read: Read) -> Iterator[Finding]:
        """What the family says of what the model reads of a split."""
        yield from ()

    def sizes(self, split: Split) -> dict[str, str]:
        """More columns of the table of sizes."""
        return {}

    def faults_of(self, split: Split, fault: Fault) -> list[Fault]:
        """All faults of a split that can be told at once from the first that stopped reading."""
        return [fault]

    def lines_with(self, path: Path, line: int) -> Iterable[int]:
        """The lines of a file that have to go with a line that cannot be read."""
        return row_lines(path, line)

    # What all families share.

    def examine(self) -> Examination:
        """Look at everything.

        Raises:
            DataError: A setting does not fit the backbone, or a named file is not there.
            BackboneError: The tokenizer cannot be found or read.
        """
        # Mistakes of the command line, not of the data.
        self.mended  # noqa: B018
        self.data.tokenizer  # noqa: B018
        self.data.max_length  # noqa: B018
        # Findings say the same with places.
        told = logging.getLogger("zoo")
        level = told.level
        told.setLevel(logging.ERROR)
        try:
            with self.mended.reading() as readable:
                examination = self._examine() if readable else Examination([], [])
            findings = [*self.mended.findings(self.where), *examination.findings]
            return Examination(worst_first(findings), examination.facts)
        finally:
            told.setLevel(level)

    def _examine(self) -> Examination:
        found: list[Finding] = []
        tables, refused = self._tables()
        # Of two examples that are the same, the one in train comes first.
        self.tables = {split: tables[split] for split in SPLITS if split in tables}
        found += refused
        found += self._look_at_examples()
        found += self.own_findings()
        counts = self.labels()
        found += label_checks.label_findings(counts, noun=self.label_noun, examples=self.counted_in)
        read: dict[Split, Read] = {}
        refused_labels = [] if refused else self._refused_labels()
        found += refused_labels
        if not refused and not refused_labels:
            read = {split: self._read(split) for split in self.tables}
            for split, of_split in read.items():
                found += self._findings_of_read(split, of_split)
        found += [
            Finding("reading", Severity.NOTE, note)
            for note in self.data.notes
            if not self.covered.match(note)
        ]
        facts = [self._sizes(read)]
        if any(counts.values()):
            facts.append(label_checks.label_facts(counts, title=f"{self.label_noun.capitalize()}s"))
        return Examination(found, facts)

    @property
    def cuts(self) -> bool:
        """Whether the features' column `cut` counts tokens of an example that are not read."""
        return False

    @property
    def counted_in(self) -> str:
        """What labels are counted in, in the plural."""
        return self.noun

    def where(self, split: Split, line: int) -> str:
        """What a person calls a line of the source of a split."""
        own: Split = split if split in self.mended.original else "train"
        source = self.mended.original[own]
        if not isinstance(source, Path):
            return f"{self.data.sources.name} ({own}) row {line}"
        name = str(source)
        if source.is_absolute() and source.is_relative_to(Path.cwd()):
            name = os.path.relpath(source)
        return f"{name} row {line}" if source.suffix == ".parquet" else f"{name}:{line}"

    def rows(
        self, split: Split, columns: Sequence[str] | None = None
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """The examples of a split with their numbers, few in memory at a time."""
        table = self.tables[split].select_columns(list(columns or self.columns))
        start = 0
        for chunk in table.iter(CHUNK):
            names = list(chunk)
            rows = list(zip(*chunk.values(), strict=True))
            for number, row in enumerate(rows, start=start):
                yield number, dict(zip(names, row, strict=True))
            start += len(rows)

    def _tables(self) -> tuple[dict[Split, datasets.Dataset], list[Finding]]:
        try:
            return self.data.splits(), []
        except DataError as error:  # too few to hold any out
            return dict(self.data.read_splits()), [
                Finding("few-examples", Severity.ERROR, str(error), split="train")
            ]

    def _refused_labels(self) -> list[Finding]:
        try:
            self.data.labels  # noqa: B018
        except DataError as error:
            message = str(error)
            for split, source in self.data.sources.splits.items():
                message = message.replace(str(source), str(self.mended.original[split]))
            return [Finding("nothing-to-learn", Severity.ERROR, message)]
        return []

    def _look_at_examples(self) -> Iterator[Finding]:
        duplicates = Duplicates(self.noun, contradicting=self.contradicting)
        findings: list[Finding] = []
        for split, table in self.tables.items():
            characters = Characters(self.noun, split)
            empty = Cases()
            for _, row in self.rows(split):
                record = self.record(split, row)
                where = self.where(split, record.line)
                characters.add(self.looked_at(split, record), where)
                duplicates.add(split, record.identity, record.gold, where)
                if not all(field.strip() for field in record.identity):
                    empty.add(Place(where))
                self.see(split, row, record)
            findings += self._few(split, len(table))
            if empty.count:
                findings.append(
                    Finding(
                        "empty-text",
                        by_share(empty.count, len(table), warning=0.0, error=EMPTY_ERROR),
                        f"{counted(empty.count, len(table), f'{split} {self.noun}')} are empty.",
                        "Leave them out; if they should not be empty, check --data.columns.",
                        tuple(empty.places),
                        split,
                        empty.count,
                    )
                )
            findings += characters.findings()
        yield from duplicates.findings()
        yield from findings

    def _few(self, split: Split, count: int) -> Iterator[Finding]:
        if count < FEW[split]:
            why = "too few to learn much from" if split == "train" else "scores on it are chance"
            yield Finding(
                "few-examples",
                Severity.WARNING,
                f"{split} has {count:,} {self.noun}: {why}.",
                f"Give {FEW[split]} or more"
                + (f" (--data.{split})." if split not in self.mended.original else "."),
                split=split,
                count=count,
            )

    def _read(self, split: Split) -> Read:
        return read_of(
            self.data.features(split),
            examples=len(self.tables[split]),
            unknown=self.data.tokenizer.unk_token_id,
            cut=self.cuts,
        )

    def _findings_of_read(self, split: Split, read: Read) -> Iterator[Finding]:
        yield from self._cut(split, read)
        lost = np.flatnonzero(read.unknown)
        if len(lost):
            seen = self.tables[split].select(lost[:300])
            records = [
                self.record(split, dict(zip(seen.column_names, row, strict=True)))
                for row in zip(*seen[:].values(), strict=True)
            ]
            texts = [text for record in records for text in record.fields]
            yield from unknown_tokens(
                read,
                split=split,
                noun=self.noun,
                backbone=self.data.backbone,
                characters=lost_characters(texts, tokenizer=self.data.tokenizer),
                places=[self.place_of(split, record) for record in records[:3]],
            )
        yield from self.findings_of_features(split, read)

    def _cut(self, split: Split, read: Read) -> Iterator[Finding]:
        limit = self.data.max_length
        total = len(read.tokens)
        long = np.flatnonzero(read.windows > 1)
        if len(long):
            yield Finding(
                "windows",
                Severity.NOTE,
                f"{counted(len(long), total, f'{split} {self.noun}')} are longer than {limit} "
                f"tokens and are read in windows ({int(read.windows.sum()):,} windows of "
                f"{total:,} {self.noun}).",
                places=tuple(self.places(split, long[:3])),
                split=split,
                count=len(long),
            )
        cut = np.flatnonzero(read.cut)
        if len(cut):
            yield Finding(
                "truncated",
                by_share(len(cut), total, warning=CUT_WARNING),
                f"{counted(len(cut), total, f'{split} {self.noun}')} are longer than {limit} "
                f"tokens: {int(read.cut.sum()):,} tokens of them are not read.",
                self.advice_on_length,
                tuple(self.places(split, cut[np.argsort(-read.cut[cut], kind="stable")][:3])),
                split,
                len(cut),
            )

    @property
    def advice_on_length(self) -> str:
        """What to do about texts that are too long."""
        return "Raise --data.max_length where the backbone can take more."

    def place_of(self, split: Split, record: Record) -> Place:
        """Where an example stands, with its beginning."""
        return Place(self.where(split, record.line), quoted(" | ".join(record.identity)))

    def places(self, split: Split, numbers: Sequence[int] | Any) -> Iterator[Place]:
        """Where some examples stand."""
        for number in numbers:
            yield self.place_of(split, self.record(split, self.tables[split][int(number)]))

    def _sizes(self, read: Mapping[Split, Read]) -> Facts:
        rows, names = [], list[str]()
        for split, table in self.tables.items():
            held_out = split not in self.mended.original
            source = "held out of train" if held_out else self._file(split)
            more = self.sizes(split)
            if split in read:
                more["tokens: median / 95% / most"] = summary(read[split].tokens)
                more["windows"] = f"{int(read[split].windows.sum()):,}"
            names = list(more)
            rows.append([split, source, f"{len(table):,}", *more.values()])
        return Facts("Sizes", ("split", "from", self.noun, *names), rows)

    def _file(self, split: Split) -> str:
        source = self.mended.original[split]
        return source.name if isinstance(source, Path) else self.data.sources.name
