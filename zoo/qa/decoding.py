"""From start and end logits to answers: batched, and with k candidates held per example.

The n-best procedure of BERT for SQuAD (Devlin et al. 2019, arXiv 1810.04805, section 4.2): the k
best starts of a window are paired with its k best ends, and the best valid pairs of all windows of
an example are its answers. Logits of one batch become the k best spans of each window
(`best_spans`), and those the k best answers of each example (`merge`, `Best`), so the logits of a
whole set are never held.
"""

import math
from collections.abc import Hashable, MutableMapping, Sequence
from itertools import repeat
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_Floats: TypeAlias = NDArray[np.float32]
_Ints: TypeAlias = NDArray[np.int64]
_Bools: TypeAlias = NDArray[np.bool_]

#: Logits and scores down to this are of no token or span; no model gives them, masks do.
_NOTHING = -(2.0**126)

#: Bits of the last character where it is in one integer with the first, which sorts as both do;
#: and of a pair's place where it is in one with the score.
_BITS = 32

#: What sorts behind all such integers.
_LAST = 2**63 - 1

_Example = TypeVar("_Example", bound=Hashable)


class Spans(NamedTuple):
    """The k best spans of each window, best first.

    Attributes:
        start: First token, int64 `[windows, k]`; 0 where there is no span.
        end: Last token (inclusive), int64 `[windows, k]`; 0 where there is no span.
        score: Start plus end logit, float32 `[windows, k]`; -inf where a window has fewer than k
            valid spans.
        null: Start plus end logit of the first token, float32 `[windows]`.
    """

    start: Tensor
    end: Tensor
    score: Tensor
    null: Tensor


def best_spans(
    start_logits: Tensor,
    end_logits: Tensor,
    context: Tensor,
    *,
    k: int = 20,
    max_answer_length: int = 30,
) -> Spans:
    """The k best spans of every window, among the pairs of its k best starts and k best ends.

    A span is valid when it has at most `max_answer_length` tokens, and its first and last belong
    to the context, which is one piece. The k best are taken of all tokens, as BERT's procedure
    does: mask the logits of tokens outside the context if the model has not learned to keep them
    low. Of equal logits the earlier tokens are taken, of equal scores the earlier start, then the
    shorter span; so nothing depends on the batch or the device. Computed in numpy on the CPU.

    Args:
        start_logits: `[windows, tokens]`, of any floating type; widened to float32.
        end_logits: `[windows, tokens]`.
        context: Which tokens belong to the context, bool `[windows, tokens]`.
        k: Starts, ends and spans per window.
        max_answer_length: The most tokens that a span may have.

    Raises:
        ValueError: Shapes differ, a window has no tokens, or `k` or `max_answer_length` is less
            than 1.
    """
    if start_logits.dim() != 2 or not start_logits.shape == end_logits.shape == context.shape:
        raise ValueError(
            "Start logits, end logits and context must share one shape [windows, tokens], not "
            f"{list(start_logits.shape)}, {list(end_logits.shape)}, {list(context.shape)}."
        )
    if k < 1 or max_answer_length < 1:
        raise ValueError(f"k ({k}) and max_answer_length ({max_answer_length}) must be at least 1.")
    if start_logits.shape[1] == 0:
        raise ValueError("A window without tokens has no null score.")
    starts = start_logits.detach().float().cpu().numpy()
    ends = end_logits.detach().float().cpu().numpy()
    inside = context.detach().bool().cpu().numpy()

    windows, tokens = starts.shape
    first_token = np.arange(windows)[:, None] * tokens
    start, end = _highest(starts, k), _highest(ends, k)  # [windows, most]
    start_score, end_score = starts.take(start), ends.take(end)
    # A token that cannot be one is moved to where its spans have a negative length.
    valid = [
        inside.take(token) & (score > _NOTHING)
        for token, score in ((start, start_score), (end, end_score))
    ]
    start = np.where(valid[0], start - first_token, tokens)
    end = np.where(valid[1], end - first_token, -1)

    # Each start beside each end, `[windows, most * most]`. Copies of whole rows: numpy broadcasts
    # rows as short as these several times slower.
    most = start.shape[1]
    length = np.tile(end.astype(np.int32), most) - start.astype(np.int32).repeat(most, axis=1)
    # As unsigned, a negative length is a large one.
    places = np.flatnonzero(length.view(np.uint32) < min(max_answer_length, tokens))
    of = places // most**2
    by_start = places // most
    by_end = places - most * (by_start - of)
    with np.errstate(over="ignore"):  # of two masked logits
        score = start_score.take(by_start) + end_score.take(by_end)
        null = starts[:, 0] + ends[:, 0]
    # In windows of hundreds of tokens few of the pairs are spans, so only those are ranked: by one
    # integer each, of score and place, as tokens and so places ascend where scores are equal.
    counts = np.bincount(of, minlength=windows)
    ranked = np.full((windows, max(k, counts.max(initial=0))), _LAST)
    gaps = np.arange(windows) * ranked.shape[1] - (np.cumsum(counts) - counts)
    at = np.arange(len(places)) + gaps.repeat(counts)
    ranked.reshape(-1)[at] = _descending(score) << _BITS | places - of * most**2
    ranked.sort(axis=1)
    ranked = ranked[:, :k]
    none = ranked == _LAST
    pair = ranked & (2**_BITS - 1)
    pair[none] = 0
    row = np.arange(windows)[:, None] * most
    by_start, by_end = row + pair // most, row + pair % most
    with np.errstate(over="ignore", invalid="ignore"):  # of what stands where there is no span
        score = start_score.take(by_start) + end_score.take(by_end)
    first, last = start.take(by_start), end.take(by_end)
    none |= score <= _NOTHING
    score[none], first[none], last[none] = -np.inf, 0, 0
    return Spans(*map(torch.from_numpy, (first, last, score, null)))


