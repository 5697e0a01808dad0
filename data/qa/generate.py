"""Write the QA sample corpus: ``python data/qa/generate.py [--out DIR]``.

Passages and questions are drawn from ``sample.txt``. Every rule there has alternatives that all
splits share, and many have some that only validation or only test uses; this is how the held-out
splits get names, words and phrasings that train lacks.
"""

import argparse
import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

SEED = 2026
SIZES = {"train": 1400, "validation": 250, "test": 400}  # Questions.
# How often a rule with alternatives of the split's own draws one of those, not a shared one.
FRESH_WORDS = {"train": 0.0, "validation": 0.35, "test": 0.4}
FRESH_PATTERNS = {"train": 0.0, "validation": 0.28, "test": 0.28}
# The rules that hold whole sentences, by the last word of their names.
FRAMES = ("opening", "tell", "both", "ask")
# Parts of words and numbers, which may come again in a passage.
AGAIN = ("begin", "digit", "end", "hue", "nonzero", "shade", "small", "tens")

MIN_WORDS, MAX_WORDS = 40, 110
PARAGRAPHS = 6  # At most, per article.
FEWEST_QUESTIONS, MOST_QUESTIONS = 3, 6
UNANSWERABLE_SHARE = 1 / 3
# Of the unanswerable: about a relation told of no house, one told of another house only, or a
# house that the passage does not name.
REASONS = {"unmentioned": 0.5, "untold": 0.3, "absent": 0.2}
THIRD_HOUSE_SHARE = 0.25
SAME_KIND_SHARE = 0.35  # Passages about two museums; the others tell of a museum and a mill.
TOLD_OF_BOTH_SHARE = 0.1  # Relations told of two houses, after a first one that always is.
ONE_SENTENCE_SHARE = 0.25  # Of those: told of both in one sentence.
GROUPED_SHARE = 0.5  # Passages that finish with one house before the next.
PRONOUN_SHARE = 0.3  # Where the sentence before has the same subject.
SHORT_NAME_SHARE = 0.15  # Later mentions by "the Heron", not "the Heron Museum".
SHORT_ASKED_SHARE = 0.1
TITLED_SHARE = 0.18  # People with a word before the name, which gives two accepted answers.
DATED_SHARE = 0.1  # Years inside a longer date, likewise.
OPENING_SHARE = 0.3
REMARK_SHARE = 0.25
CURLY_SHARE = 0.25

SHARED = "all"
SLOT = re.compile(r"\{([a-z]+)\}")
# An answer goes through the drawing of its sentence between a mark of its own and an end mark.
MARK, END = 0xE000, "\uf8ff"
ANSWER = re.compile(f"([\ue000-\uf8fe])([^{END}]*){END}")
START = re.compile("^([\ue000-\uf8fe]?)([a-z])")
ARTICLE = re.compile("\\b([Aa]) (?=[\ue000-\uf8fe]?[aeio])")

# A remark must not part a pronoun from its house.
PRONOUN = re.compile(r"\bits?\b", re.IGNORECASE)
BY_NAME = re.compile(r"\b(of|at) \{it\}", re.IGNORECASE)  # "Of it" is bad English.

Grammar = dict[str, dict[str, list[str]]]


class House(NamedTuple):
    """What passages tell of: "the Heron Museum"."""

    name: str
    kind: str


@dataclass(frozen=True)
class Fact:
    """One relation of one house; parts of its words may answer a question as well."""

    house: House
    relation: str
    text: str
    parts: tuple[str, ...]


@dataclass(frozen=True)
class Question:
    """A question with the answers and their offsets; without any it is unanswerable."""

    text: str
    relation: str
    reason: str  # "told", or why there is no answer: see REASONS.
    answers: tuple[tuple[str, int], ...]
    pattern: str


@dataclass(frozen=True)
class Passage:
    """A passage, what it tells, its questions and the patterns that it was drawn from."""

    text: str
    facts: tuple[Fact, ...]
    questions: tuple[Question, ...]
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
            pool += line.split(" | ")
    return grammar


