"""Spans against all pairs of the best tokens tried one by one, answers against one big sort."""

import itertools
import math
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from zoo.qa.decoding import Answers, Best, Candidate, Spans, best_spans, merge


class Case(NamedTuple):
    """Logits of few different values, so that ties are common."""

    start: Tensor
    end: Tensor
    context: Tensor
    k: int
    longest: int


@st.composite
def _cases(draw: st.DrawFn) -> Case:
    windows, tokens = draw(st.integers(1, 4)), draw(st.integers(1, 14))
    low = torch.finfo(torch.float32).min
    values = st.sampled_from([-2.5, -1.0, -0.0, 0.0, 0.1, 0.25, 1e-8, 3.0, 1e9, low, -math.inf])
    size = windows * tokens
    start, end = (
        torch.tensor(draw(st.lists(values, min_size=size, max_size=size))).view(windows, tokens)
        for _ in range(2)
    )
    context = torch.zeros(windows, tokens, dtype=torch.bool)
    for row in context:
        first = draw(st.integers(0, tokens))
        row[first : draw(st.integers(first, tokens))] = True
    return Case(start, end, context, draw(st.integers(1, 30)), draw(st.integers(1, 16)))


def _best_tokens(logits: Tensor, k: int) -> list[int]:
    """The k best tokens of a window, of equal ones the earlier."""
    return sorted(range(len(logits)), key=lambda token: (-logits[token].item(), token))[:k]


def _all_pairs(case: Case, window: int) -> list[tuple[float, int, int]]:
    """(score, start, end) of the best spans, from trying every pair of the best tokens."""
    starts, ends, context = (tensor[window] for tensor in case[:3])
    found = []
    for i, j in itertools.product(_best_tokens(starts, case.k), _best_tokens(ends, case.k)):
        masked = min(starts[i], ends[j]) < -1e38
        if context[i] and context[j] and i <= j < i + case.longest and not masked:
            found.append(((starts[i] + ends[j]).item(), i, j))
    return sorted(found, key=lambda span: (-span[0], span[1], span[2]))[: case.k]


def _rows(spans: Spans, window: int) -> list[tuple[float, int, int]]:
    columns = (spans.score[window], spans.start[window], spans.end[window])
    rows = list(zip(*(column.tolist() for column in columns), strict=True))
    return [row for row in rows if row[0] != -math.inf]


def _check(case: Case) -> None:
    spans = best_spans(case.start, case.end, case.context, k=case.k, max_answer_length=case.longest)
    assert spans.start.dtype == spans.end.dtype == torch.int64
    for window in range(len(case.start)):
        expected = _all_pairs(case, window)
        assert _rows(spans, window) == expected
        missing = case.k - len(expected)
        assert spans.score[window].tolist()[len(expected) :] == [-math.inf] * missing
        assert spans.start[window].tolist()[len(expected) :] == [0] * missing
        assert spans.end[window].tolist()[len(expected) :] == [0] * missing
    assert spans.null.tolist() == (case.start[:, 0] + case.end[:, 0]).tolist()


@given(_cases())
def test_the_best_spans_are_those_of_trying_all_pairs_of_the_best_tokens(case: Case) -> None:
    _check(case)


def test_one_window_at_a_time_gives_the_same_spans_as_a_batch() -> None:
    generator = torch.Generator().manual_seed(1)
    # Rounded, so that ties are common.
    start, end = torch.randn(2, 50, 64, generator=generator).mul(2).round()
    context = torch.ones(50, 64, dtype=torch.bool)
    whole = best_spans(start, end, context)
    for row in range(50):
        part = slice(row, row + 1)
        alone = best_spans(start[part], end[part], context[part])
        for one, other in zip(whole, alone, strict=True):
            assert torch.equal(one[part], other)


def test_a_span_whose_start_is_not_among_the_k_best_of_the_window_is_not_looked_at() -> None:
    start = torch.tensor([[9.0, 9.0, 9.0, -1.0, 0.0]])
    end = torch.tensor([[0.0, 0.0, 0.0, 5.0, 0.0]])
    context = torch.tensor([[False, False, False, True, True]])
    found = [_rows(best_spans(start, end, context, k=k), 0) for k in (3, 4, 5)]
    assert found == [[], [], [(4.0, 3, 3), (0.0, 4, 4), (-1.0, 3, 4)]]


def test_no_span_starts_or_ends_at_a_logit_that_is_not_a_number() -> None:
    start = torch.tensor([[0.0, math.nan, 1.0, math.nan], [math.nan] * 4])
    spans = best_spans(start, torch.zeros(2, 4), torch.ones(2, 4, dtype=torch.bool), k=2)
    assert _rows(spans, 0) == [(0.0, 0, 0), (0.0, 0, 1)]
    assert _rows(spans, 1) == []


