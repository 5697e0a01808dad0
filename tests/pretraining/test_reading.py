"""Documents from files of all kinds."""

import gzip
import json
from pathlib import Path

import pytest

from zoo.errors import DataError
from zoo.pretraining.datamodule import MaskedLMDataModule
from zoo.pretraining.reading import LONGEST, find_files, read_documents


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


def test_packed_files_are_read_as_the_files_in_them(tmp_path: Path) -> None:
    for name, text in (("x.txt", "one\ntwo\n"), ("x.jsonl", '{"text": "one"}\n{"text": "two"}\n')):
        path = tmp_path / f"{name}.gz"
        path.write_bytes(gzip.compress(text.encode()))
        assert [one.text for one in read_documents(path)] == ["one", "two"]
    whole = gzip.compress("".join(f"line {at}\n" for at in range(5000)).encode())
    for damaged in (whole[: len(whole) // 2], b"no gzip at all"):
        (tmp_path / "y.txt.gz").write_bytes(damaged)
        with pytest.raises(DataError, match=r"y\.txt\.gz: .*gzip file is damaged"):
            list(read_documents(tmp_path / "y.txt.gz"))


def test_a_long_document_is_cut_between_words(tmp_path: Path) -> None:
    words = " ".join(f"word{at}" for at in range(LONGEST // 3))
    lines = "\n".join(words.split(" "))
    for name, text in (("line", f"{words}\n\nend\n"), ("lines", f"{lines}\n\nend\n")):
        (tmp_path / name).write_text(text, encoding="utf-8")
        found = [one.text for one in read_documents(tmp_path / name)]
        assert " ".join(found) == f"{words} end"
        assert max(map(len, found)) < LONGEST + 20
        assert len(found) == len(words) // LONGEST + 2


def test_several_files_and_patterns_are_one_split(tmp_path: Path) -> None:
    for name, text in (("a1", "one"), ("a2", "two"), ("b", "three"), ("test", "four")):
        (tmp_path / f"{name}.txt").write_text(f"{text}\n{text} again\n", encoding="utf-8")
    given = [str(tmp_path / "b.txt"), str(tmp_path / "a*.txt")]
    found = find_files(given, option="--data.train")
    assert [path.name for path in found] == ["b.txt", "a1.txt", "a2.txt"]
    with pytest.raises(DataError, match=r"z\*\.txt: No file matches \(given as --data\.train"):
        find_files(str(tmp_path / "z*.txt"), option="--data.train")
    with pytest.raises(DataError, match="There is no such file"):
        find_files(str(tmp_path / "z.txt"), option="--data.train")
    test = str(tmp_path / "test.txt")
    data = MaskedLMDataModule(train=given, validation=test, test=test, max_length=16)
    texts = [*data.examples("train")["text"]]
    assert texts == ["three", "three again", "one", "one again", "two", "two again"]
    assert [*data.examples("test")["text"]] == ["four", "four again"]
    assert data.sources.name == "b.txt and 2 more, test.txt, test.txt"
    before = data.fingerprint
    (tmp_path / "a2.txt").write_text("other\n", encoding="utf-8")
    again = MaskedLMDataModule(train=given, validation=test, test=test, max_length=16)
    assert again.fingerprint != before
