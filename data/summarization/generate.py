"""Write the summarization sample corpus: ``python data/summarization/generate.py [--out DIR]``.

Reports and their one-sentence summaries are drawn from ``sample.txt``. Every rule there has
alternatives that all splits share, and many have some that only validation or only test uses; this
is how the held-out splits get names, words and phrasings that train lacks.
"""

import argparse
import json
import random
import re
from dataclasses import dataclass, field
from pathlib import Path

SEED = 2026
SIZES = {"train": 1600, "validation": 200, "test": 300}
# How often a rule with alternatives of the split's own draws one of those, not a shared one.
FRESH_WORDS = {"train": 0.0, "validation": 0.3, "test": 0.3}
FRESH_SENTENCES = {"train": 0.0, "validation": 0.2, "test": 0.2}
# The rules that hold whole sentences of a source, by the last word of their names.
SENTENCES = ("open", "before", "point", "after")

MIN_WORDS, MAX_WORDS = 70, 130
MIN_SENTENCES, MAX_SENTENCES = 6, 10
MOST_BEFORE = 4
# Where a point takes two sentences, how often another one comes between them.
PARTED_SHARE = 0.3

SHARED = "all"
PARTS = " // "
SLOT = re.compile(r"\{([a-z]+)(\d?)\}")
START = re.compile("^(“?)([a-z])")
ARTICLE = re.compile(r"\b([Aa]) (?=“?[aeioAEIO])")

Grammar = dict[str, dict[str, list[str]]]


@dataclass(frozen=True)
class Report:
    """A report, its summary and what they were drawn from."""

    source: str
    target: str
    topic: str
    event: str
    sentences: tuple[str, ...]
    point: tuple[int, ...]  # The sentences that say what the summary says.
    patterns: tuple[str, ...]  # Of all sentences, in order.
    words: dict[str, str]  # What was put into each slot.
    told: tuple[str, ...]  # The slots of the summary.


def read_grammar(path: Path) -> Grammar:
    """Read the alternatives of every rule, keyed by the rule and the split that owns them."""
    grammar: Grammar = {}
    pool: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            rule = line.strip("[]")
            pool = grammar.setdefault(rule, {}).setdefault(SHARED, [])
        elif line.startswith("+ "):
            pool = grammar[rule].setdefault(line[2:], [])
        elif line and not line.startswith("#"):
            pool += line.split(" | ")
    return grammar


def events(grammar: Grammar) -> list[tuple[str, str]]:
    """Return every topic with each of its events."""
    names = [rule.split() for rule in grammar]
    return [(name[0], name[1]) for name in names if len(name) == 3 and name[2] == "target"]


@dataclass
class Writer:
    """Expands the grammar for one report of one split."""

    grammar: Grammar
    rng: random.Random
    split: str
    words: dict[str, str] = field(default_factory=dict)  # What was put into each slot.
    used: set[tuple[str, str]] = field(default_factory=set)
    met: set[str] = field(default_factory=set)  # Names of people that the report has given.

    def chance(self, share: float) -> bool:
        """Toss a coin that falls on true with this share."""
        return self.rng.random() < share

    def below(self, limit: int) -> int:
        """Draw a number; Python keeps the sequence of random() between versions."""
        return int(self.rng.random() * limit)

    def pick(self, rule: str) -> str:
        """Draw an alternative of a rule, each at most once per report while others are left."""
        pools = self.grammar[rule]
        fresh = (FRESH_SENTENCES if rule.split()[-1] in SENTENCES else FRESH_WORDS)[self.split]
        pool = pools[SHARED]
        if self.split in pools and self.chance(fresh):
            pool = pools[self.split]
        pool = [choice for choice in pool if (rule, choice) not in self.used] or pool
        choice = pool[self.below(len(pool))]
        if not SLOT.search(choice) or rule.split()[-1] in SENTENCES:
            self.used.add((rule, choice))
        return choice

    def expand(self, text: str) -> str:
        """Fill every slot of the text."""
        return SLOT.sub(lambda slot: self.fill(slot[1], slot[2]), text)

    def fill(self, rule: str, number: str) -> str:
        """Return the words of a slot; they stay the same in a report, and each slot has its own."""
        name = rule + number
        if name not in self.words:
            inner = Writer(self.grammar, self.rng, self.split, {}, self.used)
            self.words[name] = inner.expand(inner.pick(rule))
        return self.words[name]

    def sentence(self, pattern: str) -> str:
        """Write a sentence of a report; people whom it has named come by their last name."""
        met = set(self.met)

        def word(slot: re.Match[str]) -> str:
            text = self.fill(slot[1], slot[2])
            if slot[1] != "person":
                return text
            self.met.add(text)
            return text.split()[-1] if text in met else text

        return neat(SLOT.sub(word, pattern))


