"""The decoder against all sequences there are."""

from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from zoo.ner.encoding import BioDecoder

_LABELS = ["O", "B-X", "I-X", "B-Y-Z", "I-Y-Z"]


def _valid(tags: list[str]) -> bool:
    before = "O"
    for tag in tags:
        if tag.startswith("I-") and before not in (f"B-{tag[2:]}", tag):
            return False
        before = tag
    return True


_scores = st.floats(-8, 8, width=32)
_documents = st.lists(
    st.lists(st.lists(_scores, min_size=5, max_size=5), min_size=1, max_size=4),
    min_size=1,
    max_size=4,
)


@given(_documents, st.permutations(_LABELS))
def test_the_decoder_finds_the_best_of_all_valid_sequences(
    documents: list[list[list[float]]], labels: list[str]
) -> None:
    found = BioDecoder(labels)([torch.tensor(rows) for rows in documents])
    for rows, ids in zip(documents, found, strict=True):
        # All sequences share the softmax's denominators, so raw sums decide.
        sums = {
            sequence: sum(row[tag] for row, tag in zip(rows, sequence, strict=True))
            for sequence in product(range(len(labels)), repeat=len(rows))
            if _valid([labels[tag] for tag in sequence])
        }
        chosen = tuple(ids.tolist())
        assert chosen in sums
        assert sums[chosen] == pytest.approx(max(sums.values()), abs=1e-4)


@pytest.mark.parametrize("scale", [0.0, 1.0, 1000.0])
def test_the_decoder_never_yields_an_invalid_sequence(scale: float) -> None:
    lengths = [1, 2, 3, 50, 200, 7]
    scores = [torch.randn(length, len(_LABELS)) * scale for length in lengths]
    found = BioDecoder(_LABELS)(scores)
    assert [len(ids) for ids in found] == lengths
    for ids in found:
        assert _valid([_LABELS[tag] for tag in ids.tolist()])


def test_the_decoder_prefers_a_whole_entity_to_an_orphan_as_by_hand() -> None:
    # Word by word: O I-X. Valid: B-X I-X has 1 + 5, O O has 2 + 0, O B-X has 2 + 1.
    scores = torch.tensor([[2.0, 1.0, -9.0], [0.0, 1.0, 5.0]])
    (tags,) = BioDecoder(["O", "B-X", "I-X"])([scores])
    assert tags.tolist() == [1, 2]


def test_the_decoder_leaves_a_valid_best_sequence_alone_whatever_its_neighbours() -> None:
    gold = [[0, 1, 2, 2, 3], [1], [3, 4, 4, 1, 1, 2, 0]]
    scores = [torch.nn.functional.one_hot(torch.tensor(ids), 5) * 20.0 for ids in gold]
    assert [ids.tolist() for ids in BioDecoder(_LABELS)(scores)] == gold


def test_the_decoder_takes_no_documents_and_documents_without_words() -> None:
    decoder = BioDecoder(_LABELS)
    assert decoder([]) == []
    sure = torch.tensor([[0.0, 9.0, 0.0, 0.0, 0.0]])
    assert [ids.tolist() for ids in decoder([torch.zeros(0, 5), sure])] == [[], [1]]