def test_no_span_ends_before_it_starts_however_long_answers_may_be() -> None:
    start, end = torch.tensor([[0.0, 1.0, 2.0]]), torch.tensor([[5.0, 4.0, 3.0]])
    context = torch.ones(1, 3, dtype=torch.bool)
    for longest in (3, 2**40):
        spans = best_spans(start, end, context, k=9, max_answer_length=longest)
        assert _rows(spans, 0) == [
            (5.0, 0, 0),
            (5.0, 1, 1),
            (5.0, 2, 2),
            (4.0, 0, 1),
            (4.0, 1, 2),
            (3.0, 0, 2),
        ]


@pytest.mark.filterwarnings("error")
def test_windows_with_few_spans_or_none_beside_one_with_many_keep_to_their_own() -> None:
    low = torch.finfo(torch.float32).min
    generator = torch.Generator().manual_seed(3)
    start, end = torch.randn(2, 4, 40, generator=generator)
    context = torch.ones(4, 40, dtype=torch.bool)
    context[1] = False
    start[2], end[2] = low, low  # all masked
    start[2, 7], end[2, 9] = 1.0, 2.0
    start[3], end[3] = -math.inf, math.inf
    start[3, 5] = end[3, 0] = 0.0
    _check(Case(start, end, context, 20, 40))


def test_equal_scores_are_ordered_by_the_earlier_start_then_the_shorter_span() -> None:
    zeros = torch.zeros(1, 4)
    spans = best_spans(zeros, -zeros, torch.ones(1, 4, dtype=torch.bool), k=5, max_answer_length=3)
    assert _rows(spans, 0) == [(0.0, 0, 0), (0.0, 0, 1), (0.0, 0, 2), (0.0, 1, 1), (0.0, 1, 2)]


def test_a_window_without_context_has_no_span_but_a_null_score() -> None:
    spans = best_spans(torch.ones(1, 5), torch.ones(1, 5), torch.zeros(1, 5, dtype=torch.bool), k=3)
    assert spans.score.tolist() == [[-math.inf] * 3]
    assert spans.null.tolist() == [2.0]


def test_no_windows_give_no_spans() -> None:
    nothing = torch.zeros(0, 7)
    spans = best_spans(nothing, nothing, nothing.bool(), k=3)
    assert [list(field.shape) for field in spans] == [[0, 3], [0, 3], [0, 3], [0]]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_added_in_single_precision(dtype: torch.dtype) -> None:
    # 256 + 0.5 is no bfloat16, 2048 + 0.5 no float16: both round down, and tie with 256 or 2048.
    large = 256.0 if dtype == torch.bfloat16 else 2048.0
    start = torch.tensor([[large, large]], dtype=dtype)
    end = torch.tensor([[0.0, 0.5]], dtype=dtype)
    spans = best_spans(start, end, torch.ones(1, 2, dtype=torch.bool), k=3)
    assert spans.score.dtype == torch.float32
    assert _rows(spans, 0) == [(large + 0.5, 0, 1), (large + 0.5, 1, 1), (large, 0, 0)]


def test_logits_with_gradients_are_read() -> None:
    logits = torch.ones(1, 3, requires_grad=True)
    assert not best_spans(logits, logits, torch.ones(1, 3, dtype=torch.bool)).score.requires_grad


@pytest.mark.parametrize(("k", "longest"), [(0, 3), (3, 0)])
def test_less_than_one_span_or_token_is_refused(k: int, longest: int) -> None:
    logits = torch.zeros(1, 3)
    with pytest.raises(ValueError, match="at least 1"):
        best_spans(logits, logits, logits.bool(), k=k, max_answer_length=longest)


def test_logits_and_context_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\[1, 3\], \[1, 3\], \[1, 4\]"):
        best_spans(torch.zeros(1, 3), torch.zeros(1, 3), torch.zeros(1, 4).bool())


class Window(NamedTuple):
    """Spans of one window of an example as characters."""

    example: str
    spans: list[tuple[float, int, int]]
    null: float


_windows = st.builds(
    lambda example, spans, null: Window(
        example, [(score, start, start + size) for (start, size), score in spans.items()], null
    ),
    st.sampled_from("abc"),
    st.dictionaries(
        st.tuples(st.integers(0, 3), st.integers(1, 3)), st.integers(-3, 3).map(float), max_size=5
    ),
    st.integers(-5, 5).map(float),
)


def _spans(windows: list[Window], k: int) -> tuple[Spans, Tensor]:
    """Spans of windows in which each character is a token, and the offsets."""
    columns = torch.zeros(3, len(windows), k)
    columns[0] = -math.inf
    for row, window in enumerate(windows):
        ranked = sorted(window.spans, key=lambda span: (-span[0], *span[1:]))[:k]
        for at, (score, start, end) in enumerate(ranked):
            columns[:, row, at] = torch.tensor([score, start, end - 1])
    offsets = torch.stack([torch.arange(8), torch.arange(8) + 1], dim=1).repeat(len(windows), 1, 1)
    null = torch.tensor([window.null for window in windows])
    return Spans(columns[1].long(), columns[2].long(), columns[0], null), offsets


