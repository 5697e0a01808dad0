"""Texts with their summaries from every format, as they stand."""

import csv
import json
from pathlib import Path
from typing import Any

import datasets
import pytest

from zoo.errors import DataError
from zoo.summarization.reading import Example, ReadingNotes, read_examples
from zoo.summarization.scripts import language_of, uses_characters

_CHINESE = "水运工程项目作为我国航运和水利的重要组成部分,其重要性不言而喻."
_JAPANESE = "今日はとても良い天気です。公園を散歩しました。"


def _lines(path: Path, records: list[Any]) -> Path:
    text = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in records)
    path.write_text(text, encoding="utf-8")
    return path


def _one(path: Path, record: Any, columns: Any = None) -> Example:
    (example,) = read_examples(_lines(path / "x.jsonl", [record]), columns)
    return example


def _sentences(example: Example) -> list[str] | None:
    if example.sentences is None:
        return None
    return [example.source[start:end] for start, end in example.sentences]


def test_a_text_and_its_summary_are_kept_as_they_stand(tmp_path: Path) -> None:
    record = {"id": 7, "document": " Ada 🎉 sang.\nDog ran. ", "summary": "Ada sang. "}
    assert _one(tmp_path, record) == Example(
        "7", " Ada 🎉 sang.\nDog ran. ", None, ["Ada sang. "], 1
    )


def test_a_list_of_sentences_is_joined_and_keeps_their_places(tmp_path: Path) -> None:
    example = _one(tmp_path, {"source": ["Ada 🎉 sang. ", "", "  ", "Łódź."], "target": "x"})
    assert example.source == "Ada 🎉 sang. Łódź."
    assert example.sentences == [(0, 11), (12, 17)]
    assert _sentences(example) == ["Ada 🎉 sang.", "Łódź."]


def test_sections_of_sentences_and_paragraphs_of_them_are_read_in_order(tmp_path: Path) -> None:
    sections = {"abstract": ["A b.", "C d."], "introduction": [["E f."], ["G h.", None]]}
    example = _one(tmp_path, {"source": sections, "target": "x"})
    assert example.source == "A b. C d. E f. G h."
    assert _sentences(example) == ["A b.", "C d.", "E f.", "G h."]


def test_of_sections_that_are_texts_the_sentences_are_to_be_found(tmp_path: Path) -> None:
    example = _one(tmp_path, {"source": {"a": "A b. C d.", "b": "", "c": ["E f."]}, "target": "x"})
    assert example.source == "A b. C d.\nE f."
    assert example.sentences is None


@pytest.mark.parametrize(
    ("target", "references"),
    [
        ("One.", ["One."]),
        (["One.", "Two."], ["One.", "Two."]),
        (["", "Two.", None], ["Two."]),
        ([["One.", "Two."], ["Three."]], ["One. Two.", "Three."]),
        ("", [""]),
        ("  \n", [""]),
        (None, [""]),
        ([], [""]),
    ],
)
def test_a_target_is_one_summary_or_several(
    target: Any, references: list[str], tmp_path: Path
) -> None:
    assert _one(tmp_path, {"source": "x", "target": target}).references == references


def test_dotted_names_reach_into_objects(tmp_path: Path) -> None:
    record = {
        "paper": {"id": "P1", "sentences": {"abstract": ["A b.", "C d."], "body": ["E f."]}},
        "summary": {"challenge": "Hard.", "outcome": None},
        "turns": [{"who": "a", "said": "Hi."}, {"who": "b", "said": "Ho."}],
    }
    columns = {"id": "paper.id", "source": "paper.sentences.abstract", "target": "summary.outcome"}
    example = _one(tmp_path, record, columns)
    assert (example.id, example.source, example.references) == ("P1", "A b. C d.", [""])
    columns = {"source": "turns.said", "target": "summary.challenge"}
    example = _one(tmp_path, record, columns)
    assert (_sentences(example), example.references) == (["Hi.", "Ho."], ["Hard."])


def test_a_name_with_a_dot_is_a_column_if_there_is_one(tmp_path: Path) -> None:
    record = {"text": "x", "summary.short": "flat", "summary": {"short": "nested"}}
    assert _one(tmp_path, record, {"target": "summary.short"}).references == ["flat"]
    record = {"text": "x", "a.b": {"c": "deep"}}
    assert _one(tmp_path, record, {"target": "a.b.c"}).references == ["deep"]


@pytest.mark.parametrize(
    ("names", "source", "target"),
    [
        (["article", "highlights", "id"], "article", "highlights"),
        (["id", "dialogue", "summary", "topic"], "dialogue", "summary"),
        (["article", "abstract", "title"], "article", "abstract"),
        (["title", "abstract"], "abstract", "title"),
        (["Document", "Summary"], "Document", "Summary"),
        (["text", "summary", "title"], "text", "summary"),
        (["content", "body", "tldr"], "content", "tldr"),
    ],
)
def test_usual_names_are_found(names: list[str], source: str, target: str, tmp_path: Path) -> None:
    example = _one(tmp_path, {name: f"the {name}" for name in names})
    assert (example.source, example.references) == (f"the {source}", [f"the {target}"])


