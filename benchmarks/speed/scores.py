"""Entity F1 against seqeval's report, ROUGE against rouge-score: the same values, how much faster.

Tags are made by chance with the share of entities of WNUT-17; summaries are the shipped sample's,
each against a shuffled, shortened or lengthened copy. Both ways get what they take: seqeval lists
of tags, `EntityF1` ids; turning the one into the other is counted in `from tags`.
"""

import argparse
import random
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from seqeval.metrics import classification_report
from seqeval.scheme import IOB2

from benchmarks.speed.progress import say
from benchmarks.speed.results import Goal, Result
from benchmarks.speed.timing import Spread, in_turns, ratios
from zoo.ner.encoding import bio_labels
from zoo.ner.metrics import EntityF1
from zoo.summarization.rouge import ROUGE, rouge

if TYPE_CHECKING:
    from collections.abc import Callable

TYPES = ("corporation", "creative-work", "group", "location", "person", "product")


def measure(options: argparse.Namespace) -> Result:
    """Compare both metrics with their oracles."""
    settings = {"tokens": options.tokens, "summaries": options.summaries, "rounds": options.rounds}
    result = Result("metrics", settings)
    for name, compare in (("entities", _entities), ("ROUGE", _rouge)):
        say(f"metrics: {name}")
        with result.part(name, options.out):
            compare(options, result)
    return result


def made_tags(tokens: int, seed: int) -> tuple[list[list[str]], list[list[str]]]:
    """Gold and predicted IOB2 tags of documents: about a tenth in entities, one in five wrong."""
    rng = random.Random(seed)
    gold: list[list[str]] = []
    said: list[list[str]] = []
    left = tokens
    while left > 0:
        size = min(left, rng.randint(3, 40))
        left -= size
        row: list[str] = []
        while len(row) < size:
            if rng.random() < 0.05:
                name = rng.choice(TYPES)
                row += [f"B-{name}", *[f"I-{name}"] * rng.choice((0, 0, 1, 1, 2))]
            else:
                row.append("O")
        row = row[:size]
        gold.append(row)
        other = list(row)
        for at in range(size):
            if rng.random() < 0.2 and row[at] != "O":
                other[at] = rng.choice(["O", *bio_labels(TYPES)])
            elif rng.random() < 0.01:
                other[at] = f"B-{rng.choice(TYPES)}"
        said.append(other)
    return gold, said


def _entities(options: argparse.Namespace, result: Result) -> None:
    gold, said = made_tags(options.tokens, seed=0)
    labels = bio_labels(TYPES)
    ids = {label: number for number, label in enumerate(labels)}
    lengths = torch.tensor([len(row) for row in gold])

    def flat(rows: list[list[str]]) -> torch.Tensor:
        return torch.tensor([ids[tag] for row in rows for tag in row])

    right, predicted = flat(gold), flat(said)

    def ours(
        predicted: torch.Tensor = predicted, right: torch.Tensor = right
    ) -> dict[str, torch.Tensor]:
        metric = EntityF1(labels)
        metric.update(predicted, right, lengths)
        return metric.compute()

    def strict() -> dict[str, dict[str, float]]:
        return dict(
            classification_report(
                gold, said, mode="strict", scheme=IOB2, output_dict=True, zero_division=0
            )
        )

    ways: dict[str, Callable[[], Any]] = {
        "seqeval, strict IOB2": strict,
        "seqeval, default": lambda: classification_report(
            gold, said, output_dict=True, zero_division=0
        ),
        "EntityF1": ours,
        "EntityF1, from tags": lambda: ours(flat(said), flat(gold)),
    }
    theirs, found = strict(), ours()
    keys = {"precision": "precision", "recall": "recall", "f1": "f1-score"}
    result.checks["entity scores"] = max(
        *(abs(found[key].item() - theirs["micro avg"][name]) for key, name in keys.items()),
        *(
            abs(found[f"{key}/{of}"].item() - theirs[of][name])
            for key, name in keys.items()
            for of in TYPES
            if of in theirs
        ),
    )
    seconds = in_turns(ways, rounds=options.rounds, clock=time.process_time)
    for name, times in seconds.items():
        faster = ratios(seconds["seqeval, strict IOB2"], times)
        result.rows.append(_row(name, times, faster, f"{options.tokens:,} tokens"))
    for base in ("strict IOB2", "default"):
        found_ratio = ratios(seconds[f"seqeval, {base}"], seconds["EntityF1"])
        result.goals.append(Goal(f"EntityF1 over seqeval, {base}", found_ratio, 80, "at least"))


def _rouge(options: argparse.Namespace, result: Result) -> None:
    from rouge_score.rouge_scorer import RougeScorer

    pairs = made_summaries(options.summaries, seed=0)
    scorer = RougeScorer(list(ROUGE), use_stemmer=True)

    def theirs() -> list[Any]:
        return [scorer.score(reference, said) for said, reference in pairs]

    def ours() -> list[Any]:
        return [rouge(said, [reference], language=None) for said, reference in pairs]

    result.checks["ROUGE"] = max(
        abs(getattr(one[name], key) - getattr(other[name], other_key))
        for one, other in zip(ours(), theirs(), strict=True)
        for name in ROUGE
        for key, other_key in (("precision",) * 2, ("recall",) * 2, ("f1", "fmeasure"))
    )
    ways: dict[str, Callable[[], Any]] = {"rouge-score": theirs, "ROUGE": ours}
    seconds = in_turns(ways, rounds=options.rounds, clock=time.process_time)
    for name, times in seconds.items():
        faster = ratios(seconds["rouge-score"], times)
        result.rows.append(_row(name, times, faster, f"{options.summaries:,} summaries"))
    found = ratios(seconds["rouge-score"], seconds["ROUGE"])
    result.goals.append(Goal("ROUGE over rouge-score", found, 2, "at least"))


def made_summaries(number: int, seed: int) -> list[tuple[str, str]]:
    """Summaries of several lines against references: parts of the shipped sample's documents."""
    from zoo import ExtractiveSummarizationDataModule

    examples = ExtractiveSummarizationDataModule("summarization-sample").examples("train")
    texts = [str(text) for text in examples["source"]]
    rng = np.random.default_rng(seed)
    pairs = []
    for at in range(number):
        words = texts[at % len(texts)].split()[: int(rng.integers(30, 120))]
        kept = [word for word in words if rng.random() < 0.7]
        rng.shuffle(kept[len(kept) // 2 :])
        pairs.append((_lines(kept), _lines(words)))
    return pairs


def _lines(words: list[str]) -> str:
    return "\n".join(" ".join(words[at : at + 15]) for at in range(0, len(words), 15))


def _row(name: str, times: list[float], faster: Spread, size: str) -> dict[str, Any]:
    milliseconds = Spread.of([1000 * seconds for seconds in times])
    return {"way": name, "of": size, "processor ms": milliseconds, "times as fast": faster}
