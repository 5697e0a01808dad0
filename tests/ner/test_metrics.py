"""EntityF1 against seqeval, on every kind of tag sequence that can be generated."""

import warnings
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.v1 import precision_recall_fscore_support
from seqeval.scheme import IOB2

from zoo.ner.encoding import bio_labels
from zoo.ner.metrics import EntityF1

_TYPES = ["PER", "art-work", "art", "a-b-c"]
_LABELS = bio_labels(_TYPES)

Documents = Sequence[tuple[list[str], list[str]]]

_pairs = st.lists(
    st.tuples(st.sampled_from(_LABELS), st.sampled_from(_LABELS), st.booleans()), max_size=14
)


@st.composite
def _documents(draw: st.DrawFn) -> list[tuple[list[str], list[str]]]:
    """Predicted and gold tags that often agree: any sequence, valid or not, empty ones too."""
    documents = []
    for pairs in draw(st.lists(_pairs, min_size=1, max_size=5)):
        gold = [tag for tag, _, _ in pairs]
        documents.append(([tag if same else other for tag, other, same in pairs], gold))
    return documents


def _update(metric: EntityF1, documents: Documents, labels: Sequence[str] = _LABELS) -> EntityF1:
    ids = {label: index for index, label in enumerate(labels)}
    metric.update(
        torch.tensor([ids[tag] for tags, _ in documents for tag in tags], dtype=torch.long),
        torch.tensor([ids[tag] for _, tags in documents for tag in tags], dtype=torch.long),
        torch.tensor([len(tags) for tags, _ in documents], dtype=torch.long),
    )
    return metric


def _scores(metric: EntityF1, suffix: str = "") -> list[float]:
    scores = metric.compute()
    return [scores[f"{name}{suffix}"].item() for name in ("precision", "recall", "f1")]


def _seqeval(documents: Documents, average: str | None) -> tuple[list[float], ...]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scores = precision_recall_fscore_support(
            [gold for _, gold in documents],
            [predicted for predicted, _ in documents],
            average=average,
            scheme=IOB2,
            zero_division=0,
        )
    return tuple(scores)


@given(_documents())
def test_micro_scores_equal_seqeval(documents: list[tuple[list[str], list[str]]]) -> None:
    metric = _update(EntityF1(_LABELS), documents)
    expected = [float(value) for value in _seqeval(documents, "micro")[:3]]  # type: ignore[arg-type]
    assert _scores(metric) == pytest.approx(expected, abs=1e-12)


@given(_documents())
def test_scores_of_each_type_equal_seqeval(documents: list[tuple[list[str], list[str]]]) -> None:
    metric = _update(EntityF1(_LABELS), documents)
    # seqeval's rows: the types that occur as entities, in the order of the alphabet.
    rows = list(zip(*_seqeval(documents, None), strict=True))
    present = sorted(
        {tag[2:] for pair in documents for tags in pair for tag in tags if tag.startswith("B-")}
    )
    assert len(rows) == len(present)
    for name, (precision, recall, f1, support) in zip(present, rows, strict=True):
        assert _scores(metric, f"/{name}") == pytest.approx([precision, recall, f1], abs=1e-12)
        assert metric.compute()[f"support/{name}"] == support
    for name in set(_TYPES) - set(present):
        assert _scores(metric, f"/{name}") == [0.0, 0.0, 0.0]
        assert metric.compute()[f"support/{name}"] == 0


@given(_documents(), st.permutations(_LABELS))
def test_the_order_of_the_labels_changes_nothing(
    documents: list[tuple[list[str], list[str]]], labels: list[str]
) -> None:
    usual, other = EntityF1(_LABELS), EntityF1(labels)
    _update(usual, documents)
    _update(other, documents, labels)
    expected = {name: value.item() for name, value in usual.compute().items()}
    assert {name: value.item() for name, value in other.compute().items()} == expected


@given(_documents(), st.integers(0, 5))
def test_counts_of_parts_add_up_to_the_whole(
    documents: list[tuple[list[str], list[str]]], cut: int
) -> None:
    whole = _update(EntityF1(_LABELS), documents)
    in_parts = EntityF1(_LABELS)
    first = _update(EntityF1(_LABELS), documents[:cut])
    second = _update(EntityF1(_LABELS), documents[cut:])
    for one in documents:
        _update(in_parts, [one])
    assert torch.equal(in_parts.counts, whole.counts)
    assert torch.equal(first.counts + second.counts, whole.counts)
    # torchmetrics' own way to merge, which is also what several processes do.
    first.merge_state(second)
    merged = {name: value.item() for name, value in first.compute().items()}
    assert merged == {name: value.item() for name, value in whole.compute().items()}


def test_a_case_worked_by_hand() -> None:
    labels = bio_labels(["PER", "LOC"])
    metric = EntityF1(labels)
    documents = [
        # PER right; LOC with a wrong end; an orphan I-LOC is no entity.
        (
            ["B-PER", "I-PER", "O", "B-LOC", "O", "I-LOC"],
            ["B-PER", "I-PER", "O", "B-LOC", "I-LOC", "O"],
        ),
        # The right place as the wrong type, and a missed PER next to one that is right.
        (["B-LOC", "B-PER", "O"], ["B-PER", "B-PER", "B-PER"]),
    ]
    _update(metric, documents, labels)
    # Found, predicted, gold.
    assert metric.counts.tolist() == [[2, 2, 4], [0, 2, 1]]
    assert _scores(metric) == pytest.approx([2 / 4, 2 / 5, 4 / 9])
    assert _scores(metric, "/PER") == pytest.approx([2 / 2, 2 / 4, 4 / 6])
    assert _scores(metric, "/LOC") == [0.0, 0.0, 0.0]
    assert metric.compute()["support/PER"] == 4


def test_an_entity_never_crosses_from_one_document_into_the_next() -> None:
    apart = [(["B-PER"], ["B-PER"]), (["I-PER"], ["O"])]
    together = [(["B-PER", "I-PER"], ["B-PER", "O"])]
    assert _scores(_update(EntityF1(_LABELS), apart)) == [1.0, 1.0, 1.0]
    assert _scores(_update(EntityF1(_LABELS), together)) == [0.0, 0.0, 0.0]


def test_without_any_entity_all_scores_are_zero_and_none_is_nan() -> None:
    metric = EntityF1(_LABELS)
    _update(metric, [(["O", "I-PER"], ["O", "O"])])
    assert {value.item() for value in metric.compute().values()} == {0.0}
    of_nothing = _update(EntityF1(_LABELS), [])
    assert {value.item() for value in of_nothing.compute().values()} == {0.0}


def test_a_reset_metric_starts_again() -> None:
    metric = _update(EntityF1(_LABELS), [(["B-PER"], ["O"])])
    metric.reset()
    assert _scores(_update(metric, [(["B-PER"], ["B-PER"])])) == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("lengths", [[1], [3], [1, 2], []])
def test_lengths_that_do_not_add_up_are_refused(lengths: list[int]) -> None:
    two = torch.zeros(2, dtype=torch.long)
    with pytest.raises(ValueError, match="2 predicted and 2 gold"):
        EntityF1(_LABELS).update(two, two, torch.tensor(lengths, dtype=torch.long))
