"""A summary with its scores."""

from collections.abc import Sequence
from dataclasses import dataclass

from zoo.summarization.rouge import RougeIn, Score, repeated_trigrams, rouge, tokens


@dataclass(frozen=True)
class ScoredSummary:
    """What is known of one summary.

    Attributes:
        example: Its example's row in the table of examples.
        summary: Its text.
        references: The right summaries.
        scores: ROUGE by name, of the reference that fits best.
        tokens: Its length in tokens of ROUGE: words, or characters.
        repeated: Share of its trigrams that occurred before in it.
        selected: The source's sentences that it consists of, in order, if it was extracted.
    """

    example: int
    summary: str
    references: list[str]
    scores: dict[str, Score]
    tokens: int
    repeated: float
    selected: tuple[int, ...] = ()


def scored(
    example: int,
    summary: str,
    references: Sequence[str],
    *,
    rouge_in: RougeIn,
    language: str,
    stem: bool = True,
    selected: Sequence[int] = (),
) -> ScoredSummary:
    """Score a summary.

    Args:
        example: Its example's row in the table of examples.
        summary: Its text; an empty one scores 0.
        references: The right summaries; an empty one scores 0.
        rouge_in: Whether ROUGE counts words or characters.
        language: The language whose rules find sentences.
        stem: Whether words are stemmed.
        selected: The source's sentences that it consists of.
    """
    found = tokens(summary, rouge_in=rouge_in, stem=stem)
    return ScoredSummary(
        example,
        summary,
        list(references),
        rouge(summary, references, rouge_in=rouge_in, stem=stem, language=language),
        len(found),
        repeated_trigrams(found),
        tuple(selected),
    )
