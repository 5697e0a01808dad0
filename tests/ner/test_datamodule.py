"""From files to features: columns, schemes, and the order of labels."""

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from zoo.errors import DataError
from zoo.ner.datamodule import NERDataModule
from zoo.ner.task import NERTask
from zoo.tracking.export import export_model

Tiny = Callable[[str], Path]
Conll = Callable[..., str]

_PER = [(["Ada", "ran"], ["B-PER", "O"])]


def _everywhere(file: str, **options: Any) -> NERDataModule:
    return NERDataModule(**{"train": file, "validation": file, "test": file, **options})


def _tags(data: NERDataModule, split: Any = "train") -> list[list[str]]:
    return [list(example["tags"]) for example in data.examples(split)]


def test_character_spans_become_features(tiny: Tiny, tmp_path: Path) -> None:
    text = "Zoe\u0308 met 😀 Ada Lovelace (London)."
    spans = [("PER", "Zoe\u0308"), ("PER", "Ada Lovelace"), ("LOC", "London")]
    entities = [
        {"start": text.index(part), "end": text.index(part) + len(part), "type": name}
        for name, part in spans
    ]
    file = tmp_path / "spans.jsonl"
    records = [{"text": text, "entities": entities}, {"text": "a fox", "entities": []}]
    file.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    data = _everywhere(str(file), backbone=str(tiny("bert")))
    assert data.labels == ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]

    words = ["Zoe\u0308", "met", "😀", "Ada", "Lovelace", "(", "London", ")", "."]
    example = data.examples("train")[0]
    assert example["tokens"] == words
    assert [text[start:end] for start, end in example["offsets"]] == words
    first, second = data.features("train")
    assert first["labels"] == [3, 0, 0, 3, 4, 0, 1, 0, 0]
    assert second["labels"] == [0, 0]
    assert [row["example"] for row in (first, second)] == [0, 1]
    # transformers' own alignment says where each word begins.
    tokenizer: Any = data.tokenizer
    judge = tokenizer(words, is_split_into_words=True)
    assert first["input_ids"] == judge["input_ids"]
    assert first["positions"] == [judge.word_ids().index(word) for word in range(len(words))]


def test_a_batch_is_padded_and_labels_stand_at_first_subwords(tiny: Tiny) -> None:
    data = NERDataModule(train="-", backbone=str(tiny("roberta")))
    pad = data.tokenizer.pad_token_id
    assert pad == 1
    rows = [
        {"input_ids": [0, 7, 8, 9, 2], "positions": [1, 3], "labels": [4, 0]},
        {"input_ids": [0, 5, 2], "positions": [1], "labels": [2]},
        {"input_ids": [0, 2], "positions": [], "labels": []},
    ]
    batch = data.collate(
        [{**row, "example": number, "window": 0, "windows": 1} for number, row in enumerate(rows)]
    )
    assert batch["input_ids"].tolist() == [[0, 7, 8, 9, 2], [0, 5, 2, 1, 1], [0, 2, 1, 1, 1]]
    assert batch["attention_mask"].tolist() == [[1] * 5, [1, 1, 1, 0, 0], [1, 1, 0, 0, 0]]
    none = -100
    assert batch["labels"].tolist() == [
        [none, 4, none, 0, none],
        [none, 2, none, none, none],
        [none] * 5,
    ]
    assert (batch["word_mask"] == (batch["labels"] != none)).all()
    assert (batch["example"], batch["tokens"]) == ([0, 1, 2], 10)


def test_columns_can_be_chosen_by_position(tmp_path: Path) -> None:
    file = tmp_path / "columns.txt"
    file.write_text("B-X\tAda\tB-PER\tO\nO\tran\tO\tB-Y\n", encoding="utf-8")
    usual = _everywhere(str(file), columns={"tokens": 1})
    assert (_tags(usual), usual.labels) == ([["O", "B-Y"]], ["O", "B-Y", "I-Y"])
    chosen = _everywhere(str(file), columns={"tokens": 1, "tags": -2})
    assert (_tags(chosen), chosen.labels) == ([["B-PER", "O"]], ["O", "B-PER", "I-PER"])
    assert chosen.examples("test")[0]["tokens"] == ["Ada", "ran"]
    assert usual.fingerprint != chosen.fingerprint


def test_columns_can_be_chosen_by_name(tmp_path: Path) -> None:
    file = tmp_path / "records.jsonl"
    record = {"words": ["Ada"], "ner_tags": ["O"], "fine": ["B-ANIMAL"]}
    file.write_text(json.dumps(record), encoding="utf-8")
    data = _everywhere(str(file), columns={"tokens": "words", "tags": "fine"})
    assert _tags(data) == [["B-ANIMAL"]]


def test_a_forced_scheme_is_obeyed(conll: Conll) -> None:
    # As IOB2 two entities, as IOB1 one entity, then its neighbour.
    file = conll("any", [(["a", "b", "c", "d"], ["B-X", "I-X", "B-X", "O"])])
    assert _tags(_everywhere(file)) == [["B-X", "I-X", "B-X", "O"]]
    inside = conll("inside", [(["a", "b", "c", "d"], ["I-X", "I-X", "B-X", "O"])])
    assert _tags(_everywhere(inside, scheme="IOB1")) == [["B-X", "I-X", "B-X", "O"]]
    assert _tags(_everywhere(inside, scheme="IOB2")) == [["B-X", "I-X", "B-X", "O"]]
    with pytest.raises(DataError, match="does not belong to IO "):
        _tags(_everywhere(inside, scheme="IO"))
    with pytest.raises(DataError, match=r"inside\.conll.*1"):
        _tags(_everywhere(inside, scheme="BIOES"))


