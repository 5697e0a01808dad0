"""Planted faults in questions on texts, and what real corpora are known for."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zoo.data.doctor.findings import Examination, Finding, Severity
from zoo.qa.datamodule import QADataModule
from zoo.qa.doctor import examine

Questions = list[dict[str, Any]]
Corpus = dict[str, Questions]
SIZES = {"train": 120, "validation": 60, "test": 60}


def asked(number: int) -> dict[str, Any]:
    context = f"The house {number} was built by Ada in London . It is red ."
    return {
        "id": str(number),
        "question": f"Who built house {number} ?",
        "context": context,
        "answers": [{"text": "Ada", "answer_start": context.index("Ada")}],
    }


def clean() -> Corpus:
    corpus: Corpus = {}
    number = 1000
    for split, size in SIZES.items():
        corpus[split] = [asked(number + at) for at in range(size)]
        number += size
    return corpus


def found(examination: Examination, code: str) -> list[Finding]:
    return [finding for finding in examination.findings if finding.code == code]


def examined(corpus: Corpus, folder: Path, backbone: Path, **options: Any) -> Examination:
    files: dict[str, Any] = {}
    for split, questions in corpus.items():
        path = folder / f"{split}.jsonl"
        path.write_text(
            "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in questions),
            encoding="utf-8",
        )
        files[split] = str(path)
    options = {"max_length": 64, "stride": 16, **options}
    return examine(QADataModule(backbone=str(backbone), **files, **options))


def answer(question: dict[str, Any], text: str, start: int | None) -> None:
    question["answers"] = [{"text": text, "answer_start": start}]


def shifted(corpus: Corpus) -> None:
    for at in (3, 8):
        corpus["train"][at]["answers"][0]["answer_start"] += 2


def lost(corpus: Corpus) -> None:
    answer(corpus["train"][3], "Bob", 10)


def all_lost(corpus: Corpus) -> None:
    for one in corpus["train"][:70]:
        answer(one, "Bob", 10)


def without_offset(corpus: Corpus) -> None:
    answer(corpus["test"][3], "Ada", None)


def inside_token(corpus: Corpus) -> None:
    one = corpus["train"][3]
    one["context"] = "Ada worked for a and b ."
    answer(one, "work", 4)


def too_long(corpus: Corpus) -> None:
    one = corpus["train"][3]
    one["context"] = "a b c d " * 30
    answer(one, ("a b c d " * 20).strip(), 0)


def leaked(corpus: Corpus) -> None:
    corpus["test"][:6] = [{**one, "id": f"x{at}"} for at, one in enumerate(corpus["train"][:6])]


def on_texts_of_train(corpus: Corpus) -> None:
    for one, other in zip(corpus["test"][:5], corpus["train"][:5], strict=True):
        one["context"] = other["context"]
        one["question"] = "Who was it ?"


def contradicting(corpus: Corpus) -> None:
    one = corpus["train"][4]
    corpus["train"][5] = {**one, "id": "other"}
    answer(corpus["train"][5], "London", one["context"].index("London"))


def empty(corpus: Corpus) -> None:
    corpus["train"][5]["question"] = " "


def unanswerable(corpus: Corpus) -> None:
    for one in corpus["test"][:30]:
        one["answers"] = []


def never_answered(corpus: Corpus) -> None:
    for questions in corpus.values():
        for one in questions:
            one["answers"] = []


def same_id(corpus: Corpus) -> None:
    corpus["train"][5]["id"] = corpus["train"][4]["id"]


def no_string(corpus: Corpus) -> None:
    corpus["train"][5]["question"] = 7


E, W, N = Severity.ERROR, Severity.WARNING, Severity.NOTE
PLANTED: dict[Callable[[Corpus], None], tuple[str, Severity, int]] = {
    shifted: ("shifted-answer", W, 2),
    lost: ("lost-answer", W, 1),
    all_lost: ("lost-answer", E, 70),
    without_offset: ("answer-without-offset", N, 1),
    inside_token: ("answer-inside-token", N, 1),
    too_long: ("answer-longer-than-window", N, 1),
    leaked: ("leak", E, 6),
    on_texts_of_train: ("shared-text", W, 5),
    contradicting: ("contradiction", W, 1),
    empty: ("empty-text", W, 1),
    unanswerable: ("unanswerable-shift", W, 1),
    never_answered: ("nothing-to-learn", E, 1),
    same_id: ("duplicate-id", N, 1),
    no_string: ("unreadable", E, 1),
}


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_a_planted_fault_is_found(
    plant: Callable[[Corpus], None], tmp_path: Path, tiny: Callable[[str], Path]
) -> None:
    code, severity, count = PLANTED[plant]
    corpus = clean()
    plant(corpus)
    findings = found(examined(corpus, tmp_path, tiny("bert")), code)
    assert findings
    assert {one.severity for one in findings} == {severity}
    assert sum(one.count for one in findings) == count


def test_a_clean_corpus_has_none_of_them(tmp_path: Path, tiny: Callable[[str], Path]) -> None:
    examination = examined(clean(), tmp_path, tiny("bert"))
    assert {finding.code for finding in examination.findings} <= {"unknown-token"}


def test_a_shifted_answer_is_named_with_its_line_and_both_places(
    tmp_path: Path, tiny: Callable[[str], Path]
) -> None:
    corpus = clean()
    shifted(corpus)
    (finding,) = found(examined(corpus, tmp_path, tiny("bert")), "shifted-answer")
    begins = corpus["train"][3]["context"].index("Ada")
    assert finding.places[0].where == f"{tmp_path / 'train.jsonl'}:4"
    assert finding.places[0].quote == f"'Ada' said offset {begins + 2}, stands at {begins}"


def test_questions_of_squad_files_are_named_by_their_number(
    tmp_path: Path, tiny: Callable[[str], Path]
) -> None:
    files: dict[str, Any] = {}
    corpus = clean()
    shifted(corpus)
    for split, questions in corpus.items():
        paragraphs = [{"context": one.pop("context"), "qas": [one]} for one in questions]
        path = tmp_path / f"{split}.json"
        path.write_text(json.dumps({"data": [{"title": "", "paragraphs": paragraphs}]}))
        files[split] = str(path)
    data = QADataModule(backbone=str(tiny("bert")), max_length=64, stride=16, **files)
    (finding,) = found(examine(data), "shifted-answer")
    assert finding.places[0].where == f"{files['train']} question 4"


@pytest.mark.slow
def test_cmrc2018_has_five_shifted_answers(real_data: Path) -> None:
    data = QADataModule(train=str(real_data / "qa/cmrc2018/cmrc2018_trial.json"))
    assert [one.count for one in found(examine(data), "shifted-answer")] == [5]


@pytest.mark.slow
def test_drcd_has_no_error(real_data: Path) -> None:
    examination = examine(QADataModule(train=str(real_data / "qa/drcd/DRCD_dev.json")))
    assert examination.count(Severity.ERROR) == 0
    assert not found(examination, "shifted-answer")


@pytest.mark.slow
def test_the_sample_has_no_warning() -> None:
    examination = examine(QADataModule("qa-sample"))
    assert examination.count(Severity.ERROR) + examination.count(Severity.WARNING) == 0
