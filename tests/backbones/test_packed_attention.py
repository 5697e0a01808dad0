"""Attention over sequences that lie behind each other."""

from typing import Any

import pytest
import torch
from torch import Tensor

from zoo.backbones import packed_attention
from zoo.backbones.packed_layout import Layout, layout_of

LENGTHS = [7, 7, 6, 3, 1, 20]
HEADS, SIZE = 2, 8


def layout() -> Layout:
    found = layout_of((torch.arange(20) < torch.tensor(LENGTHS)[:, None]).long())
    assert found is not None
    return found


def by_sequence(query: Tensor, key: Tensor, value: Tensor, window: int | None = None) -> Tensor:
    """Attention written out, a sequence after the other, of `[tokens, heads, size]`."""
    found = []
    for one in zip(*(x.split(layout().lengths) for x in (query, key, value)), strict=True):
        q, k, v = (x.transpose(0, 1) for x in one)
        scores = q @ k.transpose(1, 2) / SIZE**0.5
        place = torch.arange(q.shape[1])
        if window is not None:
            scores = scores.masked_fill((place[:, None] - place).abs() > window, -torch.inf)
        found.append((scores.softmax(-1) @ v).transpose(0, 1))
    return torch.cat(found)


def test_tokens_lie_longest_sequence_first_and_find_their_way_back() -> None:
    found = layout()
    assert found.lengths == [20, 7, 7, 6, 3, 1]
    assert found.bounds.tolist() == [0, 20, 27, 34, 40, 43, 44]
    padded = torch.arange(6 * 20).reshape(6, 20) + 1
    tokens = found.pack(padded)
    assert tokens[0, :20].tolist() == padded[5].tolist()
    assert tokens[0, 20:27].tolist() == padded[0, :7].tolist()
    there = torch.arange(20) < torch.tensor(LENGTHS)[:, None]
    assert torch.equal(found.unpack(tokens), padded * there)


@pytest.mark.parametrize(
    ("tokens", "rounded"),
    [(1, 1), (31, 31), (33, 34), (67, 68), (255, 256), (257, 272), (513, 544), (1000, 1024)],
)
def test_numbers_of_tokens_become_multiples_that_add_a_16th_at_most(
    tokens: int, rounded: int
) -> None:
    lengths = torch.tensor([tokens - 1, 1])
    mask = (torch.arange(tokens) < lengths[:, None]).long()
    found = layout_of(mask, trained=True)
    assert found is not None
    assert found.spare == rounded - tokens
    assert found.pack(mask).shape == (1, rounded)


def _attended(layout: Layout, padded: Tensor) -> tuple[list[Any], Tensor]:
    """Queries, keys and values without padding, and what attention makes of them."""
    given = [one.transpose(1, 2).requires_grad_() for one in map(layout.pack, padded)]
    query, key, value = given
    module = torch.nn.Module()
    found, _ = packed_attention.packed_attention(module, query, key, value, None, layout=layout)
    return given, found


def test_spare_tokens_see_nothing_and_nothing_sees_them() -> None:
    mask = torch.arange(40) < torch.tensor([40, 31, 29, 7, 33])[:, None]
    exact, found = layout_of(mask), layout_of(mask, trained=True)
    assert exact is not None
    assert found is not None
    assert found.spare == 4  # of 140 tokens, eights
    padded = torch.randn(3, 5, 40, HEADS, SIZE)
    given, mine = _attended(found, padded)
    right, known = _attended(exact, padded)
    assert (mine[0, 140:] == 0).all()
    torch.testing.assert_close(found.unpack(mine), exact.unpack(known))
    found.unpack(mine).square().sum().backward()
    exact.unpack(known).square().sum().backward()
    for one, other in zip(given, right, strict=True):
        torch.testing.assert_close(one.grad[:, :, :140], other.grad)
        assert (one.grad[:, :, 140:] == 0).all()