@dataclass
class Writer:
    """Expands the grammar for one passage of one split."""

    grammar: Grammar
    rng: random.Random
    split: str
    words: dict[str, str]  # What to put into slots that stand for no rule.
    used: set[tuple[str, str]] = field(default_factory=set)
    patterns: list[str] = field(default_factory=list)

    @property
    def relations(self) -> list[str]:
        """Return the names of all relations."""
        return [rule.removesuffix(" value") for rule in self.grammar if rule.endswith(" value")]

    def chance(self, share: float) -> bool:
        """Toss a coin that falls on true with this share."""
        return self.rng.random() < share

    def below(self, limit: int) -> int:
        """Draw a number; Python keeps the sequence of random() between versions."""
        return int(self.rng.random() * limit)

    def weighted(self, shares: dict[str, float]) -> str:
        """Draw a key by its share."""
        point = self.rng.random() * sum(shares.values())
        return next(key for key in shares if (point := point - shares[key]) < 0)

    def shuffled(self, items: list[Any]) -> list[Any]:
        """Return the items in random order."""
        rest = list(items)
        return [rest.pop(self.below(len(rest))) for _ in items]

    def pick(self, rule: str) -> str:
        """Draw an alternative; a name or phrase comes once per passage while others are left."""
        pools = self.grammar[rule]
        fresh = (FRESH_PATTERNS if rule.split()[-1] in FRAMES else FRESH_WORDS)[self.split]
        pool = pools[SHARED]
        if self.split in pools and self.chance(fresh):
            pool = pools[self.split]
        pool = [choice for choice in pool if (rule, choice) not in self.used] or pool
        choice = pool[self.below(len(pool))]
        if rule not in AGAIN and ("{" not in choice or rule.split()[-1] in FRAMES):
            self.used.add((rule, choice))
        return choice

    def expand(self, text: str) -> str:
        """Fill every slot of the text."""
        return SLOT.sub(lambda slot: self.fill(slot[1]), text)

    def fill(self, rule: str) -> str:
        """Return the words for one slot."""
        return self.words[rule] if rule in self.words else self.expand(self.pick(rule))

    def named(self, house: House, short_share: float) -> str:
        """Name a house, in this share of cases without its kind."""
        return f"the {house.name}" if self.chance(short_share) else f"the {' '.join(house)}"

    def value(self, relation: str) -> tuple[str, tuple[str, ...]]:
        """Draw the words of a fact, and the parts of them that are an answer too."""
        form = self.pick(f"{relation} value")
        text = self.expand(form)
        if form == "{person}" and self.chance(TITLED_SHARE):
            return self.pick("titled").replace(form, text), (text,)
        if form == "{year}" and self.chance(DATED_SHARE):
            return self.pick("dated").replace(form, text), (text,)
        return text, ()


def draw_facts(writer: Writer, houses: list[House]) -> list[Fact]:
    """Draw five to eight facts; at least one relation is told of two houses, others of one."""
    count = min(5 + writer.below(4), 5 + writer.below(4))
    facts: list[Fact] = []
    for relation in writer.shuffled(writer.relations):
        pair = writer.shuffled(houses)[:2]
        alone = bool(facts) and not writer.chance(TOLD_OF_BOTH_SHARE)
        alone = alone or count - len(facts) == 1
        for house in pair[: 1 if alone else 2]:
            facts.append(Fact(house, relation, *writer.value(relation)))
        if len(facts) >= count:
            break
    return facts


def in_groups(writer: Writer, facts: list[Fact]) -> list[tuple[Fact, ...]]:
    """Put the facts in order; those of a group are told in one sentence."""
    groups: list[tuple[Fact, ...]] = []
    for relation in dict.fromkeys(fact.relation for fact in facts):
        told = [fact for fact in facts if fact.relation == relation]
        together = len(told) == 2 and writer.chance(ONE_SENTENCE_SHARE)
        groups += [tuple(told)] if together else [(fact,) for fact in told]
    groups = writer.shuffled(groups)
    if writer.chance(GROUPED_SHARE):
        first_named = list(dict.fromkeys(group[0].house for group in groups))
        groups.sort(key=lambda group: (len(group), first_named.index(group[0].house)))
    return groups


