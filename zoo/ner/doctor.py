"""What only NER knows of its data: tag schemes, words, and entities that contradict each other."""

import re
from bisect import bisect
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from zoo.data.doctor.characters import named
from zoo.data.doctor.examination import Doctor, Record
from zoo.data.doctor.findings import (
    Cases,
    Examination,
    Finding,
    Place,
    Severity,
    counted,
    quoted,
)
from zoo.data.doctor.mending import Fault, row_lines
from zoo.data.frames import whole_backend
from zoo.data.readers.text import iter_lines
from zoo.data.sources import Split
from zoo.errors import DataError
from zoo.ner.datamodule import NERDataModule
from zoo.ner.encoding import OUTSIDE, Entity, entities_of
from zoo.ner.reading import ReadingNotes, read_sentences
from zoo.ner.reading.judge import TagJudge
from zoo.ner.reading.schemes import Scheme
from zoo.ner.reading.tags import parse_tag

#: Words of an entity from which on it is longer than entities are.
_LONG = 12
#: Times that words must stand elsewhere in train, all tagged alike, for one that is not to stand
#: out.
_AGREEING = 10
#: Words that begin no entity, and that end none. A full stop may end an abbreviation.
_CLOSING = frozenset(",.;:!?)]}，。；：！？、）】》”’")
_OPENING = frozenset(",;:([{，；：、（【《“‘")
#: Files whose lines are records or rows and not words.
_ROWS = {".jsonl", ".ndjson", ".json", ".jsonlines", ".csv", ".parquet"}


