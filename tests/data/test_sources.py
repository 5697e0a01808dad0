"""From what the user names to one source per split."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from zoo.data import samples
from zoo.data.sources import Sources, Split, find_sources
from zoo.errors import DataError


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path_factory.mktemp("hub-cache")
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(folder))


def _write(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"this is {name}\n")
    return folder


def _find(
    dataset: str | Path | None = None,
    *,
    train: Path | None = None,
    validation: Path | None = None,
    test: Path | None = None,
) -> Sources:
    given: dict[Split, Path | None] = {"train": train, "validation": validation, "test": test}
    files = {split: None if path is None else str(path) for split, path in given.items()}
    return find_sources(None if dataset is None else str(dataset), files)


def _names(sources: Sources) -> dict[str, str]:
    return {split: path.name for split, path in sources.splits.items()}


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [
        ("train.txt", "valid.txt", "test.txt"),
        ("train.conll", "dev.conll", "test.conll"),
        ("train.tsv", "devel.tsv", "test.tsv"),
        ("training.jsonl", "validation.jsonl", "testing.jsonl"),
        ("wnut17train.conll", "emerging.dev.conll", "emerging.test.annotated"),
        ("zh_gsdsimp-ud-train.iob2", "zh_gsdsimp-ud-dev.iob2", "zh_gsdsimp-ud-test.iob2"),
        ("eng.train", "eng.val", "eng.test"),
        ("TRAIN.CSV", "Dev.csv", "my_test_data.csv"),
    ],
)
def test_files_of_a_folder_are_told_by_their_names(
    tmp_path: Path, train: str, validation: str, test: str
) -> None:
    _write(tmp_path, train, validation, test, "README.md", "LICENSE", "contest.txt", "retrain.py")
    sources = _find(tmp_path)
    assert _names(sources) == {"train": train, "validation": validation, "test": test}
    assert sources.name == str(tmp_path)
    assert sources.place("test") == str(tmp_path / test)


def test_pages_scripts_and_licences_are_no_data(tmp_path: Path) -> None:
    _write(
        tmp_path, "train.txt", "train.md", "make_train.py", "train.txt.license", "test/train.txt"
    )
    assert _names(_find(tmp_path)) == {"train": "train.txt"}


def test_several_files_for_one_split_are_refused_with_their_names(tmp_path: Path) -> None:
    _write(tmp_path, "train-a.txt", "train-b.txt", "test.txt")
    with pytest.raises(DataError, match=r"train split: train-a\.txt, train-b\.txt") as caught:
        _find(tmp_path)
    assert "--data.train" in str(caught.value)
    assert caught.value.path == tmp_path


def test_files_replace_the_dataset_entirely(tmp_path: Path) -> None:
    folder = _write(tmp_path / "corpus", "train.txt", "dev.txt", "test.txt")
    own = _write(tmp_path, "own.txt") / "own.txt"
    sources = _find(folder, train=own)
    assert sources.splits == {"train": own}
    assert sources.name == "own.txt"


def test_a_file_may_have_any_name_and_any_split(tmp_path: Path) -> None:
    _write(tmp_path, "test.txt", "train.txt")
    sources = _find(test=tmp_path / "train.txt", validation=tmp_path / "test.txt")
    assert sources.splits == {
        "validation": tmp_path / "test.txt",
        "test": tmp_path / "train.txt",
    }


def test_a_files_path_may_begin_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(tmp_path, "own.txt")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert _find(train=Path("~/own.txt")).splits == {"train": tmp_path / "own.txt"}


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_missing_file_is_named_with_its_option(tmp_path: Path, split: str) -> None:
    missing = tmp_path / "nowhere.txt"
    with pytest.raises(DataError, match=f"no such file .*--data.{split}") as caught:
        _find("ner-sample", **{split: missing})
    assert str(caught.value).startswith(f"{missing}: ")
    with pytest.raises(DataError, match=f"not a file .*--data.{split}"):
        _find("ner-sample", **{split: tmp_path})


def test_nothing_named_says_what_to_give() -> None:
    with pytest.raises(DataError, match=r"--data\.dataset .* or --data\.train FILE"):
        _find()


def test_a_file_given_as_the_dataset_is_refused(tmp_path: Path) -> None:
    _write(tmp_path, "train.txt")
    with pytest.raises(DataError, match=r"is a file: give it as --data\.train"):
        _find(tmp_path / "train.txt")


@pytest.mark.parametrize("dataset", ["./nowhere", "/nowhere/at/all", "a/b/c", "~/nowhere"])
def test_a_folder_that_is_not_there_is_not_looked_up_on_the_hub(
    monkeypatch: pytest.MonkeyPatch, dataset: str
) -> None:
    def looked_up(*_: object, **__: object) -> None:
        raise AssertionError("looked up")

    monkeypatch.setattr("zoo.data.sources.load_hub", looked_up)
    with pytest.raises(DataError, match="There is no such folder"):
        _find(dataset)


def test_a_samples_name_is_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = _write(tmp_path / "sample_data" / "toy", "README.md", "train.txt", "test.txt")
    monkeypatch.setattr(samples, "_HERE", tmp_path)
    sources = _find("toy-sample")
    assert sources.splits == {"train": folder / "train.txt", "test": folder / "test.txt"}
    assert sources.name == "toy-sample"


def test_the_key_changes_with_one_byte_and_not_with_the_folder(tmp_path: Path) -> None:
    first = _write(tmp_path / "a", "train.txt", "test.txt")
    second = _write(tmp_path / "b", "train.txt", "test.txt")
    key = _find(first).key
    assert _find(second).key == key
    (second / "train.txt").write_text("this is trainXtxt\n")
    changed = _find(second).key
    assert changed["train"] != key["train"]
    assert changed["test"] == key["test"]


def _parquet(path: Path, words: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"word": words}), path)


def test_a_folder_in_the_hubs_layout_gives_its_rows(tmp_path: Path) -> None:
    _parquet(tmp_path / "data" / "train-00000-of-00002.parquet", ["a", "b"])
    _parquet(tmp_path / "data" / "train-00001-of-00002.parquet", ["c"])
    _parquet(tmp_path / "data" / "validation-00000-of-00001.parquet", ["d"])
    sources = _find(tmp_path)
    rows = {split: list(table["word"]) for split, table in sources.splits.items()}
    assert rows == {"train": ["a", "b", "c"], "validation": ["d"]}
    assert sources.place("validation") == f"{tmp_path} (validation)"


def test_sharded_parquet_beside_each_other_is_the_hubs_layout_too(tmp_path: Path) -> None:
    _parquet(tmp_path / "train-00000-of-00002.parquet", ["a", "b"])
    _parquet(tmp_path / "train-00001-of-00002.parquet", ["c"])
    assert list(_find(tmp_path).splits["train"]["word"]) == ["a", "b", "c"]


def test_the_key_of_rows_changes_with_their_content(tmp_path: Path) -> None:
    path = tmp_path / "data" / "train-00000-of-00001.parquet"
    _parquet(path, ["a", "b"])
    first = _find(tmp_path)
    assert _find(tmp_path).key == first.key
    _parquet(path, ["a", "c"])
    os.utime(path, (path.stat().st_atime, path.stat().st_mtime + 10))
    second = _find(tmp_path)
    assert list(second.splits["train"]["word"]) == ["a", "c"]
    assert second.key != first.key


def test_rows_without_a_known_split_are_refused_with_the_names_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "zoo.data.sources.load_hub", lambda *_, **__: {"unsplit": None, "corpus": None}
    )
    with pytest.raises(DataError, match="there are unsplit, corpus"):
        _find("some-lab/some-data")