def tell(writer: Writer, facts: list[Fact], marked: dict[Fact, str]) -> list[str]:
    """Write the sentences that tell the facts, with the marked words of their values."""
    sentences: list[str] = []
    named: set[House] = set()
    subject: House | None = None
    for group in in_groups(writer, facts):
        relation = group[0].relation
        pattern = writer.pick(f"{relation} {'both' if len(group) == 2 else 'tell'}")
        writer.patterns.append(pattern)
        forms = [
            writer.named(fact.house, SHORT_NAME_SHARE if fact.house in named else 0)
            for fact in group
        ]
        named |= {fact.house for fact in group}
        slots = {"it": forms[0], "its": f"{writer.named(group[0].house, 0)}'s", "a": forms[0]}
        slots |= {"b": forms[-1], "x": marked[group[0]], "y": marked[group[-1]]}
        by_name = subject != group[0].house or len(group) == 2 or BY_NAME.search(pattern)
        if not by_name and writer.chance(PRONOUN_SHARE):
            slots |= {"it": "it", "its": "its"}
        subject = group[0].house if len(group) == 1 else None
        writer.words |= slots
        sentences.append(writer.expand(pattern))
    return sentences


def finish(writer: Writer, sentences: list[str]) -> tuple[str, dict[str, tuple[str, int]]]:
    """Join the sentences; return the text, and by their marks the answers with their offsets."""
    begun = [START.sub(lambda found: found[1] + found[2].upper(), each) for each in sentences]
    text = ARTICLE.sub(r"\1n ", " ".join(begun))
    if writer.chance(CURLY_SHARE):
        text = text.replace("'", "’")
    spans: dict[str, tuple[str, int]] = {}
    plain, at = "", 0
    for found in ANSWER.finditer(text):
        plain += text[at : found.start()]
        spans[found[1]] = (found[2], len(plain))
        plain += found[2]
        at = found.end()
    return plain + text[at:], spans


def draw_questions(
    writer: Writer, count: int, facts: list[Fact], houses: list[House], spans: dict[Fact, Any]
) -> list[Question]:
    """Draw questions about the facts, and some that the facts do not answer."""
    told = {(fact.house, fact.relation) for fact in facts}
    relations = writer.shuffled(list(dict.fromkeys(fact.relation for fact in facts)))
    others = [relation for relation in writer.relations if relation not in relations]
    open_ = {
        "untold": [(h, r) for r in relations for h in houses if (h, r) not in told],
        "unmentioned": [(h, r) for r in others for h in houses],
        "absent": [(House(writer.pick("name"), h.kind), relations[0]) for h in houses],
    }
    open_ = {reason: writer.shuffled(pairs) for reason, pairs in open_.items()}
    answerable = writer.shuffled(facts)
    questions: list[Question] = []
    without = int(count * UNANSWERABLE_SHARE + writer.rng.random())
    for i in writer.shuffled(list(range(count))):
        answers: tuple[tuple[str, int], ...] = ()
        if i < without:
            reason = writer.weighted({r: share for r, share in REASONS.items() if open_[r]})
            house, relation = open_[reason].pop()
        else:
            reason = "told"
            fact = answerable.pop()
            house, relation = fact.house, fact.relation
            whole, start = spans[fact]
            # The apostrophes of the passage may have become curly.
            parts = [p if p in whole else p.replace("'", "’") for p in fact.parts]
            answers = (*((part, start + whole.index(part)) for part in parts), (whole, start))
        pattern = writer.pick(f"{relation} ask")
        text = pattern.replace("{it}", writer.named(house, SHORT_ASKED_SHARE))
        questions.append(Question(text, relation, reason, answers, pattern))
    return questions


