"""Prediction: inputs in any form, several texts ranked, places, JSON and the notebook's view."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from zoo.errors import DataError, ZooError
from zoo.qa.answering import QuestionInput, input_of_line, inputs_of_squad, portions, prediction
from zoo.qa.decoding import Best, Spans, merge
from zoo.qa.prediction import Answer, QAPrediction, QAPredictions
from zoo.qa.task import QATask
from zoo.tracking.export import export_model

Tiny = Callable[[str], Path]


class FoxTask(QATask):
    """Answers with the token `fox`, wherever it stands; the later, the surer."""

    def forward(self, batch: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        fox = self.tokenizer.convert_tokens_to_ids("fox")
        there = (batch["input_ids"] == fox) & batch["context_mask"]
        scores = torch.where(there, 5.0 + torch.arange(there.shape[1]) / 100, torch.tensor(-5.0))
        scores[:, 0] = 0.0
        return scores, scores


@pytest.fixture
def task(tiny: Tiny, tmp_path: Path) -> QATask:
    made = QATask(str(tiny("bert")))
    made.configure_model()
    export_model(made, tmp_path / "model", metadata={"max_length": 32, "encoding": {"stride": 8}})
    return FoxTask.from_run(tmp_path / "model")


@pytest.mark.parametrize(
    "given",
    [
        ("Who ?", "a fox ."),
        [("Who ?", "a fox .")],
        [["Who ?", "a fox ."]],
        {"question": "Who ?", "context": "a fox ."},
        [{"question": "Who ?", "contexts": ["a fox ."], "id": None}],
        {"question": "Who ?", "context": "a fox .", "contexts": None},
        QuestionInput("Who ?", ["a fox ."]),
        QuestionInput("Who ?", "a fox ."),
    ],
)
def test_a_question_comes_in_any_form(given: Any, task: QATask) -> None:
    (found,) = task.predict(given)
    assert found.answer is not None
    assert (found.answer.text, found.answer.start, found.answer.end) == ("fox", 2, 5)
    assert found.question == "Who ?"
    assert found.window == "a fox ."


@pytest.mark.parametrize(
    "given", ["Who ?", [("Who ?",)], [None], {"question": "Who ?"}, [("Who ?", [])], [("Who ?", 3)]]
)
def test_what_is_no_question_on_a_text_is_refused(given: Any, task: QATask) -> None:
    with pytest.raises(DataError, match=r"comes with its text|Each object needs"):
        task.predict(given)


def test_texts_of_one_question_are_ranked_and_empty_ones_do_no_harm(task: QATask) -> None:
    texts = ["a dog .", "", "a fox .", "the quick fox ran ."]
    first, second = task.predict([("Who ?", texts), ("", ["", " "])])
    assert [(one.context, one.text) for one in first.answers[:2]] == [(3, "fox"), (2, "fox")]
    assert first.answer is not None
    assert texts[first.answer.context][first.answer.start : first.answer.end] == "fox"
    assert (
        first.answers[0].probability > first.answers[1].probability > first.answers[2].probability
    )
    assert not second.answered
    assert (second.answers, second.no_answer) == ([], 1.0)
    assert second.to_dict() == {"question": "", "answer": None, "no_answer": 1.0, "answers": []}


def test_an_answer_in_a_long_text_is_found_with_its_window(task: QATask) -> None:
    text = "a b c d e f g h " * 4000 + "the quick fox ran 🎉 ."
    assert len(text) > 60_000
    (found,) = task.predict([("Who ?", text)], batch_size=64)
    assert found.answer is not None
    assert found.answer.start == text.index("fox")
    begin, end = found.answer.window
    assert begin <= found.answer.start < found.answer.end <= end
    assert end - begin < 32 * 6
    assert found.window == text[begin:end]


@pytest.mark.parametrize("text", ["fox", "fox 🎉 e\u0301", "🎉 fox", "شهر fox", "同样 fox 同"])
def test_first_and_last_characters_and_any_script_are_in_place(text: str, task: QATask) -> None:
    (found,) = task.predict([("🎉 ?", text)])
    assert found.answer is not None
    assert text[found.answer.start : found.answer.end] == found.answer.text == "fox"


def test_200_questions_on_one_text_come_back_in_order(task: QATask) -> None:
    text = "a b c d e f g h " * 20 + "fox"
    asked = [(f"Who is {number} ?", text) for number in range(200)]
    found = task.predict(asked, batch_size=128)
    assert [one.question for one in found] == [question for question, _ in asked]
    assert all(one.answer is not None and one.answer.text == "fox" for one in found)


def test_of_a_question_that_fills_the_window_it_is_said_how_much_was_not_read(
    task: QATask, caplog: pytest.LogCaptureFixture
) -> None:
    # Windows of 32 tokens with 8 of overlap and 3 special ones: of 21, a quarter is the text's.
    long, longer = "a " * 17, "b " * 50 + "?"
    found = task.predict([("Who ?", "a fox ."), (long, ["a dog .", "a fox ."]), (longer, "fox")])
    assert [one.cut for one in found] == [0, 1, 35]
    assert [one.answer.text for one in found if one.answer is not None] == ["fox"] * 3
    assert "cut" not in found[0].to_dict()
    assert found[2].to_dict()["cut"] == 35
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith(
        f"The question {long!r} (and 1 more) is longer than 16 tokens: only its beginning is read."
    )
    caplog.clear()
    task.predict([(longer * 9, "fox"), ("Who ?", "fox")])
    (record,) = caplog.records
    assert repr((longer * 9)[:80] + "…") in record.getMessage()
    assert "more)" not in record.getMessage()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_length": 100_000}, r"--model\.max_length 100000 is more than .* can take \(\d+ tok"),
        ({"max_length": 0}, r"--model\.max_length=0 .* leaves no room"),
        ({"stride": -1}, r"--model\.max_length=32 with stride=-1 leaves no room .* at most 27"),
    ],
)
def test_windows_that_cannot_be_are_refused(
    options: dict[str, int], said: str, task: QATask
) -> None:
    task.max_length = options.get("max_length", task.max_length)
    task.stride = options.get("stride", task.stride)
    with pytest.raises(ZooError, match=said):
        task.predict([("Who ?", "a fox .")])


@pytest.mark.parametrize("given", [("\ud83d ?", "fox"), ("?", "fox \ud83d"), {"id": "\ud83d"}])
def test_half_of_a_surrogate_pair_is_refused(given: Any, task: QATask) -> None:
    if isinstance(given, dict):
        given |= {"question": "?", "context": "fox"}
    with pytest.raises(DataError, match="half of a surrogate pair"):
        task.predict(given)


def test_the_same_id_twice_gives_two_answers(task: QATask) -> None:
    given = [{"id": "x", "question": "Who ?", "context": text} for text in ("fox .", "a fox")]
    found = task.predict(given)
    assert [(one.id, one.answer and one.answer.start) for one in found] == [("x", 0), ("x", 2)]


def test_windows_of_many_questions_come_back_the_same_in_batches_of_any_size(
    task: QATask,
) -> None:
    texts = ["a b c d e f g h " * size + "fox" for size in range(6)]
    asked = [(f"Who {'is ' * (number % 3)}?", [texts[number % 6], ""]) for number in range(12)]
    found = [[one.to_dict() for one in task.predict(asked, batch_size=n)] for n in (1, 7, 500)]
    assert found[0] == found[1] == found[2]


def test_scores_of_texts_are_compared_above_their_own_null_score() -> None:
    """Worked by hand: 3 - 1 = 2 in the first text, 9 - 8 = 1 in the second."""
    found: dict[int, Best] = {}
    # Two windows of two tokens, with a span of one token each.
    spans = Spans(
        torch.tensor([[1], [1]]),
        torch.tensor([[1], [1]]),
        torch.tensor([[3.0], [9.0]]),
        torch.tensor([1.0, 8.0]),
    )
    merge(found, spans, torch.tensor([[[0, 0], [0, 1]]] * 2), [0, 1], [0, 0])
    bests = [found[0], found[1]]
    question = QuestionInput("?", ["a", "b"])
    best = prediction(question, bests, [[(0, 1)], [(0, 1)]], threshold=-1.5, most=5)
    assert [(one.text, one.score) for one in best.answers] == [("a", 2.0), ("b", 1.0)]
    total = math.exp(2) + math.exp(1) + 1
    assert [one.probability for one in best.answers] == pytest.approx(
        [math.exp(2) / total, math.exp(1) / total]
    )
    assert best.no_answer == pytest.approx(1 / total)
    assert best.answered
    assert not prediction(question, bests, [[(0, 1)]] * 2, threshold=-2.5, most=5).answered


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Who?\tAda sang.\tLoud.", QuestionInput("Who?", ["Ada sang.\tLoud."])),
        ('{"question": "Who?", "context": "Ada"}', QuestionInput("Who?", ["Ada"])),
        ('{"id": 3, "question": "?", "contexts": ["a", ""]}', QuestionInput("?", ["a", ""], "3")),
        ("  ", None),
    ],
)
def test_a_line_is_json_or_question_tab_text(line: str, expected: QuestionInput | None) -> None:
    assert input_of_line(line) == expected


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("Who?", "A question comes with its text"),
        ('{"question": "?"', "broken JSON"),
        ('{"question": "?"}', "Each object needs"),
        ('{"question": "?", "context": "\\ud83d"}', "half of a surrogate pair"),
    ],
)
def test_other_lines_are_refused(line: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        input_of_line(line)


def test_a_squad_file_is_questions_with_their_ids(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    qas = [{"id": "a", "question": "Who?"}]
    path.write_text(json.dumps({"data": [{"paragraphs": [{"context": "Ada", "qas": qas}]}]}))
    found = inputs_of_squad(path)
    assert found is not None
    assert list(found) == [QuestionInput("Who?", ["Ada"], "a")]
    (tmp_path / "y.jsonl").write_text('{"question": "Who?", "context": "Ada"}\n')
    assert inputs_of_squad(tmp_path / "y.jsonl") is None


def test_a_stream_is_cut_into_portions_by_number_and_by_size() -> None:
    short = [QuestionInput("?", ["a"])] * 600
    assert [len(portion) for portion in portions(short)] == [512, 88]
    long = [QuestionInput("?", ["a" * 900_000])] * 4
    assert [len(portion) for portion in portions(long)] == [3, 1]


def test_a_notebook_shows_the_answer_marked_and_nothing_of_it_as_html() -> None:
    text = "<b>Ada</b> sang in London. " + "x" * 1000
    answer = Answer("Ada", 3, 6, 0, 2.0, 0.9, (0, 26))
    found = QAPrediction("Who <i>?", [text], [answer], True, 0.1)
    shown = found._repr_html_()
    assert '<mark style="background:#a5d8f3">Ada</mark>' in shown
    assert "&lt;b&gt;" in shown
    assert "<b>Ada" not in shown
    assert "<i>?" not in shown
    assert "x" * 10 not in shown
    unanswered = QAPrediction("Who?", [text], [answer], False, 0.9)._repr_html_()
    assert "no answer" in unanswered
    assert "<mark" not in unanswered
    many = QAPredictions([found] * 60)
    assert "and 10 more" in many._repr_html_()
    assert len(many[:3]) == 3
    assert many[0] is found


def test_json_has_the_answer_its_place_and_the_next_best() -> None:
    answer = Answer("Ada", 0, 3, 0, 2.0, 0.75, (0, 9))
    found = QAPrediction("Who?", ["Ada sang."], [answer], True, 0.25, id="q1").to_dict()
    assert found == {
        "id": "q1",
        "question": "Who?",
        "answer": "Ada",
        "start": 0,
        "end": 3,
        "context": 0,
        "probability": 0.75,
        "window": "Ada sang.",
        "no_answer": 0.25,
        "answers": [
            {"text": "Ada", "start": 0, "end": 3, "context": 0, "score": 2.0, "probability": 0.75}
        ],
    }


def test_batch_sizes_below_one_are_refused(task: QATask) -> None:
    with pytest.raises(ZooError, match="batch_size 0 is too small"):
        task.predict(("Who ?", "a fox ."), batch_size=0)
