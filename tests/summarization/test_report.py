"""The report of a test: ROUGE with its interval, by length, what is new, texts side by side."""

import datasets
import pytest

from zoo.summarization.evaluation import ScoredSummary, scored
from zoo.summarization.report import report

_EXAMPLES = datasets.Dataset.from_dict(
    {
        "id": ["a", "b", "c", "d"],
        "source": ["the red fox ran far", "a b", "one two three", "x " * 600],
    }
)


def _one(example: int, summary: str, references: list[str]) -> ScoredSummary:
    return scored(example, summary, references, rouge_in="words", language="en")


def _summaries() -> list[ScoredSummary]:
    return [
        _one(2, "one two four", ["one two three", "nine"]),
        _one(0, "the red fox slept", ["the red fox slept"]),
        _one(3, "", ["x x"]),
        _one(1, "a b", ["c d"]),
    ]


def test_the_main_table_has_the_mean_of_each_rouge_within_its_interval() -> None:
    found = report(_summaries(), _EXAMPLES, rouge_in="words")
    rows = {row[0]: row[1:] for row in found.tables["rouge"].rows}
    assert list(rows) == ["rouge1", "rouge2", "rougeL", "rougeLsum"]
    # By hand: 1, 2/3, 0 and 0 of unigrams; 1, 1/2, 0 and 0 of bigrams.
    assert rows["rouge1"][2] == pytest.approx((1 + 2 / 3) / 4)
    assert rows["rouge2"][2] == pytest.approx((1 + 1 / 2) / 4)
    for row in rows.values():
        assert row[3] <= row[2] <= row[4]
    assert found.main_table == "rouge"


def test_sources_are_grouped_from_short_to_long() -> None:
    rows = report(_summaries(), _EXAMPLES, rouge_in="words").tables["source_lengths"].rows
    assert [row[0] for row in rows] == ["2 to 2", "3 to 3", "5 to 5", "600 to 600"]
    assert [row[-1] for row in rows] == [1, 1, 1, 1]
    assert [row[1] for row in rows] == pytest.approx([0, 2 / 3, 1, 0])


def test_novelty_is_the_share_of_ngrams_that_the_source_lacks() -> None:
    rows = report(_summaries(), _EXAMPLES, rouge_in="words").tables["novelty"].rows
    by_length = {row[0]: row[1:] for row in rows}
    # Words of the summaries: 1 of 3, 1 of 4 and 0 of 2 are new; the empty one has none.
    assert by_length["1 word"][0] == pytest.approx((1 / 3 + 1 / 4 + 0) / 3)
    # References: 0 of 3, 1 of 1, 1 of 4, 0 of 2, 2 of 2.
    assert by_length["1 word"][1] == pytest.approx((0 + 1 + 1 / 4 + 0 + 1) / 5)
    assert by_length["2 words"][0] == pytest.approx((1 / 2 + 1 / 3 + 0) / 3)


def test_records_and_texts_are_in_the_order_of_the_data() -> None:
    found = report(_summaries(), _EXAMPLES, rouge_in="words")
    records = list(found.predictions)
    assert [record["id"] for record in records] == ["a", "b", "c", "d"]
    assert records[2]["rouge1"] == pytest.approx(0.6667)
    assert records[2]["references"] == ["one two three", "nine"]
    texts = found.tables["texts"].rows
    assert [row[0] for row in texts] == ["a", "b", "c", "d"]
    assert texts[2][2] == "one two three ‖ nine"
    assert len(texts[3][4]) <= 400


def test_no_summary_at_all_makes_an_empty_report() -> None:
    found = report([], _EXAMPLES.select([]), rouge_in="words")
    assert found.tables["rouge"].rows == []
    assert list(found.predictions) == []
