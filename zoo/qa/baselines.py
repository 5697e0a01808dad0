"""The baselines that need no model: never answering, and the words beside the longest match.

The second finds the longest run of words (in characters) that question and text share, as in "When
was Ada Lovelace born?" and "Ada Lovelace saw the light in 1815", and answers with some words of the
same sentence right behind it, or right before it. On which side and how many at most is what
scores the best F1 on training questions that have an answer; it never says that there is none.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

from zoo.data.words import split_words
from zoo.qa.metrics import exact_match, f1
from zoo.qa.normalization import AnswersIn

#: A question, its text and its right answers.
Asked = tuple[str, str, list[str]]
#: Training questions that side and length are chosen on.
_CHOSEN_ON = 2000
#: Most words of an answer (of Chinese: characters).
_LONGEST = 10
_SENTENCE_ENDS = frozenset(".!?;。！？；")


class Rule(NamedTuple):
    """Which words beside the match are the answer: how many, before or behind it."""

    words: int
    before: bool


def null_scores(test: Iterable[Asked], answers_in: AnswersIn) -> dict[str, float]:
    """Exact match and F1 of saying to every question that it has no answer."""
    return _mean((("", golds) for _, _, golds in test), answers_in)


def longest_match_scores(
    test: Iterable[Asked], rule: Rule, answers_in: AnswersIn
) -> dict[str, float]:
    """Exact match and F1 on test of the words beside the longest match."""
    answers = ((answer(question, text, rule), golds) for question, text, golds in test)
    return _mean(answers, answers_in)


def choose_rule(train: Iterable[Asked], answers_in: AnswersIn) -> Rule:
    """The rule with the best F1 on the first training questions that have an answer."""
    rules = [Rule(words, before) for words in range(1, _LONGEST + 1) for before in (False, True)]
    some = list(islice((one for one in train if one[2]), _CHOSEN_ON))
    found = [(answer_all(question, text, rules), golds) for question, text, golds in some]
    totals = {
        rule: sum(f1(texts[rule], golds, answers_in) for texts, golds in found) for rule in rules
    }
    return max(rules, key=totals.__getitem__)


def answer(question: str, text: str, rule: Rule) -> str:
    """The answer by one rule; empty where question and text share no word."""
    return answer_all(question, text, [rule])[rule]


def answer_all(question: str, text: str, rules: Iterable[Rule]) -> Mapping[Rule, str]:
    """The answer by each of some rules."""
    words = _words(text)
    asked = [word.lower() for word, _, _ in split_words(question)]
    begin, end = longest_match(asked, words)
    if begin == end:
        return dict.fromkeys(rules, "")
    first, last = _sentence(words, begin, end)
    sides = {True: (first, begin), False: (end, last)}
    found = {}
    for rule in rules:
        low, high = sides[rule.before]
        if low == high:  # the match ends (or begins) the sentence: what is left of it
            low, high = sides[not rule.before]
        # Of either side those that touch the match.
        size = min(rule.words, high - low)
        chosen = (low, low + size) if low == end else (high - size, high)
        places = words.located[slice(*chosen)]
        found[rule] = text[places[0][1] : places[-1][2]] if places else ""
    return found


def _sentence(words: "_Words", begin: int, end: int) -> tuple[int, int]:
    """The sentence around a run of words, as far as marks at its ends tell."""
    first, last = begin, end
    while first > 0 and first not in words.breaks:
        first -= 1
    while last < len(words.located) and last not in words.breaks:
        last += 1
    return first, last


def longest_match(question: Sequence[str], words: "_Words") -> tuple[int, int]:
    """Begin and end, in words of the text, of the longest run that the question has too.

    The first of equals; (0, 0) if there is none.
    """
    best, longest = (0, 0), 0
    before: dict[int, tuple[int, int]] = {}  # of runs that end at a place: begin and characters
    for word in question:
        runs: dict[int, tuple[int, int]] = {}
        for at in words.places.get(word, ()):
            begin, size = before.get(at - 1, (at, 0))
            runs[at] = begin, size + len(word)
            if runs[at][1] > longest:
                best, longest = (begin, at + 1), runs[at][1]
        before = runs
    return best


class _Words(NamedTuple):
    """Words of a text, marks left out: their places, where each stands, where sentences begin."""

    located: list[tuple[str, int, int]]
    places: Mapping[str, list[int]]
    breaks: frozenset[int]


@lru_cache(maxsize=4)  # neighbouring questions are asked on the same text
def _words(text: str) -> _Words:
    located: list[tuple[str, int, int]] = []
    places: dict[str, list[int]] = {}
    breaks: set[int] = set()
    for word, start, end in split_words(text):
        if any(letter.isalnum() for letter in word):
            places.setdefault(word.lower(), []).append(len(located))
            located.append((word, start, end))
        elif word in _SENTENCE_ENDS:
            breaks.add(len(located))
    return _Words(located, places, frozenset(breaks))


def _mean(answers: Iterator[tuple[str, list[str]]], answers_in: AnswersIn) -> dict[str, float]:
    matches = total = count = 0.0
    for text, golds in answers:
        matches += exact_match(text, golds, answers_in)
        total += f1(text, golds, answers_in)
        count += 1
    return {"em": matches / max(count, 1), "f1": total / max(count, 1)}
