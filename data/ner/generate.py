"""Write the NER sample corpus: ``python data/ner/generate.py [--out DIR]``.

The sentences are drawn from ``grammar.txt``. Every rule there has alternatives that all splits
share, and may have some that only validation or only test uses; this is how the held-out splits
get names, words and sentence patterns that train lacks.
"""

import argparse
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SEED = 2026
SIZES = {"train": 1400, "validation": 250, "test": 350}
# How often a rule with alternatives of the split's own draws one of those, not a shared one.
FRESH_WORDS = {"train": 0.0, "validation": 0.35, "test": 0.4}
FRESH_PATTERNS = {"train": 0.0, "validation": 0.5, "test": 1.0}
# The rules that hold whole sentences, with the share of each.
KINDS = {"news": 0.72, "plain": 0.14, "listing": 0.07, "social": 0.07}
MIN_TOKENS, MAX_TOKENS = 8, 30

SHARED = "all"
SLOT = re.compile(r"\{(?P<type>[A-Z]+)?(?P<mark>[:.]?)(?P<name>[a-z]+)(?:#(?P<key>\d))?\}")
TAG_MARK = "\0"  # Parts a word from its tag as long as a sentence is one string.

Grammar = dict[str, dict[str, list[str]]]


@dataclass(frozen=True)
class Sentence:
    """One sentence with its IOB2 tags and the pattern it was drawn from."""

    tokens: tuple[str, ...]
    tags: tuple[str, ...]
    pattern: str


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


@dataclass
class Writer:
    """Expands the grammar for one sentence of one split."""

    grammar: Grammar
    rng: random.Random
    split: str
    used: set[tuple[str, str]] = field(default_factory=set)
    remembered: dict[str, str] = field(default_factory=dict)

    def pick(self, rule: str) -> str:
        """Draw an alternative; a name or phrase comes once per sentence while others are left."""
        pools = self.grammar[rule]
        fresh = (FRESH_PATTERNS if rule in KINDS else FRESH_WORDS)[self.split]
        pool = pools[SHARED]
        if self.split in pools and self.rng.random() < fresh:
            pool = pools[self.split]
        pool = [choice for choice in pool if (rule, choice) not in self.used] or pool
        # Python keeps the sequence of random() between versions, that of choice() need not last.
        choice = pool[int(self.rng.random() * len(pool))]
        if "{" not in choice and rule != "digit":
            self.used.add((rule, choice))
        return choice

    def expand(self, text: str) -> str:
        """Fill every slot of the text; the words of an entity carry their tags."""
        return SLOT.sub(self.fill, text)

    def fill(self, slot: re.Match[str]) -> str:
        """Return the words for one slot."""
        kind, mark, name, key = slot.group("type", "mark", "name", "key")
        again = mark == "."
        words = shorten(self.remembered[key], name) if again else self.expand(self.pick(name))
        if kind is None:
            return words
        if key and not again:
            self.remembered[key] = words
        tagged = [f"{word}{TAG_MARK}I-{kind}" for word in words.split()]
        return " ".join(tagged).replace(f"{TAG_MARK}I-", f"{TAG_MARK}B-", 1)


def shorten(name: str, how: str) -> str:
    """Mention a name again by its ``first`` word, its ``last`` word or its ``initials``."""
    words = name.split()
    if how == "initials":
        return "".join(word[0] for word in words if word[0].isupper())
    return words[0] if how == "first" else words[-1]


def draw_kind(rng: random.Random) -> str:
    """Draw the kind of a sentence by the shares in ``KINDS``."""
    point = rng.random()
    for kind, share in KINDS.items():
        if point < share:
            return kind
        point -= share
    return next(iter(KINDS))  # Reached only if the shares add up to a hair below one.


def draw(grammar: Grammar, rng: random.Random, split: str) -> Sentence:
    """Draw one sentence, of any length."""
    kind = draw_kind(rng)
    writer = Writer(grammar, rng, split)
    pattern = writer.pick(kind)
    words = [word.partition(TAG_MARK) for word in writer.expand(pattern).split()]
    tokens = [token for token, _, _ in words]
    for i, following in enumerate(tokens[1:]):
        if tokens[i] in ("A", "a") and following[0].lower() in "aeio":
            tokens[i] += "n"
    if kind == "social" and rng.random() < 0.5:  # Many people do without capitals there.
        tokens = [token.lower() for token in tokens]
    else:
        tokens[0] = tokens[0][0].upper() + tokens[0][1:]
    return Sentence(tuple(tokens), tuple(tag or "O" for _, _, tag in words), pattern)


def corpus() -> dict[str, list[Sentence]]:
    """Draw all splits; no sentence occurs twice in the corpus."""
    grammar = read_grammar(Path(__file__).with_name("grammar.txt"))
    rng = random.Random(SEED)
    seen: set[tuple[str, ...]] = set()

    def unseen(split: str) -> Iterator[Sentence]:
        while True:
            sentence = draw(grammar, rng, split)
            if MIN_TOKENS <= len(sentence.tokens) <= MAX_TOKENS and sentence.tokens not in seen:
                seen.add(sentence.tokens)
                yield sentence

    return {
        split: [sentence for _, sentence in zip(range(size), unseen(split), strict=False)]
        for split, size in SIZES.items()
    }


def to_conll(sentences: list[Sentence]) -> str:
    """Write ``token<TAB>tag`` lines with a blank line between sentences."""
    blocks = [
        "".join(f"{token}\t{tag}\n" for token, tag in zip(s.tokens, s.tags, strict=True))
        for s in sentences
    ]
    return "\n".join(blocks)


def main() -> None:
    """Write the three files."""
    parser = argparse.ArgumentParser(description="Write the NER sample corpus.")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, metavar="DIR")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    for split, sentences in corpus().items():
        (out / f"{split}.conll").write_text(to_conll(sentences), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
