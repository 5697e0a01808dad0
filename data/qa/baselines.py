"""Score simple baselines on the QA sample corpus: ``python data/qa/baselines.py``.

It prints the rows of the table of the datasheet: the mean F1 of words and the share of exact
answers, normalised as SQuAD does, on all questions of a split. An unanswerable one wants the
empty answer.
"""

import json
import re
import string
from collections import Counter
from collections.abc import Callable
from difflib import SequenceMatcher
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer  # type: ignore[import-untyped]

FOLDER = Path(__file__).parent / "sample"
SPLITS = ("train", "validation", "test")
ARTICLES = re.compile(r"\b(?:a|an|the)\b")
WORD = re.compile(r"[£$€]?\w+(?:[.'’-]\w+)*")
SENTENCE = re.compile(r"[^.!?]+(?:[.!?]\w+[^.!?]*)*[.!?]?[”’]?")
NAME = re.compile(r"[^\W\d_a-z][\w'’]*(?: (?:& |of )?[^\W\d_a-z][\w'’]*)*")
NUMBER = re.compile(
    r"[£$€]?\d[\d.]*|\b(?:half|two|three|four|five|six|seven|eight|nine|ten|twelve|dozen"
    r"|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)\b(?:-\w+)?"
)
# How the answers to some questions look; of the others, nothing is known.
LOOKS = {
    "who": NAME,
    "whom": NAME,
    "whose": NAME,
    "when": re.compile(r"\b(?:18|19|20)\d\d\b"),
    "year": re.compile(r"\b(?:18|19|20)\d\d\b"),
    "many": NUMBER,
    "much": NUMBER,
    "long": NUMBER,
    "day": re.compile(r"\w+days?\b(?: \w+s\b)?"),
    "colour": re.compile(r"\b(?:dark|pale|bright|deep|plain) \w+|\w+ and (?:white|gold)"),
}
WINDOW = 3  # Words of an answer of which nothing is known.

Question = tuple[str, str, list[str]]  # Context, question, accepted answers.


def read(split: str) -> list[Question]:
    """Read the questions of a split; an unanswerable one has the empty answer."""
    articles = json.loads((FOLDER / f"{split}.json").read_text(encoding="utf-8"))["data"]
    return [
        (passage["context"], qa["question"], [a["text"] for a in qa["answers"]] or [""])
        for article in articles
        for passage in article["paragraphs"]
        for qa in passage["qas"]
    ]


def normalised(text: str) -> list[str]:
    """Return the words of an answer without case, ASCII punctuation and articles."""
    bare = text.lower().translate(str.maketrans("", "", string.punctuation))
    return ARTICLES.sub(" ", bare).split()


def f1(predicted: str, truth: str) -> float:
    """Return the F1 of the words of an answer; without any words, whether both lack them."""
    found, wanted = normalised(predicted), normalised(truth)
    if not found or not wanted:
        return float(found == wanted)
    return 2 * (Counter(found) & Counter(wanted)).total() / (len(found) + len(wanted))


def exact(predicted: str, truth: str) -> float:
    """Return whether both answers are the same."""
    return float(normalised(predicted) == normalised(truth))


def null(context: str, question: str) -> str:
    """Answer nothing."""
    return ""


def beside_longest_match(context: str, question: str) -> str:
    """Answer with the words after the longest stretch shared with the question.

    Where too few words follow, those before it are the answer.
    """
    asked = [word.lower() for word in WORD.findall(question)]
    spans = [found.span() for found in WORD.finditer(context)]
    told = [context[start:end].lower() for start, end in spans]
    match = SequenceMatcher(None, told, asked, autojunk=False).find_longest_match()
    if not match.size:
        return ""
    end = match.a + match.size
    after = spans[end : end + WINDOW]
    before = spans[max(0, match.a - WINDOW) : match.a]
    chosen = after if len(after) == WINDOW else before or after
    return context[chosen[0][0] : chosen[-1][1]] if chosen else ""


def nearest_sentence(trained: TfidfVectorizer) -> Callable[[str, str], str]:
    """Return what finds the sentence of a passage that shares the most with a question."""

    @cache
    def parts(context: str) -> tuple[list[str], Any]:
        sentences = [found[0].strip() for found in SENTENCE.finditer(context) if found[0].strip()]
        return sentences, trained.transform(sentences)

    def nearest(context: str, question: str) -> str:
        sentences, vectors = parts(context)
        likeness = (vectors @ trained.transform([question]).T).toarray()
        return sentences[int(np.argmax(likeness))]

    return nearest


def typed(sentence: str, question: str) -> str:
    """Answer with what looks like an answer to such a question and is not in it; else nothing.

    Of a question whose answers look like nothing in particular, the answer is the longest stretch
    of the sentence that shares no word with it, but its last words only.
    """
    asked = set(normalised(question))
    look = next((LOOKS[word] for word in normalised(question) if word in LOOKS), None)
    if look is not None:
        found = [match[0] for match in look.finditer(sentence)]
        return next((text for text in found if not asked & set(normalised(text))), "")
    stretches: list[list[re.Match[str]]] = [[]]
    for word in WORD.finditer(sentence):
        if asked & set(normalised(word[0])):
            stretches.append([])
        else:
            stretches[-1].append(word)
    longest = max(stretches, key=len)[-WINDOW:]
    return sentence[longest[0].start() : longest[-1].end()] if longest else ""


def baselines() -> dict[str, Callable[[str, str], str]]:
    """Return the baselines by name; TF-IDF weighs words by the passages of train."""
    contexts = sorted({context for context, _, _ in read("train")})
    nearest = nearest_sentence(TfidfVectorizer(ngram_range=(1, 2)).fit(contexts))
    return {
        "always no answer": null,
        "words beside the longest match": beside_longest_match,
        "type of answer in the nearest sentence": lambda context, question: typed(
            nearest(context, question), question
        ),
    }


def scores() -> dict[str, dict[str, list[float]]]:
    """Return the F1 and exact match of every baseline, for each split in order."""
    found: dict[str, dict[str, list[float]]] = {}
    for name, answer in baselines().items():
        found[name] = {"F1": [], "exact match": []}
        for split in SPLITS:
            rows = [(answer(context, question), truth) for context, question, truth in read(split)]
            for metric, score in (("F1", f1), ("exact match", exact)):
                best = [max(score(text, one) for one in truth) for text, truth in rows]
                found[name][metric].append(float(np.mean(best)))
    return found


def main() -> None:
    """Print the rows of the table of the datasheet."""
    for name, by_metric in scores().items():
        for metric, values in by_metric.items():
            print(f"| {name}: {metric} | {' | '.join(f'{value:.3f}' for value in values)} |")


if __name__ == "__main__":
    main()
