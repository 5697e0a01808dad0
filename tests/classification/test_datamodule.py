"""From files to batches: labels, notes, weights, long texts and the baseline."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zoo.classification import bag_of_words
from zoo.classification.datamodule import ClassificationDataModule
from zoo.errors import DataError

Tiny = Callable[[str], Path]
Table = Callable[..., str]

_TRAIN = [("quick brown fox", "b"), ("lazy dog", "a"), ("the fox", "b"), ("a fox", "b")]


def _data(table: Table, backbone: Any, **files: Any) -> ClassificationDataModule:
    files = {"train": _TRAIN, "validation": _TRAIN, "test": _TRAIN, **files}
    rows = {split: table(split, files.pop(split)) for split in ("train", "validation", "test")}
    return ClassificationDataModule(**{**rows, "backbone": str(backbone), "batch_size": 4, **files})


def test_a_batch_holds_ids_labels_and_the_weight_of_each_label(table: Table, tiny: Tiny) -> None:
    data = _data(table, tiny("bert"))
    assert data.labels == ["a", "b"]
    (batch,) = data.val_dataloader()
    order = batch["example"]
    assert [data.labels[label] for label in batch["labels"]] == [_TRAIN[row][1] for row in order]
    assert batch["input_ids"].shape == batch["attention_mask"].shape
    assert batch["token_type_ids"].shape == batch["input_ids"].shape
    assert batch["tokens"] == int(batch["attention_mask"].sum())
    # Four texts and two labels: 4 / (2 * 1) and 4 / (2 * 3).
    assert batch["class_weights"].tolist() == pytest.approx([2.0, 2 / 3])


def test_labels_that_are_numbers_are_in_the_order_of_their_values(table: Table, tiny: Tiny) -> None:
    rows = [("a", label) for label in ("10", "9", "1")]
    assert _data(table, tiny("bert"), train=rows, validation=rows, test=rows).labels == [
        "1",
        "9",
        "10",
    ]


def test_a_label_that_only_test_has_is_kept_and_said(table: Table, tiny: Tiny) -> None:
    data = _data(table, tiny("bert"), test=[("x", "0new"), ("y", "a"), ("z", "0new")])
    assert data.labels == ["a", "b", "0new"]
    assert data.constants["class_weights"].tolist() == pytest.approx([2.0, 2 / 3, 0.0])
    (note,) = data.known["notes"]
    assert note.startswith("Label 0new occurs in test (2 times) but never in train")


def test_given_labels_come_first_and_unknown_ones_are_said(
    table: Table, tiny: Tiny, caplog: pytest.LogCaptureFixture
) -> None:
    data = ClassificationDataModule(
        test=table("test", _TRAIN), labels=["c", "b"], backbone=str(tiny("bert"))
    )
    assert data.labels == ["c", "b", "a"]
    assert "The given labels lack a: " in caplog.text


def test_empty_texts_are_kept_and_counted(table: Table, tiny: Tiny) -> None:
    data = _data(table, tiny("bert"), test=[("", "a"), ("  ", "b"), ("x", "b")])
    assert data.known["notes"] == ["2 empty texts kept in test."]
    assert len(data.features("test")) == 3


@pytest.mark.parametrize("header", [("text", "label"), ("text", "category")])
def test_one_label_alone_is_refused(header: tuple[str, str], table: Table, tiny: Tiny) -> None:
    path = table("train", [(str(row), "x") for row in range(30)], header)
    data = ClassificationDataModule(train=path, backbone=str(tiny("bert")))
    with pytest.raises(DataError, match="Every text has the label 'x'"):
        data.labels  # noqa: B018


def test_pairs_in_one_split_alone_are_refused(table: Table, tiny: Tiny) -> None:
    pair = table("pair", [("a", "b", "x")], ("text", "text2", "label"))
    data = ClassificationDataModule(
        train=table("train", _TRAIN), test=pair, backbone=str(tiny("bert"))
    )
    with pytest.raises(DataError, match="train single texts, test pairs"):
        data.labels  # noqa: B018


def test_long_texts_are_counted_and_said(
    table: Table, tiny: Tiny, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [("a b c d e f", "x"), ("a", "y")]
    for how, said in (("truncate", "beginning is"), ("head_tail", "beginning and end are")):
        data = _data(table, tiny("bert"), train=rows, max_length=6, long_texts=how)
        with caplog.at_level(logging.WARNING):
            assert sorted(data.features("train")["cut"]) == [0, 2]
        assert f"1 of 2 train texts are longer than 6 tokens: only their {said} read" in caplog.text
        assert "(2 tokens left out)" in data.notes[-1]
    with pytest.raises(DataError, match=r"--data\.max_length=2 leaves 0 tokens"):
        _data(table, tiny("bert"), max_length=2).features("train")


def test_a_thousand_labels_work(table: Table, tiny: Tiny) -> None:
    rows = [(f"word{number}", f"label {number}") for number in range(1000)]
    data = _data(table, tiny("bert"), train=rows, validation=rows[:9], test=rows[:9])
    assert len(data.labels) == 1000
    assert sum(len(batch["labels"]) for batch in data.test_dataloader()) == 9


def test_the_samples_are_found_by_name(tiny: Tiny) -> None:
    letters = ClassificationDataModule("classification-sample", backbone=str(tiny("bert")))
    assert len(letters.labels) == 8
    assert [len(letters.examples(split)) for split in ("train", "test")] == [1200, 400]
    pairs = ClassificationDataModule("classification-pairs-sample", backbone=str(tiny("bert")))
    assert pairs.labels == ["contradiction", "entailment", "neutral"]
    (batch, *_) = pairs.val_dataloader()
    assert set(batch["token_type_ids"].unique().tolist()) == {0, 1}


def test_the_baseline_is_the_one_of_the_datasheet(tiny: Tiny) -> None:
    data = ClassificationDataModule("classification-pairs-sample", backbone=str(tiny("bert")))
    assert data.baselines()["bag_of_words/accuracy"] == pytest.approx(0.3625, abs=0.005)


def test_a_baseline_without_words_or_labels_to_choose_from_takes_the_most_frequent() -> None:
    assert bag_of_words.predict(["", "", "x"], ["b", "a", "a"], ["y", ""]) == ["a", "a"]
    assert bag_of_words.predict(["some words"], ["b"], ["others"]) == ["b"]
    assert bag_of_words.accuracy(["a", "b"], ["a", "a"]) == 0.5