def test_given_labels_keep_their_order_and_new_types_come_after_them(conll: Conll) -> None:
    file = conll("any", [(["a", "b", "c"], ["B-X", "B-A", "B-Y"])])
    given = ["B-Y", "I-Y", "O", "B-X", "I-X"]
    data = _everywhere(file, labels=given)
    assert data.labels == [*given, "B-A", "I-A"]
    (row,) = data.features("train")
    assert row["labels"] == [3, 5, 0]
    everything = ["O", "B-A", "I-A", "B-X", "I-X", "B-Y", "I-Y", "B-Z", "I-Z"]
    assert _everywhere(file, labels=everything).labels == everything


def test_types_that_only_other_splits_have_come_last_and_are_said(
    conll: Conll, caplog: pytest.LogCaptureFixture
) -> None:
    foreign = [(["Rome", "Ada", "Oslo"], ["B-LOC", "B-PER", "B-LOC"])]
    data = NERDataModule(
        train=conll("train", _PER), validation=conll("val", _PER), test=conll("test", foreign)
    )
    with caplog.at_level(logging.WARNING):
        assert data.labels == ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
    lines = [record.getMessage() for record in caplog.records]
    assert [line for line in lines if "LOC" in line and "test (2 times)" in line]
    (row,) = data.features("test")
    assert row["labels"] == [3, 1, 3]


@pytest.mark.parametrize(
    ("of_head", "expected"),
    [
        # The same set: the weights' order, so that the head fits.
        (["PER", "LOC"], ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]),
        # Other types: the data's own order, for a new head.
        (["PER", "GPE"], ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]),
        (["PER"], ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]),
    ],
)
def test_a_fine_tuned_folder_gives_the_order_of_its_own_labels(
    of_head: Sequence[str], expected: list[str], tiny: Tiny, conll: Conll, tmp_path: Path
) -> None:
    labels = ["O", *(f"{prefix}-{name}" for name in of_head for prefix in "BI")]
    task = NERTask(str(tiny("bert")), labels=labels)
    task.configure_model()
    export_model(task, tmp_path / "model", metadata={})
    file = conll("any", [(["Rome", "Ada"], ["B-LOC", "B-PER"])])
    data = _everywhere(file, backbone=str(tmp_path / "model"))
    assert data.labels == expected
    (row,) = data.features("train")
    assert row["labels"] == [expected.index("B-LOC"), expected.index("B-PER")]


def test_data_to_test_weights_on_gives_the_weights_labels_and_then_the_others(
    tiny: Tiny, conll: Conll, tmp_path: Path
) -> None:
    labels = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
    task = NERTask(str(tiny("bert")), labels=labels)
    task.configure_model()
    export_model(task, tmp_path / "model", metadata={})
    file = conll("foreign", [(["Ada", "Rome"], ["B-PER", "B-GPE"])])
    data = NERDataModule(test=file, backbone=str(tmp_path / "model"))
    assert data.labels == [*labels, "B-GPE", "I-GPE"]


def test_data_without_one_entity_is_refused_with_its_place(conll: Conll) -> None:
    file = conll("empty", [(["a", "b"], ["O", "O"])])
    with pytest.raises(DataError, match=r"empty\.conll.*every tag is O"):
        _everywhere(file).labels  # noqa: B018  asking is the point


def test_a_stride_that_fills_the_window_is_refused(tiny: Tiny, conll: Conll) -> None:
    data = _everywhere(conll("any", _PER), backbone=str(tiny("bert")), max_length=16, stride=14)
    with pytest.raises(DataError, match=r"stride=14 must be at least 0 and below"):
        data.features("train")


def test_the_lookup_baseline_is_scored_on_the_test_as_by_hand(conll: Conll) -> None:
    test = [
        (["Ada", "met", "Bo"], ["B-PER", "O", "B-PER"]),
        (["Rome", "and", "Ada"], ["B-LOC", "O", "O"]),
    ]
    data = NERDataModule(
        train=conll("train", _PER), validation=conll("val", _PER), test=conll("test", test)
    )
    # Predicted: Ada twice, once rightly; gold: three entities.
    assert data.baselines() == {"lookup/f1": pytest.approx(2 * 1 / (2 + 3))}


def test_changed_content_is_read_again_and_unchanged_content_is_not(conll: Conll) -> None:
    file = conll("any", _PER)
    first = _everywhere(file)
    assert _tags(first) == [["B-PER", "O"]]
    assert _everywhere(file).fingerprint == first.fingerprint
    conll("any", [(["Ada", "Bo"], ["B-PER", "B-PER"])])
    second = _everywhere(file)
    assert second.fingerprint != first.fingerprint
    assert _tags(second) == [["B-PER", "B-PER"]]