def draw(grammar: Grammar, rng: random.Random, split: str, town: str, count: int) -> Passage | None:
    """Draw a passage with so many questions; None if it has no fair length or is ambiguous."""
    writer = Writer(grammar, rng, split, {"town": town})
    kinds = [writer.fill("kind") for _ in range(3 if writer.chance(THIRD_HOUSE_SHARE) else 2)]
    if writer.chance(SAME_KIND_SHARE):
        kinds = kinds[:1] * len(kinds)
    writer.words["kinds"] = re.sub("y$", "ie", kinds[0].lower()) + "s"
    houses = [House(writer.fill("name"), kind) for kind in kinds]
    facts = draw_facts(writer, houses)
    houses = [house for house in houses if any(fact.house == house for fact in facts)]
    marked = {fact: f"{chr(MARK + i)}{fact.text}{END}" for i, fact in enumerate(facts)}
    sentences = tell(writer, facts, marked)
    if writer.chance(OPENING_SHARE):
        pattern = writer.pick("opening")
        writer.patterns.append(pattern)
        sentences.insert(0, writer.expand(pattern))
    if writer.chance(REMARK_SHARE):
        following = [*sentences[1:], ""]
        ends = [i for i, sentence in enumerate(following, 1) if not PRONOUN.search(sentence)]
        sentences.insert(ends[writer.below(len(ends))], writer.fill("remark"))
    text, found = finish(writer, sentences)
    spans = {fact: found[words[0]] for fact, words in marked.items()}
    fits = MIN_WORDS <= len(text.split()) <= MAX_WORDS
    if not fits or any(text.count(answer) != 1 for answer, _ in spans.values()):
        return None
    questions = draw_questions(writer, count, facts, houses, spans)
    return Passage(text, tuple(facts), tuple(questions), tuple(writer.patterns))


def how_many(rng: random.Random, left: int) -> int:
    """Draw a number of questions that leaves none, or enough for another passage."""
    if left <= MOST_QUESTIONS:
        return left
    count = FEWEST_QUESTIONS + int(rng.random() * (MOST_QUESTIONS - FEWEST_QUESTIONS + 1))
    return count if left - count >= FEWEST_QUESTIONS else left - FEWEST_QUESTIONS


def corpus() -> dict[str, list[tuple[str, list[Passage]]]]:
    """Draw the articles of all splits; no town and no passage occurs twice in the corpus."""
    grammar = read_grammar(Path(__file__).with_name("sample.txt"))
    rng = random.Random(SEED)
    towns: set[str] = set()
    seen: set[str] = set()

    def articles(split: str) -> Iterator[tuple[str, list[Passage]]]:
        left = SIZES[split]
        while left:
            writer = Writer(grammar, rng, split, {})
            town = writer.pick("begin") + writer.pick("end")
            if town in towns:
                continue
            towns.add(town)
            passages: list[Passage] = []
            while left and len(passages) < PARAGRAPHS:
                count = how_many(rng, left)
                passage = None
                while passage is None or passage.text in seen:
                    passage = draw(grammar, rng, split, town, count)
                seen.add(passage.text)
                passages.append(passage)
                left -= count
            yield town, passages

    return {split: list(articles(split)) for split in SIZES}


def to_squad(split: str, articles: list[tuple[str, list[Passage]]]) -> dict[str, Any]:
    """Return the articles of a split in the structure of SQuAD 2.0."""
    numbers = iter(range(1, SIZES[split] + 1))

    def entry(question: Question) -> dict[str, Any]:
        return {
            "id": f"{split}-{next(numbers):04}",
            "question": question.text,
            "answers": [{"text": text, "answer_start": at} for text, at in question.answers],
            "is_impossible": not question.answers,
        }

    return {
        "version": "v2.0",
        "data": [
            {
                "title": town,
                "paragraphs": [
                    {"context": passage.text, "qas": [entry(q) for q in passage.questions]}
                    for passage in passages
                ],
            }
            for town, passages in articles
        ],
    }


def main() -> None:
    """Write the three files."""
    parser = argparse.ArgumentParser(description="Write the QA sample corpus.")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, metavar="DIR")
    folder: Path = parser.parse_args().out / "sample"
    folder.mkdir(parents=True, exist_ok=True)
    for split, articles in corpus().items():
        text = json.dumps(to_squad(split, articles), ensure_ascii=False, indent=1)
        (folder / f"{split}.json").write_text(f"{text}\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
