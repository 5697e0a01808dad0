"""What the report of a test of question answering shows: scores by kind, a curve, errors."""

import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

from zoo.data.words import split_words
from zoo.qa.metrics import threshold_curve
from zoo.qa.prediction import AnsweredQuestion
from zoo.tracking.report import Curve, Table, TaskReport

#: Errors that are kept for the table, and characters of their questions and answers.
_ERRORS = 200
_LONGEST = 160

_WH = re.compile(r"\b(how (?:many|much)|who|whom|whose|what|when|where|which|why|how)\b")
_SAME = {"whom": "who", "how much": "how many"}
OTHER = "other"
_LENGTHS = ((1, "1"), (2, "2"), (5, "3-5"), (10, "6-10"), (math.inf, "11 or more"))
NONE = "(no answer)"


def report(answered: Sequence[AnsweredQuestion], examples: Any, *, threshold: float) -> TaskReport:
    """Tables, threshold curve and prediction records of a test.

    Args:
        answered: What was predicted for each question, in any order.
        examples: The table of examples, by row.
        threshold: The threshold on "no answer" that was used.
    """
    answered = sorted(answered, key=lambda one: one.example)
    questions = list(examples["question"])
    by_word: dict[str, list[AnsweredQuestion]] = {}
    by_length: dict[str, list[AnsweredQuestion]] = {}
    for one in answered:
        by_word.setdefault(question_word(questions[one.example]), []).append(one)
        by_length.setdefault(length_of(one), []).append(one)
    words = sorted(by_word, key=lambda word: -len(by_word[word]))
    lengths = [name for name in (*(name for _, name in _LENGTHS), NONE) if name in by_length]
    columns = ("em", "f1", "questions")
    return TaskReport(
        tables={
            "question_words": Table(
                "Scores by question word",
                ("question word", *columns),
                [*(_row(word, by_word[word]) for word in words), _row("all", answered)],
            ),
            "answer_lengths": Table(
                "Scores by answer length",
                ("words of the answer", *columns),
                [_row(name, by_length[name]) for name in lengths],
            ),
            "errors": _errors(answered, examples),
        },
        predictions=_records(answered, examples),
        curves=_curves(answered, threshold),
        main_table="question_words",
    )


def question_word(question: str) -> str:
    """The first English question word of a question; `other` where there is none."""
    found = _WH.search(" ".join(question.lower().split()))
    return _SAME.get(found[1], found[1]) if found else OTHER


def length_of(one: AnsweredQuestion) -> str:
    """The length of the shortest right answer, in words (in characters of Chinese), as a class."""
    if not one.golds:
        return NONE
    words = min(len(split_words(gold)) for gold in one.golds)
    return next(name for most, name in _LENGTHS if words <= most)


def _row(name: str, group: Sequence[AnsweredQuestion]) -> tuple[str, float, float, int]:
    count = max(len(group), 1)
    em, f1 = (sum(one.scores[column] for one in group) / count for column in (0, 1))
    return name, em, f1, len(group)


def _errors(answered: Sequence[AnsweredQuestion], examples: Any) -> Table:
    """The most confident of the worst answers first."""
    wrong = sorted(
        (one for one in answered if one.scores.em < 1),
        key=lambda one: (one.scores.f1, -_confidence(one)),
    )
    rows = []
    for one in wrong[:_ERRORS]:
        row = examples[one.example]
        gold = " ‖ ".join(dict.fromkeys(one.golds)) or NONE
        predicted = one.text or NONE
        rows.append(
            (
                row["id"],
                _short(row["question"]),
                _short(gold),
                _short(predicted),
                round(one.scores.f1, 3),
                round(_confidence(one), 3),
            )
        )
    columns = ("id", "question", "gold", "predicted", "f1", "probability")
    return Table("Worst answers", columns, rows)


def _confidence(one: AnsweredQuestion) -> float:
    return one.probability if one.answered else one.no_answer


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _curves(answered: Sequence[AnsweredQuestion], threshold: float) -> dict[str, Curve]:
    points = threshold_curve(
        [one.null_difference for one in answered],
        [one.if_answered.f1 for one in answered],
        [one.if_empty.f1 for one in answered],
    ).curve
    if len(points) < 2:
        return {}
    curve = Curve(
        title='F1 on test by the threshold on "no answer"',
        x="threshold (null score less the best answer's)",
        y="f1",
        lines={"f1": points},
        mark=threshold if math.isfinite(threshold) else None,
    )
    return {"threshold": curve}


def _records(answered: Sequence[AnsweredQuestion], examples: Any) -> Iterator[dict[str, Any]]:
    for one in answered:
        row = examples[one.example]
        place = {"start": one.start, "end": one.end} if one.answered else {}
        finite = math.isfinite(one.null_difference)
        yield {
            "example": one.example,
            "id": row["id"],
            "question": row["question"],
            "prediction": one.text,
            **place,
            "golds": one.golds,
            "em": one.scores.em,
            "f1": round(one.scores.f1, 4),
            "probability": round(_confidence(one), 4),
            "null_difference": round(one.null_difference, 4) if finite else None,
        }
