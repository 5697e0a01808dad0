"""Tables, records of tokens and tags, and datasets."""

import json
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from zoo.errors import DataError
from zoo.ner.reading import ReadingNotes, TaggedSentence, read_sentences

Pairs = list[list[tuple[str, str]]]


def _file(folder: Path, content: str, name: str) -> Path:
    path = folder / name
    path.write_bytes(content.encode("utf-8"))
    return path


def _pairs(path: Path, columns: dict[str, str | int] | None = None) -> Pairs:
    return [
        list(zip(sentence.tokens, sentence.tags, strict=True))
        for sentence in read_sentences(path, columns=columns)
    ]


_CSV = 'Sentence #,Word,POS,Tag\nSentence: 1,Ada,NNP,B-per\n,ran,VB,O\nSentence: 2,",",x,O\n'


def test_a_table_with_a_token_a_row_fills_sentences_forward(tmp_path: Path) -> None:
    assert list(read_sentences(_file(tmp_path, _CSV, "a.csv"))) == [
        TaggedSentence(["Ada", "ran"], ["B-per", "O"], [2, 3]),
        TaggedSentence([","], ["O"], [4]),
    ]
    path = _file(tmp_path, "sentence_id\ttoken\ttag\n1\ta\tO\n1\tb\tO\n2\tc\tO\n", "a.tsv")
    assert _pairs(path) == [[("a", "O"), ("b", "O")], [("c", "O")]]


@pytest.mark.parametrize("quote", ['"', '""""'])
def test_a_quote_in_a_tsv_is_a_token_whether_quoted_itself_or_not(
    tmp_path: Path, quote: str
) -> None:
    path = _file(tmp_path, f"sentence\tword\ttag\n1\t{quote}\tO\n1\ta\tB-X\n", "a.tsv")
    assert _pairs(path) == [[('"', "O"), ("a", "B-X")]]


@pytest.mark.parametrize(
    ("tokens", "tags"),
    [
        ('"[""a"", ""[""]"', '"[""O"", ""B-X""]"'),
        ("\"['a', '[']\"", "\"['O', 'B-X']\""),
        ("a  [", "O B-X"),
    ],
)
def test_a_table_with_a_sentence_a_row_holds_lists(tmp_path: Path, tokens: str, tags: str) -> None:
    path = _file(tmp_path, f"id,tokens,ner_tags\n7,{tokens},{tags}\n", "a.csv")
    assert list(read_sentences(path)) == [TaggedSentence(["a", "["], ["O", "B-X"], [2, 2])]


def test_brackets_between_spaces_are_tokens(tmp_path: Path) -> None:
    path = _file(tmp_path, "tokens,tags\n[ 1 ],O O O\n", "a.csv")
    assert _pairs(path) == [[("[", "O"), ("1", "O"), ("]", "O")]]


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        ("a,b\n1,2\n", 1, "no column for tokens and tags; found: a, b"),
        ("sentence,word,tag\n,a,O\n", 2, "names no sentence"),
        ("sentence,word,tag\n1,a,O\n,,O\n", 3, "the token is empty"),
        ("tokens,tags\na b,O\n", 2, "2 tokens but 1 tags"),
        ('tokens,tags\na b,"[0, 1]"\n', 2, "the tags are integers"),
    ],
)
def test_broken_tables_are_placed(tmp_path: Path, content: str, line: int, message: str) -> None:
    path = _file(tmp_path, content, "a.csv")
    with pytest.raises(DataError, match=message) as caught:
        _pairs(path)
    assert str(caught.value).startswith(f"{path}:{line}: ")


def test_a_tables_columns_may_be_named_or_numbered(tmp_path: Path) -> None:
    content = "form\tpos\tiob\na b\tx\tO B-X\n"
    chosen: list[dict[str, str | int]] = [
        {"tokens": "form", "tags": "iob"},
        {"tokens": 0, "tags": "iob"},
    ]
    for columns in chosen:
        assert _pairs(_file(tmp_path, content, "a.tsv"), columns) == [[("a", "O"), ("b", "B-X")]]
    csv = _file(tmp_path, content.replace("\t", ","), "a.csv")
    assert _pairs(csv, {"tokens": 0, "tags": -1}) == [[("a", "O"), ("b", "B-X")]]
    with pytest.raises(DataError, match="no column 'nix'; found: form, pos, iob"):
        _pairs(csv, {"tokens": "nix"})