def test_a_batch_without_padding_is_one_group_if_it_is_asked_for() -> None:
    mask = torch.ones(3, 5, dtype=torch.long)
    assert layout_of(mask) is None
    found = layout_of(mask, trained=True)
    assert found is not None
    assert [(one.rows, one.longest, one.mask) for one in found.groups] == [(3, 5, None)]
    values = torch.arange(15.0).view(3, 5, 1)
    assert torch.equal(found.unpack(found.pack(values)), values)
    assert layout_of(mask * 0, trained=True) is None


def test_sequences_of_like_length_share_a_group() -> None:
    lengths = torch.tensor([40, 31, 30, 29, 29, 20, 12, 12])
    found = layout_of((torch.arange(40) < lengths[:, None]).long())
    assert found is not None
    # 30 is three quarters of 40; 20 is less than that of 29, and 9 fewer; 12 is 8 fewer than 20.
    assert [(one.rows, one.longest, one.tokens) for one in found.groups] == [
        (3, 40, 101),
        (2, 29, 58),
        (3, 20, 44),
    ]
    # Where all are of one length nothing is padded.
    assert [one.mask is None for one in found.groups] == [False, True, False]


@pytest.mark.parametrize("window", [None, 2])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_each_sequence_sees_itself(window: int | None, dtype: torch.dtype) -> None:
    given = torch.randn(3, 44, HEADS, SIZE).to(dtype).requires_grad_()
    right = by_sequence(given[0].double(), given[1].double(), given[2].double(), window)
    weights = torch.randn(44, HEADS, SIZE).double()
    (wanted,) = torch.autograd.grad((right * weights).sum(), given)
    found, no_weights = packed_attention.packed_attention(
        torch.nn.Module(),
        given[0].transpose(0, 1)[None],
        given[1].transpose(0, 1)[None],
        given[2].transpose(0, 1)[None],
        None,
        layout=layout(),
        sliding_window=None if window is None else window + 1,
    )
    assert no_weights is None
    atol, rtol = (1e-9, 0.0) if dtype == torch.float64 else (0.1, 0.1)
    torch.testing.assert_close(found[0].double(), right, atol=atol, rtol=rtol)
    (gradient,) = torch.autograd.grad((found[0].double() * weights).sum(), given)
    torch.testing.assert_close(gradient.double(), wanted.double(), atol=atol, rtol=rtol)


def test_dropout_drops_attention_weights_and_scales_the_others() -> None:
    torch.manual_seed(3)
    rows, longest = 30, 40
    query, key = torch.randn(2, rows, HEADS, longest, longest, dtype=torch.float64)
    value = torch.eye(longest, dtype=torch.float64).expand(rows, HEADS, -1, -1)
    weights = (query @ key.transpose(-1, -2) * 0.1).softmax(-1)
    found = packed_attention._with_weights(query, key, value, None, 0.25, 0.1)
    stay = found != 0
    torch.testing.assert_close(found[stay], weights[stay] / 0.75)
    # 96,000 draws: a standard deviation is 0.0014.
    assert abs(float(stay.double().mean()) - 0.75) < 0.01
    assert not torch.equal(
        stay, packed_attention._with_weights(query, key, value, None, 0.25, 0.1) != 0
    )


def test_a_kernel_for_any_lengths_is_used_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No such kernel runs on the CPU: what it is asked for is checked."""
    asked: list[Any] = []

    def kernel(query: Tensor, key: Tensor, value: Tensor, *options: Any, **named: Any) -> Tensor:
        asked.append((*options, named))
        return by_sequence(query, key, value)

    monkeypatch.setattr(packed_attention, "_has_varlen", lambda query: True)
    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", kernel)
    given = torch.randn(3, 1, HEADS, 44, SIZE)
    places = layout()
    found, _ = packed_attention.packed_attention(
        torch.nn.Module(),
        given[0],
        given[1],
        given[2],
        None,
        layout=places,
        sliding_window=5,
        scaling=0.5,
    )
    right = by_sequence(*given[:, 0].transpose(1, 2))
    torch.testing.assert_close(found[0], right)
    (begins, ends, longest, other, named) = asked[0]
    assert begins is ends is places.bounds
    assert (longest, other) == (20, 20)
    assert named == {"scale": 0.5, "window_size": (4, 4)}
