"""Scores of weighted texts against sklearn's and scipy's on the texts written out as often."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from scipy import stats  # type: ignore[import-untyped]
from sklearn.metrics import (  # type: ignore[import-untyped]
    accuracy_score,
    cohen_kappa_score,
    f1_score,
    mean_absolute_error,
)
from sklearn.preprocessing import MultiLabelBinarizer  # type: ignore[import-untyped]

from zoo.classification.comparison import outcomes

LABELS = ["bad", "fair", "good", "splendid"]
Records = list[dict[str, Any]]


def check(
    records: Records,
    expected: dict[str, Callable[[Records], float]],
    *,
    labels: Sequence[str] = (),
    scored: frozenset[str] = frozenset(),
) -> None:
    """Compare weighted scores with those of the records that are repeated as often."""
    chance = np.random.default_rng(1)
    weights = chance.integers(0, 4, size=(4, len(records))).astype(float)
    weights[0] = 1
    found = outcomes(records, labels=labels, scored=scored).scores(weights)
    for row, counts in enumerate(weights.astype(int)):
        repeated = [one for one, count in zip(records, counts, strict=True) for _ in range(count)]
        for name, of in expected.items():
            assert found[name][row] == pytest.approx(of(repeated), abs=1e-12), name


def single(seed: int, texts: int = 60) -> Records:
    chance = np.random.default_rng(seed)
    return [
        {
            "text": f"text {number}",
            "gold": str(gold),
            # Mostly right, so that no score is near zero.
            "label": str(gold if chance.random() < 0.6 else chance.choice(LABELS)),
        }
        for number, gold in enumerate(chance.choice(LABELS, texts))
    ]


def macro(records: Records) -> float:
    return float(
        f1_score(
            [one["gold"] for one in records], [one["label"] for one in records], average="macro"
        )
    )


def weighted(records: Records) -> float:
    return float(
        f1_score(
            [one["gold"] for one in records], [one["label"] for one in records], average="weighted"
        )
    )


def accuracy(records: Records) -> float:
    return float(
        accuracy_score([one["gold"] for one in records], [one["label"] for one in records])
    )


def test_single_labels_score_as_in_sklearn() -> None:
    check(single(3), {"accuracy": accuracy, "f1_macro": macro, "f1_weighted": weighted})


def test_a_label_that_a_resample_lacks_is_left_out_of_macro_f1() -> None:
    # Few texts of many labels: most resamples lack some.
    check(single(4, texts=5), {"f1_macro": macro}, labels=[*LABELS, "never seen"])


def test_ordered_labels_score_as_in_sklearn() -> None:
    def steps(key: str, records: Records) -> list[int]:
        return [LABELS.index(one[key]) for one in records]

    check(
        single(5),
        {
            "qwk": lambda rows: float(
                cohen_kappa_score(steps("gold", rows), steps("label", rows), weights="quadratic")
            ),
            "mae": lambda rows: float(
                mean_absolute_error(steps("gold", rows), steps("label", rows))
            ),
            "accuracy": accuracy,
        },
        labels=LABELS,
        scored=frozenset({"qwk"}),
    )
    found = outcomes(single(5), labels=LABELS, scored=frozenset({"qwk"}))
    assert found.main == "qwk"
    assert "mae" in found.lower_is_better


def test_ordered_labels_that_are_all_one_have_a_kappa_of_zero() -> None:
    same = [{"text": "a", "gold": "bad", "label": "bad"}] * 3
    found = outcomes(same, labels=LABELS, scored=frozenset({"qwk"}))
    assert found.values()["qwk"] == 0


def test_several_labels_score_as_in_sklearn() -> None:
    chance = np.random.default_rng(6)
    some = [[name for name in LABELS if chance.random() < 0.4] for _ in range(80)]
    records = [
        {
            "text": f"text {number}",
            "gold": gold,
            "labels": gold if chance.random() < 0.5 else some[number - 1],
        }
        for number, gold in enumerate(some)
    ]
    labels = [*LABELS, "never seen"]

    def of(average: str) -> Callable[[Records], float]:
        def score(rows: Records) -> float:
            binary = MultiLabelBinarizer(classes=labels)
            gold = binary.fit_transform([one["gold"] for one in rows])
            given = binary.transform([one["labels"] for one in rows])
            return float(f1_score(gold, given, average=average, zero_division=0))

        return score

    check(
        records, {f"f1_{name}": of(name) for name in ("macro", "micro", "weighted")}, labels=labels
    )


def test_numbers_score_as_in_scipy() -> None:
    chance = np.random.default_rng(7)
    # Rounded, so that there are ties.
    gold = chance.normal(size=70).round(1)
    value = (gold + chance.normal(size=70)).round(1)
    records = [
        {"text": f"text {number}", "gold": float(one), "value": float(other)}
        for number, (one, other) in enumerate(zip(gold, value, strict=True))
    ]

    def columns(rows: Records) -> tuple[list[float], list[float]]:
        return [one["gold"] for one in rows], [one["value"] for one in rows]

    check(
        records,
        {
            "pearson": lambda rows: float(stats.pearsonr(*columns(rows)).statistic),
            "spearman": lambda rows: float(stats.spearmanr(*columns(rows)).statistic),
            "mae": lambda rows: float(mean_absolute_error(*columns(rows))),
        },
    )


def test_equal_predictions_have_a_correlation_of_zero() -> None:
    records = [{"text": "a", "gold": float(gold), "value": 2.0} for gold in range(4)]
    values = outcomes(records, labels=[], scored=frozenset()).values()
    assert values["pearson"] == values["spearman"] == 0


def test_what_an_example_shows_is_marked_as_right_or_wrong() -> None:
    several = {"text": "a", "text2": "b", "gold": ["x", "y"], "labels": ["y", "z"]}
    shown = outcomes([several], labels=[], scored=frozenset()).show(0)
    assert shown.text == "a ‖ b"
    assert shown.gold == [("x", False), ("y", True)]
    assert shown.predicted == [("y", True), ("z", False)]
    number = {"text": "a", "gold": 2.5, "value": 2.25}
    assert outcomes([number], labels=[], scored=frozenset()).show(0).predicted == [("2.250", None)]


def test_nearness_counts_where_labels_are_ordered() -> None:
    records = [{"text": "a", "gold": "bad", "label": label} for label in ("bad", "fair", "good")]
    ordered = outcomes(records, labels=LABELS, scored=frozenset({"qwk"}))
    assert ordered.quality.tolist() == [0, -1, -2]
    plain = outcomes(records, labels=LABELS, scored=frozenset())
    assert plain.quality.tolist() == [1, 0, 0]
