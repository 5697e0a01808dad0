"""Exact match and F1 of answers, and the threshold beyond which a question has none."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat

from zoo.qa.normalization import AnswersIn, normalize, pieces

#: Points of a threshold's curve, at most.
CURVE_POINTS = 200
#: Mean F1 scores this close are the same: sums of floats depend on their order.
_SAME = 1e-9


def exact_match(prediction: str, golds: Sequence[str], answers_in: AnswersIn = "words") -> float:
    """1.0 if the prediction equals one of the gold answers after normalisation, else 0.0.

    As in SQuAD 2.0's official script, gold answers of which normalisation leaves nothing do not
    count; where none is left, the empty string is the only right answer.

    Args:
        prediction: The answer's text; the empty string for "no answer".
        golds: The right answers; none for a question without an answer.
        answers_in: `words` (SQuAD) or `characters` (CMRC 2018); see `zoo.qa.normalization`.
    """
    answers = {normalize(gold, answers_in) for gold in golds} - {""} or {""}
    return float(normalize(prediction, answers_in) in answers)


def f1(prediction: str, golds: Sequence[str], answers_in: AnswersIn = "words") -> float:
    """Overlap with the best-fitting gold answer, from 0 to 1.

    With `words`, the overlap is the words that both have, each as often as both have it, in any
    order. With `characters`, it is the longest run of pieces that both have, as CMRC 2018 defines
    it. If either side has no pieces, the score is 1 if both have none, else 0 (CMRC 2018, which
    has no unanswerable questions, gives 0 there). Arguments as in `exact_match`.
    """
    predicted = pieces(prediction, answers_in)
    answers = [found for gold in golds if (found := pieces(gold, answers_in))]
    if not predicted or not answers:
        return float(not predicted and not answers)
    overlap = _common_run if answers_in == "characters" else _common_words
    # 2PR / (P + R) in counts.
    return max(
        2 * overlap(predicted, answer) / (len(predicted) + len(answer)) for answer in answers
    )


def _common_words(first: Sequence[str], second: Sequence[str]) -> int:
    return (Counter(first) & Counter(second)).total()


def _common_run(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest contiguous run that two sequences share."""
    longest = 0
    runs = [0] * (len(second) + 1)  # runs[j]: the run that ends before second[j]
    for piece in first:
        # From the right, so that runs[j] is still the one of the piece before.
        for j in range(len(second), 0, -1):
            runs[j] = runs[j - 1] + 1 if piece == second[j - 1] else 0
        longest = max(longest, *runs)
    return longest


class AnswerScores(Metric):
    """Mean exact match and F1 of all questions, of those with an answer and of those without.

    The state is a sum of counts, so that it reduces exactly over processes.
    """

    full_state_update = False
    higher_is_better = True
    sums: Tensor

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        #: float64 `[2, 3]`: questions without and with an answer; their number, EM sum, F1 sum.
        self.add_state("sums", torch.zeros(2, 3, dtype=torch.double), dist_reduce_fx="sum")

    def update(self, em: Sequence[float], f1: Sequence[float], has_answer: Sequence[bool]) -> None:
        """Count questions.

        Args:
            em: Exact match of each question.
            f1: F1 of each question.
            has_answer: Whether each question has a gold answer.

        Raises:
            ValueError: The lengths differ.
        """
        if not len(em) == len(f1) == len(has_answer):
            raise ValueError(
                f"{len(em)} exact matches, {len(f1)} F1 scores and {len(has_answer)} marks of "
                "having an answer are not of the same questions."
            )
        rows = torch.tensor(
            [[1.0, *row] for row in zip(em, f1, strict=True)], dtype=torch.double
        ).view(-1, 3)
        groups = torch.tensor([int(mark) for mark in has_answer], dtype=torch.long)
        self.sums.index_add_(0, groups.to(self.sums.device), rows.to(self.sums.device))

    def compute(self) -> dict[str, Tensor]:
        """`em` and `f1`, and each with `has_answer_` and `no_answer_` before it.

        A group without questions is left out; without any question, `em` and `f1` are 0.
        """
        total = self.sums.sum(dim=0)
        scores = {"em": total[1] / total[0].clamp(min=1), "f1": total[2] / total[0].clamp(min=1)}
        for name, (number, em, overlap) in zip(("no_answer", "has_answer"), self.sums, strict=True):
            if number > 0:
                scores |= {f"{name}_em": em / number, f"{name}_f1": overlap / number}
        return scores


class Threshold(NamedTuple):
    """A threshold on `null - best`: a question is answered iff its difference is at most this.

    Attributes:
        threshold: The best threshold.
        f1: Mean F1 with it.
        curve: Points (threshold, mean F1) for a picture, thresholds rising.
    """

    threshold: float
    f1: float
    curve: list[tuple[float, float]]


