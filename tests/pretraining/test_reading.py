"""Documents from files of all kinds."""

import json
from pathlib import Path

import pytest

from zoo.errors import DataError
from zoo.pretraining.reading import read_documents


def _read(path: Path, text: str) -> list[tuple[str, int]]:
    path.write_text(text, encoding="utf-8")
    return [(one.text, one.line) for one in read_documents(path)]


def test_a_blank_line_ends_a_document_and_its_lines_are_joined(tmp_path: Path) -> None:
    text = "\n One  two \nthree\n\n \nfour\n"
    assert _read(tmp_path / "x.txt", text) == [("One  two three", 2), ("four", 6)]


def test_without_blank_lines_each_line_is_a_document(tmp_path: Path) -> None:
    assert _read(tmp_path / "x.txt", "one\ntwo\n") == [("one", 1), ("two", 2)]


def test_columns_of_text_are_found_by_their_names(tmp_path: Path) -> None:
    lines = "\n".join(json.dumps({"id": 1, "Text": text}) for text in ("one\ntwo", "", "three"))
    assert _read(tmp_path / "x.jsonl", lines) == [("one two", 1), ("three", 3)]
    assert _read(tmp_path / "x.csv", "id,content\n1,one\n2,two\n") == [("one", 2), ("two", 3)]


def test_an_unknown_column_is_asked_for_and_a_number_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    with pytest.raises(DataError, match=r"x\.jsonl:1: no column is known to hold text.*id, body"):
        _read(path, json.dumps({"id": 1, "body": "x"}))
    assert [one.text for one in read_documents(path, {"text": "body"})] == ["x"]
    with pytest.raises(DataError, match=r"x\.jsonl:1: 'text' is not text but 7"):
        _read(path, json.dumps({"text": 7}))


def test_a_file_with_nothing_but_space_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"x\.txt: there is no text in it"):
        _read(tmp_path / "x.txt", " \n\n")
