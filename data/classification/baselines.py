"""Measure bag-of-words models on the sample corpora: ``python data/classification/baselines.py``.

All read TF-IDF of words and pairs of neighbouring words: logistic regression for ``sample`` and
``pairs``, one per label for ``multilabel`` and ridge regression for ``regression``. They know train
alone and have the settings that scikit-learn comes with; the thresholds of ``multilabel`` are 0.5
or, in the row of their own, those that do best on validation.
"""

import csv
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr  # type: ignore[import-untyped]
from sklearn.feature_extraction.text import TfidfVectorizer  # type: ignore[import-untyped]
from sklearn.linear_model import LogisticRegression, Ridge  # type: ignore[import-untyped]
from sklearn.metrics import accuracy_score, f1_score  # type: ignore[import-untyped]
from sklearn.multiclass import OneVsRestClassifier  # type: ignore[import-untyped]
from sklearn.preprocessing import MultiLabelBinarizer  # type: ignore[import-untyped]

FOLDER = Path(__file__).parent
SPLITS = ("train", "validation", "test")
FORMATS = {"sample": "csv", "multilabel": "jsonl", "pairs": "tsv", "regression": "tsv"}
METRICS = {
    "sample": "accuracy",
    "multilabel": "macro F1",
    "multilabel, fitted thresholds": "macro F1",
    "pairs": "accuracy",
    "regression": "Spearman",
}

Row = dict[str, str]
Floats = npt.NDArray[np.float64]


def read_table(name: str, split: str) -> list[Row]:
    """Read the rows of a CSV or TSV file, keyed by the header."""
    delimiter = "," if FORMATS[name] == "csv" else "\t"
    with (FOLDER / name / f"{split}.{FORMATS[name]}").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter, strict=True))


def read_reviews(split: str) -> tuple[list[str], list[list[str]]]:
    """Read the texts and labels of ``multilabel``."""
    lines = (FOLDER / "multilabel" / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [row["text"] for row in rows], [row["labels"] for row in rows]


def texts(name: str, rows: list[Row]) -> list[str]:
    """Return the texts of the rows; those of a pair become one."""
    return [row["text1"] + " " + row["text2"] if name == "pairs" else row["text"] for row in rows]


def vectorizer() -> TfidfVectorizer:
    """Return TF-IDF of words and word pairs."""
    return TfidfVectorizer(ngram_range=(1, 2))


def best_threshold(truth: Floats, probabilities: Floats) -> float:
    """Return the threshold with the best F1 for one label."""
    candidates = [float(value) for value in np.arange(0.02, 0.98, 0.02)]

    def f1(threshold: float) -> float:
        chosen = probabilities >= threshold
        return float(2 * truth[chosen].sum() / (truth.sum() + chosen.sum()))

    return max(candidates, key=f1)


def review_scores(fit_thresholds: bool) -> list[float]:
    """Score ``multilabel`` on every split."""
    vectors = vectorizer()
    read = {split: read_reviews(split) for split in SPLITS}
    binarizer = MultiLabelBinarizer().fit(read["train"][1])
    model = OneVsRestClassifier(LogisticRegression(max_iter=1000))
    model.fit(vectors.fit_transform(read["train"][0]), binarizer.transform(read["train"][1]))
    truths = {split: binarizer.transform(labels) for split, (_, labels) in read.items()}
    guesses = {
        split: model.predict_proba(vectors.transform(inputs)) for split, (inputs, _) in read.items()
    }
    thresholds = np.full(len(binarizer.classes_), 0.5)
    if fit_thresholds:
        columns = zip(truths["validation"].T, guesses["validation"].T, strict=True)
        thresholds = np.array([best_threshold(truth, guess) for truth, guess in columns])
    return [
        float(f1_score(truths[split], guesses[split] >= thresholds, average="macro"))
        for split in SPLITS
    ]


def scores(name: str) -> list[float]:
    """Train on train and score every split."""
    if name.startswith("multilabel"):
        return review_scores(fit_thresholds=name != "multilabel")
    vectors = vectorizer()
    found: list[float] = []
    rows = {split: read_table(name, split) for split in SPLITS}
    train = vectors.fit_transform(texts(name, rows["train"]))
    if name == "regression":
        ridge = Ridge().fit(train, np.array([float(row["score"]) for row in rows["train"]]))
        for split in SPLITS:
            predicted = ridge.predict(vectors.transform(texts(name, rows[split])))
            truth = [float(row["score"]) for row in rows[split]]
            found.append(float(spearmanr(truth, predicted).statistic))
        return found
    model = LogisticRegression(max_iter=1000).fit(train, [row["label"] for row in rows["train"]])
    for split in SPLITS:
        predicted = model.predict(vectors.transform(texts(name, rows[split])))
        found.append(float(accuracy_score([row["label"] for row in rows[split]], predicted)))
    return found


def main() -> None:
    """Print the rows of the table of the datasheet."""
    for name, metric in METRICS.items():
        numbers = " | ".join(f"{score:.3f}" for score in scores(name))
        print(f"| {name}: {metric} of bag-of-words | {numbers} |")


if __name__ == "__main__":
    main()
