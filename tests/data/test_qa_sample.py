"""The QA sample corpus keeps what its datasheet promises."""

import importlib.util
import json
import re
import statistics
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from zoo.data import samples

FOLDER = Path(__file__).parents[2] / "data" / "qa"
SPLITS = ("train", "validation", "test")
DATASHEET = (FOLDER / "README.md").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Row:
    """One question of a file with its passage."""

    title: str
    context: str
    id: str
    question: str
    answers: tuple[tuple[str, int], ...]
    is_impossible: bool


@cache
def read(split: str) -> list[Row]:
    squad = json.loads((FOLDER / "sample" / f"{split}.json").read_text(encoding="utf-8"))
    return [
        Row(
            article["title"],
            paragraph["context"],
            qa["id"],
            qa["question"],
            tuple((answer["text"], answer["answer_start"]) for answer in qa["answers"]),
            qa["is_impossible"],
        )
        for article in squad["data"]
        for paragraph in article["paragraphs"]
        for qa in paragraph["qas"]
    ]


def contexts(split: str) -> list[str]:
    return list(dict.fromkeys(row.context for row in read(split)))


@cache
def load(module: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"qa_sample_{module}", FOLDER / f"{module}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up there.
    sys.modules[spec.name] = loaded
    spec.loader.exec_module(loaded)
    return loaded


@cache
def passages(split: str) -> list[Any]:
    """The passages as the generator drew them, which also knows relations and patterns."""
    return [passage for _, drawn in corpus()[split] for passage in drawn]


@cache
def baseline_scores() -> dict[str, dict[str, list[float]]]:
    pytest.importorskip("sklearn")
    scores: dict[str, dict[str, list[float]]] = load("baselines").scores()
    return scores


@cache
def corpus() -> dict[str, Any]:
    drawn: dict[str, Any] = load("generate").corpus()
    return drawn


def questions(split: str) -> list[Any]:
    return [question for passage in passages(split) for question in passage.questions]


def words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+(?:['’-][^\W_]+)*", text.lower())


def claimed(what: str) -> str:
    """The numbers that the datasheet gives for a property, from the row of a table."""
    found = re.search(rf"^\| {re.escape(what)} \|(.+)\|$", DATASHEET, flags=re.MULTILINE)
    assert found is not None, f"the datasheet has no row '{what}'"
    return found[1].strip()


def row(*numbers: int) -> str:
    """Numbers as they stand in such a row."""
    return " | ".join(f"{number:,}" for number in numbers)


def percent(*shares: float) -> str:
    return " | ".join(f"{share:.0%}".replace("%", " %") for share in shares)


every_split = pytest.mark.parametrize("split", SPLITS)


def test_generator_rewrites_the_shipped_files_byte_for_byte(tmp_path: Path) -> None:
    command = [sys.executable, str(FOLDER / "generate.py"), "--out", str(tmp_path)]
    subprocess.run(command, check=True, cwd=tmp_path)
    written = {file.relative_to(tmp_path) for file in tmp_path.rglob("*.*")}
    assert written == {Path("sample") / f"{split}.json" for split in SPLITS}
    for file in written:
        assert (tmp_path / file).read_bytes() == (FOLDER / file).read_bytes()


def test_the_corpus_is_found_by_its_name() -> None:
    assert samples.folder("qa-sample") == FOLDER / "sample"


@every_split
def test_files_have_the_structure_of_squad_2(split: str) -> None:
    squad = json.loads((FOLDER / "sample" / f"{split}.json").read_text(encoding="utf-8"))
    assert list(squad) == ["version", "data"]
    assert squad["version"] == "v2.0"
    for article in squad["data"]:
        assert list(article) == ["title", "paragraphs"]
        for paragraph in article["paragraphs"]:
            assert list(paragraph) == ["context", "qas"]
            assert 3 <= len(paragraph["qas"]) <= 6
            for qa in paragraph["qas"]:
                assert list(qa) == ["id", "question", "answers", "is_impossible"]
                assert all(list(answer) == ["text", "answer_start"] for answer in qa["answers"])


@every_split
def test_answers_stand_at_their_offsets_and_nowhere_else(split: str) -> None:
    for each in read(split):
        for text, start in each.answers:
            assert each.context[start : start + len(text)] == text
            assert each.context.count(text) == 1
            before, after = each.context[:start], each.context[start + len(text) :]
            assert not re.search(r"[\w£$€]$", before)
            assert not re.match(r"\w", after)


@every_split
def test_answers_have_1_to_6_words_and_several_of_a_question_overlap(split: str) -> None:
    for each in read(split):
        assert each.is_impossible == (not each.answers)
        assert len(set(each.answers)) == len(each.answers) <= 2
        assert all(1 <= len(text.split()) <= 6 for text, _ in each.answers)
        if len(each.answers) == 2:
            assert each.answers[0][0] in each.answers[1][0]


def test_ids_are_unique_and_questions_come_once_per_passage() -> None:
    rows = [each for split in SPLITS for each in read(split)]
    assert len({each.id for each in rows}) == len(rows)
    assert len({(each.context, each.question) for each in rows}) == len(rows)


def test_no_passage_and_no_title_occurs_in_two_splits() -> None:
    for pick in (lambda each: tuple(words(each.context)), lambda each: each.title):
        found = {split: {pick(each) for each in read(split)} for split in SPLITS}
        assert not found["train"] & found["validation"]
        assert not found["train"] & found["test"]
        assert not found["validation"] & found["test"]
    assert sum(len(contexts(split)) for split in SPLITS) == len(
        {tuple(words(context)) for split in SPLITS for context in contexts(split)}
    )


@every_split
def test_passages_are_neat_and_have_40_to_110_words(split: str) -> None:
    for text in contexts(split):
        assert 40 <= len(text.split()) <= 110
        assert not re.search(r"[{}|\t\n\ue000-\uf8ff]|  ", text)
        assert text == text.strip()
        assert not re.search(r"[.!?] [a-z]|\b[Aa] [aeioAEIO]", text)


@every_split
def test_questions_end_in_a_question_mark_and_have_no_slot_left(split: str) -> None:
    for each in read(split):
        assert re.fullmatch(r"[A-Z][^{}?\ue000-\uf8ff]*\?", each.question)


@every_split
def test_the_house_asked_for_is_in_the_passage_unless_it_is_said_to_be_absent(split: str) -> None:
    grammar = load("generate").read_grammar(FOLDER / "sample.txt")
    kinds = [kind for pool in grammar["kind"].values() for kind in pool]
    for passage in passages(split):
        text = passage.text.replace("’", "'").replace("The ", "the ")
        for question in passage.questions:
            before, after = question.pattern.split("{it}")
            house = question.text.removeprefix(before).removesuffix(after)
            name = re.sub(f" (?:{'|'.join(kinds)})$", "", house)
            assert (name in text) == (question.reason != "absent"), (name, text)


@every_split
def test_a_relation_is_told_in_the_passage_unless_it_is_said_to_be_unmentioned(split: str) -> None:
    grammar = load("generate").read_grammar(FOLDER / "sample.txt")
    for passage in passages(split):
        used = set(passage.patterns)
        for question in passage.questions:
            told = {
                pattern
                for form in ("tell", "both")
                for pool in grammar[f"{question.relation} {form}"].values()
                for pattern in pool
            }
            assert bool(used & told) == (question.reason != "unmentioned")
            assert bool(question.answers) == (question.reason == "told")


@every_split
def test_datasheet_gives_the_counts_of_the_files(split: str) -> None:
    rows, drawn = read(split), questions(split)
    reasons = Counter(question.reason for question in drawn)
    assert claimed(split) == row(
        len({each.title for each in rows}),
        len(contexts(split)),
        sum(len(words(text)) for text in contexts(split)),
        len(rows),
        sum(bool(each.answers) for each in rows),
        reasons["unmentioned"],
        reasons["untold"],
        reasons["absent"],
        sum(len(each.answers) == 2 for each in rows),
    )


@pytest.mark.parametrize(
    "relation",
    [
        *("founder", "opened", "helpers", "cost", "place", "closure", "colour"),
        *("repairer", "head", "duration", "day", "sponsor", "treasure", "food"),
    ],
)
def test_datasheet_gives_the_counts_of_every_relation(relation: str) -> None:
    counts = []
    for split in SPLITS:
        about = [q for q in questions(split) if q.relation == relation]
        counts += [sum(bool(q.answers) for q in about), sum(not q.answers for q in about)]
    kind, *rest = claimed(f"`{relation}`").split(" | ")
    assert kind
    assert " | ".join(rest) == row(*counts)


def test_every_question_belongs_to_one_of_14_relations() -> None:
    relations = {question.relation for split in SPLITS for question in questions(split)}
    assert len(relations) == 14
    assert all(f"| `{relation}` |" in DATASHEET for relation in relations)


def test_a_third_of_the_questions_is_unanswerable_and_3_in_100_have_two_answers() -> None:
    for split in SPLITS:
        rows = read(split)
        assert 0.3 <= statistics.mean(each.is_impossible for each in rows) <= 0.37
        assert 0.02 <= statistics.mean(len(each.answers) == 2 for each in rows) <= 0.05


def test_datasheet_gives_how_much_of_the_held_out_splits_train_lacks() -> None:
    found: dict[str, list[float]] = {}

    def note(what: str, share: float) -> None:
        found.setdefault(what, []).append(share)

    known_words = {word for text in contexts("train") for word in words(text)}
    known_answers = {text.lower() for each in read("train") for text, _ in each.answers}
    known_asked = {question.pattern for question in questions("train")}
    known_told = {pattern for passage in passages("train") for pattern in passage.patterns}
    for split in ("validation", "test"):
        different = {word for text in contexts(split) for word in words(text)}
        note("different words that train lacks", len(different - known_words) / len(different))
        answers = [each.answers[0][0].lower() for each in read(split) if each.answers]
        fresh = statistics.mean(answer not in known_answers for answer in answers)
        note("answers that are none in train", fresh)
        asked = [question.pattern not in known_asked for question in questions(split)]
        note("questions after a pattern that train lacks", statistics.mean(asked))
        told = [p not in known_told for passage in passages(split) for p in passage.patterns]
        note("sentences after a pattern that train lacks", statistics.mean(told))
    for what, shares in found.items():
        assert claimed(what) == percent(*shares)


def test_datasheet_gives_how_often_only_the_house_decides() -> None:
    found: dict[str, list[float]] = {}
    for split in SPLITS:
        counterparts, same_kind = [], []
        for passage in passages(split):
            told = Counter(fact.relation for fact in passage.facts)
            assert 5 <= len(passage.facts) <= 8
            assert max(told.values()) <= 2
            same_kind.append(len({fact.house.kind for fact in passage.facts}) == 1)
            counterparts += [told[q.relation] == 2 for q in passage.questions if q.answers]
        what = "answerable questions whose relation is told of another house too"
        found.setdefault(what, []).append(statistics.mean(counterparts))
        what = "passages whose houses are all of one kind"
        found.setdefault(what, []).append(statistics.mean(same_kind))
    for what, shares in found.items():
        assert claimed(what) == percent(*shares)


def test_datasheet_gives_the_share_of_passages_with_more_than_ascii() -> None:
    shares = [statistics.mean(not text.isascii() for text in contexts(split)) for split in SPLITS]
    assert claimed("passages with accents, curly quotes, signs or emoji") == percent(*shares)
    behind_emoji = [
        each
        for each in read("train")
        for _, start in each.answers
        if any(ord(letter) > 0xFFFF for letter in each.context[:start])
    ]
    assert len(behind_emoji) > 30


def test_baselines_score_what_the_datasheet_says() -> None:
    scores = baseline_scores()
    assert len(scores) == 3
    for name, by_metric in scores.items():
        for metric, values in by_metric.items():
            numbers = claimed(f"{name}: {metric}").split(" | ")
            assert [float(number) for number in numbers] == pytest.approx(values, abs=0.002)
        # So that a model has to learn something to be above them.
        assert max(by_metric["F1"]) < 0.4


def test_always_answering_nothing_scores_the_share_of_unanswerable_questions() -> None:
    scores = baseline_scores()["always no answer"]
    shares = [statistics.mean(each.is_impossible for each in read(split)) for split in SPLITS]
    assert scores["F1"] == scores["exact match"] == pytest.approx(shares)


def test_the_word_f1_of_the_baselines_agrees_with_torchmetrics() -> None:
    """An independent implementation of SQuAD's score; it lacks unanswerable questions."""
    from torchmetrics.functional.text import squad

    pairs = [
        ("the ferrywoman Mara Quill", "Mara Quill"),
        ("Mara Quill", "Mara Quill"),
        ("in 1911", "1911"),
        ("£3.50 only", "£3.50"),
        ("two hours and two minutes", "two hours"),
        ("dark green", "bright green"),
        ("plum soup", "honey cake"),
    ]
    for predicted, truth in pairs:
        judged = squad(
            [{"prediction_text": predicted, "id": "1"}],
            [{"answers": {"answer_start": [0], "text": [truth]}, "id": "1"}],
        )
        assert 100 * load("baselines").f1(predicted, truth) == pytest.approx(judged["f1"].item())
        exact = 100 * load("baselines").exact(predicted, truth)
        assert exact == pytest.approx(judged["exact_match"].item())
