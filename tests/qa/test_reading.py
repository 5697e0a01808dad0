"""Questions from every layout, with their answers where they stand."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest

from zoo.errors import DataError
from zoo.qa.reading import Question, ReadingNotes, _unique, nearest, read_questions

_TEXT = "Ada 🎉 sang in Łódź. Ada e\u0301 sang."


def _write(path: Path, content: Any) -> Path:
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    path.write_text(text, encoding="utf-8")
    return path


def _squad(qas: list[dict[str, Any]], **paragraph: Any) -> dict[str, Any]:
    return {"data": [{"title": "T", "paragraphs": [{"context": _TEXT, "qas": qas, **paragraph}]}]}


def _one(path: Path, **options: Any) -> tuple[Question, ReadingNotes]:
    notes = ReadingNotes()
    (question,) = read_questions(path, notes=notes, **options)
    return question, notes


def test_squad_2_gives_answers_and_leaves_plausible_ones_alone(tmp_path: Path) -> None:
    qas: list[dict[str, Any]] = [
        {"id": "a", "question": "Who?", "answers": [{"text": "Ada", "answer_start": 0}]},
        {
            "id": "b",
            "question": "When?",
            "answers": [],
            "plausible_answers": [{"text": "Łódź", "answer_start": 14}],
            "is_impossible": True,
        },
        {"id": "c", "question": "Why?", "is_impossible": True},
    ]
    questions = list(read_questions(_write(tmp_path / "x.json", _squad(qas))))
    assert [one.answers for one in questions] == [[("Ada", 0)], [], []]
    assert [(one.id, one.title, one.line) for one in questions] == [
        ("a", "T", 1),
        ("b", "T", 2),
        ("c", "T", 3),
    ]


@pytest.mark.parametrize("answer", ["Łódź", "sang in", "🎉", "e\u0301"])
def test_offsets_count_code_points(answer: str, tmp_path: Path) -> None:
    start = _TEXT.index(answer)
    qas = [{"id": 1, "question": "?", "answers": [{"text": answer, "answer_start": start}]}]
    question, notes = _one(_write(tmp_path / "x.json", _squad(qas)))
    assert question.context[start : start + len(answer)] == answer
    assert question.answers == [(answer, start)]
    assert question.id == "1"
    assert notes == ReadingNotes()


def test_cmrc_in_its_own_layout_is_read_with_the_first_place_of_each_answer(tmp_path: Path) -> None:
    content = [
        {
            "context_id": "X",
            "context_text": "范廷颂是主教。",
            "qas": [{"query_text": "谁？", "query_id": "X_0", "answers": ["范廷颂", "范廷颂"]}],
            "title": "范廷颂",
        }
    ]
    question, notes = _one(_write(tmp_path / "x.json", json.dumps(content, indent=1)))
    assert question == Question("X_0", "谁？", "范廷颂是主教。", [("范廷颂", 0)] * 2, "范廷颂", 1)
    assert notes.sentences("train") == [
        "2 answers in train have no offset: the first place is taken."
    ]


@pytest.mark.parametrize(
    "answers",
    [
        {"text": ["sang"], "answer_start": [6]},
        [{"text": "sang", "answer_start": 6}],
        {"text": "sang", "answer_start": 6},
        ["sang"],
        "sang",
    ],
)
@pytest.mark.parametrize("suffix", ["json", "jsonl", "parquet"])
def test_flat_records_hold_answers_in_any_usual_form(
    answers: Any, suffix: str, tmp_path: Path
) -> None:
    row = {"question": "What?", "context": _TEXT, "answers": answers}
    path = tmp_path / f"x.{suffix}"
    if suffix == "parquet":
        datasets.Dataset.from_list([row]).to_parquet(str(path))
    else:
        _write(path, json.dumps(row) + "\n")
    question, _ = _one(path)
    assert question == Question("1", "What?", _TEXT, [("sang", 6)], "", 1)


def test_a_hub_dataset_in_squad_s_layout_is_read() -> None:
    rows = [
        {
            "id": "5",
            "title": "T",
            "context": _TEXT,
            "question": "Who?",
            "answers": {"text": texts, "answer_start": starts},
        }
        for texts, starts in ((["Ada"], [20]), ([], []))
    ]
    found = list(read_questions(datasets.Dataset.from_list(rows)))
    assert [one.answers for one in found] == [[("Ada", 20)], []]
    assert [one.id for one in found] == ["5", "5#2"]


def test_columns_are_chosen_by_name_where_they_have_others(tmp_path: Path) -> None:
    row = {"frage": "Wer?", "buch": "Ada sang.", "antwort": "Ada"}
    path = _write(tmp_path / "x.jsonl", json.dumps(row))
    columns = {"question": "frage", "context": "buch", "answers": "antwort"}
    assert _one(path, columns=columns)[0].answers == [("Ada", 0)]
    with pytest.raises(DataError, match=r"x\.jsonl:1: nothing is called question or context or"):
        list(read_questions(path))


def test_an_answer_that_is_shifted_moves_to_the_nearest_place_and_is_listed(tmp_path: Path) -> None:
    said = [
        {"text": "sang", "answer_start": 7},  # stands at 6 and at 28
        {"text": "sang", "answer_start": 23},
        {"text": "danced", "answer_start": 3},
        {"text": "  ", "answer_start": 3},
    ]
    places = [_TEXT.index("sang"), _TEXT.rindex("sang")]
    qas = [
        {"id": "a", "question": "What?", "answers": said},
        {"id": "b", "question": "What?", "answers": said[2:]},
    ]
    question, notes = _one(_write(tmp_path / "x.json", _squad(qas)))
    assert question.answers == [("sang", place) for place in places]
    assert (notes.moved, notes.dropped, notes.left_out) == (2, 4, 1)
    assert [(one.id, one.said, one.found) for one in notes.repairs] == [
        ("a", 7, places[0]),
        ("a", 23, places[1]),
        ("a", 3, None),
        ("a", 3, None),
        ("b", 3, None),
        ("b", 3, None),
    ]
    assert len(notes.sentences("test")) == 3


def test_the_nearest_place_is_found_by_looking_at_all(  # an oracle: every place, one by one
) -> None:
    text = "abaXabaabaXXaba"
    for start in range(-2 + 2, len(text) + 3):
        places = [at for at in range(len(text)) if text.startswith("aba", at)]
        found = nearest(text, "aba", start)
        assert found is not None
        assert abs(found - start) == min(abs(at - start) for at in places)
        assert found in places
    assert nearest(text, "abb", 3) is None


def test_empty_questions_and_texts_and_doubled_ids_are_kept_and_said(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "question": "", "context": "Ada.", "answers": []},
        {"id": "a", "question": "Who?", "context": "", "answers": []},
        {"id": "a#2", "question": "Who?", "context": None, "answers": None},
    ]
    path = _write(tmp_path / "x.jsonl", "\n".join(map(json.dumps, rows)))
    notes = ReadingNotes()
    found = list(read_questions(path, notes=notes))
    assert [one.id for one in found] == ["a", "a#2", "a#2#2"]
    assert [one.context for one in found] == ["Ada.", "", ""]
    assert (notes.empty_questions, notes.empty_contexts, notes.duplicate_ids) == (1, 2, 2)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.json", "{]", r"x\.json:1: broken JSON"),
        ("x.json", '{"data": [\n{,', r"x\.json:2: broken JSON"),
        ("x.jsonl", '{"question": "a", "context": "b", "answers": []}\n{', r"x\.jsonl:2: broken"),
        ("x.json", '{"data": 1}', r'"data" must be a list'),
        ("x.json", '{"data": []}', "there is no question"),
        ("x.json", '{"data": [1]}', r"data\[0\]: an article must be"),
        ("x.json", '{"data": [{"title": "T"}]}', r"data\[0\] \('T'\): there is no list of \"par"),
        ("x.json", '{"data": [{"paragraphs": [{}]}]}', r"data\[0\]\.paragraphs\[0\]: there is no"),
        ("x.csv", "a,b", r"not read from \.csv files"),
        ("x.jsonl", '{"question": 3, "context": "b", "answers": []}', "question must be a string"),
        (
            "x.jsonl",
            '{"question": "a", "context": "b", "answers": {"text": ["b"], "answer_start": []}}',
            r"x\.jsonl:1: 1 answers need as many offsets",
        ),
        (
            "x.jsonl",
            '{"question": "a", "context": "b", "answers": [{"text": "b", "answer_start": "0"}]}',
            "must be a whole number",
        ),
        ("x.json", '{"data": [{"paragraphs": [{"qas": [{}]}]}]}', r"qas\[0\]: there is no 'quest"),
        (
            "x.json",
            '{"data": [{"paragraphs": [{"context": "\\ud83d", "qas": []}]}]}',
            "half of a surrogate pair",
        ),
    ],
)
def test_what_cannot_be_read_is_said_with_its_place(
    name: str, content: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=said):
        list(read_questions(_write(tmp_path / name, content)))


def test_a_source_without_answers_is_read_where_none_are_needed(tmp_path: Path) -> None:
    path = _write(tmp_path / "x.json", _squad([{"id": "a", "question": "Who?"}]))
    assert _one(path, answers=False)[0].answers == []
    with pytest.raises(DataError, match=r"paragraphs\[0\]\.qas\[0\]: there is no 'answers'"):
        list(read_questions(path))


def test_answers_that_are_not_needed_leave_no_question_out(tmp_path: Path) -> None:
    answers: list[Any] = [[{"text": "nowhere", "answer_start": 3}], "Ada", 7]
    qas = [{"id": str(at), "question": "?", "answers": one} for at, one in enumerate(answers)]
    path = _write(tmp_path / "x.json", _squad(qas))
    notes = ReadingNotes()
    found = list(read_questions(path, notes=notes, answers=False))
    assert [(one.id, one.answers) for one in found] == [("0", []), ("1", []), ("2", [])]
    assert notes == ReadingNotes()


def test_one_id_for_all_questions_is_made_unique() -> None:
    seen: dict[str, int] = {"x#3": 2}
    notes = ReadingNotes()
    made = [_unique("x", line, seen, notes) for line in range(30_000)]
    assert made[:4] == ["x", "x#2", "x#4", "x#5"]
    assert len(set(made)) == len(made)
    assert "x#3" not in made
    assert notes.duplicate_ids == len(made) - 1


@pytest.mark.parametrize(
    ("file", "questions", "unanswerable", "moved"),
    [
        ("squad2_half_dev/dev-v2.0.json", 6078, 3168, 0),
        ("squadshifts/new_wiki_v1.0.json", 7938, 0, 0),
        ("drcd/DRCD_dev.json", 3524, 0, 0),
        ("cmrc2018/cmrc2018_trial.json", 1002, 0, 5),
    ],
)
def test_real_corpora_are_read_whole(
    file: str, questions: int, unanswerable: int, moved: int, real_data: Path
) -> None:
    notes = ReadingNotes()
    found = list(read_questions(real_data / "qa" / file, notes=notes))
    assert len(found) == questions
    assert sum(not one.answers for one in found) == unanswerable
    assert notes.moved == moved
    assert notes.dropped == notes.left_out == notes.duplicate_ids == 0
    for one in found:
        assert all(one.context[at:].startswith(text) for text, at in one.answers)


def test_a_fixture_writes_what_is_read(squad: Callable[..., str]) -> None:
    path = squad("x", [("Ada sang.", [("Who?", [("Ada", 0)]), ("Why?", [])])])
    assert [one.answers for one in read_questions(Path(path))] == [[("Ada", 0)], []]
