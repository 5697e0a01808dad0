"""ROUGE of a prediction against one reference or more."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple, TypeVar

from zoo.summarization.rouge.subsequence import common_length, common_places
from zoo.summarization.rouge.tokens import RougeIn, tokens
from zoo.summarization.sentences import sentence_spans

#: The names of the scores.
ROUGE = ("rouge1", "rouge2", "rougeL", "rougeLsum")

_Gram = TypeVar("_Gram")


class Score(NamedTuple):
    """Precision, recall and their harmonic mean, fractions from 0 to 1."""

    precision: float
    recall: float
    f1: float


def rouge(
    prediction: str,
    references: Sequence[str],
    *,
    rouge_in: RougeIn = "words",
    stem: bool = True,
    language: str | None = "en",
) -> dict[str, Score]:
    """ROUGE of one prediction: for each of `ROUGE` the score with the reference of the best F1.

    With `language=None`, the values are those of rouge-score's `score_multi`. Without references,
    or where prediction or reference has no tokens, the scores are 0.

    Args:
        prediction: The summary.
        references: The right summaries.
        rouge_in: What is counted; see `zoo.summarization.rouge.tokens`.
        stem: Whether words are stemmed.
        language: The language whose rules find the sentences of ROUGE-Lsum; None where every line
            is a sentence.
    """
    known = References(references, rouge_in=rouge_in, stem=stem, language=language)
    return known.score(prediction)


class References:
    """References that several predictions are scored against; arguments as in `rouge`."""

    def __init__(
        self,
        references: Sequence[str],
        *,
        rouge_in: RougeIn = "words",
        stem: bool = True,
        language: str | None = "en",
    ):
        self.rouge_in: RougeIn = rouge_in
        self.stem = stem
        self.language = language
        self.texts = [self._read(text) for text in references]

    def _read(self, text: str) -> "_Text":
        return _Text(text, self.rouge_in, self.stem, self.language)

    def score(self, prediction: str) -> dict[str, Score]:
        """ROUGE of one prediction."""
        said = self._read(prediction)
        best = dict.fromkeys(ROUGE, Score(0.0, 0.0, 0.0))
        for reference in self.texts:
            for name, score in zip(ROUGE, _scores(said, reference), strict=True):
                if score.f1 > best[name].f1:
                    best[name] = score
        return best


class _Text:
    """A text with what is counted of it."""

    def __init__(self, text: str, rouge_in: RougeIn, stem: bool, language: str | None):
        self.text, self.rouge_in, self.stem, self.language = text, rouge_in, stem, language
        self.tokens = tokens(text, rouge_in=rouge_in, stem=stem)

    @cached_property
    def words(self) -> Mapping[str, int]:
        """How often each token occurs."""
        return Counter(self.tokens)

    @cached_property
    def bigrams(self) -> Mapping[tuple[str, str], int]:
        """How often each pair of neighbours occurs."""
        return Counter(pairwise(self.tokens))

    @cached_property
    def sentences(self) -> list[list[str]]:
        """Tokens of each sentence that has some."""
        texts: Iterable[str]
        if self.language is None:
            texts = self.text.split("\n")
        else:
            spans = sentence_spans(self.text, language=self.language)
            texts = (self.text[start:end] for start, end in spans)
        found = (tokens(text, rouge_in=self.rouge_in, stem=self.stem) for text in texts)
        return [sentence for sentence in found if sentence]


def _scores(prediction: _Text, reference: _Text) -> tuple[Score, Score, Score, Score]:
    """The scores in the order of `ROUGE`."""
    said, right = len(prediction.tokens), len(reference.tokens)
    words = _overlap(prediction.words, reference.words)
    if not words:
        return (Score(0.0, 0.0, 0.0),) * 4
    bigrams = _overlap(prediction.bigrams, reference.bigrams)
    longest = common_length(reference.tokens, prediction.tokens)
    return (
        _score(words, said, right),
        _score(bigrams, said - 1, right - 1),
        _score(longest, said, right),
        _score(_summary_hits(prediction, reference, longest), said, right),
    )


def _score(hits: int, said: int, right: int) -> Score:
    if not hits:
        return Score(0.0, 0.0, 0.0)
    precision, recall = hits / said, hits / right
    return Score(precision, recall, 2 * precision * recall / (precision + recall))


def _overlap(first: Mapping[_Gram, int], second: Mapping[_Gram, int]) -> int:
    """How many both have, each as often as both have it."""
    return sum(min(first[one], second[one]) for one in first.keys() & second.keys())


def _summary_hits(prediction: _Text, reference: _Text, longest: int) -> int:
    """Hits of ROUGE-Lsum: the union of the subsequences of each pair of sentences.

    Each token counts at most as often as both texts have it (ROUGE 1.5.5 and rouge-score).
    """
    if len(prediction.sentences) == len(reference.sentences) == 1:
        return longest
    hits: Counter[str] = Counter()
    said_whole = set(map(tuple, prediction.sentences))
    for right in reference.sentences:
        # No other sentence adds to that; equal texts need no comparison of all their sentences.
        if tuple(right) in said_whole:
            hits.update(right)
            continue
        known = set(right)
        places: set[int] = set()
        for said in prediction.sentences:
            if not known.isdisjoint(said):
                places.update(common_places(right, said))
        hits.update(right[at] for at in places)
    return sum(
        min(number, prediction.words[token], reference.words[token])
        for token, number in hits.items()
    )