def neat(text: str) -> str:
    """Begin a sentence with a capital, and write "an" where it is due."""
    return ARTICLE.sub(r"\1n ", START.sub(lambda found: found[1] + found[2].upper(), text))


def draw(grammar: Grammar, rng: random.Random, split: str, topic: str, event: str) -> Report | None:
    """Draw a report; None if it has no fair length or says two things in the same words."""
    writer = Writer(grammar, rng, split)
    (target,) = grammar[f"{topic} {event} target"][SHARED]
    summary = neat(writer.expand(target))
    told = tuple(writer.words)
    opening = [writer.pick(f"{topic} open")]
    before = [writer.pick(f"{topic} {event} before") for _ in range(1 + writer.below(MOST_BEFORE))]
    point = writer.pick(f"{topic} {event} point").split(PARTS)
    at = len(opening) + len(before)
    left = MIN_SENTENCES + writer.below(MAX_SENTENCES - MIN_SENTENCES + 1) - at - len(point)
    after = [writer.pick(f"{topic} after") for _ in range(left)]
    where = tuple(range(at, at + len(point)))
    if len(point) == 2 and after and writer.chance(PARTED_SHARE):
        after, point, where = after[1:], [point[0], after[0], point[1]], (at, at + 2)
    patterns = opening + before + point + after
    sentences = [writer.sentence(pattern) for pattern in patterns]
    source = " ".join(sentences)
    fits = left >= 0 and MIN_WORDS <= len(source.split()) <= MAX_WORDS
    values = list(writer.words.values())
    if not fits or len(set(values)) < len(values) or len(set(patterns)) < len(patterns):
        return None
    # A sentence that gives the town, say, may not have been drawn.
    if any(writer.words[slot].lower() not in source.lower() for slot in told):
        return None
    parts = (tuple(sentences), where, tuple(patterns), writer.words, told)
    return Report(source, summary, topic, event, *parts)


def corpus() -> dict[str, list[Report]]:
    """Draw the reports of all splits; no source and no target occurs twice in the corpus."""
    grammar = read_grammar(Path(__file__).with_name("sample.txt"))
    rng = random.Random(SEED)
    seen: set[str] = set()

    def reports(split: str) -> list[Report]:
        found: list[Report] = []
        while len(found) < SIZES[split]:
            # Events take turns in random order, so that each comes about equally often.
            turn = events(grammar)
            while turn and len(found) < SIZES[split]:
                topic, event = turn.pop(int(rng.random() * len(turn)))
                report = None
                while report is None or report.source in seen or report.target in seen:
                    report = draw(grammar, rng, split, topic, event)
                seen.update((report.source, report.target))
                found.append(report)
        return found

    return {split: reports(split) for split in SIZES}


def main() -> None:
    """Write the three files."""
    parser = argparse.ArgumentParser(description="Write the summarization sample corpus.")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, metavar="DIR")
    folder: Path = parser.parse_args().out / "sample"
    folder.mkdir(parents=True, exist_ok=True)
    for split, reports in corpus().items():
        rows = [
            {"id": f"{split}-{number:04}", "source": report.source, "target": report.target}
            for number, report in enumerate(reports, 1)
        ]
        text = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
        (folder / f"{split}.jsonl").write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
