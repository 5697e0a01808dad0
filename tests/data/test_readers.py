"""Text, JSON Lines and tables: what is yielded, and what is said when a file is not right."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.data.readers.jsonlines import iter_json_lines
from zoo.data.readers.tables import csv_header, iter_csv, iter_parquet, parquet_class_names
from zoo.data.readers.text import iter_lines
from zoo.errors import DataError


def _file(folder: Path, content: bytes | str, name: str = "data.txt") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return path


def test_lines_end_in_lf_or_crlf_and_the_last_needs_no_end(tmp_path: Path) -> None:
    path = _file(tmp_path, b"one\r\ntwo\n\nfour")
    assert list(iter_lines(path)) == [(1, "one"), (2, "two"), (3, ""), (4, "four")]


def test_a_byte_order_mark_is_dropped(tmp_path: Path) -> None:
    assert list(iter_lines(_file(tmp_path, b"\xef\xbb\xbfone\n"))) == [(1, "one")]


def test_lines_that_end_in_carriage_returns_alone_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"old Macs.*tr '.r' '.n'"):
        list(iter_lines(_file(tmp_path, b"one\rtwo\r")))


@pytest.mark.parametrize("character", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c"])
def test_no_other_character_ends_a_line(tmp_path: Path, character: str) -> None:
    path = _file(tmp_path, f"a{character}b\nc\n")
    assert list(iter_lines(path)) == [(1, f"a{character}b"), (2, "c")]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\0"))))
def test_lines_written_come_back(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str]
) -> None:
    lines = ["first", *(line.removesuffix("\r") for line in lines)]
    path = _file(tmp_path_factory.mktemp("lines"), "\n".join(lines) + "\n")
    assert [line for _, line in iter_lines(path)] == lines


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"\xef\xbb\xbf", "the file is empty"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (b"PK\x03\x04", "zip"),
        ("hello\n".encode("utf-16"), "utf-16"),
        ("hello\n".encode("utf-16-le"), "utf-16"),
    ],
)
def test_files_that_are_no_text_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = _file(tmp_path, content)
    with pytest.raises(DataError, match=message) as caught:
        list(iter_lines(path))
    assert str(path) in str(caught.value)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.txt: there is no such file"):
        list(iter_lines(tmp_path / "nowhere.txt"))
    with pytest.raises(DataError, match="this is a folder"):
        list(iter_lines(tmp_path))


@pytest.mark.parametrize(
    ("encoding", "text", "offset", "guess"),
    [
        # The byte offset of the first character that is not ASCII.
        ("latin1", "un café noir", 6, "latin1"),
        ("cp1252", "it’s", 2, "cp1252"),
        ("gb18030", "NER 中文数据", 4, "gb18030"),
    ],
)
def test_another_encoding_is_placed_guessed_and_convertible(
    tmp_path: Path, encoding: str, text: str, offset: int, guess: str
) -> None:
    path = _file(tmp_path, b"plain\n" + text.encode(encoding) + b"\n")
    with pytest.raises(DataError) as caught:
        list(iter_lines(path))
    assert caught.value.line == 2
    assert f"at offset {offset} of the line" in str(caught.value)
    assert f"iconv -f {guess} -t utf8 data.txt" in str(caught.value)


def test_json_lines_skip_blank_lines_and_keep_numbers(tmp_path: Path) -> None:
    path = _file(tmp_path, '{"a": 1}\n\n \t\n{"b": "\u2028"}\r\n')
    assert list(iter_json_lines(path)) == [(1, {"a": 1}), (4, {"b": "\u2028"})]


def test_an_array_of_objects_is_read_with_the_lines_of_its_objects(tmp_path: Path) -> None:
    path = _file(tmp_path, '\n[{"a": 1},\n {"b":\n  [2]}\n ,{"c": 3}]\n')
    assert list(iter_json_lines(path)) == [(2, {"a": 1}), (3, {"b": [2]}), (5, {"c": 3})]


_VALUE = st.integers() | st.text("[],{}\n x") | st.lists(st.text('"[,'), max_size=2)


@given(
    st.lists(st.dictionaries(st.text("ab"), _VALUE, max_size=3), max_size=4),
    st.sampled_from([None, 0, 2]),
)
def test_any_array_reads_as_json_itself_reads_it(
    tmp_path_factory: pytest.TempPathFactory, records: list[dict[str, object]], indent: int | None
) -> None:
    path = _file(tmp_path_factory.mktemp("json"), json.dumps(records, indent=indent))
    assert [record for _, record in iter_json_lines(path)] == records


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        ('{"a": 1}\n{"a": \n', 2, "broken JSON"),
        ('{"a": 1}\n\n["a"]\n', 3, "not an array"),
        ('{"a": 1}\n"a"\n', 2, "not a string"),
        ("null\n", 1, "not null"),
        ('[1]\n{"a": 1}\n', 1, "not a value"),
        ('[{"a": 1}\n{"a": 2}]', 2, "expected `,` or `]`"),
        ('[{"a": 1},\n\n{"a": x}]', 3, "broken JSON"),
        ('[{"a": 1}', 1, "expected `,` or `]`"),
        ('[{"a": 1}]\n{"a": 2}', 1, "after the end"),
        ('{"a": 1}\n{"a": "\\ud83d!"}\n', 2, "surrogate"),
        ('{"a": ' + "[" * 100_000, 1, "nested too deeply"),
    ],
)
def test_broken_json_is_placed(tmp_path: Path, content: str, line: int, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        list(iter_json_lines(_file(tmp_path, content)))
    assert caught.value.line == line


def test_a_whole_surrogate_pair_is_a_character(tmp_path: Path) -> None:
    path = _file(tmp_path, '{"a": "\\ud83d\\ude00"}')
    assert list(iter_json_lines(path)) == [(1, {"a": "😀"})]


def test_json_lines_need_a_record(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no record"):
        list(iter_json_lines(_file(tmp_path, "\n \n")))


def test_csv_fields_may_be_quoted_over_lines(tmp_path: Path) -> None:
    path = _file(tmp_path, 'text,label\r\n"a, ""b""\r\nc",x\r\n\r\nd,y\r\n')
    # The first row takes lines 2 and 3, line 4 is blank.
    assert list(iter_csv(path)) == [
        (2, {"text": 'a, "b"\nc', "label": "x"}),
        (5, {"text": "d", "label": "y"}),
    ]
    assert csv_header(path) == ["text", "label"]


def test_a_tab_in_the_first_line_makes_it_tsv(tmp_path: Path) -> None:
    path = _file(tmp_path, "a,b\tc\n1,2\t3\n")
    assert list(iter_csv(path)) == [(2, {"a,b": "1,2", "c": "3"})]
    assert list(iter_csv(path, delimiter=",", header=["x", "y"])) == [
        (1, {"x": "a", "y": "b\tc"}),
        (2, {"x": "1", "y": "2\t3"}),
    ]


def test_quotes_can_be_ordinary_characters(tmp_path: Path) -> None:
    path = _file(tmp_path, 'he said "no\t3\n"yes" she said\t4\n')
    assert list(iter_csv(path, header=["text", "label"], quotes=False)) == [
        (1, {"text": 'he said "no', "label": "3"}),
        (2, {"text": '"yes" she said', "label": "4"}),
    ]


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        ("a,b\n1,2\n1,2,3\n", 3, r"expected 2 fields \(a, b\), found 3"),
        ('a,b\n"1\n2",3\n4\n', 4, "found 1"),
        ('a,b\n1,2\n"1,2\n3,4\n', 3, "never ends"),
        ('a,b\n"1" 2,3\n', 2, "must be quoted"),
        ("a,b,a\n1,2,3\n", 1, "two columns are named 'a'"),
    ],
)
def test_broken_rows_are_placed(tmp_path: Path, content: str, line: int, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        list(iter_csv(_file(tmp_path, content)))
    assert caught.value.line == line


def test_a_field_may_be_longer_than_the_csv_module_allows_by_itself(tmp_path: Path) -> None:
    path = _file(tmp_path, "a,b\n" + "x" * 200_000 + ",y\n")
    assert len(next(iter_csv(path))[1]["a"]) == 200_000


def test_parquet_rows_are_numbered_over_batches(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    pq.write_table(pa.table({"n": list(range(3000)), "t": [["a"]] * 3000}), path)
    rows = list(iter_parquet(path))
    assert rows[0] == (1, {"n": 0, "t": ["a"]})
    assert [number for number, _ in rows] == list(range(1, 3001))
    assert next(iter_parquet(path, columns=["t"])) == (1, {"t": ["a"]})
    assert parquet_class_names(path) == {}
    with pytest.raises(DataError, match="no column 'x'; found: n, t"):
        list(iter_parquet(path, columns=["x"]))


def test_what_is_not_parquet_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a Parquet file"):
        list(iter_parquet(_file(tmp_path, "text", "data.parquet")))
