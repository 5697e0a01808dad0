"""From the best spans of windows to answered questions with their scores."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from zoo.qa.answering import trimmed
from zoo.qa.decoding import Best, Spans, merge
from zoo.qa.metrics import exact_match, f1
from zoo.qa.normalization import AnswersIn
from zoo.qa.prediction import AnsweredQuestion, Scores


class Waiting:
    """Best spans of questions whose windows have not all been seen: k candidates for each."""

    def __init__(self) -> None:
        self._best: dict[int, Best] = {}
        self._seen: Counter[int] = Counter()

    def clear(self) -> None:
        """Forget them."""
        self._best.clear()
        self._seen.clear()

    def add(
        self, batch: Mapping[str, Any], spans: Spans
    ) -> Iterator[tuple[int, Best, str, list[str]]]:
        """Questions that a batch completes: row, best spans, text and right answers."""
        merge(self._best, spans, batch["offsets"], batch["example"], batch["window"])
        self._seen.update(batch["example"])
        columns = (batch[name] for name in ("example", "windows", "context", "answers"))
        for row, windows, text, golds in zip(*columns, strict=True):
            if self._seen[row] == windows and row in self._best:
                del self._seen[row]
                yield row, self._best.pop(row), text, golds


def answered(
    row: int, best: Best, text: str, golds: list[str], answers_in: AnswersIn
) -> AnsweredQuestion:
    """What is known of a question when all of its windows were seen.

    Args:
        row: The question's row in the table of examples.
        best: Its best spans.
        text: The text that it is asked about.
        golds: Its right answers.
        answers_in: Whether answers are compared in words or in characters.
    """
    top = best.best
    start, end = (0, 0) if top is None else trimmed(text, top.start, top.end)
    said = text[start:end]
    return AnsweredQuestion(
        row,
        said,
        start,
        end,
        0.0 if top is None else best.probability,
        best.null_probability,
        best.score_difference,
        golds,
        Scores(exact_match(said, golds, answers_in), f1(said, golds, answers_in)),
        Scores(exact_match("", golds, answers_in), f1("", golds, answers_in)),
    )