def _descending(scores: _Floats) -> _Ints:
    """Integers of 32 bits that ascend as the scores descend; -0.0 and 0.0 have the same."""
    bits = (scores + np.float32(0)).view(np.int32)
    return ~(bits ^ (bits >> 31 & 0x7FFFFFFF)).astype(np.int64)


def _highest(values: _Floats, k: int) -> _Ints:
    """Places in the flattened array of the k highest values of each row, ascending.

    Of equal values the earlier are taken, and NaN last. Selects by the k-th highest value, as
    numpy sorts values several times faster than it sorts or selects their places.
    """
    rows, columns = values.shape
    k = min(k, columns)
    kept = values >= np.sort(values, axis=1)[:, columns - k, None]
    places = np.flatnonzero(kept)
    if len(places) == rows * k:
        found = places.reshape(rows, k)
        first = np.arange(rows) * columns
        # As the places ascend, k of each row are its own if the outer ones are.
        if ((found[:, 0] >= first) & (found[:, -1] < first + columns)).all():
            return found
    of = places // columns
    tied = np.flatnonzero(np.bincount(of, minlength=rows) != k)
    order = np.argsort(-values[tied], axis=1, kind="stable")[:, :k]
    kept[tied] = False
    kept[tied[:, None], order] = True
    return np.flatnonzero(kept).reshape(rows, k)


class Candidate(NamedTuple):
    """An answer: characters `start` to `end` (exclusive) of the context, found in `window`."""

    score: float
    start: int
    end: int
    window: int


class Answers(NamedTuple):
    """The k best answers of each of some examples, best first.

    The same characters found in two windows are one answer, with the higher score. The null score
    is the lowest of the windows': a question has no answer only if every window says so (SQuAD
    2.0's practice).

    Attributes:
        score: Float32 `[examples, k]`; -inf where an example has fewer than k answers.
        start: First character, int64 `[examples, k]`.
        end: One past the last character, int64 `[examples, k]`.
        window: Number of the window within the example, int64 `[examples, k]`.
        null: Score of "no answer", float32 `[examples]`.
        probability: Softmax over an example's answers and, as the last, "no answer", float32
            `[examples, k + 1]`.
    """

    score: _Floats
    start: _Ints
    end: _Ints
    window: _Ints
    null: _Floats
    probability: _Floats


class Best(NamedTuple):
    """The k best answers of one example, of all its windows so far: a row of `Answers`."""

    answers: Answers
    row: int

    @property
    def candidates(self) -> list[Candidate]:
        """The best answers, best first; of equal scores the earlier, then the shorter first."""
        columns = (column[self.row].tolist() for column in self.answers[:4])
        return [one for one in map(Candidate, *columns) if one.score != -math.inf]

    def n_best(self, context: str) -> list[dict[str, Any]]:
        """The candidates as plain data, for a JSON file: start, end, score, text, probability.

        Args:
            context: The example's text.
        """
        answers, row = self
        scores = answers.score[row].tolist()
        if scores[-1] == -math.inf:  # so are all from the first on that is
            del scores[scores.index(-math.inf) :]
        columns = answers.start[row].tolist(), answers.end[row].tolist()
        probabilities = answers.probability[row].tolist()
        return [
            {
                "start": start,
                "end": end,
                "score": score,
                "text": context[start:end],
                "probability": probability,
            }
            # The last probability is that of "no answer".
            for score, start, end, probability in zip(scores, *columns, probabilities, strict=False)
        ]

    @property
    def best(self) -> Candidate | None:
        """The first of the candidates; None where no window had a valid span."""
        answers, row = self
        if (score := answers.score.item(row, 0)) == -math.inf:
            return None
        start, end, window = answers.start, answers.end, answers.window
        return Candidate(score, start.item(row, 0), end.item(row, 0), window.item(row, 0))

    @property
    def probability(self) -> float:
        """Of the best answer, among all candidates and "no answer"."""
        return self.answers.probability.item(self.row, 0)

    @property
    def null_probability(self) -> float:
        """Of "no answer"."""
        return self.answers.probability.item(self.row, -1)

    @property
    def null(self) -> float:
        """Score of "no answer"."""
        return self.answers.null.item(self.row)

    @property
    def score(self) -> float:
        """Score of the best answer; -inf where no window had a valid span."""
        return self.answers.score.item(self.row, 0)

    @property
    def score_difference(self) -> float:
        """Null score minus the best answer's; the example is answered up to some threshold."""
        answers, row = self
        return answers.null.item(row) - answers.score.item(row, 0)


