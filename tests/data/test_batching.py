"""Which examples go into which batch, for one process and for several."""

from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch

from zoo.data import batching
from zoo.data.batching import EvaluationSampler, Filler, LengthGroupedSampler, Lengths, padded

World = Callable[[int, int], None]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """Be this process of so many."""

    def be(rank: int, size: int) -> None:
        monkeypatch.setattr(batching, "_rank_and_world", lambda: (rank, size))

    return be


def _lengths(count: int, seed: int = 5) -> Lengths:
    return np.random.default_rng(seed).integers(3, 200, count)


def _all(batches: list[list[int]]) -> list[int]:
    return [row for batch in batches for row in batch]


def _padding(lengths: Lengths, batches: list[list[int]]) -> int:
    return sum(max(lengths[batch]) * len(batch) - sum(lengths[batch]) for batch in batches)


@pytest.mark.parametrize(
    ("count", "size", "pool"), [(1, 4, 50), (64, 8, 3), (103, 8, 3), (7, 8, 1)]
)
def test_an_epoch_has_each_example_exactly_once(count: int, size: int, pool: int) -> None:
    sampler = LengthGroupedSampler(_lengths(count), batch_size=size, pool=pool)
    for epoch in range(3):
        sampler.set_epoch(epoch)
        batches = list(sampler)
        assert sorted(_all(batches)) == list(range(count))
        assert len(batches) == len(sampler) == -(-count // size)
        assert sum(len(batch) != size for batch in batches) == (count % size > 0)


def test_no_examples_make_no_batches() -> None:
    nothing = np.zeros(0, dtype=np.int64)
    assert list(LengthGroupedSampler(nothing, batch_size=4)) == []
    sampler = EvaluationSampler(nothing, nothing, batch_size=4)
    assert (list(sampler), len(sampler)) == ([], 0)


def test_seed_and_epoch_fix_the_order() -> None:
    def order(seed: int, epoch: int) -> list[list[int]]:
        sampler = LengthGroupedSampler(_lengths(500), batch_size=8, seed=seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert order(1, 0) == order(1, 0)
    assert order(1, 3) == order(1, 3)
    different = [order(1, 0), order(1, 1), order(2, 0), order(2, 1)]
    assert all(a != b for i, a in enumerate(different) for b in different[:i])


def test_an_order_can_be_asked_for_twice_without_changing() -> None:
    sampler = LengthGroupedSampler(_lengths(100), batch_size=8)
    assert list(sampler) == list(sampler)


def test_batches_change_their_company_from_epoch_to_epoch() -> None:
    sampler = LengthGroupedSampler(_lengths(1000), batch_size=8)
    first = {frozenset(batch) for batch in sampler}
    sampler.set_epoch(1)
    assert len(first & {frozenset(batch) for batch in sampler}) < 5


def test_batches_are_not_in_the_order_of_their_lengths() -> None:
    lengths = _lengths(1600)
    means = [lengths[batch].mean() for batch in LengthGroupedSampler(lengths, batch_size=8)]
    rises = sum(a < b for a, b in pairwise(means))
    # A sorted epoch would have nearly all; a shuffled one has about half of 199.
    assert 70 < rises < 130


def test_there_is_much_less_padding_than_in_random_order() -> None:
    lengths = _lengths(2000)
    ours = _padding(lengths, list(LengthGroupedSampler(lengths, batch_size=16)))
    order = np.random.default_rng(0).permutation(2000)
    random = _padding(lengths, [order[at : at + 16].tolist() for at in range(0, 2000, 16)])
    assert ours < random / 10


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("count", [1, 96, 97, 103, 250])
def test_in_training_every_process_gets_equally_many_batches(
    world: World, size: int, count: int
) -> None:
    sampler = LengthGroupedSampler(_lengths(count), batch_size=8, pool=2)
    world(0, 1)
    alone = list(sampler)
    shares = []
    for rank in range(size):
        world(rank, size)
        shares.append(list(sampler))
        assert len(sampler) == len(shares[-1]) == len(alone) // size
    seen = [tuple(batch) for share in shares for batch in share]
    assert len(set(seen)) == len(seen)
    assert set(seen) <= {tuple(batch) for batch in alone}
    assert len(alone) - len(seen) < size


def _waited(shares: list[list[int]]) -> float:
    """Tokens that could be read while processes wait for one of them, as a share of all."""
    longest = sum(map(max, zip(*shares, strict=True)))
    return float(longest * len(shares) / sum(map(sum, shares)) - 1)


def _real_lengths(count: int) -> Lengths:
    """Many short texts and a few long ones, as corpora have them."""
    drawn = np.random.default_rng(5).lognormal(3.3, 0.8, count)
    return np.clip(drawn, 3, 512).astype(np.int64)


@pytest.mark.parametrize("size", [2, 3, 4])
@pytest.mark.parametrize("count", [2000, 10_007])
def test_processes_get_as_many_tokens_in_an_epoch_and_about_as_many_in_a_step(
    world: World, size: int, count: int
) -> None:
    lengths = _real_lengths(count)
    sampler = LengthGroupedSampler(lengths, batch_size=16)
    for epoch in range(3):
        sampler.set_epoch(epoch)
        shares = []
        for rank in range(size):
            world(rank, size)
            shares.append([int(lengths[batch].sum()) for batch in sampler])
        totals = [sum(share) for share in shares]
        assert max(totals) / min(totals) <= 1.02
        # A step takes as long as its largest batch. By chance much more would be waited for.
        chance = np.random.default_rng(0)
        dealt = [chance.permutation(share).tolist() for share in shares]
        assert _waited(shares) < 0.4 * _waited(dealt)


def test_the_share_of_a_process_begins_again_where_it_stood(world: World) -> None:
    world(1, 2)
    sampler = LengthGroupedSampler(_real_lengths(500), batch_size=8)
    whole = list(sampler)
    begun = iter(sampler)
    first = [next(begun) for _ in range(5)]
    again = LengthGroupedSampler(_real_lengths(500), batch_size=8)
    again.load_state_dict(sampler.state_dict())
    assert first + list(again) == whole


def test_all_processes_take_as_many_batches_and_count_each_row_once(world: World) -> None:
    lengths, documents = _documents()
    sampler = EvaluationSampler(lengths, documents, batch_size=3)
    counts, seen = [], []
    for rank in range(3):
        world(rank, 3)
        batches = list(sampler)
        counts += [len(batches), len(sampler)]
        own = [batch for batch in batches if not isinstance(batch, Filler)]
        fillers = batches[len(own) :]
        assert all(isinstance(batch, Filler) for batch in fillers)
        assert all(lengths[row] == lengths.min() for batch in fillers for row in batch)
        seen += _all(own)
    assert len(set(counts)) == 1
    assert sorted(seen) == list(range(len(lengths)))


def test_a_process_without_documents_keeps_in_step(world: World) -> None:
    sampler = EvaluationSampler(np.array([5, 6]), np.array([0, 0]), batch_size=1)
    world(1, 2)
    assert list(sampler) == [[0], [0]]
    assert all(isinstance(batch, Filler) for batch in sampler)


def test_over_the_epochs_no_example_is_left_out_always(world: World) -> None:
    sampler = LengthGroupedSampler(_lengths(25), batch_size=8)
    seen: set[int] = set()
    for epoch in range(12):
        sampler.set_epoch(epoch)
        for rank in range(3):
            world(rank, 3)
            seen |= set(_all(list(sampler)))
    assert seen == set(range(25))


def _documents() -> tuple[Lengths, Lengths]:
    """Windows of 40 documents, of 1 to 4 windows each."""
    chance = np.random.default_rng(3)
    documents = np.repeat(np.arange(40), chance.integers(1, 5, 40))
    return chance.integers(3, 100, len(documents)), documents


@pytest.mark.parametrize("size", [1, 2, 3])
def test_evaluation_covers_every_row_once_and_keeps_documents_together(
    world: World, size: int
) -> None:
    lengths, documents = _documents()
    sampler = EvaluationSampler(lengths, documents, batch_size=7)
    seen: list[int] = []
    homes: dict[int, set[int]] = {}
    for rank in range(size):
        world(rank, size)
        batches = list(sampler)
        assert len(batches) == len(sampler)
        batches = [batch for batch in batches if not isinstance(batch, Filler)]
        assert all(1 <= len(batch) <= 7 for batch in batches)
        rows = _all(batches)
        seen += rows
        order = [int(documents[row]) for row in rows]
        for document in order:
            homes.setdefault(document, set()).add(rank)
        # The windows of a document follow each other, in order.
        for document in set(order):
            own = [row for row in rows if documents[row] == document]
            first = rows.index(own[0])
            assert rows[first : first + len(own)] == own == sorted(own)
    assert Counter(seen) == Counter(range(len(lengths)))
    assert all(len(ranks) == 1 for ranks in homes.values())


def test_evaluation_begins_with_the_longest_document() -> None:
    # Document 1 is as long as its longest window, so its short window comes before document 0.
    lengths, documents = np.array([20, 3, 50, 30]), np.array([0, 1, 1, 2])
    assert list(EvaluationSampler(lengths, documents, batch_size=2)) == [[1, 2], [3, 0]]


def test_evaluation_takes_more_short_texts_at_once_and_no_more_tokens_than_of_the_longest() -> None:
    # Two of 9 make 18 tokens: three of 6 are as many, a fourth of 5 would make 24.
    lengths = np.array([9, 9, 6, 6, 6, 5, 4, 4, 2, 1, 1, 1])
    sampler = EvaluationSampler(lengths, np.arange(12), batch_size=2, most=4)
    assert list(sampler) == [[0, 1], [2, 3, 4], [5, 6, 7], [8, 9, 10, 11]]
    # A short document goes before a long window: all are as wide as that one.
    lengths, documents = np.array([2, 9, 9, 2]), np.array([0, 0, 1, 2])
    sampler = EvaluationSampler(lengths, documents, batch_size=1, most=9)
    assert list(sampler) == [[0], [1], [2], [3]]


@pytest.mark.parametrize("size", [1, 3])
def test_fuller_batches_are_as_many_in_each_process_and_cover_each_row_once(
    world: World, size: int
) -> None:
    lengths, documents = _documents()
    sampler = EvaluationSampler(lengths, documents, batch_size=3, most=12)
    seen, counts = [], set()
    for rank in range(size):
        world(rank, size)
        batches = list(sampler)
        counts |= {len(batches), len(sampler)}
        own = [batch for batch in batches if not isinstance(batch, Filler)]
        assert all(len(batch) * max(lengths[batch]) <= 3 * max(lengths) for batch in own)
        seen += _all(own)
    assert len(counts) == 1
    assert sorted(seen) == list(range(len(lengths)))
    assert max(len(batch) for batch in own) > 3


def test_the_order_of_evaluation_does_not_change_with_the_epoch() -> None:
    sampler = EvaluationSampler(*_documents(), batch_size=7)
    first = list(sampler)
    sampler.set_epoch(5)
    assert list(sampler) == first


def test_rows_are_filled_up_on_the_right() -> None:
    expected = torch.tensor([[1, 2, 3], [4, 9, 9]])
    assert torch.equal(padded([[1, 2, 3], [4]], fill=9), expected)
    assert padded([[1, 2, 3], [4]], fill=9).dtype == torch.int64


@pytest.mark.parametrize("most", [200, 1000, 4096])
def test_batches_by_tokens_hold_no_more_than_told_and_each_example_once(most: int) -> None:
    lengths = _lengths(700)
    sampler = LengthGroupedSampler(lengths, batch_size=1, max_tokens=most)
    counts = set()
    for epoch in range(4):
        sampler.set_epoch(epoch)
        batches = list(sampler)
        assert sorted(_all(batches)) == list(range(700))
        assert all(len(batch) * max(lengths[batch]) <= most for batch in batches)
        counts.add(len(batches))
    # Lightning counts the steps of a training from the first epoch's.
    assert counts == {len(sampler)}


def test_batches_by_tokens_are_nearly_full_and_hardly_padded() -> None:
    lengths = _lengths(5000)
    batches = list(LengthGroupedSampler(lengths, batch_size=1, max_tokens=2048))
    assert len(batches) < 1.15 * lengths.sum() / 2048
    assert _padding(lengths, batches) < 0.1 * lengths.sum()


def test_batches_by_tokens_change_their_company_and_come_in_any_order() -> None:
    lengths = _lengths(3000)
    sampler = LengthGroupedSampler(lengths, batch_size=1, max_tokens=1000)
    first = list(sampler)
    assert list(sampler) == first
    sampler.set_epoch(1)
    assert len({frozenset(one) for one in first} & {frozenset(one) for one in sampler}) < 25
    means = [lengths[batch].mean() for batch in first]
    rises = sum(a < b for a, b in pairwise(means))
    assert 0.35 < rises / len(means) < 0.65


def test_an_example_of_more_tokens_than_a_batch_may_hold_is_a_batch_of_its_own() -> None:
    lengths = np.array([3, 900, 4, 5, 6])
    batches = list(LengthGroupedSampler(lengths, batch_size=1, max_tokens=100))
    assert sorted(map(sorted, batches)) == [[0, 2, 3, 4], [1]]


@pytest.mark.parametrize("size", [2, 3])
def test_batches_by_tokens_are_shared_out_evenly(world: World, size: int) -> None:
    lengths = _lengths(1000)
    shares = []
    for rank in range(size):
        world(rank, size)
        sampler = LengthGroupedSampler(lengths, batch_size=1, max_tokens=1500)
        shares.append(list(sampler))
        assert len(shares[-1]) == len(sampler)
    assert len({len(share) for share in shares}) == 1
    rows = _all([batch for share in shares for batch in share])
    assert len(rows) == len(set(rows))
    sums = [lengths[_all(share)].sum() for share in shares]
    assert max(sums) / min(sums) < 1.02