@given(st.lists(_windows, min_size=1, max_size=12), st.integers(1, 6), st.data())
def test_answers_are_the_best_distinct_ones_of_all_windows_however_they_are_batched(
    windows: list[Window], k: int, data: st.DataObject
) -> None:
    answers: dict[str, Best] = {}
    at = 0
    while at < len(windows):
        to = data.draw(st.integers(at + 1, len(windows)))
        names = [window.example for window in windows[at:to]]
        merge(answers, *_spans(windows[at:to], k), names, range(at, to))
        at = to

    assert set(answers) == {window.example for window in windows}
    for example, best in answers.items():
        own = [(at, window) for at, window in enumerate(windows) if window.example == example]
        seen = [
            Candidate(*span, at)
            for at, window in own
            for span in sorted(window.spans, key=lambda span: (-span[0], *span[1:]))[:k]
        ]
        expected: list[Candidate] = []
        for one in sorted(seen, key=lambda one: (-one.score, one.start, one.end, one.window)):
            if all((one.start, one.end) != (other.start, other.end) for other in expected):
                expected.append(one)
        null = min(window.null for _, window in own)
        score = expected[0].score if expected else -math.inf
        weights = [math.exp(one.score) for one in expected[:k]]
        total = math.fsum(weights) + math.exp(null)
        assert best.candidates == expected[:k]
        assert best.best == (expected[0] if expected else None)
        assert (best.null, best.score) == (null, score)
        assert best.score_difference == null - score
        assert best.probability == pytest.approx(weights[0] / total if weights else 0.0)
        assert best.null_probability == pytest.approx(math.exp(null) / total)
        assert best.answers.probability[best.row].sum() == pytest.approx(1.0)


def test_an_example_without_any_span_is_never_answered() -> None:
    answers: dict[str, Best] = {}
    merge(answers, *_spans([Window("a", [], -3.0), Window("a", [], -4.0)], 2), ["a", "a"], [0, 1])
    assert answers["a"].best is None
    assert answers["a"].candidates == []
    assert answers["a"].score_difference == math.inf
    assert (answers["a"].probability, answers["a"].null_probability) == (0.0, 1.0)


def test_a_batch_without_windows_leaves_the_answers_as_they_are() -> None:
    answers: dict[str, Best] = {}
    merge(answers, *_spans([], 2), [], [])
    assert answers == {}


def test_windows_of_an_example_in_several_batches_become_one_list_of_answers() -> None:
    # Five tokens: one of the question, then three or four of the context "ab cd ef gh".
    offsets = torch.tensor(
        [
            [[0, 9], [0, 2], [3, 5], [6, 8], [0, 0]],
            [[0, 9], [3, 5], [6, 8], [9, 11], [0, 0]],
            [[0, 9], [0, 1], [0, 0], [0, 0], [0, 0]],
        ]
    )
    context = torch.tensor(
        [[False, True, True, True, False]] * 2 + [[False, True, False, False, False]]
    )
    start = torch.tensor([[1.0, 0, 2, 0, 0], [-1.0, 3, 0, 0, 0], [5.0, 0, 0, 0, 0]])
    end = torch.tensor([[1.0, 0, 0, 4, 0], [-1.0, 0, 4, 0, 0], [5.0, 1, 0, 0, 0]])
    spans = best_spans(start, end, context, k=2)
    answers: dict[str, Best] = {}
    for rows, examples, windows in ([0], ["one"], [0]), ([1, 2], ["one", "two"], [1, 0]):
        part = Spans(*(field[rows] for field in spans))
        merge(answers, part, offsets[rows], examples, windows)
    # Characters 3 to 8 have 2 + 4 in the first window and 3 + 4 in the second.
    assert answers["one"].candidates == [Candidate(7.0, 3, 8, 1), Candidate(4.0, 6, 8, 1)]
    assert answers["one"].null == -2.0
    assert answers["one"].score_difference == -9.0
    assert answers["two"].candidates == [Candidate(1.0, 0, 1, 0)]
    assert answers["two"].score_difference == 9.0


def test_the_best_answers_as_plain_data_have_their_texts_and_probabilities() -> None:
    table = Answers(
        score=np.array([[1.0, 0.0, -math.inf]], dtype=np.float32),
        start=np.array([[4, 0, 0]]),
        end=np.array([[10, 3, 0]]),
        window=np.array([[1, 0, 0]]),
        null=np.array([0.0], dtype=np.float32),
        probability=np.array([[0.5, 0.25, 0.0, 0.25]], dtype=np.float32),
    )
    assert Best(table, 0).n_best("Ada sang 😀 .") == [
        {"start": 4, "end": 10, "score": 1.0, "text": "sang 😀", "probability": 0.5},
        {"start": 0, "end": 3, "score": 0.0, "text": "Ada", "probability": 0.25},
    ]


