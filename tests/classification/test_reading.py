"""Labelled texts from every format, and what is said of files that cannot be read."""

import json
from pathlib import Path
from typing import Any

import pytest

from zoo.classification.reading import LabelledText, read_texts
from zoo.data.readers.hub import load_hub
from zoo.errors import DataError


def _file(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


def _read(path: Path, **options: Any) -> list[tuple[str, str | None, str]]:
    """Texts with the only label of each."""
    return [(one.text, one.text2, *(one.labels or ())) for one in read_texts(path, **options)]  # type: ignore[misc]


@pytest.mark.parametrize(
    ("header", "row", "expected"),
    [
        ("text,label", "Hi.,a", ("Hi.", None, "a")),
        ("Category,Text", "a,Hi.", ("Hi.", None, "a")),
        ("id,sentence1,sentence2,gold_label", "7,Hi.,Ho.,a", ("Hi.", "Ho.", "a")),
        ("premise,hypothesis,label", "Hi.,Ho.,1", ("Hi.", "Ho.", "1")),
    ],
)
def test_columns_are_found_from_usual_headers(
    header: str, row: str, expected: tuple[str, str | None, str], tmp_path: Path
) -> None:
    assert _read(_file(tmp_path, "x.csv", f"{header}\n{row}\n")) == [expected]


def test_fields_may_hold_commas_quotes_and_line_ends(tmp_path: Path) -> None:
    path = _file(tmp_path, "x.csv", 'text,label\n"a, ""b""\nc",x\nd,y\n')
    assert list(read_texts(path)) == [
        LabelledText('a, "b"\nc', None, ("x",), False, 2),
        LabelledText("d", None, ("y",), False, 4),
    ]


def test_a_file_without_a_header_is_read_by_position(tmp_path: Path) -> None:
    path = _file(tmp_path, "x.tsv", "to category\tHi.\ta\nto category\tHo.\tb\n")
    assert _read(path, columns={"text": 1, "label": -1}) == [
        ("Hi.", None, "a"),
        ("Ho.", None, "b"),
    ]


def test_positions_skip_a_header_of_usual_names_or_one_that_is_said_to_be_there(
    tmp_path: Path,
) -> None:
    columns = {"text": 0, "label": 1}
    usual = _file(tmp_path, "x.csv", "text,label\nHi.,a\n")
    assert _read(usual, columns=columns) == [("Hi.", None, "a")]
    assert _read(usual, columns=columns, header=False)[0] == ("text", None, "label")
    unusual = _file(tmp_path, "y.csv", "x,y\nHi.,a\n")
    assert _read(unusual, columns=columns, header=True) == [("Hi.", None, "a")]


def test_columns_are_chosen_by_name_and_a_named_text_alone_is_no_pair(tmp_path: Path) -> None:
    path = _file(tmp_path, "x.csv", "sentence1,sentence2,label,mood\nHi.,Ho.,a,b\n")
    assert _read(path, columns={"text": "sentence2", "label": "mood"}) == [("Ho.", None, "b")]


def test_quotes_in_a_tsv_are_characters_unless_all_fields_are_quoted(tmp_path: Path) -> None:
    path = _file(tmp_path, "x.tsv", 'text\tlabel\n"He" said so\ta\nno "quote\tb\n')
    assert _read(path) == [('"He" said so', None, "a"), ('no "quote', None, "b")]
    quoted = _file(tmp_path, "y.tsv", 'text\tlabel\n"a\tb"\t"x"\n')
    with pytest.raises(DataError, match=r"y\.tsv:2: expected 2 fields"):
        _read(quoted, quotes=False)
    assert _read(quoted, quotes=True) == [("a\tb", None, "x")]


def test_json_lines_hold_texts_and_labels_of_any_plain_kind(tmp_path: Path) -> None:
    records = [{"text": "Hi.", "label": "a"}, {"text": "", "label": 3, "id": 1}]
    path = _file(tmp_path, "x.jsonl", "\n".join(map(json.dumps, records)))
    assert _read(path) == [("Hi.", None, "a"), ("", None, "3")]


def test_parquet_and_hub_layouts_give_the_names_behind_integers(tmp_path: Path) -> None:
    import datasets

    features = datasets.Features(
        {"sentence": datasets.Value("string"), "label": datasets.ClassLabel(names=["bad", "good"])}
    )
    table = datasets.Dataset.from_dict({"sentence": ["Hi.", None], "label": [1, 0]}, features)
    path = tmp_path / "train.parquet"
    table.to_parquet(path)
    expected = [("Hi.", None, "good"), ("", None, "bad")]
    assert _read(path) == expected
    assert _read(load_hub(str(tmp_path))["train"]) == expected


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.csv", "text,label\nHi.,a\nHo.\n", r"x\.csv:3: expected 2 fields"),
        ("x.csv", "text,mood\nHi.,a\n", r"x\.csv:1: .*--data\.columns"),
        ("x.csv", "Hi.,a\nHo.,b\n", r"x\.csv:1: the first line names no columns"),
        ("x.csv", "text,label\nHi.,\n", r"x\.csv:2: the label is empty"),
        ("x.csv", "text,label\n", r"x\.csv: there is no text"),
        ("x.csv", "", r"x\.csv: the file is empty"),
        ("x.jsonl", '{"text": "a", "mood": 1}', r"x\.jsonl:1: no column is called label"),
        ("x.jsonl", '{"text": "a", "label": 1}\n{"text": "b"}', r"x\.jsonl:2: there is no 'label'"),
        ("x.jsonl", '{"text": 5, "label": 1}', r"x\.jsonl:1: the text must be a string"),
        ("x.jsonl", '{"text": "a", "label": [["b"]]}', r"x\.jsonl:1: a label must be a string"),
        ("x.jsonl", '{"text": "a", "label": null}', r"x\.jsonl:1: the label is empty"),
    ],
)
def test_what_cannot_be_read_is_said_with_file_and_line(
    name: str, content: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=said):
        _read(_file(tmp_path, name, content))


def test_a_chosen_column_that_is_not_there_is_said(tmp_path: Path) -> None:
    path = _file(tmp_path, "x.csv", "text,label\nHi.,a\n")
    with pytest.raises(DataError, match=r"x\.csv:1: there is no column 'mood'"):
        _read(path, columns={"label": "mood"})
    with pytest.raises(DataError, match=r"x\.csv:1: there is no column 5"):
        _read(path, columns={"text": 0, "label": 5})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("corpus", "columns", "sizes"),
    [
        ("banking77", None, {"train.csv": 10003, "test.csv": 3080}),
        (
            "goemotions",
            {"text": 0, "label": 1},
            {"train.tsv": 43410, "dev.tsv": 5426, "test.tsv": 5427},
        ),
        ("cad_nli/original", None, {}),
        ("csl_ctg_zh", {"text": 1, "label": 2}, {}),
        ("sib200/eng_Latn", None, {}),
    ],
)
def test_real_corpora_read_row_for_row(
    corpus: str, columns: Any, sizes: dict[str, int], real_data: Path
) -> None:
    folder = real_data / "classification" / corpus
    sizes = sizes or {path.name: -1 for path in sorted(folder.glob("*.tsv"))}
    for name, size in sizes.items():
        count = len(_read(folder / name, columns=columns))
        lines = (folder / name).read_text(encoding="utf-8").count("\n")
        assert count == size or (size == -1 and lines - 1 <= count <= lines)
