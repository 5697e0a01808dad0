"""What `predict` takes, in all its forms, and the answers of a question's texts put together."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from zoo.errors import DataError
from zoo.qa.decoding import Best
from zoo.qa.encoding import Window
from zoo.qa.prediction import Answer, QAPrediction
from zoo.qa.reading import is_squad, read_questions

#: Questions, and characters of their texts, that are encoded and predicted together, so that a
#: stream of them is never held whole.
_QUESTIONS_AT_ONCE = 512
_CHARACTERS_AT_ONCE = 2_000_000


class QuestionInput(NamedTuple):
    """A question and the texts to search, one or more; `id` comes back with the prediction."""

    question: str
    contexts: Sequence[str]
    id: str | None = None


#: A question on a text or on several, as a pair or as a dict.
Given = QuestionInput | tuple[str, str | Sequence[str]] | Mapping[str, Any]


def input_of(record: Mapping[str, Any]) -> QuestionInput:
    """The question of a dict with `question`, `context` or `contexts`, and `id` if any.

    Raises:
        DataError: It lacks what it should hold, or a text is none that can be written.
    """
    question, name = record.get("question"), record.get("id")
    contexts = record.get("contexts")
    if contexts is None:
        contexts = record.get("context")
    if isinstance(contexts, str):
        contexts = [contexts]
    if (
        not isinstance(question, str)
        or not isinstance(contexts, Sequence)
        or not contexts
        or not all(isinstance(text, str) for text in contexts)
    ):
        raise DataError(
            'Each object needs "question" (a string) and "context" (a string) or "contexts" (a '
            f"list of strings); this one has {', '.join(map(str, record)) or 'nothing'}."
        )
    found = QuestionInput(question, list(contexts), None if name is None else str(name))
    try:
        for text in (found.question, *found.contexts, found.id or ""):
            text.encode("utf-8")
    except UnicodeEncodeError:
        raise DataError(
            r"the text holds half of a surrogate pair (such as \ud83d), which is no character."
        ) from None
    return found


def input_of_line(line: str) -> QuestionInput | None:
    """The question of a line: a JSON object, or question, tab and text; None of a blank line.

    Raises:
        DataError: It is neither.
    """
    if not line.strip():
        return None
    if line.lstrip().startswith("{"):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"broken JSON ({error}).") from None
        return input_of(record)
    question, tab, text = line.partition("\t")
    if not tab:
        raise DataError(
            'A question comes with its text: {"question": ..., "context": ...}, or question, tab '
            "and text."
        )
    return QuestionInput(question, [text])


def inputs_of_squad(path: Path) -> Iterator[QuestionInput] | None:
    """The questions of a file in SQuAD's layout, with or without answers; None of any other.

    Raises:
        DataError: It cannot be read.
    """
    if not is_squad(path):
        return None
    return (
        QuestionInput(one.question, [one.context], one.id)
        for one in read_questions(path, answers=False)
    )


def as_inputs(inputs: Given | Sequence[Given]) -> list[QuestionInput]:
    """Any form of input as a list of questions.

    Raises:
        DataError: One is no question on a text.
    """
    alone = isinstance(inputs, (Mapping, QuestionInput)) or (
        isinstance(inputs, tuple) and len(inputs) == 2 and isinstance(inputs[0], str)
    )
    return [_as_input(one) for one in ([inputs] if alone else inputs)]


def _as_input(given: Any) -> QuestionInput:
    if isinstance(given, QuestionInput):
        return input_of(given._asdict())  # a text alone, too, which is no list of its letters
    if isinstance(given, Mapping):
        return input_of(given)
    if isinstance(given, Sequence) and not isinstance(given, str) and len(given) == 2:
        return input_of({"question": given[0], "contexts": given[1]})
    raise DataError(f"A question comes with its text, (QUESTION, TEXT); given was {given!r:.80}.")


def portions(inputs: Iterable[QuestionInput]) -> Iterator[list[QuestionInput]]:
    """Inputs in portions that are small enough to hold their windows."""
    portion: list[QuestionInput] = []
    characters = 0
    for one in inputs:
        portion.append(one)
        characters += sum(map(len, one.contexts))
        if len(portion) >= _QUESTIONS_AT_ONCE or characters >= _CHARACTERS_AT_ONCE:
            yield portion
            portion, characters = [], 0
    if portion:
        yield portion


def characters_of(window: Window) -> tuple[int, int]:
    """The characters of the text that a window holds, begin and end."""
    return (int(window.starts[0]), int(window.ends[-1])) if len(window.starts) else (0, 0)


def trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """A span without white space around it."""
    inner = text[start:end]
    return start + len(inner) - len(inner.lstrip()), end - len(inner) + len(inner.rstrip())


def prediction(
    question: QuestionInput,
    bests: Sequence[Best],
    windows: Sequence[Sequence[tuple[int, int]]],
    *,
    threshold: float,
    most: int,
    cut: int = 0,
) -> QAPrediction:
    """The answers of all texts of a question, best first.

    Scores of different texts are brought to one scale by taking each text's null score off them,
    so that "no answer" scores 0 everywhere; probabilities are a softmax over all spans and that 0.

    Args:
        question: The question with its texts.
        bests: The best spans of each text.
        windows: The characters, begin and end, of each text's windows.
        threshold: A question is answered iff its best span scores at least minus this.
        most: Answers that are given.
        cut: Tokens at the question's end that were not read.
    """
    found = sorted(
        (
            (one.score - best.null, number, one)
            for number, best in enumerate(bests)
            for one in best.candidates
        ),
        key=lambda row: -row[0],
    )
    top = max(0.0, found[0][0]) if found else 0.0
    total = math.fsum([math.exp(-top), *(math.exp(score - top) for score, _, _ in found)])
    answers = []
    for score, number, one in found[:most]:
        start, end = trimmed(question.contexts[number], one.start, one.end)
        text = question.contexts[number][start:end]
        likely = math.exp(score - top) / total
        window = windows[number][one.window]
        answers.append(Answer(text, start, end, number, score, likely, window))
    return QAPrediction(
        question.question,
        question.contexts,
        answers,
        answered=bool(answers) and -answers[0].score <= threshold,
        no_answer=math.exp(-top) / total,
        id=question.id,
        cut=cut,
    )
