"""Which sentences of a source make the best summary: the oracle that extraction is measured by.

Sentences are added one by one, each time the one that makes the score grow most, until none does
(Nallapati et al. 2017, "SummaRuNNer", doi 10.1609/aaai.v31i1.10958). The score is the mean of
ROUGE-1 F1 and ROUGE-2 F1, each with the reference that fits best, as `rouge` reports them; pairs of
words across the border of two sentences do not count.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

import numpy as np
from numpy.typing import NDArray

from zoo.summarization.rouge import RougeIn, tokens

#: The score has to grow by more than the error of adding floats.
_GROWS = 1e-9

_Ints = NDArray[np.int64]
_Gram = str | tuple[str, str]


def greedy_oracle(
    sentences: Sequence[str],
    references: Sequence[str],
    *,
    most: int | None = None,
    rouge_in: RougeIn = "words",
    language: str = "en",
    stem: bool = True,
) -> list[int]:
    """Select sentences greedily by their score together.

    Args:
        sentences: The source's sentences.
        references: The right summaries.
        most: Sentences to select at most; 1 for the best one, None for any number.
        rouge_in: Whether ROUGE counts words or characters.
        language: As in `rouge`; makes no difference to ROUGE-1 and ROUGE-2.
        stem: Whether words are stemmed.

    Returns:
        Numbers of the selected sentences, rising; of equally good ones the first. None where no
        sentence shares a word with a reference.
    """
    counts = _Counts.of(sentences, references, rouge_in, stem)
    chosen: list[int] = []
    best = 0.0
    while len(chosen) < (len(sentences) if most is None else most):
        scores = counts.scores()
        scores[chosen] = 0.0
        if not scores.size or scores.max() <= best + _GROWS:
            break
        # Equal but for the error of adding floats.
        first = int((scores >= scores.max() - _GROWS).argmax())
        best = float(scores[first])
        chosen.append(first)
        counts.add(first)
    return sorted(chosen)


def sentence_rouge(
    sentences: Sequence[str],
    references: Sequence[str],
    *,
    rouge_in: RougeIn = "words",
    language: str = "en",
    stem: bool = True,
) -> list[float]:
    """The score of every sentence alone, from 0 to 1; arguments as in `greedy_oracle`."""
    counts = _Counts.of(sentences, references, rouge_in, stem)
    scores: list[float] = counts.scores().tolist()
    return scores


@dataclass
class _Counts:
    """Words and pairs of words that sentences share with references, beside a selection.

    A column is a word or a pair of one reference. An entry is a column in a sentence that has it;
    entries are in the order of sentences. Groups of columns are words and pairs of words of the
    first reference, of the second, and so on.
    """

    row: _Ints  # [entries]: its sentence
    column: _Ints  # [entries]
    count: _Ints  # [entries]: how often the sentence has it
    allowed: _Ints  # [columns]: how often the reference has it
    group: _Ints  # [columns]
    sizes: _Ints  # [groups]: words, or pairs, of the reference
    lengths: _Ints  # [sentences, 2]: words, and pairs, of the sentence
    selected: _Ints  # [columns]: how often the selection has it
    hits: _Ints  # [groups]: of the selection
    length: _Ints  # [2]: words, and pairs, of the selection

    @classmethod
    def of(
        cls, sentences: Sequence[str], references: Sequence[str], rouge_in: RougeIn, stem: bool
    ) -> "_Counts":
        """Counts of some sentences, none of them selected."""
        columns: dict[_Gram, list[int]] = {}
        allowed: list[int] = []
        group: list[int] = []
        sizes: list[int] = []
        for reference in references:
            words = tokens(reference, rouge_in=rouge_in, stem=stem)
            both: tuple[Counter[_Gram], Counter[_Gram]] = Counter(words), Counter(pairwise(words))
            for grams in both:
                for gram, number in grams.items():
                    columns.setdefault(gram, []).append(len(allowed))
                    allowed.append(number)
                    group.append(len(sizes))
                sizes.append(grams.total())
        entries: list[tuple[int, int, int]] = []
        lengths: list[tuple[int, int]] = []
        for row, sentence in enumerate(sentences):
            words = tokens(sentence, rouge_in=rouge_in, stem=stem)
            lengths.append((len(words), max(len(words) - 1, 0)))
            found: chain[_Gram] = chain(words, pairwise(words))
            for gram, number in Counter(filter(columns.__contains__, found)).items():
                entries += [(row, column, number) for column in columns[gram]]
        row_of, column_of, count = np.array(entries, dtype=np.int64).reshape(-1, 3).T
        return cls(
            row_of,
            column_of,
            count,
            np.array(allowed, dtype=np.int64),
            np.array(group, dtype=np.int64),
            np.array(sizes, dtype=np.int64),
            np.array(lengths, dtype=np.int64).reshape(-1, 2),
            np.zeros(len(allowed), dtype=np.int64),
            np.zeros(len(sizes), dtype=np.int64),
            np.zeros(2, dtype=np.int64),
        )

    def scores(self) -> NDArray[np.float64]:
        """The score of the selection with each sentence added to it, `[sentences]`."""
        groups = len(self.sizes)
        if not groups:
            return np.zeros(len(self.lengths))
        before, allowed = self.selected[self.column], self.allowed[self.column]
        new = np.minimum(before + self.count, allowed) - np.minimum(before, allowed)
        cells = self.row * groups + self.group[self.column]
        hits = np.bincount(cells, weights=new, minlength=len(self.lengths) * groups)
        hits = hits.reshape(-1, groups) + self.hits
        # 2PR / (P + R) in counts; without any hit there may be nothing to divide by.
        both = np.tile(self.lengths + self.length, groups // 2) + self.sizes
        f1 = 2 * hits / np.maximum(both, 1)
        best: NDArray[np.float64] = f1.reshape(-1, groups // 2, 2).max(axis=1).mean(axis=1)
        return best

    def add(self, sentence: int) -> None:
        """Add a sentence to the selection."""
        of = slice(*np.searchsorted(self.row, [sentence, sentence + 1]))
        columns = self.column[of]
        before = np.minimum(self.selected[columns], self.allowed[columns])
        self.selected[columns] += self.count[of]
        after = np.minimum(self.selected[columns], self.allowed[columns])
        np.add.at(self.hits, self.group[columns], after - before)
        self.length += self.lengths[sentence]
