"""What prediction gives back: answers with their places, and a marked text in notebooks."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from zoo.training.predictions import Predictions


class Scores(NamedTuple):
    """Exact match and F1 of one question, each from 0 to 1."""

    em: float
    f1: float


@dataclass  # not frozen: Lightning's `predict` would refuse it
class AnsweredQuestion:
    """What evaluation knows of one question.

    Args:
        example: The question's row in the table of examples.
        best: The best span as text; empty where the text has none.
        start: Its first character in the text.
        end: One past its last character.
        probability: Its probability, among the best spans and "no answer".
        no_answer: Probability of "no answer".
        null_difference: Score of "no answer" less the best span's; inf where there is no span.
        golds: Right answers; none if the text has none.
        if_answered: Scores of answering with the best span.
        if_empty: Scores of answering that there is none.
        answered: Whether the best span is the prediction.
    """

    example: int
    best: str
    start: int
    end: int
    probability: float
    no_answer: float
    null_difference: float
    golds: list[str]
    if_answered: Scores
    if_empty: Scores
    answered: bool = True

    def decide(self, threshold: float) -> None:
        """Answer if the null score exceeds the best span's by no more than a threshold."""
        self.answered = bool(self.best) and self.null_difference <= threshold

    @property
    def text(self) -> str:
        """The predicted answer; empty for "no answer"."""
        return self.best if self.answered else ""

    @property
    def scores(self) -> Scores:
        """Of what is predicted."""
        return self.if_answered if self.answered else self.if_empty


@dataclass(frozen=True)
class Answer:
    """A span of a text as an answer.

    Args:
        text: The answer.
        start: Its first character in its text.
        end: One past its last character.
        context: Which of the question's texts it is from.
        score: Start plus end logit, less the null score of its text.
        probability: Among the answers that were looked at and "no answer", from 0 to 1.
        window: The characters of the text, begin and end, that were read when it was found.
    """

    text: str
    start: int
    end: int
    context: int
    score: float
    probability: float
    window: tuple[int, int]

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "text": self.text,
            "start": self.start,
            "end": self.end,
            "context": self.context,
            "score": round(self.score, 4),
            "probability": round(self.probability, 4),
        }


@dataclass(frozen=True)
class QAPrediction:
    """A question with its answers, best first.

    Args:
        question: The question, as given.
        contexts: The texts that it was asked on.
        answers: The best answers of all texts, best first, whether it is answered or not.
        answered: Whether the best answer is good enough, by the threshold fitted on validation.
        no_answer: Probability that no text has an answer.
        id: As given; None where there was none.
        cut: Tokens at the question's end that were not read, as they leave no room for a text.
    """

    question: str
    contexts: Sequence[str]
    answers: Sequence[Answer]
    answered: bool
    no_answer: float
    id: str | None = None
    cut: int = 0

    @property
    def answer(self) -> Answer | None:
        """The best answer; None where there is none that is good enough."""
        return self.answers[0] if self.answered else None

    @property
    def window(self) -> str:
        """The part of the text that was read when the best answer was found."""
        if not self.answers:
            return ""
        begin, end = self.answers[0].window
        return self.contexts[self.answers[0].context][begin:end]

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as a line of the JSON output.

        `answer` is null where there is none, and `cut` is there only where something was.
        """
        record: dict[str, Any] = {} if self.id is None else {"id": self.id}
        record["question"] = self.question
        record["answer"] = self.answer.text if self.answer is not None else None
        if self.answer is not None:
            best = self.answer
            record |= {"start": best.start, "end": best.end, "context": best.context}
            record |= {"probability": round(best.probability, 4), "window": self.window}
        record["no_answer"] = round(self.no_answer, 4)
        if self.cut:
            record["cut"] = self.cut
        record["answers"] = [one.to_dict() for one in self.answers]
        return record

    def _repr_html_(self) -> str:
        return _shown(self)


class QAPredictions(Predictions[QAPrediction]):
    """Predictions in the order of the input; notebooks show each question on its marked text."""

    #: Most questions shown in a notebook.
    SHOWN = 50

    def _repr_html_(self) -> str:
        more = len(self) - self.SHOWN
        shown = "<hr>".join(map(_shown, self._predictions[: self.SHOWN]))
        return shown + (f"<p>and {more} more</p>" * (more > 0))


#: Characters of a text shown where there is no answer to mark.
_BEGINNING = 600


def _shown(prediction: QAPrediction) -> str:
    asked = f"<b>{html.escape(prediction.question)}</b>"
    best = prediction.answer
    if best is None:
        text = prediction.contexts[0] if prediction.contexts else ""
        more = "…" if len(text) > _BEGINNING else ""
        return (
            f"<div>{asked} <i>no answer</i> ({prediction.no_answer:.2f})"
            f'<p style="color:grey">{html.escape(text[:_BEGINNING])}{more}</p></div>'
        )
    text = prediction.contexts[best.context]
    begin, end = best.window
    before, after = text[begin : best.start], text[best.end : end]
    which = f" in text {best.context + 1}" if len(prediction.contexts) > 1 else ""
    return (
        f"<div>{asked} {html.escape(best.text)} ({best.probability:.2f}{which})"
        f"<p>{'…' * (begin > 0)}{html.escape(before)}"
        f'<mark style="background:#a5d8f3">{html.escape(best.text)}</mark>'
        f"{html.escape(after)}{'…' * (end < len(text))}</p></div>"
    )
