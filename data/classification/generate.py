"""Write the sample corpora for text classification: ``python data/classification/generate.py``.

Each corpus (``sample``, ``multilabel``, ``pairs``, ``regression``) is drawn from the grammar in the
text file of its name. Every rule there has alternatives that all splits share, and may have some
that only validation or only test uses; this is how the held-out splits get words and sentence
patterns that train lacks. ``--out DIR`` writes elsewhere.
"""

import argparse
import csv
import io
import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

SEED = 2026
SIZES = {
    "sample": {"train": 1200, "validation": 240, "test": 400},
    "multilabel": {"train": 1200, "validation": 240, "test": 400},
    "pairs": {"train": 1200, "validation": 240, "test": 400},
    "regression": {"train": 1200, "validation": 240, "test": 400},
}
# How often a rule with alternatives of the split's own draws one of those, not a shared one.
FRESH_WORDS = {"train": 0.0, "validation": 0.35, "test": 0.4}
FRESH_PATTERNS = {"train": 0.0, "validation": 0.5, "test": 0.6}
# The rules that hold whole sentences.
FRAMES = ("plain", "mixed", "remark", "first", "second", "frame")
MIN_WORDS, MAX_WORDS = 8, 40

PLAIN_SHARE = 0.15  # sample: letters with one topic only.
LONG_SHARE = 0.3  # multilabel: reviews of two remarks.
ASIDE_SHARE = 0.15  # multilabel: clauses that belong to one side of the hotel alone.
UNKNOWN_SHARE = 0.3  # pairs: first texts with a fact that is left open.
DENIED_SHARE = 0.12  # pairs: facts told by denying the opposite.
OPEN_SHARE = 0.5  # pairs: neutral claims about the open fact, where there is one.
WEIGHTS = {"main": 3, "minor": 1, "foreign": 0}  # regression: see the grammar.

SHARED = "all"
SLOT = re.compile(r"\{([a-z]+)(?:\.([a-z]+))?\}")
START = re.compile(r"(^|[.!?] +|\n)(\"?)([a-z])")

Grammar = dict[str, dict[str, list[str]]]


@dataclass(frozen=True)
class Example:
    """One text (or pair), its labels (or its score) and the patterns it was drawn from."""

    texts: tuple[str, ...]
    target: tuple[str, ...]
    patterns: tuple[str, ...]


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
            pool += [choice.strip(" ") for choice in line.replace("\\n", "\n").split(" |")]
    return grammar


@dataclass
class Writer:
    """Expands the grammar for one example of one split."""

    grammar: Grammar
    rng: random.Random
    split: str
    roles: dict[str, Callable[[str], str]] = field(default_factory=dict)
    used: set[tuple[str, str]] = field(default_factory=set)
    patterns: list[str] = field(default_factory=list)

    def below(self, limit: int) -> int:
        """Draw a number; Python keeps the sequence of random() between versions."""
        return int(self.rng.random() * limit)

    def pick(self, rule: str) -> str:
        """Draw an alternative; a phrase comes once per example while others are left."""
        pools = self.grammar[rule]
        fresh = (FRESH_PATTERNS if rule in FRAMES else FRESH_WORDS)[self.split]
        pool = pools[SHARED]
        if self.split in pools and self.rng.random() < fresh:
            pool = pools[self.split]
        pool = [choice for choice in pool if (rule, choice) not in self.used] or pool
        choice = pool[self.below(len(pool))]
        self.used.add((rule, choice))
        if rule in FRAMES:
            self.patterns.append(choice)
        return choice

    def expand(self, text: str) -> str:
        """Fill every slot of the text: a role by what it stands for, all others by the rule."""
        return SLOT.sub(self.fill, text)

    def fill(self, slot: re.Match[str]) -> str:
        """Return the words for one slot."""
        name, form = slot.groups(default="")
        return self.roles[name](form) if name in self.roles else self.expand(self.pick(name))

    def sentence(self, rule: str) -> str:
        """Draw and fill an alternative of a rule that holds sentences."""
        return tidy(self.expand(self.pick(rule)))

    def example(self, texts: tuple[str, ...], target: tuple[str, ...]) -> Example:
        """Put the example together."""
        return Example(texts, target, tuple(self.patterns))