class NERDoctor(Doctor[NERDataModule]):
    """Examines sentences with entity tags."""

    noun = "sentences"
    label_noun = "entity type"
    contradicting = "other tags"
    columns = ("tokens", "tags", "line")
    covered = re.compile(r"\d|Entity type ")

    def __init__(self, data: NERDataModule):
        super().__init__(data)
        self._blocks: dict[Path, list[int]] = {}
        self._vocabulary: dict[str, tuple[Split, int]] = {}
        self._uses: defaultdict[Split, Counter[str]] = defaultdict(Counter)
        self._entities: Counter[Split] = Counter()
        self._types: defaultdict[Split, Counter[str]] = defaultdict(Counter)
        self._long: defaultdict[Split, Cases] = defaultdict(Cases)
        self._edges: defaultdict[Split, Cases] = defaultdict(Cases)
        self._names = _Names()

    @property
    def counted_in(self) -> str:
        """Types are counted in entities."""
        return "entities"

    def record(self, split: Split, row: Mapping[str, Any]) -> Record:
        """A sentence, its words with a space between them."""
        text = " ".join(row["tokens"])
        return Record((text,), (text,), " ".join(row["tags"]), row["line"])

    def labels(self) -> Mapping[Split, Mapping[str, int]]:
        """Entities of each type."""
        return {split: self._types[split] for split in self.tables}

    def sizes(self, split: Split) -> dict[str, str]:
        """Words and entities."""
        return {
            "words": f"{self._uses[split].total():,}",
            "entities": f"{self._entities[split]:,}",
        }

    def see(self, split: Split, row: Mapping[str, Any], record: Record) -> None:
        """Count words and entities."""
        tokens, line = row["tokens"], row["line"]
        for token in tokens:
            self._vocabulary.setdefault(token, (split, line))
        self._uses[split].update(tokens)
        entities = entities_of(row["tags"])
        self._entities[split] += len(entities)
        self._types[split].update(entity.type for entity in entities)
        for entity in entities:
            words = tokens[entity.start : entity.end]
            if len(words) > _LONG:
                self._add(self._long[split], split, line, words, entity)
            if _begins_or_ends_oddly(words):
                self._add(self._edges[split], split, line, words, entity)
        if split == "train":
            self._names.learn(tokens, entities)

    def _add(self, cases: Cases, split: Split, line: int, words: list[str], entity: Entity) -> None:
        text = f"{quoted(' '.join(words))} ({entity.type})" if cases.wanted else ""
        cases.add(Place(self.where(split, line), text) if cases.wanted else None)

    def own_findings(self) -> Iterator[Finding]:
        """Schemes, words without wordpieces, odd entities."""
        yield from self._schemes()
        for split in self.data.sources.splits:
            yield from self._as_read(split)
        yield from self._without_pieces()
        for split in self.tables:
            count = self._entities[split]
            if self._long[split].count:
                yield Finding(
                    "long-entity",
                    Severity.NOTE,
                    f"{counted(self._long[split].count, count, f'{split} entities')} have more "
                    f"than {_LONG} words.",
                    "Look whether an O is missing between two of them.",
                    tuple(self._long[split].places),
                    split,
                    self._long[split].count,
                )
            if self._edges[split].count:
                yield Finding(
                    "entity-edge",
                    Severity.NOTE,
                    f"{counted(self._edges[split].count, count, f'{split} entities')} begin or end "
                    "with a mark of what is around them, such as a comma.",
                    "Look whether the mark belongs to them.",
                    tuple(self._edges[split].places),
                    split,
                    self._edges[split].count,
                )
        yield from self._unlikely()

    # Tag schemes.

    def faults_of(self, split: Split, fault: Fault) -> list[Fault]:
        """All sentences up to the fault whose tags are malformed or break the scheme."""
        judge = TagJudge(force=self.data.scheme)
        try:
            for sentence in read_sentences(
                self.data.sources.splits[split], columns=self.data.columns
            ):
                judge.add(sentence)
        except DataError:
            pass
        found = {line: Fault(split, line, message) for line, message in judge.faults()}
        found.setdefault(fault.line or 0, fault)
        return [found[line] for line in sorted(found)]

    def lines_with(self, path: Path, line: int) -> Iterable[int]:
        """The whole sentence, in columns with a word a line."""
        if path.suffix.lower() in _ROWS:
            return row_lines(path, line)
        if path not in self._blocks:
            try:
                breaks = [number for number, text in iter_lines(path) if not text.strip(" \t")]
            except DataError:
                return [line]
            self._blocks[path] = [0, *breaks]
        breaks = self._blocks[path]
        at = bisect(breaks, line)
        if breaks[at - 1] == line:
            return [line]
        end = breaks[at] if at < len(breaks) else line + 1_000
        return range(breaks[at - 1] + 1, end)

    def _schemes(self) -> Iterator[Finding]:
        schemes: dict[Split, str] = self.data.known["schemes"]
        only_inside = [split for split, scheme in schemes.items() if scheme == Scheme.IO]
        if only_inside:
            count = sum(self._entities[split] for split in self.tables)
            yield Finding(
                "inside-tags-only",
                Severity.WARNING,
                f"All tags of {' and '.join(only_inside)} are I- or O (the scheme IO): of the "
                f"{count:,} entities found, those of one type that follow each other without an O "
                "between them count as one.",
                "Use the corpus in BIO if there is one; the model is trained on BIO made of this.",
                (Place(self.where(only_inside[0], 1)),),
                only_inside[0] if len(only_inside) == 1 else None,
            )
        if len(set(schemes.values())) > 1:
            listed = ", ".join(f"{split} {scheme}" for split, scheme in schemes.items())
            yield Finding(
                "mixed-schemes",
                Severity.WARNING,
                f"The splits follow different tag schemes ({listed}); each is converted to BIO by "
                "its own.",
                "If one was recognised wrongly, name it: --data.scheme BIO.",
            )

    def _as_read(self, split: Split) -> Iterator[Finding]:
        """What reading repairs, with the places."""
        notes = ReadingNotes()
        kinds = {
            "entity-inside-word": (
                "spans_snapped_to_words",
                Severity.WARNING,
                "spans begin or end inside a word and are widened to whole words",
                "Look whether their offsets count characters from 0, without the end.",
            ),
            "overlapping-entities": (
                "overlapping_spans_dropped",
                Severity.WARNING,
                "spans overlap a longer one and are dropped",
                "Choose one of each; a word has one tag here.",
            ),
            "duplicate-span": (
                "duplicate_spans_dropped",
                Severity.NOTE,
                "spans are given twice",
                "",
            ),
        }
        cases = {code: Cases() for code in kinds}
        orphans = Cases()
        before = dict.fromkeys(kinds, 0)
        open_scheme = self.data.known["schemes"][split] == Scheme.IOB2
        source = self.data.sources.splits[split]
        for sentence in read_sentences(source, columns=self.data.columns, notes=notes):
            for code, (name, *_) in kinds.items():
                now = getattr(notes, name)
                for _ in range(now - before[code]):
                    cases[code].add(Place(self.where(split, sentence.lines[0])))
                before[code] = now
            if open_scheme and any(tag.startswith("I-") for tag in sentence.tags):
                self._orphans(split, sentence.tags, sentence.tokens, sentence.lines, orphans)
        entities = max(1, sum(self.data.known["types"][split].values()))
        for code, (_, severity, what, advice) in kinds.items():
            if cases[code].count:
                yield Finding(
                    code,
                    severity,
                    f"{counted(cases[code].count, entities, f'{split} entities')}: {what}.",
                    advice,
                    tuple(cases[code].places),
                    split,
                    cases[code].count,
                )
        if orphans.count:
            yield Finding(
                "inside-without-begin",
                Severity.WARNING,
                f"{orphans.count:,} I- tags of {split} continue no entity, though B- begins "
                "entities here: each is read as the beginning of one.",
                "Write B- there, or correct the tag before.",
                tuple(orphans.places),
                split,
                orphans.count,
            )
        if notes.empty_sentences_dropped:
            yield Finding(
                "empty-text",
                Severity.NOTE,
                f"{notes.empty_sentences_dropped:,} {split} sentences have no word and are left "
                "out.",
                split=split,
                count=notes.empty_sentences_dropped,
            )

    def _orphans(
        self, split: Split, tags: list[str], tokens: list[str], lines: list[int], cases: Cases
    ) -> None:
        before = ""
        for tag, token, line in zip(tags, tokens, lines, strict=True):
            prefix, name = parse_tag(tag)
            if prefix == "I" and name != before:
                cases.add(Place(self.where(split, line), f"{quoted(token)} {tag}"))
            before = name

    # Words.

    def _without_pieces(self) -> Iterator[Finding]:
        words = list(self._vocabulary)
        backend = whole_backend(self.data.tokenizer)
        encoded = backend.encode_batch(
            [[word] for word in words], is_pretokenized=True, add_special_tokens=False
        )
        lost = {word for word, one in zip(words, encoded, strict=True) if not one.ids}
        for split in self.tables:
            count = sum(self._uses[split][word] for word in lost)
            if not count:
                continue
            places = [
                Place(self.where(split, row["line"]), f"word {number + 1} is {named(token)}")
                for row, number, token in self._having(split, lost)
            ]
            yield Finding(
                "word-without-pieces",
                Severity.WARNING,
                f"{counted(count, self._uses[split].total(), f'{split} words')} yield no wordpiece "
                f"of {self.data.backbone}: an unknown token stands for each.",
                "Take them out, or join them with the word before.",
                tuple(places),
                split,
                count,
            )

    def _having(self, split: Split, words: set[str]) -> Iterator[tuple[dict[str, Any], int, str]]:
        """The first few places of some words."""
        found = 0
        for _, row in self.rows(split):
            for number, token in enumerate(row["tokens"]):
                if token in words:
                    yield row, number, token
                    found += 1
                    if found == 3:
                        return

    # Entities.

    def _unlikely(self) -> Iterator[Finding]:
        if "train" not in self.tables:
            return
        self._names.close()
        for _, row in self.rows("train"):
            self._names.see(row["tokens"], row["tags"], row["line"])
        cases = Cases()
        odd = sorted(self._names.odd(), key=lambda one: one[2] / one[5])
        for words, tag, times, line, usual, usual_times in odd:
            text = f"{quoted(' '.join(words))} is {tag} here, and {usual} {usual_times:,} times"
            for _ in range(times):
                cases.add(Place(self.where("train", line), text))
        if cases.count:
            yield Finding(
                "unlikely-label",
                Severity.NOTE,
                f"{cases.count:,} times words in train are tagged otherwise than nearly everywhere "
                f"else in train (a dictionary of its entities, {_AGREEING} times or more and nine "
                "times in ten alike).",
                "Look at some: they may be slips, or right in their context.",
                tuple(dict.fromkeys(cases.places)),
                "train",
                cases.count,
            )


