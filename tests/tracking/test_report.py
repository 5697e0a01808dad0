"""The Markdown page of a run."""

from pathlib import Path

import pytest

from zoo.tracking.report import ReportPage, Table, facts_of


def _cells(line: str) -> list[str]:
    """The cells of a row as GitHub reads it: a bar after a backslash does not end a cell."""
    inner = line.strip().removeprefix("|").removesuffix("|")
    return [cell.strip().replace("\0", "|") for cell in inner.replace("\\|", "\0").split("|")]


def test_a_table_has_a_header_a_rule_and_a_line_a_row() -> None:
    table = Table("T", ("type", "count", "f1"), [("PER", 3, 0.12345), ("LOC", 1200, 1.0)])
    assert table.markdown().splitlines() == [
        "| type | count | f1 |",
        "| --- | --- | --- |",
        "| PER | 3 | 0.123 |",
        "| LOC | 1200 | 1.000 |",
    ]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (7, "7"),
        (123456, "123456"),
        (0.5, "0.500"),
        (99.99, "99.990"),
        (12345.6, "12,346"),
        (-1234.5, "-1,234"),
        (None, "None"),
        ("text", "text"),
    ],
)
def test_a_number_is_shown_as_a_reader_wants_it(value: object, shown: str) -> None:
    assert _cells(Table("", ("a",), [(value,)]).markdown().splitlines()[-1]) == [shown]


@pytest.mark.parametrize("text", ["a|b", "|", "a||b"])
def test_a_bar_in_a_cell_does_not_end_it(text: str) -> None:
    lines = Table("", ("x", "y"), [(text, "z")]).markdown().splitlines()
    assert _cells(lines[2]) == [text, "z"]


def test_a_bar_in_a_columns_name_does_not_end_it() -> None:
    header = Table("", ("p(a|b)", "y"), []).markdown().splitlines()[0]
    assert _cells(header) == ["p(a|b)", "y"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_line_end_in_a_cell_does_not_end_the_row(end: str) -> None:
    written = Table("", ("x", "y"), [(f"one{end}two", "z")]).markdown()
    assert "\r" not in written
    assert _cells(written.split("\n")[-1]) == ["one two", "z"]


def _page(**changes: object) -> str:
    settings: dict[str, object] = {"title": "sample: run-1", "facts": {}, "metrics": {}, **changes}
    return ReportPage(**settings).markdown()  # type: ignore[arg-type]


def test_a_page_begins_with_its_title_and_the_facts() -> None:
    page = _page(facts={"task": "ner", "threads": 2})
    assert page.startswith("# sample: run-1\n\n- **task**: ner\n- **threads**: 2")
    assert page.endswith("\n")


def test_what_there_is_not_has_no_heading() -> None:
    assert "##" not in _page()


def test_scores_are_listed_by_weight_without_those_of_each_type() -> None:
    page = _page(
        metrics={"test/f1": 0.5, "test/f1/PER": 0.6, "baseline/lookup/f1": 0.25, "perf/s": 1234.0}
    )
    rows = [_cells(line) for line in page.splitlines() if line.startswith("|")]
    assert rows == [
        ["score", "value"],
        ["---", "---"],
        ["test/f1", "0.500"],
        ["baseline/lookup/f1", "0.250"],
        ["perf/s", "1,234"],
    ]


def test_a_long_table_is_cut_and_the_page_says_so() -> None:
    page = _page(tables=[Table("Errors", ("n",), [(number,) for number in range(45)])])
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert rows[2:] == [f"| {number} |" for number in range(30)]
    assert "30 of 45 rows." in page


def test_a_table_that_fits_is_shown_whole() -> None:
    page = _page(tables=[Table("Errors", ("n",), [(number,) for number in range(30)])])
    assert "| 29 |" in page
    assert "rows." not in page


def test_notes_pictures_use_and_settings_have_their_sections_in_order() -> None:
    page = _page(
        notes=["Two sentences are empty."],
        tables=[Table("Scores of each type", ("n",), [(1,)])],
        pictures={"Training": Path("plots") / "curves.png"},
        usage="Call it.",
        config="\nseed: 42\n\n",
    )
    sections = [line for line in page.splitlines() if line.startswith("## ")]
    assert sections == [
        "## Notes on the data",
        "## Scores of each type",
        "## Training",
        "## Use",
        "## Settings",
    ]
    assert "- Two sentences are empty.\n" in page
    assert "![Training](plots/curves.png)" in page
    assert "```yaml\nseed: 42\n```\n" in page


def test_the_facts_of_a_page_are_read_back_and_nothing_else_is() -> None:
    facts = {"git commit": "abc", "data": "sample (fingerprint 12): **bold**"}
    page = ReportPage(title="T", facts=facts, metrics={"test/f1": 0.5}, notes=["**note**: x"])
    assert facts_of(page.markdown()) == facts
    assert facts_of("") == {}