def tidy(text: str) -> str:
    """Begin sentences with a capital and leave single spaces."""
    text = re.sub(" +", " ", text).replace("\n ", "\n").replace(" \n", "\n").strip()
    return START.sub(lambda found: found[1] + found[2] + found[3].upper(), text)


def draw_letter(writer: Writer) -> Example:
    """Draw a letter for ``sample``: the label is the topic of the wish."""
    topics = list(dict.fromkeys(rule.split(".")[0] for rule in writer.grammar if "." in rule))
    names: dict[str, str] = {}
    for role in ("wish", "other", "third"):
        names[role] = topics.pop(writer.below(len(topics)))

    def form_of(role: str) -> Callable[[str], str]:
        return lambda form: writer.expand(writer.pick(f"{names[role]}.{form}"))

    writer.roles = {role: form_of(role) for role in names}
    text = writer.sentence("plain" if writer.rng.random() < PLAIN_SHARE else "mixed")
    if writer.rng.random() < 0.3:
        opening = writer.expand(writer.pick("opening"))
        text = f"{opening}{'' if opening.endswith(chr(10)) else ' '}{text}"
    if writer.rng.random() < 0.25:
        text = f"{text}{chr(10) if writer.rng.random() < 0.5 else ' '}"
        text += writer.expand(writer.pick("closing"))
    return writer.example((tidy(text),), (names["wish"],))


def draw_review(writer: Writer) -> Example:
    """Draw a review for ``multilabel``: the labels are what the guest found fault with."""
    sides = [rule.split(".")[0] for rule in writer.grammar if rule.endswith(".name")]
    left = list(sides)
    faults: list[str] = []

    def side_of(mood: str) -> Callable[[str], str]:
        def fill(form: str) -> str:
            side = left.pop(writer.below(len(left)))
            if mood == "bad":
                faults.append(side)
            if form == "clause" and writer.rng.random() < ASIDE_SHARE:
                return writer.pick(f"{side}.{mood}")
            name = writer.pick(f"{side}.name")
            return writer.pick(mood).replace("{it}", name) if form == "clause" else name

        return fill

    writer.roles = {mood: side_of(mood) for mood in ("good", "bad", "none")}
    texts = [writer.sentence("lead"), writer.sentence("remark")]
    if writer.rng.random() < LONG_SHARE:
        texts.append(writer.sentence("remark"))
    return writer.example((tidy(" ".join(texts)),), tuple(side for side in sides if side in faults))


def draw_pair(writer: Writer) -> Example:
    """Draw a pair for ``pairs``: does the claim follow, is it excluded, or is it left open?"""
    rng = writer.rng
    facts = [rule.removesuffix(" yes") for rule in writer.grammar if rule.endswith(" yes")]
    known = facts.pop(writer.below(len(facts)))
    beside = facts.pop(writer.below(len(facts)))
    absent = facts[writer.below(len(facts))]
    place = writer.pick("place")

    def tell(fact: str, holds: bool) -> str:
        return writer.pick(f"{fact} {'yes' if holds else 'no'}")

    def assert_(fact: str, holds: bool) -> str:
        if rng.random() < DENIED_SHARE:
            return writer.pick("denied").replace("{fact}", tell(fact, not holds))
        return tell(fact, holds)

    label = ("entailment", "contradiction", "neutral")[writer.below(3)]
    holds = rng.random() < 0.5
    told = [assert_(known, holds)]
    left_open = rng.random() < UNKNOWN_SHARE
    if left_open:
        told.append(writer.pick("unknown").replace("{fact}", tell(beside, rng.random() < 0.5)))
    else:
        told.append(assert_(beside, rng.random() < 0.5))
    if rng.random() < 0.5:
        told.reverse()
    if label == "neutral":
        known = beside if left_open and rng.random() < OPEN_SHARE else absent
        claim = tell(known, rng.random() < 0.5)
    else:
        claim = tell(known, holds == (label == "entailment"))
    writer.roles = {
        "place": lambda _: place,
        "one": lambda _: told[0],
        "two": lambda _: told[1],
        "claim": lambda _: claim,
    }
    return writer.example((writer.sentence("first"), writer.sentence("second")), (label,))


