"""Texts as features with targets, what is said of them, and the keys of batches."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from rouge_score.rouge_scorer import RougeScorer

from zoo.errors import DataError
from zoo.summarization.extractive.datamodule import ExtractiveSummarizationDataModule

Tiny = Callable[[str], Path]


def _data(
    folder: Path, tiny: Tiny, records: Sequence[Mapping[str, Any]], **options: Any
) -> ExtractiveSummarizationDataModule:
    file = folder / "x.jsonl"
    file.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    files = {"train": str(file), "validation": str(file), "test": str(file)}
    settings = {"backbone": str(tiny("bert")), "max_length": 64, "batch_size": 4}
    return ExtractiveSummarizationDataModule(**{**files, **settings, **options})


def test_targets_follow_the_rouge_of_each_sentence_as_rouge_score_has_it(
    tmp_path: Path, tiny: Tiny
) -> None:
    source = ["Ada quickly sang songs.", "The dog slept.", "Ada sang a song in London."]
    targets = ["Ada sang a song.", "Dogs sleeping."]
    data = _data(tmp_path, tiny, [{"source": source, "target": targets}])
    scorer = RougeScorer(["rouge1", "rouge2"], use_stemmer=True)
    rouge = []
    for sentence in source:
        best = scorer.score_multi(targets, sentence)
        rouge.append((best["rouge1"].fmeasure + best["rouge2"].fmeasure) / 2)
    wanted = torch.tensor(rouge, dtype=torch.double).div(0.05).softmax(dim=0)
    (batch,) = data.val_dataloader()
    torch.testing.assert_close(batch["targets"][0], wanted.float())


def test_a_training_batch_by_hand(tmp_path: Path, tiny: Tiny) -> None:
    records = [{"source": "Ada sang. A fox. B ran.", "target": "sang"}]
    records.append({"source": "Bob ran.", "target": "ran"})
    data = _data(tmp_path, tiny, records)
    (batch,) = data.train_dataloader()
    order = batch["example"]
    long, short = order.index(0), order.index(1)
    tokenizer = data.tokenizer
    ids = [tokenizer(text)["input_ids"] for text in ("Ada sang.", "A fox.", "B ran.", "Bob ran.")]
    sizes = list(map(len, ids))
    assert batch["input_ids"][long].tolist() == ids[0] + ids[1] + ids[2]
    owners = [number for number in range(3) for _ in range(sizes[number])]
    assert batch["sentence_of"][long].tolist() == owners
    assert batch["sentence_of"][short].tolist() == [0] * sizes[3] + [3] * (
        sum(sizes[:3]) - sizes[3]
    )
    types = [0] * sizes[0] + [1] * sizes[1] + [0] * sizes[2]
    assert batch["token_type_ids"][long].tolist() == types
    assert batch["sentence_mask"].tolist()[short] == [True, False, False]
    assert batch["attention_mask"].sum(dim=1).tolist()[short] == sizes[3]
    assert batch["token_type_ids"][short].sum() == 0
    assert batch["targets"][short].tolist() == [1, 0, 0]
    assert batch["tokens"] == sum(sizes)
    assert not {"source", "references", "spans"} & set(batch)


def test_a_batch_to_evaluate_holds_texts_sentences_and_references(
    tmp_path: Path, tiny: Tiny
) -> None:
    records = [{"source": ["Ada sang.", "A fox."], "target": ["sang", "song"]}]
    data = _data(tmp_path, tiny, [*records, {"source": "", "target": "x"}])
    (batch,) = data.test_dataloader()
    assert batch["source"] == ["Ada sang. A fox.", ""]
    assert batch["spans"] == [[(0, 9), (10, 16)], []]
    assert batch["references"] == [["sang", "song"], ["x"]]
    assert (batch["rouge_in"], batch["language"]) == ("words", "en")
    assert batch["sentence_mask"].tolist() == [[True, True], [False, False]]


def test_sentences_that_are_cut_are_counted(tmp_path: Path, tiny: Tiny) -> None:
    long = "a b c d e f g h i j k l m n o p q r s t."
    records = [{"source": [long, "A fox.", long], "target": "fox"}]
    data = _data(tmp_path, tiny, records, max_length=20, overlap=1)
    assert max(map(len, data.features("validation")["input_ids"][:])) == 20
    assert any("2 validation sentences are longer than 18 tokens" in note for note in data.notes)


def test_windows_of_a_long_text_keep_the_likelihoods_of_the_whole_text(
    tmp_path: Path, tiny: Tiny
) -> None:
    sentences = [f"{letter} fox ." for letter in "abcdefghij"]
    records = [{"source": sentences, "target": "d fox"}]
    data = _data(tmp_path, tiny, records, max_length=25, overlap=2)
    rows = data.features("train")
    assert len(rows) > 1
    whole: dict[int, float] = {}
    for row in rows:
        for number, likely in enumerate(row["targets"], start=row["first"]):
            # The same sentence has the same likelihood wherever it stands.
            assert whole.setdefault(number, likely) == likely
    assert len(whole) == 10
    assert sum(whole.values()) == pytest.approx(1)
    assert max(whole, key=whole.__getitem__) == 3


def test_a_text_stands_with_the_window_that_completes_it_alone(tmp_path: Path, tiny: Tiny) -> None:
    source = " ".join(f"{letter} fox ran." for letter in "abcdefghij")
    records = [{"source": source, "target": "fox"}, {"source": "A fox.", "target": "fox"}]
    data = _data(tmp_path, tiny, records, max_length=25, overlap=2, batch_size=2)
    seen: dict[int, int] = {}
    windows = 0
    for batch in data.test_dataloader():
        columns = (batch[name] for name in ("example", "window", "windows", "source", "spans"))
        for example, window, of, text, spans in zip(*columns, strict=True):
            windows += 1
            if window == of - 1:
                seen[example] = len(spans)
                assert text == records[example]["source"]
            else:
                assert (text, spans) == ("", [])
    assert seen == {0: 10, 1: 1}
    assert windows > 3


def test_chinese_is_read_in_characters(tmp_path: Path, tiny: Tiny) -> None:
    source = "同样的力作用在不同的物体上。不同的力。"
    data = _data(tmp_path, tiny, [{"source": source, "target": "不同的力。"}])
    assert (data.language, data.rouge_in) == ("zh", "characters")
    (batch,) = data.test_dataloader()
    assert [source[start:end] for start, end in batch["spans"][0]] == [
        "同样的力作用在不同的物体上。",
        "不同的力。",
    ]
    assert batch["targets"][0].argmax() == 1


def test_settings_without_room_are_refused_with_a_sentence(tmp_path: Path, tiny: Tiny) -> None:
    data = _data(tmp_path, tiny, [{"source": "A fox.", "target": "fox"}], max_length=2)
    with pytest.raises(DataError, match=r"--data\.max_length=2 leaves no room for a sentence"):
        data.features("train")
    data = _data(tmp_path, tiny, [{"source": "A fox.", "target": "fox"}], overlap=-1)
    with pytest.raises(DataError, match=r"--data\.overlap=-1"):
        data.features("train")
