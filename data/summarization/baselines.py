"""Score simple baselines on the summarization sample: ``python data/summarization/baselines.py``.

It prints the rows of the table of the datasheet: the mean F1 of ROUGE by the ``rouge-score``
package, with its stemmer. Summaries are sentences of the source: the first, the first three, the
one that a walk along shared words visits most often (TextRank, Mihalcea and Tarau 2004), and the
one that is most like the target, which no extractive summary of one sentence can beat. Another one
takes no sentence: the summary of the report of train that is most alike (TF-IDF), with its names.
"""

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import DefaultTokenizer
from sentencex import segment
from sklearn.feature_extraction.text import TfidfVectorizer  # type: ignore[import-untyped]

FOLDER = Path(__file__).parent / "sample"
SPLITS = ("validation", "test")
METRICS = ("rouge1", "rouge2", "rougeL")
SCORER = RougeScorer(METRICS, use_stemmer=True)
TOKENIZER = DefaultTokenizer(use_stemmer=True)
DAMPING = 0.85
STEPS = 60

Matrix = NDArray[np.float64]


def read(split: str) -> list[tuple[list[str], str]]:
    """Read the sentences of every source of a split, with its target."""
    lines = (FOLDER / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [
        ([part.strip() for part in segment("en", row["source"]) if part.strip()], row["target"])
        for row in rows
    ]


def f1(summary: str, target: str) -> list[float]:
    """Return the F1 of every metric."""
    scores = SCORER.score(target, summary)
    return [scores[metric].fmeasure for metric in METRICS]


def lead1(sentences: list[str], target: str) -> str:
    """Take the first sentence."""
    return sentences[0]


def lead3(sentences: list[str], target: str) -> str:
    """Take the first three sentences."""
    return " ".join(sentences[:3])


def likeness(one: list[str], other: list[str]) -> float:
    """Return how many words two sentences share, for their lengths."""
    shared = len(set(one) & set(other))
    return shared / (math.log(len(one)) + math.log(len(other))) if len(one) + len(other) > 2 else 0


def textrank(sentences: list[str], target: str) -> str:
    """Take the sentence that is most like the others that are like the others."""
    words = [TOKENIZER.tokenize(sentence) for sentence in sentences]
    weights: Matrix = np.array([[likeness(one, other) for other in words] for one in words])
    np.fill_diagonal(weights, 0)
    share = weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-12)
    rank: Matrix = np.full(len(words), 1 / len(words))
    for _ in range(STEPS):
        rank = (1 - DAMPING) / len(words) + DAMPING * (rank @ share)
    return sentences[int(np.argmax(rank))]


def oracle(sentences: list[str], target: str) -> str:
    """Take the sentence with the best ROUGE-L."""
    return max(sentences, key=lambda sentence: f1(sentence, target)[-1])


def borrowed() -> Callable[[list[str], str], str]:
    """Return what takes the summary of the report of train that is most like a source."""
    rows = read("train")
    trained = TfidfVectorizer().fit(" ".join(sentences) for sentences, _ in rows)
    known = trained.transform(" ".join(sentences) for sentences, _ in rows)

    def take(sentences: list[str], target: str) -> str:
        likeness = (known @ trained.transform([" ".join(sentences)]).T).toarray()
        return rows[int(np.argmax(likeness))][1]

    return take


BASELINES: dict[str, Callable[[list[str], str], str]] = {
    "first sentence": lead1,
    "first three sentences": lead3,
    "TextRank, one sentence": textrank,
    "best sentence (oracle)": oracle,
}


def scores(split: str) -> dict[str, list[float]]:
    """Return the mean F1 of every metric on a split, by baseline."""
    rows = read(split)
    taking = BASELINES | {"summary of the most similar report of train": borrowed()}
    return {
        name: np.mean([f1(take(*row), row[1]) for row in rows], axis=0).tolist()
        for name, take in taking.items()
    }


def main() -> None:
    """Print the rows of the table of the datasheet."""
    for split in SPLITS:
        for name, values in scores(split).items():
            print(f"| {split}: {name} | {' | '.join(f'{value:.3f}' for value in values)} |")


if __name__ == "__main__":
    main()