def test_records_of_tokens_and_tags_are_read_under_their_usual_names(tmp_path: Path) -> None:
    for tokens, tags in (("tokens", "tags"), ("words", "ner"), ("tokens", "labels")):
        record = {"id": 1, tokens: ["a", "b"], tags: ["O", "B-X"]}
        path = _file(tmp_path, "\n" + json.dumps(record), "a.jsonl")
        assert list(read_sentences(path)) == [TaggedSentence(["a", "b"], ["O", "B-X"], [2, 2])]
    path = _file(tmp_path, json.dumps({"w": ["a"], "t": ["O"], "tags": ["B-X"]}), "a.json")
    assert _pairs(path, {"tokens": "w", "tags": "t"}) == [[("a", "O")]]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"tokens": ["a"], "tags": []}, "1 tokens but 0 tags"),
        ({"tokens": ["a"], "tags": [1]}, "the tags are integers"),
        ({"tokens": ["a"], "tags": [None]}, "every tag must be a string"),
        ({"tokens": ["a"], "tags": [True]}, "every tag must be a string"),
        ({"tokens": [""], "tags": ["O"]}, "every token"),
        ({"tokens": "a", "tags": ["O"]}, "the tokens must be a list"),
        ({"tokens": ["a"]}, "no 'tags' here; found: tokens"),
    ],
)
def test_broken_records_are_placed(tmp_path: Path, record: dict[str, object], message: str) -> None:
    content = '{"tokens": ["a"], "tags": ["O"]}\n' + json.dumps(record)
    path = _file(tmp_path, content, "a.jsonl")
    with pytest.raises(DataError, match=message) as caught:
        _pairs(path)
    assert str(caught.value).startswith(f"{path}:2: ")


def test_what_is_found_is_listed_when_nothing_fits(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Found: sentence, foo"):
        _pairs(_file(tmp_path, '{"sentence": 1, "foo": 2}', "a.jsonl"))
    with pytest.raises(DataError, match="found: tokens, foo"):
        _pairs(_file(tmp_path, '{"tokens": [], "foo": 2}', "a.jsonl"), {"tags": "bar"})
    with pytest.raises(DataError, match="`columns` knows"):
        _pairs(_file(tmp_path, '{"tokens": [], "tags": []}', "a.jsonl"), {"token": "tokens"})


def test_empty_sentences_are_dropped_and_counted(tmp_path: Path) -> None:
    path = _file(
        tmp_path, '{"tokens": [], "tags": []}\n{"tokens": ["a"], "tags": ["O"]}', "a.jsonl"
    )
    notes = ReadingNotes()
    assert len(list(read_sentences(path, notes=notes))) == 1
    assert notes.sentences() == ["1 empty sentence dropped in a.jsonl"]
    with pytest.raises(DataError, match="no sentence"):
        list(read_sentences(_file(tmp_path, '{"tokens": [], "tags": []}', "a.jsonl")))


def _dataset(tags: object) -> datasets.Dataset:
    features = datasets.Features({
        "id": datasets.Value("string"),
        "tokens": datasets.List(datasets.Value("string")),
        "ner_tags": datasets.List(tags),
    })  # fmt: skip
    rows = {"id": ["x", "y"], "tokens": [["a", "b"], ["c"]], "ner_tags": [[0, 1], [1]]}
    return datasets.Dataset.from_dict(rows, features=features)


def test_class_labels_of_a_dataset_become_their_names(tmp_path: Path) -> None:
    rows = _dataset(datasets.ClassLabel(names=["O", "B-X"]))
    expected = [
        TaggedSentence(["a", "b"], ["O", "B-X"], [1, 1]),
        TaggedSentence(["c"], ["B-X"], [2]),
    ]
    assert list(read_sentences(rows)) == expected
    path = tmp_path / "a.parquet"
    rows.to_parquet(path)
    assert list(read_sentences(path)) == expected


def test_integers_that_no_name_is_known_for_are_refused() -> None:
    with pytest.raises(DataError, match="nothing says which tag"):
        list(read_sentences(_dataset(datasets.Value("int64"))))


def test_parquet_holds_strings_too(tmp_path: Path) -> None:
    pq.write_table(pa.table({"words": [["a"]], "labels": [["O"]]}), tmp_path / "a.parquet")
    assert _pairs(tmp_path / "a.parquet") == [[("a", "O")]]


def test_a_dataset_without_the_columns_lists_those_it_has() -> None:
    rows = datasets.Dataset.from_dict({"sentence": ["a"], "upos": [["x"]]})
    with pytest.raises(DataError, match="Found: sentence, upos"):
        list(read_sentences(rows))
    with pytest.raises(DataError, match="choose a split"):
        list(read_sentences(datasets.DatasetDict({"train": rows})))