def merge(
    answers: MutableMapping[_Example, Best],
    spans: Spans,
    offsets: Tensor,
    examples: Sequence[_Example],
    windows: Sequence[int],
) -> None:
    """Put the spans of a batch of windows into the answers of their examples.

    Spans without characters are left out. What is kept is k answers for each example, as arrays
    that the examples of a batch share.

    Args:
        answers: What earlier batches left, with the same k; gets a `Best` for each example.
        spans: What `best_spans` found.
        offsets: First and last (exclusive) character of each token in the context, integers
            `[windows, tokens, 2]`; read at tokens of the context only.
        examples: Which example each window is of.
        windows: Number of each window within its example.
    """
    characters = offsets.detach().cpu().numpy()
    first_token = np.arange(len(offsets))[:, None] * offsets.shape[1]
    start = characters.take((first_token + spans.start.numpy()) * 2).astype(np.int64, copy=False)
    end = characters.take((first_token + spans.end.numpy()) * 2 + 1)
    score = np.where(end > start, spans.score.numpy(), -np.inf)
    number = np.broadcast_to(np.array(windows, dtype=np.int64)[:, None], score.shape)
    found = [score, start << _BITS | end, number, spans.null.numpy()]

    # What earlier batches left of an example counts as one more window, the first.
    own = {example: row for row, example in enumerate(dict.fromkeys(examples))}
    held = [example for example in own if example in answers]
    if held:
        rows = [
            (of.score[row], of.start[row] << _BITS | of.end[row], of.window[row], of.null[row])
            for of, row in (answers[example] for example in held)
        ]
        earlier = map(np.stack, zip(*rows, strict=True))
        found = [np.concatenate(pair) for pair in zip(earlier, found, strict=True)]
    rows_of = np.array([own[example] for example in (*held, *examples)], dtype=np.int64)
    table = _merged(found, _parts(rows_of, len(own)))
    answers.update(zip(own, map(Best, repeat(table), range(len(own))), strict=True))


def _parts(rows: _Ints, examples: int) -> _Ints:
    """Which windows each example has, in their order, `[examples, most]`; -1 where no more.

    Args:
        rows: Row of each window's example.
        examples: How many there are.
    """
    order = np.argsort(rows, kind="stable")
    sizes = np.bincount(rows, minlength=examples)
    before = np.cumsum(sizes) - sizes
    parts = np.full((examples, sizes.max(initial=1)), -1)
    parts[rows[order], np.arange(len(rows)) - before.repeat(sizes)] = order
    return parts


def _merged(found: Sequence[NDArray[Any]], parts: _Ints) -> Answers:
    """The answers of examples.

    Args:
        found: Score, place (first and last character in one integer), window and null of all parts.
        parts: What `_parts` says.
    """
    (examples, most), k = parts.shape, found[0].shape[1]
    missing = parts < 0
    score, place, window = (column[parts].reshape(examples, most * k) for column in found[:3])
    score[missing.repeat(k, axis=1)] = -np.inf
    null = np.where(missing, np.inf, found[3][parts]).min(axis=1)

    # A window's own spans are in order: there is something to do only where there are several
    # windows, or tokens without characters or of the same ones.
    ordered = np.sort(place, axis=1)
    wrong = (ordered[:, 1:] == ordered[:, :-1]) | (score[:, 1:] > score[:, :-1])
    todo = wrong.any(axis=1) | ((~missing).sum(axis=1) > 1)
    some = np.flatnonzero(todo)
    if len(some):
        width = most * k
        # Indices into the flattened tables: numpy takes by them faster than along an axis.
        by_place = np.lexsort((-score[some], place[some]))  # the best of each place first
        by_place += some[:, None] * width
        some_scores, ordered = score.take(by_place), place.take(by_place)
        some_scores[:, 1:][ordered[:, 1:] == ordered[:, :-1]] = -np.inf
        best = np.argsort(-some_scores, axis=1, kind="stable")[:, :k]
        best += np.arange(len(some))[:, None] * width
        order = by_place.take(best)
        score[some, :k] = some_scores.take(best)
        place[some, :k] = place.take(order)
        window[some, :k] = window.take(order)

    score, place, window = score[:, :k].copy(), place[:, :k], window[:, :k].copy()
    start, end = place >> _BITS, place & (2**_BITS - 1)
    scores = np.concatenate([score, null[:, None]], axis=1)
    weights = np.exp(scores - np.maximum(score[:, 0], null)[:, None])
    probability = weights / weights.sum(axis=1, keepdims=True)
    return Answers(score, start, end, window, null, probability)
