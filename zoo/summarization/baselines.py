"""The summaries that need no model, and their scores.

`lead1` and `lead3` are the first sentence and the first three, `textrank` those that most others
share words with, and `oracle` the best ones as one who knows the references selects them: the bound
of any extraction.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from zoo.summarization.oracle import greedy_oracle
from zoo.summarization.rouge import ROUGE, References, RougeIn, tokens
from zoo.summarization.textrank import textrank

BASELINES = ("lead1", "lead3", "textrank", "oracle")


def baseline_scores(
    examples: Iterable[Mapping[str, Any]],
    *,
    most: int,
    rouge_in: RougeIn,
    language: str,
    stem: bool = True,
) -> dict[str, float]:
    """Mean F1 of each of `ROUGE` for each of `BASELINES`, named like `lead1/rougeL`.

    Args:
        examples: Rows with `source`, `sentence_starts`, `sentence_ends` and `references`, seen
            once and one at a time.
        most: Sentences that TextRank and the oracle select at most.
        rouge_in: Whether ROUGE counts words or characters.
        language: The language whose rules find the sentences of ROUGE-Lsum.
        stem: Whether words are stemmed.

    Returns:
        Fractions from 0 to 1; all 0 without examples.
    """
    sums = {f"{baseline}/{name}": 0.0 for baseline in BASELINES for name in ROUGE}
    count = 0
    for example in examples:
        count += 1
        known = References(example["references"], rouge_in=rouge_in, stem=stem, language=language)
        for baseline, summary in _summaries(example, most, rouge_in, stem).items():
            for name, score in known.score(summary).items():
                sums[f"{baseline}/{name}"] += score.f1
    return {name: total / max(count, 1) for name, total in sums.items()}


def _summaries(
    example: Mapping[str, Any], most: int, rouge_in: RougeIn, stem: bool
) -> dict[str, str]:
    """The summary of each of `BASELINES`."""
    source = example["source"]
    spans = zip(example["sentence_starts"], example["sentence_ends"], strict=True)
    sentences = [source[start:end] for start, end in spans]
    selected = {
        "lead1": range(min(1, len(sentences))),
        "lead3": range(min(3, len(sentences))),
        "textrank": textrank(
            [tokens(one, rouge_in=rouge_in, stem=stem) for one in sentences], most=most
        ),
        "oracle": greedy_oracle(
            sentences, example["references"], most=most, rouge_in=rouge_in, stem=stem
        ),
    }
    return {name: " ".join(sentences[at] for at in chosen) for name, chosen in selected.items()}
