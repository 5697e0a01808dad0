"""The checks that all families share, each on a few lines."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset, Features, List, Value

from zoo.data.doctor.characters import Characters, named
from zoo.data.doctor.duplicates import Duplicates, normalized
from zoo.data.doctor.findings import Severity, by_share, counted, quoted
from zoo.data.doctor.labels import Counts, label_facts, label_findings
from zoo.data.doctor.mending import row_lines
from zoo.data.doctor.tokens import read_of, summary

# Characters.


def codes_of(*texts: str) -> list[str]:
    check = Characters("texts", "train")
    for number, text in enumerate(texts):
        check.add((text,), f"file:{number}")
    return [finding.code for finding in check.findings()]


@pytest.mark.parametrize(
    "text",
    ["café", "naïve", "São Tomé", "“Zürich” – 5 €", "😀", "Ærø …", "Привет", "knižka", "αβγ"],
)
@pytest.mark.parametrize("encoding", ["cp1252", "latin-1"])
def test_text_that_was_read_in_another_encoding_is_mojibake(text: str, encoding: str) -> None:
    assert codes_of(text) == []
    # Windows-1252 lacks five of the bytes.
    misread = text.encode().decode(encoding, errors="replace")
    assert "mojibake" in codes_of(misread)


@pytest.mark.parametrize(
    "text",
    [
        "„Spaß“ und »Größe«, 20 °C",
        "GARÇON À L’ÎLE « NOËL »",
        "NÃO É ISSO; ATÉ AMANHÃ!",
        "Việt Nam, Hà Nội: “ĐẠI HỌC”",
        "Å–Ø–Æ, Ångström",
        "Привет, мир",
        "日本語。中文！",
        "क्षत्रिय",
        "می‌خواهم",
        "👩‍👩‍👧 ❤️ 🇫🇷",
        "tab\tand\nline",
        "a < b & c > d; x&y",
    ],
)
def test_text_in_any_language_has_no_trouble(text: str) -> None:
    assert codes_of(text) == []


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("b\ufffdr", "replacement-character"),
        ("a\x00b", "control-character"),
        ("a\x93quoted\x94", "control-character"),
        ("fish &amp; chips", "markup"),
        ("one<br />two", "markup"),
        ("it&#39;s", "markup"),
        ("zero\u200bwidth", "invisible-character"),
        ("\ufeffbegin", "invisible-character"),
    ],
)
def test_trouble_is_found_by_its_kind(text: str, code: str) -> None:
    assert codes_of("a clean text", text) == [code]


def test_trouble_is_counted_by_texts_and_named() -> None:
    check = Characters("texts", "train")
    for number, text in enumerate(["ok", "a\x07b\x07c", "ok", "\x07"]):
        check.add((text,), f"file:{number}")
    (finding,) = check.findings()
    assert finding.what.startswith("2 of 4 train texts (50.0%)")
    assert "U+0007" in finding.what
    assert [place.where for place in finding.places] == ["file:1", "file:3"]


def test_what_cannot_be_seen_is_named_by_its_number() -> None:
    assert named("\ufe0f") == "U+FE0F (VARIATION SELECTOR-16)"
    assert named("é") == "é"
    assert quoted("\ufe0f") == r"'\ufe0f'"


# Duplicates.


def test_texts_are_the_same_but_for_case_white_space_and_composition() -> None:
    composed, apart = "Café  au\tlait", unicodedata.normalize("NFD", "CAFÉ au lait ")
    assert normalized(composed) == normalized(apart)
    assert normalized("a b") != normalized("ab")


def test_duplicates_within_and_across_splits_are_told_apart() -> None:
    check = Duplicates("texts", contradicting="another label")
    rows = [
        ("train", "one text here that is long", "x"),
        ("train", "One text here that is long", "x"),
        ("train", "another", "x"),
        ("test", "ONE TEXT here that is long", "y"),
        ("test", "new", "x"),
    ]
    for number, (split, text, gold) in enumerate(rows):
        check.add(split, (text,), gold, f"{split}:{number}")
    found = {finding.code: finding for finding in check.findings()}
    assert set(found) == {"leak", "contradiction", "duplicate"}
    assert found["leak"].count == 1
    assert found["leak"].severity is Severity.ERROR  # one of two
    assert found["leak"].places[0].where == "test:3"
    assert found["leak"].places[0].quote.endswith("as in train:0")
    assert found["duplicate"].count == 1


@pytest.mark.parametrize(("leaked", "severity"), [(9, Severity.WARNING), (10, Severity.ERROR)])
def test_a_leak_is_an_error_from_a_tenth_of_the_split_on(leaked: int, severity: Severity) -> None:
    check = Duplicates("texts", contradicting="")
    for number in range(100):
        check.add("train", (f"a text that is long enough {number}",), "", "")
    for number in range(100):
        own = number if number < leaked else 1000 + number
        check.add("test", (f"a text that is long enough {own}",), "", "")
    (finding,) = check.findings()
    assert (finding.code, finding.severity, finding.count) == ("leak", severity, leaked)


def test_short_texts_leak_by_nature_and_are_no_error() -> None:
    check = Duplicates("texts", contradicting="")
    for split in ("train", "test"):
        check.add(split, ("Thanks!",), "", "")
    (finding,) = check.findings()
    assert (finding.code, finding.severity) == ("leak", Severity.WARNING)


def test_empty_texts_are_no_duplicates() -> None:
    check = Duplicates("texts", contradicting="")
    for _ in range(3):
        check.add("train", (" ", ""), "", "")
    assert list(check.findings()) == []


# Labels.


def test_labels_that_train_lacks_are_counted() -> None:
    counts: Counts = {"train": {"a": 50, "b": 50}, "test": {"a": 5, "c": 4}}
    found = {one.code: one for one in label_findings(counts, noun="label", examples="texts")}
    assert "c occurs in test (4 texts)" in found["label-not-in-train"].what


def test_a_split_of_other_labels_is_noted_but_chance_is_not() -> None:
    train = {"a": 500, "b": 500}
    for test, code in (({"a": 300, "b": 100}, ["label-shift"]), ({"a": 9, "b": 4}, [])):
        found = label_findings({"train": train, "test": test}, noun="label", examples="texts")
        assert [one.code for one in found] == code


def test_one_label_for_nine_of_ten_texts_is_a_warning() -> None:
    for most, codes in ((90, [Severity.WARNING]), (89, [])):
        found = label_findings(
            {"train": {"a": most, "b": 100 - most}}, noun="label", examples="texts"
        )
        assert [one.severity for one in found] == codes


def test_a_table_of_many_labels_shows_the_most_and_the_least_frequent() -> None:
    counts: Counts = {"train": {f"label{n}": 100 - n for n in range(50)}}
    rows = label_facts(counts, title="Labels").rows
    assert len(rows) == 21
    assert rows[0][0] == "label0"
    assert rows[10][0] == "(30 more)"
    assert rows[-1][0] == "label49"


# Tokens.


def test_tokens_windows_and_unknown_ones_are_counted_by_example() -> None:
    features = Dataset.from_dict(
        {
            "input_ids": [[1, 5, 5], [1, 7], [1], [1, 5, 7, 7]],
            "example": [0, 0, 1, 2],
            "cut": [0, 0, 4, 0],
        },
        features=Features(
            {
                "input_ids": List(Value("int32")),
                "example": Value("int32"),
                "cut": Value("int32"),
            }
        ),
    )
    read = read_of(features, examples=3, unknown=7, cut=True)
    assert read.tokens.tolist() == [5, 5, 4]
    assert read.windows.tolist() == [2, 1, 1]
    assert read.cut.tolist() == [0, 4, 0]
    assert read.unknown.tolist() == [1, 0, 2]
    assert read_of(features, examples=3, unknown=None, cut=False).unknown.tolist() == [0, 0, 0]


def test_a_summary_of_counts_is_median_high_and_most() -> None:
    assert summary(np.arange(1, 102)) == "51 / 96 / 101"


# Words and places.


def test_a_share_too_small_for_a_decimal_is_not_called_nothing() -> None:
    assert counted(12, 1200, "texts") == "12 of 1,200 texts (1.0%)"
    assert counted(1, 100_000, "texts") == "1 of 100,000 texts (under 0.1%)"


def test_severity_rises_with_the_share() -> None:
    shares = [by_share(count, 100, warning=0.05, error=0.5) for count in (4, 5, 50)]
    assert shares == [Severity.NOTE, Severity.WARNING, Severity.ERROR]


def test_a_long_text_is_quoted_around_what_matters() -> None:
    text = "x" * 500 + "!" + "y" * 500
    shown = quoted(text, around=500)
    assert "!" in shown
    assert len(shown) < 70
    assert shown.count("…") == 2


def test_a_row_of_several_lines_goes_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('a,b\n1,"two\nlines"\n3,4\n', encoding="utf-8")
    assert list(row_lines(path, 2)) == [2, 3]
    assert list(row_lines(path, 4)) == [4]


def test_a_quote_that_never_ends_does_not_take_the_rest_with_it(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('a,b\n1,"two\n3,4\n5,6\n', encoding="utf-8")
    assert list(row_lines(path, 2)) == [2]
