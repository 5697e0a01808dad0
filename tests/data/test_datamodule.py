"""What all datamodules share, shown with tagged sentences: held-out splits, cache, loaders."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from zoo.data.cache import cache_root
from zoo.data.datamodule import TextDataModule
from zoo.errors import DataError
from zoo.ner.datamodule import NERDataModule

NAMES = ["Ada", "Bob", "Eve", "Leo", "Mia"]


def _conll(path: Path, count: int, start: int = 0) -> Path:
    """Sentences of 3 to 9 words: the sentence's number in two letters, filling, a name."""
    lines = []
    for number in range(start, start + count):
        words = [*_digits(number), *["fox"] * (number % 7)]
        lines += [f"{word} O" for word in words] + [f"{NAMES[number % 5]} B-PER", ""]
    path.write_text("\n".join(lines) + "\n")
    return path


def _digits(number: int) -> list[str]:
    return [chr(ord("a") + number // 26), chr(ord("a") + number % 26)]


@pytest.fixture
def make(tiny: Callable[[str], Path], tmp_path: Path) -> Callable[..., NERDataModule]:
    """A datamodule for a file of 60 sentences, other settings as given."""
    train = _conll(tmp_path / "train.txt", 60)

    def made(**settings: Any) -> NERDataModule:
        options: dict[str, Any] = {"train": str(train), "backbone": str(tiny("bert"))}
        return NERDataModule(**{**options, "stride": 4, "batch_size": 4, **settings})

    return made


Make = Callable[..., NERDataModule]


def _tokens(data: TextDataModule, split: Any) -> list[tuple[str, ...]]:
    return [tuple(example["tokens"]) for example in data.examples(split)]


def _rows(loader: Any) -> list[list[int]]:
    return [batch["example"] for batch in loader]


@pytest.fixture
def no_encoding(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    def forbid() -> None:
        def encode(*_: object, **__: object) -> Iterator[Any]:
            raise AssertionError("encoded again")

        monkeypatch.setattr(NERDataModule, "encode", encode)

    return forbid


def test_missing_splits_are_a_tenth_of_train_each_and_it_is_said(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    data = make()
    sizes = {split: len(table) for split, table in data.splits().items()}
    assert sizes == {"validation": 6, "test": 6, "train": 48}
    assert "No validation or test data was given: 12 of 60" in caplog.text
    assert "half for each (seed 42)" in caplog.text
    parts = [row for split in ("train", "validation", "test") for row in _tokens(data, split)]
    everything = [(*_digits(n), *["fox"] * (n % 7), NAMES[n % 5]) for n in range(60)]
    assert sorted(parts) == sorted(everything)


def test_what_is_held_out_does_not_depend_on_the_seed(make: Make) -> None:
    first, second = make(seed=1), make(seed=2)
    for split in ("train", "validation", "test"):
        assert _tokens(first, split) == _tokens(second, split)
    assert _rows(first.train_dataloader()) != _rows(second.train_dataloader())


def test_what_is_held_out_is_a_random_part(make: Make) -> None:
    held = [tokens[:2] for tokens in _tokens(make(), "test")]
    first, last = [tuple(_digits(n)) for n in range(6)], [tuple(_digits(n)) for n in range(54, 60)]
    assert held not in (first, last)


def test_only_what_is_missing_is_held_out(make: Make, tmp_path: Path) -> None:
    test = _conll(tmp_path / "test.txt", 5, start=100)
    data = make(test=str(test))
    sizes = {split: len(table) for split, table in data.splits().items()}
    assert sizes == {"validation": 6, "test": 5, "train": 54}
    assert [tokens[:2] for tokens in _tokens(data, "test")] == [
        tuple(_digits(number)) for number in range(100, 105)
    ]


def test_too_few_examples_to_hold_out_are_refused(make: Make, tmp_path: Path) -> None:
    data = make(train=str(_conll(tmp_path / "few.txt", 9)))
    with pytest.raises(DataError, match=r"9 training examples are too few .*--data\.test"):
        data.examples("train")


def test_without_train_nothing_is_held_out(make: Make, tmp_path: Path) -> None:
    data = make(train=None, test=str(_conll(tmp_path / "test.txt", 30)))
    assert list(data.splits()) == ["test"]
    with pytest.raises(DataError, match=r"There is no train data\. Give it as --data\.train"):
        data.examples("train")


def test_a_second_datamodule_encodes_nothing(make: Make, no_encoding: Callable[[], None]) -> None:
    first = make()
    expected = [row["input_ids"] for row in first.features("train")]
    no_encoding()
    again = make(seed=7, batch_size=16)
    assert [row["input_ids"] for row in again.features("train")] == expected
    with pytest.raises(AssertionError, match="encoded again"):
        make().features("test")


def test_another_length_encodes_anew(make: Make, no_encoding: Callable[[], None]) -> None:
    long, short = make().features("train"), make(max_length=8).features("train")
    assert max(map(len, long["input_ids"])) > 8
    assert max(map(len, short["input_ids"])) == 8
    assert len(short) > len(long)
    no_encoding()
    assert len(make(max_length=8).features("train")) == len(short)


def test_another_tokenizer_encodes_anew(make: Make, tiny: Callable[[str], Path]) -> None:
    bert, roberta = make(), make(backbone=str(tiny("roberta")))
    assert bert.features("train")["input_ids"][0] != roberta.features("train")["input_ids"][0]


def test_another_split_of_the_same_file_encodes_anew(make: Make, tmp_path: Path) -> None:
    assert len(make().features("train")) == 48
    both = str(_conll(tmp_path / "other.txt", 10))
    assert len(make(validation=both, test=both).features("train")) == 60


def test_an_edited_file_is_read_anew(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "train.txt"
    before, state = make(), path.stat()
    assert not any("cat" in tokens for tokens in _tokens(before, "train"))
    path.write_text(path.read_text().replace("fox", "cat"))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))  # the content counts, not the time
    after = make()
    assert any("cat" in tokens for tokens in _tokens(after, "train"))
    assert after.fingerprint != before.fingerprint
    assert after.features("train")["input_ids"] != before.features("train")["input_ids"]


def test_the_fingerprint_is_of_the_data_and_not_of_the_settings(make: Make) -> None:
    assert make().fingerprint == make(batch_size=9, max_length=16, seed=5).fingerprint
    assert make().fingerprint != make(columns={"tokens": 0, "tags": 1}).fingerprint


def test_examples_and_features_are_mapped_into_memory(make: Make, tmp_path: Path) -> None:
    large, small = str(_conll(tmp_path / "large.txt", 600)), str(_conll(tmp_path / "small.txt", 9))
    make(train=large, validation=small, test=small).features("train")
    data = make(train=large, validation=small, test=small)
    before = pa.total_allocated_bytes()
    tables = [data.examples("train"), data.features("train")]
    assert pa.total_allocated_bytes() - before < sum(table.data.nbytes for table in tables) / 10
    files = [Path(file["filename"]) for table in tables for file in table.cache_files]
    assert len(files) == 2
    assert all(cache_root() in file.parents for file in files)


def test_a_batch_holds_what_was_in_the_file(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "two.txt"
    path.write_text("a O\nAda B-PER\n\nfox O\ndog O\nz O\nLondon B-PER\n")
    data = make(train=None, validation=str(path))
    (batch,) = list(data.val_dataloader())
    convert = data.tokenizer.convert_ids_to_tokens
    texts = [
        "".join(convert(ids[mask.bool()].tolist())).replace("##", "")
        for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True)
    ]
    # The longest first.
    assert batch["example"] == [1, 0]
    assert texts == ["[CLS]foxdogzlondon[SEP]", "[CLS]aada[SEP]"]
    assert data.labels == ["O", "B-PER", "I-PER"]
    tags = [
        labels[mask].tolist()
        for labels, mask in zip(batch["labels"], batch["word_mask"], strict=True)
    ]
    assert tags == [[0, 0, 0, 1], [0, 1]]
    assert (batch["labels"][~batch["word_mask"]] == -100).all()
    assert (batch["input_ids"][~batch["attention_mask"].bool()] == 0).all()
    assert batch["tokens"] == int(batch["attention_mask"].sum())


def test_training_and_evaluation_see_each_example_once(make: Make) -> None:
    data = make()
    train, validation = _rows(data.train_dataloader()), _rows(data.val_dataloader())
    assert sorted(row for batch in train for row in batch) == list(range(48))
    assert [len(batch) for batch in train] == [4] * 12
    assert sorted(row for batch in validation for row in batch) == list(range(6))
    assert _rows(data.test_dataloader()) == _rows(data.predict_dataloader())


def test_the_order_of_batches_is_reproducible_and_changes_with_the_epoch(make: Make) -> None:
    first, second = make().train_dataloader(), make().train_dataloader()
    assert _rows(first) == _rows(second)
    first.sampler.set_epoch(1)
    one = _rows(first)
    assert one != _rows(second)
    second.sampler.set_epoch(1)
    assert _rows(second) == one


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("epoch", [0, 3])
def test_a_loader_goes_on_in_the_middle_of_an_epoch(make: Make, epoch: int, workers: int) -> None:
    whole = make().train_dataloader()
    whole.sampler.set_epoch(epoch)
    expected = _rows(whole)

    first = make(num_workers=workers).train_dataloader()
    first.sampler.set_epoch(epoch)
    stream = iter(first)
    begun = [next(stream)["example"] for _ in range(5)]
    state = first.state_dict()

    second = make(num_workers=workers).train_dataloader()
    second.sampler.set_epoch(epoch)
    second.load_state_dict(state)
    assert begun + _rows(second) == expected
    second.sampler.set_epoch(epoch + 1)
    assert len(_rows(second)) == 12  # the next epoch is whole again


def test_a_length_that_the_backbone_cannot_take_is_refused(make: Make) -> None:
    with pytest.raises(DataError, match=r"max_length 129 is more than .* can take \(128 tokens\)"):
        make(max_length=129).features("train")
    assert make().max_length == 128


def test_a_defect_in_finding_labels_is_not_taken_for_no_labels(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find_labels(self: NERDataModule) -> list[str]:
        raise AttributeError("a slip")

    monkeypatch.setattr(NERDataModule, "find_labels", find_labels)
    with pytest.raises(RuntimeError, match="a slip"):
        _ = make().labels
