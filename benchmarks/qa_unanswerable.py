"""Questions that a text seems to answer but does not, made of those that it answers.

    python -m benchmarks.qa_unanswerable dev-v2.0.json new_wiki_v1.0.json --output FOLDER \\
      --test Scottish_Parliament Islamism \\
      --validation Force Packet_switching Normans Steam_engine 1973_oil_crisis

writes `train.json`, `validation.json` and `test.json` in SQuAD's format: the named articles of the
first file validate and test, and train holds its other articles, all as they are, and those of the
other files (with `--of_all` of the first, too) with one made question more for each that has an
answer. A question loses its answer in
one of the ways that writers of SQuAD 2.0 used most (Rajpurkar et al. 2018, arXiv 1806.03822, table
2): another name or number of the same text in place of its own, a word's opposite, or a negation;
or it is a question of another paragraph of the article, of twenty the one that shares most words
with the text.

These are rules for English and nothing more: some made questions have an answer after all.
"""

import argparse
import json
import random
import re
from functools import partial
from pathlib import Path
from typing import Any

#: A name inside a sentence, or a number.
_NAME = re.compile(
    r"(?<!^)(?<![.?!] )\b[A-Z][\w'’-]+(?: (?:of |the |de )?[A-Z][\w'’-]+)*|\b\d[\d,.]*\b"
)
#: What a negation can follow.
_VERB = re.compile(
    r"\b(?:did|does|do|was|is|were|are|had|has|have|can|could|would|will)\b(?! not|n't)", re.I
)
_WORD = re.compile(r"\w+")
_PAIRS = """
    first last, most least, before after, highest lowest, largest smallest, more less, north south,
    increase decrease, east west, new old, early late, won lost, began ended, start end, win lose,
    many few, support oppose, high low, father mother, male female, son daughter, wife husband,
    joined left, same different, good bad, above below, public private, major minor, large small
"""
_OPPOSITES = {
    one: other
    for pair in _PAIRS.split(",")
    for one, other in (pair.split(), reversed(pair.split()))
}

Article = dict[str, Any]


class Maker:
    """Makes questions for the paragraphs of one article.

    Args:
        article: In SQuAD's format.
        chance: Draws which way, which name and which word.
    """

    def __init__(self, article: Article, chance: random.Random):
        self.paragraphs = article["paragraphs"]
        self.title = article["title"]
        self.chance = chance

    def article(self) -> Article:
        """The article with the questions that could be made."""
        return {
            "title": self.title,
            "paragraphs": [
                {"context": own["context"], "qas": [*own["qas"], *self._made(number)]}
                for number, own in enumerate(self.paragraphs)
            ],
        }

    def _made(self, number: int) -> list[dict[str, Any]]:
        made = []
        for asked in self.paragraphs[number]["qas"]:
            if not asked["answers"]:
                continue
            question = self._without_answer(number, asked["question"], asked["answers"][0]["text"])
            if question is not None:
                made.append(
                    {
                        "id": f"{asked['id']}-made",
                        "question": question,
                        "answers": [],
                        "is_impossible": True,
                    }
                )
        return made

    def _without_answer(self, number: int, question: str, answer: str) -> str | None:
        """The first of the ways, in random order, that changes the question."""
        text = self.paragraphs[number]["context"]
        other_name = partial(self._other_name, question, answer, text)
        opposite = partial(self._opposite, question)
        ways = [
            *(other_name, other_name, opposite, opposite),
            partial(self._negation, question),
            partial(self._other_paragraph, number, text),
        ]
        self.chance.shuffle(ways)
        for way in ways:
            found = way()
            if found is not None and found != question:
                return found
        return None

    def _other_name(self, question: str, answer: str, text: str) -> str | None:
        own = list(_NAME.finditer(question))
        if not own:
            return None
        chosen = self.chance.choice(own)
        number = chosen[0][0].isdigit()
        others = [
            name
            for name in _NAME.findall(text)
            if name not in question and name not in answer and name[0].isdigit() == number
        ]
        return _put(question, chosen, self.chance.choice(others)) if others else None

    def _opposite(self, question: str) -> str | None:
        words = [one for one in _WORD.finditer(question) if one[0].lower() in _OPPOSITES]
        if not words:
            return None
        chosen = self.chance.choice(words)
        return _put(question, chosen, _OPPOSITES[chosen[0].lower()])

    def _negation(self, question: str) -> str | None:
        verbs = list(_VERB.finditer(question))
        if not verbs:
            return None
        chosen = self.chance.choice(verbs)
        return _put(question, chosen, f"{chosen[0]} not")

    def _other_paragraph(self, number: int, text: str) -> str | None:
        words = set(_WORD.findall(text.lower()))

        def shared(question: str) -> float:
            own = set(_WORD.findall(question.lower()))
            return len(words & own) / (3 + len(question.split()))

        others = [
            asked["question"]
            for place, paragraph in enumerate(self.paragraphs)
            for asked in paragraph["qas"]
            if place != number
        ]
        some = self.chance.sample(others, min(20, len(others)))
        return max(some, key=shared) if some else None


def _put(question: str, place: re.Match[str], words: str) -> str:
    return question[: place.start()] + words + question[place.end() :]


def _articles(path: Path) -> list[Article]:
    found: list[Article] = json.loads(path.read_text(encoding="utf-8"))["data"]
    return found


def _write(path: Path, articles: list[Article]) -> None:
    asked = [one for art in articles for par in art["paragraphs"] for one in par["qas"]]
    none = sum(not one["answers"] for one in asked)
    path.write_text(json.dumps({"version": "v2.0", "data": articles}) + "\n", encoding="utf-8")
    print(f"{path}: {len(articles)} articles, {len(asked)} questions, {none} without an answer")


def main() -> None:
    """Write the three files."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("files", nargs="+", type=Path, help="SQuAD JSON; the first one is split")
    parser.add_argument("--output", type=Path, required=True, help="folder")
    parser.add_argument("--validation", nargs="+", default=[], help="titles of articles")
    parser.add_argument("--test", nargs="+", default=[], help="titles of articles")
    parser.add_argument("--of_all", action="store_true", help="of the first file's questions too")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    read = [_articles(path) for path in given.files]
    first = read[0]
    held = {"validation": given.validation, "test": given.test}
    unknown = {*given.validation, *given.test} - {one["title"] for one in first}
    if unknown:
        raise SystemExit(f"{given.files[0]} has no article {', '.join(sorted(unknown))}.")
    for split, titles in held.items():
        if titles:
            _write(given.output / f"{split}.json", [one for one in first if one["title"] in titles])
    taken = {title for titles in held.values() for title in titles}
    chance = random.Random(given.seed)
    # A file may be given twice; what is held out stays out of both.
    first, *others = ([one for one in articles if one["title"] not in taken] for articles in read)
    made = [Maker(article, chance).article() for other in others for article in other]
    if given.of_all:
        first = [Maker(article, chance).article() for article in first]
    _write(given.output / "train.json", [*first, *made])


if __name__ == "__main__":
    main()