def draw_feedback(writer: Writer) -> Example:
    """Draw a feedback for ``regression``: the score is how content the writer is."""
    values: list[tuple[float, int]] = []

    def rule_of(start: str) -> tuple[str, float]:
        rules = [rule for rule in writer.grammar if rule.startswith(start)]
        rule = rules[writer.below(len(rules))]
        return rule, float(rule.split()[-1].strip("*"))

    def opinion_of(role: str) -> Callable[[str], str]:
        def fill(_: str) -> str:
            good = writer.rng.random() < 0.5
            word_rule, size = rule_of("good " if good else "bad ")
            degree_rule, degree = rule_of(f"degree {word_rule.split()[1]} *")
            stance_rule, stance = rule_of("stance *1.0" if role == "foreign" else "stance *")
            words = writer.pick(degree_rule).replace("{word}", writer.pick(word_rule))
            opinion = writer.pick("hearsay" if role == "foreign" else "opinion")
            opinion = opinion.replace("{degree}", words)
            values.append(((size if good else -size) * degree * stance, WEIGHTS[role]))
            return writer.expand(writer.pick(stance_rule).replace("{it}", opinion))

        return fill

    writer.roles = {role: opinion_of(role) for role in WEIGHTS}
    text = writer.sentence("frame")
    mean = sum(value * weight for value, weight in values) / sum(weight for _, weight in values)
    return writer.example((text,), (f"{min(10.0, max(0.0, 5 + mean)):.1f}",))


DRAW: dict[str, Callable[[Writer], Example]] = {
    "sample": draw_letter,
    "multilabel": draw_review,
    "pairs": draw_pair,
    "regression": draw_feedback,
}


def fits(name: str, example: Example) -> bool:
    """Tell whether the example has a fair length, and no more labels than promised."""
    if name == "multilabel" and len(example.target) > 3:
        return False
    words = sum(len(text.split()) for text in example.texts)
    return MIN_WORDS <= words <= MAX_WORDS


def corpus(name: str) -> dict[str, list[Example]]:
    """Draw all splits of one corpus; no text (or pair) occurs twice in it."""
    grammar = read_grammar(Path(__file__).with_name(f"{name}.txt"))
    rng = random.Random(SEED)
    seen: set[tuple[str, ...]] = set()

    def unseen(split: str) -> Iterator[Example]:
        while True:
            example = DRAW[name](Writer(grammar, rng, split))
            if fits(name, example) and example.texts not in seen:
                seen.add(example.texts)
                yield example

    return {
        split: [example for _, example in zip(range(size), unseen(split), strict=False)]
        for split, size in SIZES[name].items()
    }


def table(rows: list[list[str]], delimiter: str) -> str:
    """Write rows as CSV or TSV, with quotes only where they are needed."""
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows(rows)
    return text.getvalue()


def files(name: str) -> dict[str, str]:
    """Return the text of the files of one corpus, keyed by their names."""
    written = {}
    for split, examples in corpus(name).items():
        if name == "sample":
            rows = [["text", "label"], *([*e.texts, *e.target] for e in examples)]
            written[f"{split}.csv"] = table(rows, ",")
        elif name == "multilabel":
            lines = [json.dumps({"text": e.texts[0], "labels": list(e.target)}) for e in examples]
            written[f"{split}.jsonl"] = "".join(f"{line}\n" for line in lines)
        elif name == "pairs":
            rows = [["text1", "text2", "label"], *([*e.texts, *e.target] for e in examples)]
            written[f"{split}.tsv"] = table(rows, "\t")
        else:
            numbered = enumerate(examples, 1)
            rows = [[f"{split}-{i:04}", *e.target, *e.texts] for i, e in numbered]
            written[f"{split}.tsv"] = table([["id", "score", "text"], *rows], "\t")
    return written


def main() -> None:
    """Write the files of all corpora."""
    parser = argparse.ArgumentParser(description="Write the sample corpora for classification.")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, metavar="DIR")
    out: Path = parser.parse_args().out
    for name in SIZES:
        (out / name).mkdir(parents=True, exist_ok=True)
        for file, text in files(name).items():
            (out / name / file).write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