def test_plain_data_is_that_of_the_candidates_for_every_example_of_a_batch() -> None:
    generator = torch.Generator().manual_seed(5)
    start, end = torch.randn(2, 6, 12, generator=generator)
    context = torch.ones(6, 12, dtype=torch.bool)
    context[3] = False  # no answer at all
    context[4, 2:] = False  # fewer than k
    text = "é😀 añ好 ab cd ef"
    offsets = torch.stack([torch.arange(12), torch.arange(1, 13)], dim=1).expand(6, 12, 2)
    answers: dict[str, Best] = {}
    for rows in (slice(0, 4), slice(4, 6)):
        spans = best_spans(start[rows], end[rows], context[rows], k=12)
        merge(answers, spans, offsets[rows], list("abbcda")[rows], [0, 0, 1, 0, 0, 1][rows])
    assert [len(answers[name].candidates) for name in "abcd"] == [12, 12, 0, 3]
    for best in answers.values():
        # The softmax, anew from the scores.
        weights = [math.exp(one.score) for one in best.candidates]
        total = math.fsum([*weights, math.exp(best.null)])
        assert best.n_best(text) == [
            {
                "start": one.start,
                "end": one.end,
                "score": one.score,
                "text": text[one.start : one.end],
                "probability": pytest.approx(weight / total, rel=1e-5),
            }
            for one, weight in zip(best.candidates, weights, strict=True)
        ]


def test_tokens_of_the_same_character_and_tokens_without_one_make_one_answer_each_or_none() -> None:
    # A character in two byte tokens, then a token without characters that scores best of all.
    offsets = torch.tensor([[[0, 0], [0, 1], [0, 1], [1, 1], [2, 4]]])
    context = torch.tensor([[False, True, True, True, True]])
    start = torch.tensor([[0.0, 1.0, 2.0, 9.0, 0.0]])
    spans = best_spans(start, start, context, k=20, max_answer_length=1)
    answers: dict[int, Best] = {}
    merge(answers, spans, offsets, [7], [0])
    assert answers[7].best == Candidate(4.0, 0, 1, 0)
    assert answers[7].candidates == [Candidate(4.0, 0, 1, 0), Candidate(0.0, 2, 4, 0)]


def test_a_best_token_without_characters_leaves_the_next_as_the_best_answer() -> None:
    offsets = torch.tensor([[[0, 0], [1, 1], [2, 4]]])
    start = torch.tensor([[0.0, 9.0, 1.0]])
    context = torch.tensor([[False, True, True]])
    spans = best_spans(start, start, context, k=2, max_answer_length=1)
    answers: dict[int, Best] = {}
    merge(answers, spans, offsets, [0], [0])
    assert answers[0].candidates == [answers[0].best] == [Candidate(2.0, 2, 4, 0)]


def test_a_candidate_has_plain_numbers() -> None:
    answers: dict[str, Best] = {}
    merge(answers, *_spans([Window("a", [(1.5, 3, 4)], 0.0)], 2), ["a"], [2])
    (best,) = answers.values()
    assert best.best == Candidate(1.5, 3, 4, 2)
    for one in (best.best, *best.candidates):
        assert [type(field) for field in one] == [float, int, int, int]
    numbers = (best.null, best.score, best.probability, best.null_probability)
    assert {type(number) for number in numbers} == {float}


def test_answers_hold_k_candidates_for_each_example_and_nothing_else_of_the_batch() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(64, 16, generator=generator)
    offsets = torch.stack([torch.arange(16), torch.arange(1, 17)], dim=1).expand(64, 16, 2)
    answers: dict[int, Best] = {}
    spans = best_spans(logits, logits, torch.ones(64, 16, dtype=torch.bool), k=5)
    merge(answers, spans, offsets, [window // 4 for window in range(64)], [0, 1, 2, 3] * 16)
    (held,) = {id(best.answers): best.answers for best in answers.values()}.values()
    assert [column.shape for column in held] == [(16, 5)] * 4 + [(16,), (16, 6)]
    assert all(column.base is None for column in held)


def test_probabilities_of_large_scores_do_not_overflow() -> None:
    answers: dict[str, Best] = {}
    window = Window("a", [(3000.0, 0, 1), (3000.0, 0, 2)], -3000.0)
    merge(answers, *_spans([window], 2), ["a"], [0])
    assert answers["a"].answers.probability.tolist() == [[0.5, 0.5, 0.0]]