class _Names:
    """How the words of each entity of train are tagged wherever they stand in train."""

    def __init__(self) -> None:
        self._known: set[tuple[str, ...]] = set()
        self._lengths: defaultdict[str, set[int]] = defaultdict(set)
        self._uses: defaultdict[tuple[str, ...], dict[str, tuple[int, int]]] = defaultdict(dict)

    def learn(self, tokens: list[str], entities: list[Entity]) -> None:
        """Take in the entities of a sentence."""
        self._known.update(tuple(tokens[one.start : one.end]) for one in entities)

    def close(self) -> None:
        """All entities are known."""
        for words in self._known:
            self._lengths[words[0]].add(len(words))

    def see(self, tokens: list[str], tags: list[str], line: int) -> None:
        """Count how the words of entities are tagged in a sentence: a type, or O for all."""
        for entity in entities_of(tags):
            self._count(tuple(tokens[entity.start : entity.end]), entity.type, line)
        start = 0
        while start < len(tokens):
            lengths = self._lengths.get(tokens[start], ()) if tags[start] == OUTSIDE else ()
            for length in sorted(lengths, reverse=True):
                words = tuple(tokens[start : start + length])
                untagged = all(tag == OUTSIDE for tag in tags[start : start + length])
                if untagged and words in self._known:
                    self._count(words, OUTSIDE, line)
                    start += length - 1
                    break
            start += 1

    def _count(self, words: tuple[str, ...], tag: str, line: int) -> None:
        times, first = self._uses[words].get(tag, (0, line))
        self._uses[words][tag] = (times + 1, first)

    def odd(self) -> Iterator[tuple[tuple[str, ...], str, int, int, str, int]]:
        """Words, their unusual tag, how often, its first line, their usual tag, how often."""
        for words, uses in self._uses.items():
            usual, (usual_times, _) = max(uses.items(), key=lambda item: item[1][0])
            others = sum(times for times, _ in uses.values()) - usual_times
            if not others or usual_times < max(_AGREEING, 9 * others):
                continue
            for tag, (times, line) in uses.items():
                if tag != usual:
                    yield words, tag, times, line, usual, usual_times


def _begins_or_ends_oddly(words: list[str]) -> bool:
    """Whether the first or last word of an entity is a mark that belongs to what is around it."""
    return words[0] in _CLOSING or words[-1] in _OPENING


def examine(data: NERDataModule) -> Examination:
    """Examine the data of a datamodule: see `Doctor`."""
    return NERDoctor(data).examine()