def test_numbered_columns_are_several_summaries_of_a_text(tmp_path: Path) -> None:
    record = {"fname": "t0", "dialogue": "x", "summary2": "b", "summary1": "a", "summary3": "c"}
    example = _one(tmp_path, record)
    assert (example.id, example.references) == ("t0", ["a", "b", "c"])
    record = {"dialogue": "x", "summary1": "a", "summary3": "c"}
    assert _one(tmp_path, record).references == ["a"]


def test_an_id_and_further_summaries_may_be_missing_here_and_there(tmp_path: Path) -> None:
    records = [{"id": "a", "text": "x", "summary1": "y", "summary2": "z"}]
    records.append({"text": "x", "summary1": "y"})
    examples = list(read_examples(_lines(tmp_path / "x.jsonl", records)))
    assert [(one.id, one.references) for one in examples] == [("a", ["y", "z"]), ("2", ["y"])]


def test_one_json_array_over_many_lines_is_read(tmp_path: Path) -> None:
    records = [
        {"id": "13818513", "summary": "Amanda baked.", "dialogue": "Amanda: Hi\r\nJerry: Ho"},
        {"id": "13728867", "summary": "Olivia votes.", "dialogue": "Olivia: Who?"},
    ]
    path = tmp_path / "train.json"
    path.write_text(json.dumps(records, indent=1), encoding="utf-8")
    examples = list(read_examples(path))
    assert [one.source for one in examples] == ["Amanda: Hi\r\nJerry: Ho", "Olivia: Who?"]
    assert [one.line for one in examples] == [2, 7]


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
@pytest.mark.parametrize("header", [True, False])
def test_tables_hold_line_breaks_in_quoted_fields(
    suffix: str, header: bool, tmp_path: Path
) -> None:
    rows = [["1", 'Doctor: "Hi", you\nPatient: Ho\t.', "Greeting."], ["2", "Short", "A\n\nnote"]]
    path = tmp_path / f"x.{suffix}"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t" if suffix == "tsv" else ",")
        writer.writerows([["ID", "dialogue", "note"], *rows] if header else rows)
    columns: Any = {"target": "note"} if header else {"id": 0, "source": 1, "target": -1}
    examples = list(read_examples(path, columns))
    assert [[one.id, one.source, one.references[0]] for one in examples] == rows
    assert [one.line for one in examples] == ([2, 4] if header else [1, 3])


