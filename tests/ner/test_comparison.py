"""Scores of weighted documents against seqeval's on the documents written out as often."""

import numpy as np
import pytest
from seqeval.metrics import f1_score, precision_score, recall_score
from seqeval.scheme import IOB2

from zoo.ner.comparison import outcomes

TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
GOLD = ["B-PER", "I-PER", "O", "B-LOC"]
TOKENS = ["Ada", "Lovelace", "in", "London"]


def record(tags: list[str], gold: list[str] = GOLD) -> dict[str, list[str]]:
    return {"tokens": TOKENS, "gold": gold, "tags": tags}


def test_scores_of_weighted_documents_are_those_of_seqeval_on_repeated_documents() -> None:
    chance = np.random.default_rng(2)
    records = [
        record(chance.choice(TAGS, 4).tolist(), chance.choice(TAGS, 4).tolist()) for _ in range(120)
    ]
    weights = chance.integers(0, 4, size=(3, 120)).astype(float)
    found = outcomes(records, labels=[], scored=frozenset()).scores(weights)
    for row, counts in enumerate(weights.astype(int)):
        repeated = [one for one, count in zip(records, counts, strict=True) for _ in range(count)]
        gold, tags = ([one[key] for one in repeated] for key in ("gold", "tags"))
        for name, of in (
            ("f1", f1_score),
            ("precision", precision_score),
            ("recall", recall_score),
        ):
            assert found[name][row] == pytest.approx(of(gold, tags, mode="strict", scheme=IOB2))
        each = f1_score(gold, tags, mode="strict", scheme=IOB2, average=None)
        assert [found[f"f1/{name}"][row] for name in ("LOC", "PER")] == pytest.approx(each.tolist())


def test_a_document_is_as_good_as_it_has_few_missed_and_spurious_entities() -> None:
    records = [
        record(GOLD),
        record(["B-PER", "I-PER", "O", "O"]),
        record(["B-PER", "O", "O", "O"]),
        record(["B-PER", "O", "B-LOC", "O"]),
    ]
    found = outcomes(records, labels=[], scored=frozenset())
    # Right; London missed; both missed and one spurious; both missed and two spurious.
    assert found.quality.tolist() == [0, -1, -3, -4]
    assert found.perfect == 0


def test_an_example_shows_which_entities_are_right() -> None:
    shown = outcomes(
        [record(["B-PER", "I-PER", "O", "B-PER"])], labels=[], scored=frozenset()
    ).show(0)
    assert shown.text == "Ada Lovelace in London"
    assert shown.gold == [("PER: Ada Lovelace", True), ("LOC: London", False)]
    assert shown.predicted == [("PER: Ada Lovelace", True), ("PER: London", False)]


def test_documents_without_any_entity_score_zero() -> None:
    empty = record(["O"] * 4, ["O"] * 4)
    assert outcomes([empty], labels=[], scored=frozenset()).values()["f1"] == 0
