"""Labels that may be slips: where a bag of words, trained on other texts, confidently disagrees.

Confident learning (Northcutt et al. 2021, doi 10.1613/jair.1.12125): probabilities come from models
that did not see the text; a label is suspect where another one reaches the mean probability that
it has among its own texts, is the most likely of those that do, and the given one is far below it.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from zoo.classification.bag_of_words import quietly, tfidf

#: Parts that train is cut into; each is judged by the others.
_PARTS = 3
#: Texts that are judged; of more a sample, so that it takes seconds.
_MOST = 12_000
#: Weights of the model: words that are used, times labels.
_WEIGHTS = 1_000_000
#: The other label has to be so many times as likely as the given one.
_TIMES = 5.0
#: Texts a label needs to be judged.
_FEWEST = 2 * _PARTS
#: A bag of words that is right less often knows too little to suspect anyone.
_LEAST_ACCURACY = 0.7


class Suspect(NamedTuple):
    """A text whose label may be a slip: its row, its label, and what is likelier."""

    row: int
    given: str
    likely: str


class Suspects(NamedTuple):
    """What was found, the most suspect first.

    Args:
        suspects: Texts whose labels may be slips.
        judged: Texts that were looked at.
        accuracy: How often the bag of words was right on texts that it was not trained on.
    """

    suspects: list[Suspect]
    judged: int
    accuracy: float


def find_suspects(texts: Sequence[str], labels: Sequence[str], *, seed: int = 0) -> Suspects:
    """Find labels that may be slips.

    Args:
        texts: Texts.
        labels: The label of each.
        seed: Chooses the sample and the parts.
    """
    nothing = Suspects([], 0, 0.0)
    names, gold, counts = np.unique(np.array(labels), return_inverse=True, return_counts=True)
    rows = np.flatnonzero((counts >= _FEWEST)[gold])
    chance = np.random.default_rng(seed)
    if len(rows) > _MOST:
        rows = np.sort(chance.choice(rows, _MOST, replace=False))
    kept, gold = np.unique(gold[rows], return_inverse=True)
    if len(kept) < 2:
        return nothing
    features = tfidf([texts[int(row)] for row in rows], [], weights=_WEIGHTS, outputs=len(kept))
    if features is None:
        return nothing
    likely = _out_of_part(features[0], gold, len(kept), chance)
    accuracy = float((likely.argmax(axis=1) == gold).mean())
    majority = float(np.bincount(gold).max() / len(gold))
    if accuracy < max(_LEAST_ACCURACY, (1 + majority) / 2 if majority > 0.5 else 0.0):
        return Suspects([], len(rows), accuracy)
    each = np.arange(len(gold))
    own = likely[each, gold]
    usual = np.array([own[gold == label].mean() for label in range(len(kept))])
    reaching = np.where(likely >= usual, likely, 0.0)
    reaching[each, gold] = 0.0
    best = reaching.argmax(axis=1)
    other = reaching[each, best]
    found = np.flatnonzero((other > 0) & (other >= _TIMES * own))
    found = found[np.argsort(own[found] - other[found], kind="stable")]
    return Suspects(
        [
            Suspect(int(rows[one]), str(names[kept[gold[one]]]), str(names[kept[best[one]]]))
            for one in found
        ],
        len(rows),
        accuracy,
    )


def _out_of_part(features: Any, gold: Any, labels: int, chance: np.random.Generator) -> Any:
    """Probabilities of each text, float `[texts, labels]`, by a model of the other parts."""
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]

    part = np.empty(len(gold), dtype=np.int64)
    for label in range(labels):
        own = np.flatnonzero(gold == label)
        part[chance.permutation(own)] = np.arange(len(own)) % _PARTS
    likely = np.zeros((len(gold), labels))
    for number in range(_PARTS):
        held = part == number
        with quietly():
            model = LogisticRegression(C=10.0, max_iter=30).fit(features[~held], gold[~held])
        likely[np.ix_(held, model.classes_)] = model.predict_proba(features[held])
    return likely
