"""The baseline that needs no pretrained model: TF-IDF with logistic regression."""

import warnings
from collections import Counter
from collections.abc import Sequence

#: Weights of the regression, at most; of many classes only the most frequent words are used, so
#: that memory stays bounded.
_WEIGHTS = 5_000_000


def predict(texts: Sequence[str], labels: Sequence[str], others: Sequence[str]) -> list[str]:
    """Labels of other texts, learned from the words and pairs of neighbouring words of some.

    Args:
        texts: Texts to learn from.
        labels: Their labels.
        others: Texts to label.
    """
    from sklearn.exceptions import ConvergenceWarning  # type: ignore[import-untyped]
    from sklearn.feature_extraction.text import TfidfVectorizer  # type: ignore[import-untyped]
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
    from sklearn.pipeline import make_pipeline  # type: ignore[import-untyped]

    counts = Counter(labels)
    words = TfidfVectorizer(ngram_range=(1, 2), max_features=max(1000, _WEIGHTS // len(counts)))
    analyze = words.build_analyzer()
    if len(counts) == 1 or not any(analyze(text) for text in texts):
        return [max(sorted(counts), key=counts.__getitem__)] * len(others)
    model = make_pipeline(words, LogisticRegression())
    with warnings.catch_warnings():
        # A hundred steps are what scikit-learn does of its own accord; enough for a baseline.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(list(texts), list(labels))
    return [str(label) for label in model.predict(list(others))]


def accuracy(gold: Sequence[str], predicted: Sequence[str]) -> float:
    """Share of labels that are right."""
    right = sum(one == other for one, other in zip(gold, predicted, strict=True))
    return right / max(len(gold), 1)
