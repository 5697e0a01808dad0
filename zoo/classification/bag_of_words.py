"""The baseline that needs no pretrained model: TF-IDF with a linear model."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.classification.modes import Mode

#: Weights of the model, at most; of many labels only the most frequent words are used, so that
#: memory stays bounded.
_WEIGHTS = 5_000_000

#: Texts and the labels of each.
Labelled = tuple[Sequence[str], Sequence[Sequence[str]]]
Floats = npt.NDArray[np.float64]


def scores(
    mode: Mode, *, train: Labelled, validation: Labelled, test: Labelled
) -> dict[str, float]:
    """Scores on test, such as `{"bag_of_words/accuracy": 0.5}`, of words and pairs of neighbours.

    Logistic regression for single labels and for each of several, ridge regression for numbers.
    Thresholds of several labels are those with the best F1 on validation, as ours are.

    Args:
        mode: What the labels are.
        train: What is learned from.
        validation: Where thresholds are fitted.
        test: What is scored.
    """
    if mode == "regression":
        found = _regression(train, test)
    elif mode == "multi_label":
        found = _several(train, validation, test)
    else:
        predicted = predict(train[0], [labels[0] for labels in train[1]], test[0])
        found = {"accuracy": accuracy([labels[0] for labels in test[1]], predicted)}
    return {f"bag_of_words/{name}": value for name, value in found.items()}


def predict(texts: Sequence[str], labels: Sequence[str], others: Sequence[str]) -> list[str]:
    """Labels of other texts, learned from some; the most frequent where nothing can be learned.

    Args:
        texts: Texts to learn from.
        labels: Their labels.
        others: Texts to label.
    """
    names = sorted(set(labels))
    vectors = tfidf(texts, others, outputs=len(names))
    if len(names) == 1 or vectors is None:
        return [max(names, key=list(labels).count)] * len(others)
    model = _logistic()
    with quietly():
        model.fit(vectors[0], list(labels))
    return [str(label) for label in model.predict(vectors[1])]


def accuracy(gold: Sequence[str], predicted: Sequence[str]) -> float:
    """Share of labels that are right."""
    right = sum(one == other for one, other in zip(gold, predicted, strict=True))
    return right / max(len(gold), 1)


def _several(train: Labelled, validation: Labelled, test: Labelled) -> dict[str, float]:
    from sklearn.metrics import f1_score  # type: ignore[import-untyped]
    from sklearn.multiclass import OneVsRestClassifier  # type: ignore[import-untyped]

    names = sorted({label for labels in (*train[1], *test[1]) for label in labels})
    has = {
        name: np.array([[label in labels for label in names] for labels in part[1]], dtype=float)
        for name, part in (("train", train), ("validation", validation), ("test", test))
    }
    vectors = tfidf(train[0], [*validation[0], *test[0]], outputs=len(names))
    if vectors is None:
        return {"f1_macro": 0.0, "f1_micro": 0.0}
    with quietly():
        model = OneVsRestClassifier(_logistic()).fit(vectors[0], has["train"])
        likely = np.asarray(model.predict_proba(vectors[1]))[:, -len(names) :]
    count = len(validation[0])
    thresholds = [
        _best_threshold(gold, found)
        for gold, found in zip(has["validation"].T, likely[:count].T, strict=True)
    ]
    given = likely[count:] >= np.array(thresholds)
    there = (has["test"].sum(axis=0) + given.sum(axis=0)) > 0
    options: dict[str, Any] = {"zero_division": 0.0}
    return {
        "f1_macro": float(
            f1_score(has["test"][:, there], given[:, there], average="macro", **options)
        ),
        "f1_micro": float(f1_score(has["test"], given, average="micro", **options)),
    }


def _best_threshold(gold: Floats, likely: Floats) -> float:
    """The probability from which on a label is given, with the best F1."""
    order = np.argsort(-likely, kind="stable")
    right = np.cumsum(gold[order])
    f1 = 2 * right / (np.arange(1, len(order) + 1) + gold.sum())
    return float(likely[order][int(f1.argmax())]) if gold.any() else 0.5


def _regression(train: Labelled, test: Labelled) -> dict[str, float]:
    from scipy.stats import spearmanr  # type: ignore[import-untyped]
    from sklearn.linear_model import Ridge  # type: ignore[import-untyped]

    known = np.array([float(labels[0]) for labels in train[1]])
    gold = np.array([float(labels[0]) for labels in test[1]])
    vectors = tfidf(train[0], test[0], outputs=1)
    found = np.full(len(gold), known.mean())
    if vectors is not None:
        found = Ridge().fit(vectors[0], known).predict(vectors[1])
    alike = len(set(found.tolist())) < 2 or len(set(gold.tolist())) < 2
    return {
        "spearman": 0.0 if alike else float(spearmanr(gold, found).statistic),
        "mae": float(np.abs(gold - found).mean()),
    }


def tfidf(
    texts: Sequence[str], others: Sequence[str], *, outputs: int, weights: int = _WEIGHTS
) -> Any:
    """TF-IDF of both, by the words of the first; None where those have no words.

    Args:
        texts: Texts whose words, and pairs of neighbours, are counted.
        others: More texts.
        outputs: Labels that a model has.
        weights: Weights that it may have, at most (or a thousand words).
    """
    from sklearn.feature_extraction.text import TfidfVectorizer  # type: ignore[import-untyped]

    words = TfidfVectorizer(ngram_range=(1, 2), max_features=max(1000, weights // outputs))
    analyze = words.build_analyzer()
    if not any(analyze(text) for text in texts):
        return None
    known = words.fit_transform(list(texts))
    return known, words.transform(list(others)) if others else None


def _logistic() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression()


class quietly(warnings.catch_warnings):  # noqa: N801  reads as a verb
    """A hundred steps are what scikit-learn does of its own accord; enough for a baseline.

    That a label which train lacks is never given, it says too.
    """

    def __enter__(self) -> Any:
        entered = super().__enter__()
        warnings.simplefilter("ignore")
        return entered
