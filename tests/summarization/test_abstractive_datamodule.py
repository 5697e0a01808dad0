"""From files to batches for encoder-decoders: what they read and learn, what is cut, the cache."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from zoo import backbones
from zoo.errors import DataError, ZooError
from zoo.summarization.abstractive.datamodule import SummarizationDataModule

Tiny = Callable[[str], Path]

_RECORDS: list[dict[str, Any]] = [
    {"id": "a", "source": "Ada Lovelace lived in London .", "target": ["Ada lived .", "Ada ."]},
    {"id": "b", "source": "The quick brown fox jumps .", "target": "A fox jumps over a dog ."},
    {"id": "c", "source": "a b c", "target": "a"},
]


def _backbone(name: str, tiny: Tiny) -> str:
    if name == "bert-2-bert":
        return f"{tiny('bert')}-2-{tiny('bert')}"
    return str(tiny(name))


def _data(
    folder: Path,
    backbone: str,
    records: Sequence[Mapping[str, Any]] = _RECORDS,
    **options: Any,
) -> SummarizationDataModule:
    path = folder / "x.jsonl"
    lines = [json.dumps(one, ensure_ascii=False) for one in records]
    path.write_text("\n".join(lines), encoding="utf-8")
    files = {"train": str(path), "validation": str(path), "test": str(path)}
    return SummarizationDataModule(**{**files, "backbone": backbone, "batch_size": 4, **options})


@pytest.mark.parametrize("name", ["t5", "bart", "bert-2-bert"])
def test_a_batch_is_what_the_tokenizer_gives_padded(name: str, tmp_path: Path, tiny: Tiny) -> None:
    backbone = _backbone(name, tiny)
    data = _data(tmp_path, backbone)
    assert data.labels == ["summary"]
    (batch,) = data.test_dataloader()
    tokenizer: Any = backbones.load_tokenizer(backbone)
    for row, example in enumerate(batch["example"]):
        record = _RECORDS[example]
        references = record["target"]
        references = [references] if isinstance(references, str) else references
        mask = batch["attention_mask"][row].bool()
        source = tokenizer(record["source"])["input_ids"]
        assert batch["input_ids"][row][mask].tolist() == source
        assert mask.tolist() == [True] * len(source) + [False] * (len(mask) - len(source))
        assert set(batch["input_ids"][row][~mask].tolist()) <= {tokenizer.pad_token_id}
        target = tokenizer(text_target=references[0])["input_ids"]
        target = target[1:] if name == "bert-2-bert" else target
        labels = batch["labels"][row].tolist()
        assert labels == target + [-100] * (len(labels) - len(target))
        assert batch["references"][row] == references
    assert sorted(batch["example"]) == [0, 1, 2]
    assert batch["tokens"] == int(batch["attention_mask"].sum() + (batch["labels"] >= 0).sum())
    assert (batch["rouge_in"], batch["language"]) == ("words", "en")


@pytest.mark.parametrize("name", ["t5", "bart", "bert-2-bert"])
def test_a_model_learns_from_a_training_batch(name: str, tmp_path: Path, tiny: Tiny) -> None:
    backbone = _backbone(name, tiny)
    data = _data(tmp_path, backbone)
    (batch,) = data.train_dataloader()
    assert set(batch) == {"input_ids", "attention_mask", "labels", "tokens", "rows"}
    assert all(batch[key].dtype == torch.int64 for key in ("input_ids", "labels"))
    model = backbones.load_model(backbone, "text-to-text", labels=data.labels)
    output = model(**{key: batch[key] for key in ("input_ids", "attention_mask", "labels")})
    output.loss.backward()
    assert torch.isfinite(output.loss)


def test_the_prefix_is_read_before_each_text(tmp_path: Path, tiny: Tiny) -> None:
    data = _data(tmp_path, str(tiny("t5")), prefix="a dog : ")
    expected = data.tokenizer(["a dog : " + str(one["source"]) for one in _RECORDS])["input_ids"]
    assert data.features("train")["input_ids"][:] == expected
    plain = _data(tmp_path, str(tiny("t5")))
    assert plain.prefix == ""
    # Another prefix is another cache.
    assert plain.features("train")["input_ids"][:] != expected


def test_what_is_cut_is_said_for_texts_and_for_summaries(tmp_path: Path, tiny: Tiny) -> None:
    records = [
        {"source": "fox " * 100_000, "target": "a b c d e f g h i j k l m n"},
        {"source": "a b c", "target": "a"},
    ]
    data = _data(tmp_path, str(tiny("t5")), records, max_length=40, max_target_length=9)
    features = data.features("train")
    tokenizer: Any = data.tokenizer
    wholes = {
        "cut": [len(tokenizer(one["source"])["input_ids"]) for one in records],
        "cut_target": [len(tokenizer(text_target=one["target"])["input_ids"]) for one in records],
    }
    for column, ids, limit in (("cut", "input_ids", 40), ("cut_target", "labels", 9)):
        whole = wholes[column]
        assert features[column][:] == [whole[0] - limit, 0]
        assert [len(row) for row in features[ids]] == [limit, whole[1]]
        assert {row[-1] for row in features[ids]} == {tokenizer.eos_token_id}
    lost, lost_target = wholes["cut"][0] - 40, wholes["cut_target"][0] - 9
    data.features("test")
    assert data.notes == [
        "1 of 2 train texts are longer than 40 tokens: only their beginning is read "
        f"({lost:,} tokens left out).",
        "1 of 2 train summaries are longer than 9 tokens: only their beginning is learned "
        f"({lost_target:,} tokens left out).",
        "1 of 2 test texts are longer than 40 tokens: only their beginning is read "
        f"({lost:,} tokens left out).",
        "1 of 2 test summaries are longer than 9 tokens: only their beginning counts in the loss "
        f"({lost_target:,} tokens left out).",
    ]


def test_lengths_that_leave_no_room_are_refused(tmp_path: Path, tiny: Tiny) -> None:
    t5, bart = str(tiny("t5")), str(tiny("bart"))
    with pytest.raises(DataError, match="max_length=2 leaves 0 tokens for a text beside 1"):
        _data(tmp_path, t5, max_length=2, prefix="a").features("train")
    with pytest.raises(DataError, match="max_target_length=2 leaves no room beside 2"):
        _data(tmp_path, bart, max_target_length=2).features("train")
    with pytest.raises(ZooError, match="max_target_length"):
        _data(tmp_path, t5, max_target_length=0)
    with pytest.raises(DataError, match=r"max_target_length 129 is more than .* \(128 tokens\)"):
        _data(tmp_path, bart, max_target_length=129).features("train")
    # T5's positions are relative: it has no limit.
    assert _data(tmp_path, t5, max_target_length=4000).max_target_length == 4000


def test_an_exported_model_knows_its_prefix_and_its_lengths(tmp_path: Path, tiny: Tiny) -> None:
    import shutil

    folder = tmp_path / "model"
    shutil.copytree(tiny("t5"), folder)
    known = {
        "family": "summarization",
        "max_length": 33,
        "encoding": {"prefix": "a fox : ", "max_target_length": 7},
    }
    (folder / "zoo.json").write_text(json.dumps(known), encoding="utf-8")
    data = _data(tmp_path, str(folder))
    assert (data.prefix, data.max_length, data.max_target_length) == ("a fox : ", 33, 7)
    asked = _data(tmp_path, str(folder), prefix="", max_length=20, max_target_length=8)
    assert (asked.prefix, asked.max_length, asked.max_target_length) == ("", 20, 8)
    assert (data.encoding_key["prefix"], data.encoding_key["max_target_length"]) == ("a fox : ", 7)


def test_each_setting_of_the_encoding_has_a_cache_of_its_own(tmp_path: Path, tiny: Tiny) -> None:
    t5 = str(tiny("t5"))
    settings: list[dict[str, Any]] = [
        {},
        {"prefix": "a "},
        {"max_length": 4},
        {"max_target_length": 3},
    ]
    for _ in range(2):  # the second time from the cache
        features = [_data(tmp_path, t5, **one).features("train") for one in settings]
        found = [(list(one["input_ids"]), list(one["labels"])) for one in features]
        assert len({json.dumps(one) for one in found}) == len(settings)


def test_the_language_to_write_is_part_of_the_labels_and_of_the_cache(tmp_path: Path) -> None:
    from transformers import MBartConfig, MBartTokenizer
    from transformers.models.mbart.tokenization_mbart import FAIRSEQ_LANGUAGE_CODES

    names = [
        "<s>",
        "<pad>",
        "</s>",
        "<unk>",
        *(f"▁{one}" for one in "abc"),
        *FAIRSEQ_LANGUAGE_CODES,
    ]
    found = {}
    for language in ("de_DE", "fr_XX"):
        vocab = [(name, 0.0) for name in [*names, "<mask>"]]
        tokenizer = MBartTokenizer(vocab=vocab, src_lang="en_XX", tgt_lang=language)
        folder = tmp_path / language
        tokenizer.save_pretrained(folder)
        code: Any = tokenizer.convert_tokens_to_ids(language)
        MBartConfig(vocab_size=len(tokenizer), decoder_start_token_id=code).save_pretrained(folder)
        data = _data(tmp_path, str(folder), [{"source": "a b c", "target": "a b"}])
        (labels,) = data.features("test")["labels"]
        assert tokenizer.convert_ids_to_tokens(labels) == ["▁a", "▁b", "</s>", language]
        (ids,) = data.features("test")["input_ids"]
        assert tokenizer.convert_ids_to_tokens(ids) == ["▁a", "▁b", "▁c", "</s>", "en_XX"]
        found[language] = data.encoding_key
    assert found["de_DE"] != found["fr_XX"]


def test_examples_without_text_or_summary_are_scored_and_not_learned(
    tmp_path: Path, tiny: Tiny
) -> None:
    empty: list[dict[str, Any]] = [{"source": "", "target": "a"}, {"source": "a b", "target": ""}]
    for name in ("t5", "bart", "bert-2-bert"):
        data = _data(tmp_path, _backbone(name, tiny), [*empty, *_RECORDS], batch_size=8)
        assert data.training_rows().tolist() == [2, 3, 4]
        (batch,) = data.train_dataloader()
        assert len(batch["labels"]) == 3
        (batch,) = data.test_dataloader()
        assert sorted(batch["example"]) == [0, 1, 2, 3, 4]
        assert bool(batch["attention_mask"].any(dim=1).all())
        assert bool((batch["labels"] >= 0).any(dim=1).all())


def test_batches_to_evaluate_begin_with_the_longest_texts(tmp_path: Path, tiny: Tiny) -> None:
    records = [{"source": "a " * size, "target": "a"} for size in (3, 9, 1, 7, 5)]
    data = _data(tmp_path, str(tiny("t5")), records, batch_size=2)
    assert [batch["example"] for batch in data.val_dataloader()] == [[1, 3], [4, 0], [2]]


def test_one_sentence_baselines_unless_summaries_have_more(tmp_path: Path, tiny: Tiny) -> None:
    assert _data(tmp_path, str(tiny("t5"))).most == 1
    records = [{"source": "One. Two. Three.", "target": "One. Two."}]
    data = _data(tmp_path, str(tiny("t5")), records)
    assert data.most == 2
    assert data.baselines()["oracle/rougeL"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("files", "options"),
    [
        ({"train": "scitldr_a/train.jsonl", "test": "scitldr_a/dev.jsonl"}, {}),
        (
            {"test": "csl_ts_zh/dev.tsv"},
            {"columns": {"source": 1, "target": 2}},
        ),
        ({"test": "aclsum/val.jsonl"}, {"columns": {"target": "summary.approach"}}),
        (
            {"test": "mts_dialog/MTS-Dialog-ValidationSet.csv"},
            {"columns": {"target": "section_text"}},
        ),
    ],
)
@pytest.mark.slow
def test_real_corpora_become_batches(
    files: dict[str, str], options: dict[str, Any], real_data: Path
) -> None:
    folder = real_data / "summarization"
    given: dict[str, Any] = {split: str(folder / file) for split, file in files.items()}
    data = SummarizationDataModule(**given, **options)
    examples = data.examples("test")
    seen: list[int] = []
    for batch in data.test_dataloader():
        seen += batch["example"]
        assert batch["input_ids"].shape[1] <= data.max_length
        assert batch["labels"].shape[1] <= data.max_target_length
        assert batch["references"] == [examples[row]["references"] for row in batch["example"]]
    assert sorted(seen) == list(range(len(examples)))
    chinese = "csl" in files["test"]
    assert data.rouge_in == ("characters" if chinese else "words")
    assert data.language == ("zh" if chinese else "en")
