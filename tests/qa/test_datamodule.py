"""From files to batches: windows, texts to evaluate on, what is held out, notes, baselines."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from zoo.errors import DataError, ZooError
from zoo.qa.datamodule import QADataModule

Tiny = Callable[[str], Path]
Squad = Callable[..., str]

_TEXT = "Ada sang in London . Dog ran ."
_ASKED = [("Who sang ?", [("Ada", 0)]), ("Who ran ?", [("Dog", 21)]), ("Who slept ?", [])]


def _data(squad: Squad, backbone: Path, texts: Any = None, **options: Any) -> QADataModule:
    file = squad("x", texts or [(_TEXT, _ASKED)])
    files = {"train": file, "validation": file, "test": file}
    settings = {"max_length": 64, "stride": 8, "batch_size": 4, "backbone": str(backbone)}
    return QADataModule(**{**files, **settings, **options})


def test_a_batch_holds_windows_and_the_answers_tokens(squad: Squad, tiny: Tiny) -> None:
    data = _data(squad, tiny("bert"))
    assert data.labels == ["start", "end"]
    (batch,) = data.val_dataloader()
    shape = batch["input_ids"].shape
    for name in ("attention_mask", "token_type_ids", "context_mask"):
        assert batch[name].shape == shape
    assert batch["offsets"].shape == (*shape, 2)
    found = {}
    for row, example in enumerate(batch["example"]):
        start, end = batch["start"][row], batch["end"][row]
        first, last = batch["offsets"][row, start, 0], batch["offsets"][row, end, 1]
        found[example] = _TEXT[first:last] if start else ""
        # What the mask marks is the text, and nothing else is.
        text = str(data.tokenizer.decode(batch["input_ids"][row][batch["context_mask"][row]]))
        assert text.replace(" ", "") == _TEXT.lower().replace(" ", "")
        assert batch["context"][row] == _TEXT
    assert found == {0: "Ada", 1: "Dog", 2: ""}
    answers = dict(zip(batch["example"], batch["answers"], strict=True))
    assert answers == {0: ["Ada"], 1: ["Dog"], 2: []}
    assert batch["tokens"] == int(batch["attention_mask"].sum())
    assert not batch["always_answered"]


def test_training_features_and_batches_know_no_texts(squad: Squad, tiny: Tiny) -> None:
    data = _data(squad, tiny("bert"))
    (batch,) = data.train_dataloader()
    assert "context" not in batch
    assert sorted(batch["start"].tolist())[0] == 0
    assert torch.equal(batch["context_mask"].any(dim=1), torch.tensor([True] * 3))


def test_where_every_question_has_an_answer_it_is_known(squad: Squad, tiny: Tiny) -> None:
    assert _data(squad, tiny("bert"), [(_TEXT, _ASKED[:2])]).always_answered
    only_test = QADataModule(
        test=squad("y", [(_TEXT, _ASKED[:2])]), backbone=str(tiny("bert")), max_length=64
    )
    assert not only_test.always_answered  # what a test has says nothing of the model


@pytest.mark.parametrize("by", ["article", "text"])
def test_articles_or_texts_are_held_out_whole(by: str, squad: Squad, tiny: Tiny) -> None:
    texts = [
        (f"Number {number} sang .", [(f"Who {at} ?", [("Number", 0)]) for at in range(4)])
        for number in range(60)
    ]
    titles = [f"T{number // 3}" for number in range(60)] if by == "article" else []
    data = QADataModule(
        train=squad("x", texts, titles=titles), backbone=str(tiny("bert")), max_length=64
    )
    names = {
        split: set(rows["title" if by == "article" else "context"])
        for split, rows in data.splits().items()
    }
    sizes = {split: len(rows) for split, rows in data.splits().items()}
    assert sum(sizes.values()) == 240
    assert 18 <= sizes["validation"] <= 36
    assert 18 <= sizes["test"] <= 36
    assert not names["train"] & names["validation"]
    assert not names["train"] & names["test"]
    assert not names["validation"] & names["test"]
    assert f"held out, by {by}" in data.notes[0]


def test_questions_on_one_text_are_held_out_one_by_one(squad: Squad, tiny: Tiny) -> None:
    texts = [("Ada sang .", [(f"Who {at} ?", [("Ada", 0)]) for at in range(30)])]
    data = QADataModule(train=squad("x", texts), backbone=str(tiny("bert")), max_length=64)
    assert {split: len(rows) for split, rows in data.splits().items()} == {
        "train": 24,
        "validation": 3,
        "test": 3,
    }


def test_what_was_repaired_is_said_and_listed(squad: Squad, tiny: Tiny) -> None:
    asked = [
        ("Who sang ?", [("Ada", 2)]),
        ("Who flew ?", [("Cleo", 2)]),
        ("", [("Dog", 21)]),
        ("x y z " * 40, [("Lond", 12)]),
    ]
    data = _data(squad, tiny("bert"), [(_TEXT, asked), ("", [("Who ?", [])])])
    assert len(data.examples("train")) == 4
    data.features("train")
    said = " ".join(data.notes)
    assert "1 answers in train did not stand where their offset says" in said
    assert "1 answers in train stand nowhere" in said
    assert "1 questions in train were left out" in said
    assert "1 empty questions kept in train" in said
    assert "1 empty contexts kept in train" in said
    assert "1 of 3 train answers begin or end inside a token" in said
    assert "1 train questions are longer than 32 tokens" in said
    rows = data.report_tables["repairs"].rows
    assert ("train", "x-1", 2, 0, "Ada") in rows
    assert ("test", "x-2", 2, "dropped", "Cleo") in rows


@pytest.mark.parametrize(
    ("text", "found"), [("Ada sang .", "words"), ("他是谁?王力。", "characters")]
)
def test_the_script_of_the_answers_decides_how_they_are_compared(
    text: str, found: str, squad: Squad, tiny: Tiny
) -> None:
    texts = [(text, [("?", [(text[:2], 0)])])]
    assert _data(squad, tiny("bert"), texts).answers_in == found
    assert _data(squad, tiny("bert"), texts, answers_in="words").answers_in == "words"


def test_long_texts_and_many_questions_on_one_are_cached_and_batched(
    squad: Squad, tiny: Tiny
) -> None:
    text = "Ada Lovelace lived in London . " * 2000
    asked = [(f"Who is {number} ?", [("Ada", 31 * number)]) for number in range(20)]
    asked += [("Last ?", [(".", len(text) - 2)]), ("First ?", [("A", 0), ("Ada", 0)])]
    data = _data(squad, tiny("bert"), [(text, asked)], batch_size=64)
    assert len(text) > 60_000
    windows = 0
    held: set[int] = set()
    for batch in data.test_dataloader():
        windows += len(batch["example"])
        held |= {
            example
            for example, start in zip(batch["example"], batch["start"].tolist(), strict=True)
            if start
        }
    assert windows == len(data.features("test")) > 22 * 200
    assert held == set(range(22))


def test_lengths_that_do_not_fit_are_one_sentence(squad: Squad, tiny: Tiny) -> None:
    with pytest.raises(DataError, match=r"--data\.max_length=64 with stride=60 leaves no room"):
        _data(squad, tiny("bert"), stride=60).features("train")
    with pytest.raises(DataError, match=r"more than .* can take"):
        _data(squad, tiny("bert"), max_length=4000).features("train")
    with pytest.raises(ZooError, match="batch_size"):
        _data(squad, tiny("bert"), batch_size=0)


def test_baselines_are_those_of_hand_arithmetic(squad: Squad, tiny: Tiny) -> None:
    # "who sang": the match is "sang", and "in London" stands behind it.
    asked = [("Who sang ?", [("in London", 9)]), ("Who slept ?", [])]
    data = _data(squad, tiny("bert"), [(_TEXT, asked)])
    assert data.baselines() == {
        "null/em": 0.5,
        "null/f1": 0.5,
        "longest_match/em": 1.0,  # and no word of the other question stands in the text
        "longest_match/f1": 1.0,
    }


def test_a_sample_to_pipe_in_is_json() -> None:
    given, file = QADataModule("qa-sample").predict_example
    assert set(json.loads(given)) == {"question", "context"}
    assert file == ""


def test_windows_without_the_answer_can_be_left_out_of_training(squad: Squad, tiny: Tiny) -> None:
    text = "Ada sang . " + "the dog ran away . " * 20
    asked = [("Who sang ?", [("Ada", 0)]), ("Who slept ?", [])]
    data = {
        share: _data(squad, tiny("bert"), [(text, asked)], max_length=24, empty_windows=share)
        for share in (1.0, 0.5, 0.0)
    }
    rows = {share: one.training_rows() for share, one in data.items()}
    features = data[1.0].features("train")
    example = features["example"][:]
    had, of_none = example.count(0), example.count(1)
    # Of the answered question only the one window that holds the answer; of the other one all.
    assert len(rows[1.0]) == had + of_none
    assert len(rows[0.0]) == 1 + of_none
    assert [features[int(row)]["end"] > 0 for row in rows[0.0] if example[row] == 0] == [True]
    assert len(rows[0.0]) < len(rows[0.5]) < len(rows[1.0])
    assert sum(len(batch["start"]) for batch in data[0.0].train_dataloader()) == 1 + of_none
    assert f"{had - 1} of {had - 1} training windows without the answer" in data[0.0].notes[-1]
    with pytest.raises(DataError, match=r"--data\.empty_windows 2 is a share"):
        _data(squad, tiny("bert"), empty_windows=2)
