"""Character spans in running text, tagged as IOB2 over its words."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.data.words import split_words
from zoo.errors import DataError
from zoo.ner.reading import ReadingNotes, TaggedSentence, read_sentences
from zoo.ner.reading.spans import sentence_from_spans


def _read(folder: Path, *records: dict[str, Any]) -> tuple[list[TaggedSentence], list[str]]:
    path = folder / "train.jsonl"
    path.write_text("\n".join(json.dumps(record) for record in records))
    notes = ReadingNotes()
    return list(read_sentences(path, notes=notes)), notes.sentences()


def _tags(text: str, spans: list[Any]) -> tuple[list[str], ReadingNotes]:
    notes = ReadingNotes()
    return sentence_from_spans(text, spans, path="x", line=1, notes=notes).tags, notes


@pytest.mark.parametrize(
    "marks",
    [
        {"entities": [{"start": 0, "end": 12, "type": "PER"}]},
        {"spans": [{"start": 0, "end": 12, "label": "PER", "text": "Ada Lovelace"}]},
        {"label": [[0, 12, "PER"]]},
        {"labels": [[0, 12, "PER"]], "Comments": []},
        {"entities": [{"id": 1, "start_offset": 0, "end_offset": 12, "label": "PER"}]},
    ],
)
def test_spans_are_read_in_the_usual_notations(tmp_path: Path, marks: dict[str, Any]) -> None:
    sentences, notes = _read(tmp_path, {"text": "Ada Lovelace ran.", **marks})
    assert sentences == [
        TaggedSentence(
            tokens=["Ada", "Lovelace", "ran", "."],
            tags=["B-PER", "I-PER", "O", "O"],
            lines=[1, 1, 1, 1],
            text="Ada Lovelace ran.",
            offsets=[(0, 3), (4, 12), (13, 16), (16, 17)],
        )
    ]
    assert notes == []


def test_columns_of_text_and_spans_may_be_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"doc": "Ada", "marks": [[0, 3, "PER"]], "tokens": [], "tags": []}')
    columns: dict[str, str | int] = {"text": "doc", "spans": "marks"}
    assert [s.tags for s in read_sentences(path, columns=columns)] == [["B-PER"]]


def test_neighbours_each_start_with_b() -> None:
    assert _tags("北京上海", [[0, 2, "LOC"], [2, 4, "LOC"]])[0] == ["B-LOC", "I-LOC"] * 2


def test_a_span_that_cuts_words_is_widened_and_counted() -> None:
    # 2 to 6 is "a Lo" of "Ada Lovelace".
    tags, notes = _tags("Ada Lovelace ran", [[2, 6, "PER"]])
    assert tags == ["B-PER", "I-PER", "O"]
    assert notes.spans_snapped_to_words == 1


def test_white_space_around_a_span_changes_nothing() -> None:
    tags, notes = _tags("Ada ran", [[3, 7, "X"]])
    assert tags == ["O", "B-X"]
    assert notes == ReadingNotes()


def test_of_overlapping_spans_the_longest_is_kept_and_of_equals_the_first(tmp_path: Path) -> None:
    text = "a b c d e"
    spans = [[0, 3, "P"], [2, 7, "Q"], [6, 9, "R"], [8, 9, "S"], [8, 9, "S"], [8, 9, "T"]]
    # Q (5 characters) beats P and R (3), then S beats its equal T; the second S is a duplicate.
    sentences, notes = _read(tmp_path, {"text": text, "entities": spans})
    assert sentences[0].tags == ["O", "B-Q", "I-Q", "I-Q", "B-S"]
    assert notes == [
        "3 overlapping spans dropped in train.jsonl (the longest of each overlap is kept)",
        "1 duplicate span dropped in train.jsonl",
    ]


def test_spans_that_meet_in_one_word_overlap() -> None:
    tags, notes = _tags("superman", [[0, 5, "X"], [5, 8, "Y"]])
    assert tags == ["B-X"]
    assert (notes.overlapping_spans_dropped, notes.spans_snapped_to_words) == (1, 1)


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        ([[0, 9, "X"]], "lies outside the text, which has 7 characters"),
        ([[-1, 3, "X"]], "lies outside"),
        ([[3, 3, "X"]], "is empty"),
        ([[5, 3, "X"]], "is empty"),
        ([[3, 4, "X"]], "only white space"),
        ([[0, 3, ""]], "a span must be"),
        ([[0, 3]], "a span must be"),
        ([["0", "3", "X"]], "a span must be"),
        ([[False, True, "X"]], "a span must be"),
        ([{"start": 0, "end": 3}], "a span must be"),
        ([{"start": 0, "end": 3, "type": "X", "text": "da "}], "should be 'da ', but.* 'Ada'"),
        ("Ada", "must be a list"),
        (None, "must be a list"),
    ],
)
def test_spans_that_cannot_be_are_placed(tmp_path: Path, spans: Any, message: str) -> None:
    good = {"text": "Ada ran", "entities": []}
    with pytest.raises(DataError, match=message) as caught:
        _read(tmp_path, good, {"text": "Ada ran", "entities": spans})
    assert caught.value.line == 2


def test_notes_speak_of_one_and_of_many_and_only_of_what_happened() -> None:
    assert ReadingNotes().sentences() == []
    notes = ReadingNotes(spans_snapped_to_words=1, orphan_inside_tags=2)
    assert notes.sentences() == [
        "1 span widened to whole words",
        "2 I- tags without a B- before (read as the start of an entity)",
    ]


@given(st.text("ab 中.\u0301", max_size=30), st.data())
def test_spans_of_whole_words_come_back_as_they_were(text: str, data: st.DataObject) -> None:
    words = split_words(text)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(words)))))
    pieces = list(pairwise(cuts))[::2]
    spans = [[words[a][1], words[b - 1][2], "X"] for a, b in pieces]
    tags, notes = _tags(text, data.draw(st.permutations(spans)))
    expected = ["O"] * len(words)
    for a, b in pieces:
        expected[a:b] = ["B-X"] + ["I-X"] * (b - a - 1)
    assert tags == expected
    assert notes == ReadingNotes()
