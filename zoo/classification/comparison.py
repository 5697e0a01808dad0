"""What a classification test says of each text, for the comparison of runs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.tracking.comparison.outcomes import Array, Outcomes, Piece, Shown, Weights, ratio

#: What each prediction must hold, in every mode.
FIELDS: Mapping[str, type | tuple[type, ...]] = {"text": str, "gold": (str, list, int, float)}


def outcomes(
    records: Sequence[Mapping[str, Any]], *, labels: Sequence[str], scored: frozenset[str]
) -> Outcomes:
    """The outcomes of a test, by what its records hold: a label, several, or a number."""
    if all("value" in record for record in records):
        return _regression(records)
    if all("labels" in record for record in records):
        return _multi_label(records, labels)
    return _single_label(records, labels, ordinal="qwk" in scored)


def _text(record: Mapping[str, Any]) -> str:
    return " ‖ ".join(record[name] for name in ("text", "text2") if name in record)


def _asked(record: Mapping[str, Any]) -> tuple[Any, ...]:
    gold = record["gold"]
    right = tuple(sorted(gold)) if isinstance(gold, list) else gold
    return record["text"], record.get("text2"), right


def _all_labels(labels: Sequence[str], found: Sequence[Sequence[str]]) -> dict[str, int]:
    """Numbers of the labels: those that the model knows, then others that there are."""
    others = sorted({label for row in found for label in row} - set(labels))
    return {label: number for number, label in enumerate([*labels, *others])}


def _single_label(
    records: Sequence[Mapping[str, Any]], labels: Sequence[str], *, ordinal: bool
) -> Outcomes:
    number = _all_labels(labels, [[record["gold"], record["label"]] for record in records])
    gold = np.array([number[record["gold"]] for record in records], dtype=np.intp)
    predicted = np.array([number[record["label"]] for record in records], dtype=np.intp)
    right = (gold == predicted).astype(np.float64)
    has, given = np.eye(len(number))[gold], np.eye(len(number))[predicted]
    steps = np.abs(gold - predicted).astype(np.float64)

    def scores(weights: Weights) -> dict[str, Array]:
        texts = weights.sum(axis=1)
        wanted, said = weights @ has, weights @ given
        both = weights @ (has * given)
        f1 = ratio(2 * both, wanted + said)
        # As torchmetrics has it: a label that is neither there nor predicted is left out.
        values = {
            "accuracy": ratio(weights @ right, texts),
            "f1_macro": ratio(f1.sum(axis=1), ((wanted + said) > 0).sum(axis=1).astype(float)),
            "f1_weighted": ratio((f1 * wanted).sum(axis=1), wanted.sum(axis=1)),
        }
        if ordinal:
            values |= {
                "qwk": _kappa(weights @ np.square(steps), wanted, said),
                "mae": ratio(weights @ steps, texts),
            }
        return values

    def show(at: int) -> Shown:
        record = records[at]
        said = [Piece(record["label"], bool(right[at]))]
        return Shown(_text(record), [Piece(record["gold"], True)], said)

    return Outcomes(
        scores=scores,
        main="qwk" if ordinal else "accuracy",
        asked=[_asked(record) for record in records],
        quality=-steps if ordinal else right,
        perfect=0.0 if ordinal else 1.0,
        show=show,
        lower_is_better=frozenset({"mae"}),
    )


def _kappa(error: Array, wanted: Array, said: Array) -> Array:
    """Quadratically weighted kappa: 1 less the squared error over the one that chance gives.

    Args:
        error: Sum of squared steps between gold and predicted labels, `[resamples]`.
        wanted: Texts of each gold label, `[resamples, labels]`.
        said: Texts of each predicted label, of the same shape.
    """
    places = np.arange(wanted.shape[1])
    costs = np.square(places[:, None] - places[None, :]).astype(np.float64)
    by_chance = ratio(np.einsum("ri,ij,rj->r", wanted, costs, said), wanted.sum(axis=1))
    # Where one label is all there is and all that was found, no kappa is defined; runs count 0.
    return np.where(by_chance > 0, 1 - ratio(error, by_chance), 0.0)


def _multi_label(records: Sequence[Mapping[str, Any]], labels: Sequence[str]) -> Outcomes:
    rows = [[*record["gold"], *record["labels"]] for record in records]
    number = _all_labels(labels, rows)
    has = np.zeros((len(records), len(number)))
    given = np.zeros_like(has)
    for at, record in enumerate(records):
        has[at, [number[label] for label in record["gold"]]] = 1
        given[at, [number[label] for label in record["labels"]]] = 1

    def scores(weights: Weights) -> dict[str, Array]:
        wanted, said, both = (weights @ counts for counts in (has, given, has * given))
        f1 = ratio(2 * both, wanted + said)
        return {
            "f1_macro": f1.mean(axis=1) if len(number) else np.zeros(len(weights)),
            "f1_micro": ratio(2 * both.sum(axis=1), (wanted + said).sum(axis=1)),
            "f1_weighted": ratio((f1 * wanted).sum(axis=1), wanted.sum(axis=1)),
        }

    def show(at: int) -> Shown:
        gold, said = records[at]["gold"], records[at]["labels"]
        return Shown(
            _text(records[at]),
            [Piece(label, label in said) for label in gold],
            [Piece(label, label in gold) for label in said],
        )

    return Outcomes(
        scores=scores,
        main="f1_macro",
        asked=[_asked(record) for record in records],
        quality=-np.abs(has - given).sum(axis=1),  # less the labels that are missed or wrong
        perfect=0.0,
        show=show,
    )


def _regression(records: Sequence[Mapping[str, Any]]) -> Outcomes:
    gold = np.array([record["gold"] for record in records], dtype=np.float64)
    value = np.array([record["value"] for record in records], dtype=np.float64)
    error = np.abs(value - gold)
    wanted, said = (np.unique(one, return_inverse=True)[1] for one in (gold, value))

    def scores(weights: Weights) -> dict[str, Array]:
        return {
            "spearman": np.array(
                [_correlation(_ranks(wanted, w), _ranks(said, w), w) for w in weights]
            ),
            "pearson": np.array([_correlation(gold, value, w) for w in weights]),
            "mae": ratio(weights @ error, weights.sum(axis=1)),
        }

    def show(at: int) -> Shown:
        said = [Piece(f"{value[at]:.3f}", None)]
        return Shown(_text(records[at]), [Piece(f"{gold[at]:g}", None)], said)

    return Outcomes(
        scores=scores,
        main="spearman",
        asked=[_asked(record) for record in records],
        quality=-error,
        perfect=None,
        show=show,
        lower_is_better=frozenset({"mae"}),
    )


def _correlation(first: Array, second: Array, weights: Array) -> float:
    """Pearson's correlation of values that count `weights` times each; 0 where there is none."""
    total = weights.sum()
    first = first - weights @ first / total
    second = second - weights @ second / total
    spread = np.sqrt((weights @ np.square(first)) * (weights @ np.square(second)))
    return float(weights @ (first * second) / spread) if spread > 0 else 0.0


def _ranks(places: NDArray[np.intp], weights: Array) -> Array:
    """Mean rank of each text, where texts count `weights` times each.

    Args:
        places: The place of each text's value among all different values.
        weights: How often each text counts.
    """
    counts = np.bincount(places, weights=weights)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[places])