def best_f1_threshold(
    differences: Sequence[float] | Tensor,
    f1_if_answered: Sequence[float] | Tensor,
    f1_if_empty: Sequence[float] | Tensor,
) -> tuple[float, float]:
    """The threshold on `null - best` of the highest mean F1, and that F1.

    The search of SQuAD 2.0's official script (O(n log n), every threshold that makes a
    difference), but for ties. There, the threshold is the lowest of the best ones, which is one
    question's own difference. Here it is the middle of the widest interval of best thresholds,
    which is the safest on other questions. An interval without an end on one side ends 1 beyond
    the last question, so the threshold is always finite. Without questions, both results are 0.

    Args:
        differences: Null score minus best score of each question; inf where there is no span.
        f1_if_answered: F1 of each question if its best span is the answer.
        f1_if_empty: F1 of each question if the answer is the empty string.

    Raises:
        ValueError: The lengths differ.
    """
    lows, highs, scores = _steps(differences, f1_if_answered, f1_if_empty)
    if not scores.numel():
        return 0.0, 0.0
    best = float(scores.max())
    intervals: list[tuple[float, float]] = []
    previous = -2
    for index in (scores >= best - _SAME).nonzero().flatten().tolist():
        low = intervals.pop()[0] if index == previous + 1 else float(lows[index])
        intervals.append((low, float(highs[index])))
        previous = index
    low, high = max(intervals, key=lambda interval: interval[1] - interval[0])
    middle = low + (high - low) / 2
    # Between neighbouring floats there is no middle; `high` itself is outside.
    return (middle if middle < high else low), best


def _steps(
    differences: Sequence[float] | Tensor,
    f1_if_answered: Sequence[float] | Tensor,
    f1_if_empty: Sequence[float] | Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Intervals of thresholds (low included, high not), rising, and the mean F1 in each."""
    columns = [
        torch.as_tensor(column, dtype=torch.double, device="cpu").flatten()
        for column in (differences, f1_if_answered, f1_if_empty)
    ]
    if len({column.numel() for column in columns}) != 1:
        raise ValueError(
            f"{columns[0].numel()} differences, {columns[1].numel()} scores if answered and "
            f"{columns[2].numel()} if empty are not of the same questions."
        )
    difference, answered, empty = columns
    total = difference.numel()
    # No threshold changes what happens to these: without a span there is nothing to answer.
    finite = difference.isfinite()
    fixed = torch.where(difference == -torch.inf, answered, empty)[~finite].sum()
    difference, order = difference[finite].sort()
    gain = (answered - empty)[finite][order]
    # The cut before each group of equal differences, and the one after the last.
    first = torch.ones(difference.numel() + 1, dtype=torch.bool)
    first[1:-1] = difference[1:] != difference[:-1]
    cuts = first.nonzero().flatten()
    gains = torch.cat([gain.new_zeros(1), gain.cumsum(0)])[cuts]
    if total == 0:
        return gains[:0], gains[:0], gains[:0]
    scores = (fixed + empty[finite].sum() + gains) / total
    ends = difference if difference.numel() else difference.new_zeros(1)
    edges = torch.cat([ends[:1] - 1, difference[cuts[:-1]], ends[-1:] + 1])
    return edges[:-1], edges[1:], scores


def threshold_curve(
    differences: Sequence[float] | Tensor,
    f1_if_answered: Sequence[float] | Tensor,
    f1_if_empty: Sequence[float] | Tensor,
) -> Threshold:
    """The best threshold with the curve around it; arguments as in `best_f1_threshold`.

    The curve has at most `CURVE_POINTS` points: the best, and others evenly spread over the
    questions in the order of their differences, the first and the last among them.
    """
    threshold, best = best_f1_threshold(differences, f1_if_answered, f1_if_empty)
    lows, _, scores = _steps(differences, f1_if_answered, f1_if_empty)
    kept = torch.linspace(0, max(len(lows) - 1, 0), min(len(lows), CURVE_POINTS - 1))
    points = [(float(lows[i]), float(scores[i])) for i in kept.round().long().unique().tolist()]
    if points:
        points = sorted({*points, (threshold, best)})
    return Threshold(threshold, best, points)


class NullThreshold(Metric):
    """Finds the best threshold on `null - best` over all questions of all processes.

    Holds three numbers per question; a process without questions takes part all the same.
    """

    full_state_update = False
    higher_is_better = True
    rows: list[Tensor] | Tensor

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        #: float64 `[questions, 3]` of each update.
        self.add_state("rows", [], dist_reduce_fx="cat")
        self.reset()

    def reset(self) -> None:
        """Forget all questions."""
        super().reset()
        # Never an empty list: in its place torchmetrics would gather a tensor of another type and
        # shape than the other processes have.
        self.rows = [torch.zeros(0, 3, dtype=torch.double, device=self.device)]

    def update(
        self,
        differences: Sequence[float],
        f1_if_answered: Sequence[float],
        f1_if_empty: Sequence[float],
    ) -> None:
        """Take in questions; arguments as in `best_f1_threshold`.

        Raises:
            ValueError: The lengths differ.
        """
        rows = list(zip(differences, f1_if_answered, f1_if_empty, strict=True))
        new = torch.tensor(rows, dtype=torch.double, device=self.device).view(-1, 3)
        assert isinstance(self.rows, list)  # a tensor only while it is synchronised
        self.rows.append(new)

    def compute(self) -> Threshold:
        """The threshold, its F1 and the curve."""
        rows = dim_zero_cat(self.rows).cpu()
        return threshold_curve(*rows.unbind(dim=1))
