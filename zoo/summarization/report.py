"""What the report of a test of summarization shows: ROUGE, novelty, texts side by side."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from zoo.summarization.evaluation import ScoredSummary
from zoo.summarization.rouge import ROUGE, RougeIn, bootstrap_interval, tokens
from zoo.tracking.report import Table, TaskReport

#: Summaries that are kept for the table of texts, and characters of each text in it.
_TEXTS = 200
_LONGEST = 400
#: Groups of near-equal size that the sources are put into by length.
_GROUPS = 4
_NGRAMS = (1, 2, 3)


def report(summaries: Sequence[ScoredSummary], examples: Any, *, rouge_in: RougeIn) -> TaskReport:
    """Tables and prediction records of a test.

    Args:
        summaries: What was predicted for each source, in any order.
        examples: The table of examples, by row.
        rouge_in: Whether texts are compared in words or in characters.
    """
    summaries = sorted(summaries, key=lambda one: one.example)
    return TaskReport(
        tables={
            "rouge": _rouge(summaries),
            "source_lengths": _by_length(summaries, examples, rouge_in),
            "novelty": _novelty(summaries, examples, rouge_in),
            "texts": _side_by_side(summaries, examples),
        },
        predictions=_records(summaries, examples),
        main_table="rouge",
    )


def _rouge(summaries: Sequence[ScoredSummary]) -> Table:
    rows = []
    for name in ROUGE:
        scores = [one.scores[name] for one in summaries]
        if not scores:
            continue
        values = [score.f1 for score in scores]
        low, high = bootstrap_interval(values)
        means = (float(np.mean([score[at] for score in scores])) for at in range(2))
        rows.append((name, *means, float(np.mean(values)), low, high))
    columns = ("", "precision", "recall", "f1", "95% from", "to")
    return Table("ROUGE of the summaries", columns, rows)


def _by_length(summaries: Sequence[ScoredSummary], examples: Any, rouge_in: RougeIn) -> Table:
    lengths = np.array(
        [len(_tokens(examples[one.example]["source"], rouge_in)) for one in summaries]
    )
    rows = []
    for group in np.array_split(np.argsort(lengths, kind="stable"), _GROUPS):
        if len(group):
            own = [summaries[at] for at in group]
            means = (float(np.mean([one.scores[name].f1 for one in own])) for name in ROUGE)
            shortest, longest = lengths[group[0]], lengths[group[-1]]
            rows.append((f"{shortest:,} to {longest:,}", *means, len(own)))
    columns = (f"{rouge_in} of the source", *ROUGE, "sources")
    return Table("ROUGE by length of the source", columns, rows)


def _novelty(summaries: Sequence[ScoredSummary], examples: Any, rouge_in: RougeIn) -> Table:
    """Share of n-grams that the source does not have (See et al. 2017, arXiv 1704.04368)."""
    found: dict[tuple[str, int], list[float]] = {}
    for one in summaries:
        source = _tokens(examples[one.example]["source"], rouge_in)
        texts = [("summaries", one.summary), *(("references", text) for text in one.references)]
        for kind, text in texts:
            for n in _NGRAMS:
                share = _new_share(_tokens(text, rouge_in), source, n)
                if share is not None:
                    found.setdefault((kind, n), []).append(share)
    kinds = ("summaries", "references")
    rows = [
        (
            f"{n} {rouge_in if n > 1 else rouge_in.removesuffix('s')}",
            *(float(np.mean(found[kind, n])) if (kind, n) in found else "" for kind in kinds),
        )
        for n in _NGRAMS
    ]
    return Table("Share that is new: not in the source", ("in a row", *kinds), rows)


def _new_share(text: Sequence[str], source: Sequence[str], n: int) -> float | None:
    grams = _ngrams(text, n)
    if not grams:
        return None
    had = set(_ngrams(source, n))
    return sum(gram not in had for gram in grams) / len(grams)


def _ngrams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(words[at : at + n]) for at in range(len(words) - n + 1)]


def _side_by_side(summaries: Sequence[ScoredSummary], examples: Any) -> Table:
    """Texts of all qualities: evenly spread over the test data, in its order."""
    chosen = np.linspace(0, len(summaries) - 1, num=min(_TEXTS, len(summaries))).astype(int)
    rows = []
    for one in (summaries[at] for at in chosen):
        row = examples[one.example]
        rows.append(
            (
                row["id"],
                round(one.scores["rougeL"].f1, 3),
                _short(" ‖ ".join(one.references)),
                _short(one.summary),
                _short(row["source"]),
            )
        )
    columns = ("id", "rougeL", "references", "summary", "source")
    return Table("Summaries beside their references", columns, rows)


def _records(summaries: Sequence[ScoredSummary], examples: Any) -> Iterator[dict[str, Any]]:
    for one in summaries:
        row = examples[one.example]
        sentences = {"sentences": list(one.selected)} if one.selected else {}
        yield {
            "example": one.example,
            "id": row["id"],
            "summary": one.summary,
            **sentences,
            "references": list(one.references),
            **{name: round(one.scores[name].f1, 4) for name in ROUGE},
        }


def _tokens(text: str, rouge_in: RougeIn) -> list[str]:
    return tokens(text, rouge_in=rouge_in, stem=False)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
