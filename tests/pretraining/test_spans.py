"""Spans against their definition, on 100,000 tokens."""

from collections import Counter

import pytest
import torch

from zoo.errors import ZooError
from zoo.pretraining.encoding import NO_WORD, corrupt, seeded
from zoo.pretraining.spans import NO_SPAN, choose_spans, length_probabilities
from zoo.pretraining.task import MaskedLMTask

#: Blocks of two pieces of 1,000 words of two tokens each: 100,000 tokens that are not special.
_PIECE = [NO_WORD, *(word for word in range(1000) for _ in range(2)), NO_WORD]
_SECOND = [word if word == NO_WORD else word + 1000 for word in _PIECE]
WORDS = torch.tensor([[*_PIECE, *_SECOND]] * 25)


@pytest.fixture(scope="module")
def spans() -> torch.Tensor:
    return choose_spans(WORDS, share=0.15, generator=seeded(11))


def _runs(spans: torch.Tensor) -> list[list[int]]:
    """The places of each span's tokens."""
    found: dict[tuple[int, int], list[int]] = {}
    for row, own in enumerate(spans.tolist()):
        for at, span in enumerate(own):
            if span != NO_SPAN:
                found.setdefault((row, span), []).append(at)
    return list(found.values())


def test_of_100_000_tokens_15_percent_are_in_spans_and_special_ones_never(
    spans: torch.Tensor,
) -> None:
    assert (WORDS != NO_WORD).sum() == 100_000
    chosen = spans != NO_SPAN
    # A block of 4,000 misses 600 by one span at most, of 20 tokens.
    per_block = chosen.sum(dim=1)
    assert (per_block - 600).abs().max() <= 20
    assert chosen.sum().item() / 100_000 == pytest.approx(0.15, abs=0.001)
    assert not chosen[WORDS == NO_WORD].any()


def test_spans_are_whole_words_in_one_piece(spans: torch.Tensor) -> None:
    for places in _runs(spans):
        assert places == list(range(places[0], places[0] + len(places)))
        assert len(places) % 2 == 0
    rows = zip(WORDS.tolist(), spans.tolist(), strict=True)
    for words, own in rows:
        for at in range(len(words) - 1):
            if words[at] == words[at + 1] != NO_WORD:
                assert own[at] == own[at + 1]


def test_lengths_are_geometric_up_to_ten_words(spans: torch.Tensor) -> None:
    # P(n) = 0.2 * 0.8^(n-1) / (1 - 0.8^10), whose mean is 3.8 as the paper has it.
    expected = [0.2 * 0.8 ** (n - 1) / (1 - 0.8**10) for n in range(1, 11)]
    assert length_probabilities().tolist() == pytest.approx(expected)
    assert sum(n * p for n, p in enumerate(expected, start=1)) == pytest.approx(3.8, abs=0.01)
    counts = Counter(len(places) // 2 for places in _runs(spans))
    total = sum(counts.values())
    assert set(counts) == set(range(1, 11))
    assert total == pytest.approx(15_000 / 7.594, rel=0.06)
    for words, probability in enumerate(expected, start=1):
        deviation = (probability * (1 - probability) / total) ** 0.5
        assert counts[words] / total == pytest.approx(probability, abs=5 * deviation)


def test_places_are_spread_evenly(spans: torch.Tensor) -> None:
    chosen = (spans != NO_SPAN)[:, 1:2001].float().reshape(25, 10, 200).mean(dim=(0, 2))
    assert chosen.tolist() == pytest.approx([0.15] * 10, abs=0.04)


def test_a_span_is_masked_replaced_or_kept_as_one(spans: torch.Tensor) -> None:
    ids = torch.randint(5, 1005, WORDS.shape, generator=seeded(3))
    read, _ = corrupt(
        ids,
        spans != NO_SPAN,
        mask=4,
        ordinary=torch.arange(2000, 3000),
        generator=seeded(4),
        together=spans,
    )
    fates = Counter()
    for row, (own, block) in enumerate(zip(spans.tolist(), read.tolist(), strict=True)):
        kinds: dict[int, set[str]] = {}
        for at, span in enumerate(own):
            if span == NO_SPAN:
                assert block[at] == ids[row, at]
                continue
            token = block[at]
            kind = "mask" if token == 4 else "other" if token >= 2000 else "same"
            kinds.setdefault(span, set()).add(kind)
        assert all(len(kind) == 1 for kind in kinds.values())
        fates.update(kind for own_kinds in kinds.values() for kind in own_kinds)
    total = sum(fates.values())
    for kind, share in (("mask", 0.8), ("other", 0.1), ("same", 0.1)):
        deviation = (share * (1 - share) / total) ** 0.5
        assert fates[kind] / total == pytest.approx(share, abs=5 * deviation)


def test_short_blocks_have_their_share_in_the_mean() -> None:
    words = torch.tensor([[NO_WORD, *range(12), NO_WORD]] * 1500)
    spans = choose_spans(words, share=0.15, generator=seeded(5))
    assert (spans != NO_SPAN).float().sum().item() / 18_000 == pytest.approx(0.15, abs=0.02)
    again = choose_spans(words, share=0.15, generator=seeded(5))
    assert torch.equal(spans, again)


def test_spans_and_whole_words_are_not_both_asked_for() -> None:
    with pytest.raises(ZooError, match="Spans are of whole words already"):
        MaskedLMTask(whole_words=True, spans=True)
