"""What both datamodules of summarization share: examples, sentences, what is learned, baselines."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from datasets import Features, List, Value

from zoo.errors import DataError
from zoo.summarization.datamodule import SummaryDataModule

Tiny = Callable[[str], Path]

_CHINESE = "水运工程项目很重要。其管理制度不够完善。"
_JAPANESE = "今日はとても良い天気です。公園を散歩しました。"


class _BySentence(SummaryDataModule):
    """A feature for each sentence, at least one: the number of its characters."""

    head = "token-classification"
    feature_columns: ClassVar[Features] = Features(
        {"input_ids": List(Value("int32")), "example": Value("int32")}
    )

    @property
    def encoding_key(self) -> dict[str, Any]:
        return {}

    def encode(self, examples: Sequence[Mapping[str, Any]]) -> Iterable[list[dict[str, Any]]]:
        for one in examples:
            sizes = [
                end - start
                for start, end in zip(one["sentence_starts"], one["sentence_ends"], strict=True)
            ]
            yield [{"input_ids": [size]} for size in sizes or [0]]

    def collate(self, features: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        return {"sizes": [row["input_ids"][0] for row in features]}


def _file(folder: Path, records: Sequence[Mapping[str, Any]], name: str = "x") -> str:
    path = folder / f"{name}.jsonl"
    lines = [json.dumps(one, ensure_ascii=False) for one in records]
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


def _data(
    folder: Path, tiny: Tiny, records: Sequence[Mapping[str, Any]], **options: Any
) -> _BySentence:
    file = _file(folder, records)
    files = {"train": file, "validation": file, "test": file}
    return _BySentence(**{**files, "backbone": str(tiny("bert")), "batch_size": 4, **options})


_RECORDS: list[dict[str, Any]] = [
    {"id": "a", "source": "Ada sang in London. Dog ran.", "target": ["Ada sang.", "Song."]},
    {"id": "b", "source": ["Cat e.g. slept.", "Bird flew."], "target": "Cat slept."},
]


def test_examples_hold_their_sentences_given_or_found(tmp_path: Path, tiny: Tiny) -> None:
    data = _data(tmp_path, tiny, _RECORDS)
    found, given = data.examples("test")
    assert found == {
        "id": "a",
        "source": "Ada sang in London. Dog ran.",
        "sentence_starts": [0, 20],
        "sentence_ends": [19, 28],
        "references": ["Ada sang.", "Song."],
        "line": 1,
    }
    assert given["source"] == "Cat e.g. slept. Bird flew."
    assert (given["sentence_starts"], given["sentence_ends"]) == ([0, 16], [15, 26])
    assert given["references"] == ["Cat slept."]


def test_the_only_label_is_the_summary(tmp_path: Path, tiny: Tiny) -> None:
    assert _data(tmp_path, tiny, _RECORDS).labels == ["summary"]
    assert _data(tmp_path, tiny, _RECORDS, labels=["summary"]).labels == ["summary"]
    with pytest.raises(DataError, match="label of summarization is summary, not"):
        _data(tmp_path, tiny, _RECORDS, labels=["A", "B"])


@pytest.mark.parametrize(
    ("source", "target", "language", "rouge_in"),
    [
        ("Ada sang. Dog ran.", "Ada sang.", "en", "words"),
        (_CHINESE, "水运工程项目", "zh", "characters"),
        (_JAPANESE, "良い天気", "ja", "characters"),
        (_CHINESE, "Waterway engineering", "zh", "words"),
    ],
)
def test_language_and_units_of_rouge_are_found_from_the_script(
    source: str, target: str, language: str, rouge_in: str, tmp_path: Path, tiny: Tiny
) -> None:
    data = _data(tmp_path, tiny, [{"source": source, "target": target}])
    assert (data.language, data.rouge_in) == (language, rouge_in)
    assert len(data.examples("test")[0]["sentence_starts"]) == 2
    asked = _data(
        tmp_path, tiny, [{"source": source, "target": target}], language="de", rouge_in="words"
    )
    assert (asked.language, asked.rouge_in) == ("de", "words")
    assert asked.fingerprint != data.fingerprint


def test_batches_to_evaluate_hold_references_and_those_to_train_none(
    tmp_path: Path, tiny: Tiny
) -> None:
    data = _data(tmp_path, tiny, _RECORDS)
    (batch,) = data.test_dataloader()
    assert (batch["rouge_in"], batch["language"]) == ("words", "en")
    by_size = dict(zip(batch["sizes"], batch["references"], strict=True))
    assert by_size == {
        19: ["Ada sang.", "Song."],
        8: ["Ada sang.", "Song."],
        15: ["Cat slept."],
        10: ["Cat slept."],
    }
    assert sorted(batch["example"]) == [0, 0, 1, 1]
    (batch,) = data.train_dataloader()
    assert sorted(batch) == ["rows", "sizes"]
    assert sorted(batch["sizes"]) == [8, 10, 15, 19]


def test_examples_without_text_or_summary_are_kept_and_not_learned(
    tmp_path: Path, tiny: Tiny
) -> None:
    empty: list[dict[str, Any]] = [
        {"source": "", "target": "Nothing."},
        {"source": " \n ", "target": "Nothing."},
        {"source": [""], "target": "Nothing."},
        {"source": "Ada sang.", "target": "  "},
        {"source": "Ada sang.", "target": []},
    ]
    data = _data(tmp_path, tiny, [empty[0], *_RECORDS, *empty[1:]], batch_size=32)
    features = data.features("train")
    assert [features[row]["example"] for row in data.training_rows()] == [1, 1, 2, 2]
    (batch,) = data.train_dataloader()
    assert sorted(batch["sizes"]) == [8, 10, 15, 19]
    (batch,) = data.test_dataloader()
    assert sorted(set(batch["example"])) == list(range(7))
    assert [""] in batch["references"]
    assert "3 empty sources kept in train: they are not learned from." in data.notes
    assert "2 empty targets kept in test: they count in the scores." in data.notes
    with pytest.raises(DataError, match=r"x\.jsonl: No example of train has both"):
        _data(tmp_path, tiny, empty).train_dataloader()


def test_what_is_held_out_is_not_learned_from(tmp_path: Path, tiny: Tiny) -> None:
    records = [{"source": "x" * (size + 1), "target": "x" * (size % 3)} for size in range(60)]
    data = _BySentence(train=_file(tmp_path, records), backbone=str(tiny("bert")), batch_size=64)
    sizes = {
        split: {len(one["source"]) for one in data.examples(split)}
        for split in ("train", "validation", "test")
    }
    assert [len(sizes[split]) for split in ("train", "validation", "test")] == [48, 6, 6]
    assert set.union(*sizes.values()) == set(range(1, 61))
    (batch,) = data.train_dataloader()
    assert set(batch["sizes"]) == {size for size in sizes["train"] if (size - 1) % 3}
    again = _BySentence(train=_file(tmp_path, records), backbone=str(tiny("bert")), seed=7)
    assert {len(one["source"]) for one in again.examples("test")} == sizes["test"]


def test_a_folder_in_the_hubs_layout_is_read(tmp_path: Path, tiny: Tiny) -> None:
    import datasets

    for split, records in (("train", _RECORDS[:1] * 12), ("test", _RECORDS[:1])):
        path = tmp_path / "set" / "data" / f"{split}-00000-of-00001.parquet"
        datasets.Dataset.from_list(records).to_parquet(path)
    data = _BySentence(
        str(tmp_path / "set"), backbone=str(tiny("bert")), splits={"validation": "test"}
    )
    assert [len(data.examples(split)) for split in ("train", "validation")] == [11, 1]
    assert data.examples("train")[2]["references"] == ["Ada sang.", "Song."]
    assert data.examples("validation")[0]["sentence_starts"] == [0, 20]


@pytest.mark.parametrize(
    ("targets", "sentences"),
    [
        (["One.", "One. Two."], 2),
        (["One.", "One.", "One. Two."], 1),
        (["One. Two. Three.", ""], 3),
        ([["One.", "One. Two. Three."], "One. Two. Three."], 2),
        ([""], 1),
    ],
)
def test_summaries_have_their_mean_number_of_sentences(
    targets: list[Any], sentences: int, tmp_path: Path, tiny: Tiny
) -> None:
    records = [{"source": "x y z.", "target": one} for one in targets]
    data = _data(tmp_path, tiny, records)
    assert data.usual_sentences == data.most == sentences


def test_the_first_sentence_is_a_baseline_of_the_test_split(tmp_path: Path, tiny: Tiny) -> None:
    records = [{"source": "Ada sang aloud. Dog ran home.", "target": "Ada sang aloud."}]
    other = _file(tmp_path, [{"source": "Bird flew.", "target": "Fish."}], "other")
    scores = _data(tmp_path, tiny, records, train=other).baselines()
    for name in ("lead1", "oracle"):
        assert scores[f"{name}/rougeL"] == pytest.approx(1)
    assert set(scores) >= {f"{one}/rouge1" for one in ("lead1", "lead3", "textrank", "oracle")}
    assert all(0 <= value <= 1 for value in scores.values())


def test_a_real_corpus_keeps_its_references_and_its_own_sentences(
    real_data: Path, tiny: Tiny
) -> None:
    folder = real_data / "summarization" / "scitldr_a"
    data = _BySentence(str(folder), backbone=str(tiny("bert")))
    assert [len(data.examples(split)) for split in ("train", "validation", "test")] == [
        1793,
        619,
        199,
    ]
    assert sum(map(len, data.examples("validation")["references"][:])) == 1453
    assert (data.language, data.rouge_in, data.usual_sentences) == ("en", "words", 1)
    given = json.loads((folder / "dev.jsonl").read_text(encoding="utf-8").splitlines()[0])
    first = data.examples("validation")[0]
    spans = zip(first["sentence_starts"], first["sentence_ends"], strict=True)
    assert [first["source"][start:end] for start, end in spans] == given["source"]