def test_a_quote_is_a_character_in_a_tsv_file_that_does_not_quote(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_text('source\ttarget\n"Ada" sang\tx\n"open\ty\n', encoding="utf-8")
    assert [one.source for one in read_examples(path)] == ['"Ada" sang', '"open']


def test_a_first_row_is_a_header_only_if_told_or_known(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_text("to title\tAda sang.\tAda\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"x\.tsv:1: the first line names no .* 1: 'Ada sang\.'"):
        list(read_examples(path))
    (example,) = read_examples(path, {"source": 1, "target": 2})
    assert (example.source, example.references) == ("Ada sang.", ["Ada"])
    path.write_text("text\tsummary\n", encoding="utf-8")
    (example,) = read_examples(path, {"source": 0, "target": 1}, header=False)
    assert (example.source, example.references) == ("text", ["summary"])


def test_parquet_and_the_hubs_datasets_give_the_same(tmp_path: Path) -> None:
    records = [
        {"source": ["A b.", "C d."], "summary": {"short": "x", "long": "y"}},
        {"source": [], "summary": {"short": None, "long": "y"}},
    ]
    table = datasets.Dataset.from_list(records)
    table.to_parquet(tmp_path / "x.parquet")
    columns = {"target": "summary.short"}
    expected = [
        Example("1", "A b. C d.", [(0, 4), (5, 9)], ["x"], 1),
        Example("2", "", [], [""], 2),
    ]
    assert list(read_examples(tmp_path / "x.parquet", columns)) == expected
    assert list(read_examples(table, columns)) == expected
    assert list(read_examples(table, {"source": 0, "target": "summary.short"})) == expected


def test_what_is_odd_is_kept_and_said_in_one_sentence_each(tmp_path: Path) -> None:
    records = [
        {"source": "", "target": "x"},
        {"source": " \n", "target": "x"},
        {"source": ["", " "], "target": "x"},
        {"source": "Ada sang.", "target": ""},
        {"source": "Ada sang.", "target": " Ada sang.\n"},
        {"source": "word " * 100_000, "target": "many words"},
    ]
    notes = ReadingNotes()
    examples = list(read_examples(_lines(tmp_path / "x.jsonl", records), notes=notes))
    assert len(examples) == len(records)
    assert examples[5].source == "word " * 100_000
    assert notes.sentences("train") == [
        "3 empty sources kept in train: they are not learned from.",
        "1 empty targets kept in train: they are not learned from.",
        "1 targets kept in train that are the same text as their source.",
    ]
    assert "3 empty sources kept in test: they count in the scores." in notes.sentences("test")


def test_swapped_columns_are_asked_about(tmp_path: Path) -> None:
    records = [{"source": "Ada.", "target": "Ada sang."}] * 2 + [{"source": "abc", "target": "a"}]
    notes = ReadingNotes()
    list(read_examples(_lines(tmp_path / "x.jsonl", records), notes=notes))
    (sentence,) = notes.sentences("train")
    assert sentence.startswith("2 of 3 targets in train are longer than their source")
    notes = ReadingNotes()
    list(read_examples(_lines(tmp_path / "x.jsonl", records[1:]), notes=notes))
    assert notes.sentences("train") == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"source": "a", "other": "b"}', r"x\.jsonl:1: no column is called target; found: sour"),
        ('{"a": 1}', r"x\.jsonl:1: no column is called source or target"),
        ('{"source": "a", "target": "b"}\n{"source": "a"}', r"x\.jsonl:2: there is no 'target'"),
        ('{"source": "a", "target": 3}', r"x\.jsonl:1: the target must be .*; found 3\."),
        ('{"source": "a", "target": ["b", 3]}', r":1: the target must be a list of strings; f"),
        (
            '{"source": "a", "target": {"short": "b", "long": "c"}}',
            r"found an object with short, long\. .*\{target: target\.short\}",
        ),
        ('{"source": 3, "target": "b"}', r"x\.jsonl:1: the source must be .*; found 3\."),
        ('{"source": [{"text": "a"}], "target": "b"}', r":1: the source must be a list of strin"),
        ('["a"]', "must be a JSON object"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_place(
    content: str, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=said):
        list(read_examples(path))


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"target": "nowhere"}, "there is no column 'nowhere'; found: source, summary"),
        ({"target": "summary.nowhere"}, r"x\.jsonl:1: there is no 'nowhere' in 'summary'; found: "),
        (
            {"source": "source", "target": "source.x"},
            r"x\.jsonl:1: there is no 'x' in 'source'; found: text",
        ),
        ({"label": "summary"}, "knows id, source, target; found 'label'"),
        ({"target": 5}, "there is no column 5"),
    ],
)
def test_columns_that_are_not_there_are_named(columns: Any, said: str, tmp_path: Path) -> None:
    record = {"source": "text", "summary": {"short": "x"}}
    with pytest.raises(DataError, match=said):
        _one(tmp_path, record, columns)


def test_a_ragged_row_is_said_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text('source,target\n"a\nb",c\na,b,c\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"x\.csv:4: expected 2 fields \(source, target\), found 3"):
        list(read_examples(path))


def test_a_source_without_targets_is_read_where_none_are_needed(tmp_path: Path) -> None:
    path = _lines(tmp_path / "x.jsonl", [{"text": "Ada sang."}])
    (example,) = read_examples(path, targets=False)
    assert (example.source, example.references) == ("Ada sang.", [""])
    with pytest.raises(DataError, match="no column is called target"):
        list(read_examples(path))


def test_the_language_is_told_by_the_script() -> None:
    assert language_of(["Ada sang.", _CHINESE[:3]]) == "en"
    assert language_of([_CHINESE]) == "zh"
    assert language_of([_CHINESE, _CHINESE, _JAPANESE]) == "ja"
    assert language_of(["", "123"]) == "en"
    assert uses_characters([_CHINESE, "SVM"])
    assert not uses_characters(["Ada sang.", "猫"])


@pytest.mark.parametrize(
    ("file", "columns", "examples", "references"),
    [
        ("scitldr_a/train.jsonl", None, 1992, 1992),
        ("scitldr_a/dev.jsonl", None, 619, 1453),
        ("mts_dialog/MTS-Dialog-TrainingSet.csv", {"target": "section_text"}, 1201, 1201),
        ("mts_dialog/MTS-Dialog-ValidationSet.csv", {"target": "section_text"}, 100, 100),
        ("csl_ts_zh/dev.tsv", {"source": 1, "target": 2}, 1000, 1000),
        ("aclsum/train.jsonl", {"target": "summary.challenge"}, 100, 100),
        ("aclsum/val.jsonl", {"target": "summary.outcome"}, 50, 50),
    ],
)
def test_real_corpora_are_read_whole(
    file: str, columns: Any, examples: int, references: int, real_data: Path
) -> None:
    notes = ReadingNotes()
    found = list(read_examples(real_data / "summarization" / file, columns, notes=notes))
    assert len(found) == examples
    assert sum(len(one.references) for one in found) == references
    assert notes.empty_sources == notes.empty_targets == 0
    for one in found:
        sentences = _sentences(one)
        assert sentences is None or " ".join(sentences) == one.source
