"""What only question answering knows of its data: where answers stand, and if there are any."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

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
from zoo.data.doctor.tokens import Read
from zoo.data.sources import Split
from zoo.qa.datamodule import QADataModule
from zoo.qa.encoding import Fit
from zoo.qa.reading import ReadingNotes, is_squad, read_questions

#: Share of all answers that stand nowhere, from which on the contexts are probably other ones.
_LOST_ERROR = 0.5
#: Share of answers that had to be moved, from which on offsets probably count something else.
_MOVED_MANY = 0.2
#: Share of answers that no window holds, from which on it is a warning.
_WINDOWS_WARNING = 0.02
#: Share of unanswerable questions by which train and a split to evaluate may differ.
_ANSWERABLE_SHIFT = 0.2
#: Characters (of words: a sentence or two) from which on an answer is longer than answers are.
_LONG = 300

_FITS = {
    Fit.INSIDE_TOKEN: (
        "answer-inside-token",
        "begin or end inside a token, so that a little more is learned",
        "",
    ),
    Fit.TOO_LONG: (
        "answer-longer-than-window",
        "are longer than a window and cannot be learned",
        "Raise --data.max_length, or shorten the answers.",
    ),
    Fit.ACROSS_WINDOWS: (
        "answer-across-windows",
        "lie across windows, none of which holds them whole",
        "Raise --data.stride above the longest answer.",
    ),
    Fit.NO_TOKEN: (
        "answer-without-token",
        "consist of characters that the tokenizer leaves out",
        "",
    ),
}


class QADoctor(Doctor[QADataModule]):
    """Examines questions on texts."""

    noun = "questions"
    contradicting = "another answer"
    columns = ("id", "question", "context", "answers", "answer_starts", "line")

    def __init__(self, data: QADataModule):
        super().__init__(data)
        self._texts: dict[bytes, Split] = {}
        self._own_texts: defaultdict[Split, set[bytes]] = defaultdict(set)
        self._shared: defaultdict[tuple[Split, Split], Cases] = defaultdict(Cases)
        self._counts: defaultdict[Split, Counter[str]] = defaultdict(Counter)
        self._long: defaultdict[Split, Cases] = defaultdict(Cases)
        self._nested: dict[Split, bool] = {}

    def record(self, split: Split, row: Mapping[str, Any]) -> Record:
        """A question and its text, with its answers."""
        identity = (row["question"], row["context"])
        answers = sorted({normalized(answer) for answer in row["answers"]})
        return Record(identity, identity, "\x1f".join(answers), row["line"])

    def looked_at(self, split: Split, record: Record) -> tuple[str, ...]:
        """The question; and the text if none before was asked on it."""
        seen = digest(normalized(record.fields[1])) in self._own_texts[split]
        return record.fields[:1] if seen else record.fields

    def labels(self) -> Mapping[Split, Mapping[str, int]]:
        """There are none."""
        return {}

    def sizes(self, split: Split) -> dict[str, str]:
        """Texts, and questions without an answer."""
        none = self._counts[split]["unanswerable"]
        return {"texts": f"{len(self._own_texts[split]):,}", "without answer": f"{none:,}"}

    def see(self, split: Split, row: Mapping[str, Any], record: Record) -> None:
        """Count texts, and answers that are unusual."""
        counts, where = self._counts[split], self.where(split, record.line)
        counts["unanswerable"] += not row["answers"]
        key = digest(normalized(row["context"]))
        first = self._texts.setdefault(key, split)
        if first != split:
            self._shared[first, split].add(Place(where, quoted(row["context"])))
        self._own_texts[split].add(key)
        for answer in row["answers"]:
            counts["answers"] += 1
            if len(answer) > _LONG:
                self._long[split].add(Place(where, quoted(answer)))

    def where(self, split: Split, line: int) -> str:
        """A file in SQuAD's layout has no lines: the number of the question."""
        own: Split = split if split in self.mended.original else "train"
        if own not in self._nested:
            source = self.data.sources.splits.get(own)
            self._nested[own] = isinstance(source, Path) and is_squad(source)
        place = super().where(split, line)
        if not self._nested[own]:
            return place
        return place.removesuffix(f":{line}") + f" question {line:,}"

    def own_findings(self) -> Iterator[Finding]:
        """Answers that do not stand where they should; texts that splits share."""
        for split in self.data.sources.splits:
            yield from self._as_read(split)
        for (other, split), cases in self._shared.items():
            total = len(self.tables[split])
            if other == "train":
                yield Finding(
                    "shared-text",
                    Severity.WARNING,
                    f"{counted(cases.count, total, f'{split} questions')} are asked on a text that "
                    "train asks on too: questions on one text give each other away.",
                    "Split by text or, better, by article.",
                    tuple(cases.places),
                    split,
                    cases.count,
                )
        for split, cases in self._long.items():
            yield Finding(
                "long-answer",
                Severity.NOTE,
                f"{counted(cases.count, self._counts[split]['answers'], f'{split} answers')} are "
                f"longer than {_LONG} characters.",
                "Look at some: a span that is most of a text is hard to find.",
                tuple(cases.places),
                split,
                cases.count,
            )
        yield from self._answerable()

    def _answerable(self) -> Iterator[Finding]:
        if "train" not in self.tables:
            return
        shares = {
            split: self._counts[split]["unanswerable"] / max(1, len(table))
            for split, table in self.tables.items()
        }
        if shares["train"] == 1:
            yield Finding(
                "nothing-to-learn",
                Severity.ERROR,
                "No question of train has an answer: there is nothing to learn.",
                "Is the column of answers the right one? --data.columns '{answers: NAME}'.",
                split="train",
            )
            return
        for split, share in shares.items():
            if abs(share - shares["train"]) > _ANSWERABLE_SHIFT:
                learned = (
                    "train has none, so leaving a question without an answer cannot be learned"
                    if not shares["train"]
                    else "the model will expect them as often as train has them"
                )
                yield Finding(
                    "unanswerable-shift",
                    Severity.WARNING,
                    f"{share:.0%} of the {split} questions have no answer, of train "
                    f"{shares['train']:.0%}: {learned}.",
                    "Train on questions like those that will be asked.",
                    split=split,
                )

    def _as_read(self, split: Split) -> Iterator[Finding]:
        """What reading repaired, with the places."""
        notes = ReadingNotes()
        answers = 0
        lines: dict[str, int] = {}
        for one in read_questions(self.data.sources.splits[split], self.data.columns, notes=notes):
            answers += len(one.answers)
            lines[one.id] = one.line
        answers += notes.dropped
        moved, lost = [], []
        for repair in notes.repairs:
            line = lines.get(repair.id)
            where = self.where(split, line) if line else f"question {repair.id}"
            said = "no offset" if repair.said is None else f"offset {repair.said:,}"
            if repair.found is None:
                lost.append(Place(where, f"{quoted(repair.text)} ({said})"))
            else:
                moved.append(
                    Place(where, f"{quoted(repair.text)} said {said}, stands at {repair.found:,}")
                )
        if notes.moved:
            many = notes.moved >= _MOVED_MANY * answers
            yield Finding(
                "shifted-answer",
                Severity.WARNING,
                f"{counted(notes.moved, answers, f'{split} answers')} do not stand where their "
                "offset says; they are moved to the nearest place where they do.",
                "Offsets count Unicode characters from 0: these may count bytes or UTF-16 units."
                if many
                else "Correct their offsets.",
                tuple(moved[:3]),
                split,
                notes.moved,
            )
        if notes.dropped:
            yield Finding(
                "lost-answer",
                by_share(notes.dropped, answers, warning=0.0, error=_LOST_ERROR),
                f"{counted(notes.dropped, answers, f'{split} answers')} stand nowhere in their "
                f"text and are dropped, and {notes.left_out:,} questions with them.",
                "An answer must be a part of the text, letter by letter.",
                tuple(lost[:3]),
                split,
                notes.dropped,
            )
        if notes.located:
            yield Finding(
                "answer-without-offset",
                by_share(notes.located, answers, warning=2.0),
                f"{counted(notes.located, answers, f'{split} answers')} have no offset: the first "
                "place where they stand is taken.",
                "Give answer_start, where the first place may be the wrong one.",
                split=split,
                count=notes.located,
            )
        if notes.duplicate_ids:
            yield Finding(
                "duplicate-id",
                Severity.NOTE,
                f"{notes.duplicate_ids:,} {split} questions have the id of an earlier one.",
                "In predictions #2, #3, ... is added to theirs.",
                split=split,
                count=notes.duplicate_ids,
            )

    def findings_of_features(self, split: Split, read: Read) -> Iterator[Finding]:
        """How answers fit into tokens and windows."""
        cases: defaultdict[Fit, Cases] = defaultdict(Cases)
        features = self.data.features(split)
        answers = 0
        for chunk in features.select_columns(["fits", "example"]).iter(10_000):
            for fits, example in zip(chunk["fits"], chunk["example"], strict=True):
                answers += len(fits)
                for number, fit in enumerate(fits):
                    if fit != Fit.EXACT:
                        of_kind = cases[Fit(fit)]
                        of_kind.add(
                            self._answer(split, example, number) if of_kind.wanted else None
                        )
        for fit, of_kind in sorted(cases.items()):
            code, what, advice = _FITS[fit]
            yield Finding(
                code,
                Severity.NOTE
                if fit is Fit.INSIDE_TOKEN
                else by_share(of_kind.count, answers, warning=_WINDOWS_WARNING),
                f"{counted(of_kind.count, answers, f'{split} answers')} {what}.",
                advice,
                tuple(of_kind.places),
                split,
                of_kind.count,
            )
        cut = features.data.column("cut").to_pylist()
        long = sum(1 for one in cut if one)
        if long:
            yield Finding(
                "long-question",
                by_share(long, len(self.tables[split]), warning=0.01),
                f"{counted(long, len(self.tables[split]), f'{split} questions')} are longer than "
                f"{self.data.layout.longest_question} tokens: only their beginning is read.",
                "Raise --data.max_length.",
                split=split,
                count=long,
            )

    def _answer(self, split: Split, example: int, number: int) -> Place:
        row = self.tables[split][example]
        start = row["answer_starts"][number]
        answer = row["answers"][number]
        text = row["context"][max(0, start - 15) : start + len(answer) + 15]
        return Place(self.where(split, row["line"]), f"{quoted(answer)} in {quoted(text)}")


def examine(data: QADataModule) -> Examination:
    """Examine the data of a datamodule: see `Doctor`."""
    return QADoctor(data).examine()
