"""Hub ids and local folders; nothing here reaches a network."""

from pathlib import Path

import datasets
import pytest
from datasets.exceptions import DatasetNotFoundError

from zoo.data.readers.hub import load_hub
from zoo.errors import DataError


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))


def _failing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def load_dataset(*_args: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)


@pytest.mark.parametrize("inside", ["", "data"])
def test_a_folder_of_files_named_by_split_is_a_dataset(tmp_path: Path, inside: str) -> None:
    folder = tmp_path / "corpus"
    (folder / inside).mkdir(parents=True)
    (folder / inside / "train.jsonl").write_text('{"a": "x"}\n{"a": "y"}\n')
    (folder / inside / "test.jsonl").write_text('{"a": "z"}\n')
    splits = load_hub(str(folder))
    assert {name: list(rows["a"]) for name, rows in splits.items()} == {
        "train": ["x", "y"],
        "test": ["z"],
    }


def test_a_folder_without_data_says_what_it_should_hold(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"named by split, such as train\.jsonl"):
        load_hub(str(tmp_path / "empty"))


def test_a_folder_with_broken_data_says_so(tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "train.jsonl").write_text('{"a": \n')
    with pytest.raises(DataError, match="cannot be read as a dataset"):
        load_hub(str(tmp_path / "corpus"))


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/at/all", "a/b/c", "~/no-such-folder"])
def test_a_path_that_is_not_there_is_never_looked_up_on_the_hub(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    _failing(monkeypatch, AssertionError("looked up"))
    with pytest.raises(DataError, match="no such folder"):
        load_hub(name)


def test_a_file_and_a_folders_revision_are_refused(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text("{}")
    with pytest.raises(DataError, match="this is a file"):
        load_hub(str(tmp_path / "train.jsonl"))
    with pytest.raises(DataError, match="no revisions"):
        load_hub(str(tmp_path), revision="main")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ConnectionError("Couldn't reach 'some/name' on the Hub"), "offline"),
        (TimeoutError("slow"), "offline"),
        (DatasetNotFoundError("Dataset 'some/name' doesn't exist"), "HF_TOKEN"),
        (
            ValueError("Config name is missing.\nPick one among: ['a']"),
            r"--data.dataset_config.*\['a'\]",
        ),
        (RuntimeError("Dataset scripts are no longer supported"), "Python script"),
        (KeyError("odd"), "cannot be loaded.*KeyError"),
    ],
)
def test_what_goes_wrong_at_the_hub_is_said_in_plain_words(
    monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
) -> None:
    _failing(monkeypatch, error)
    with pytest.raises(DataError, match=message) as caught:
        load_hub("some/name")
    assert str(caught.value).startswith("some/name: ")
    assert caught.value.__cause__ is error


def test_what_was_looked_up_includes_the_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    _failing(monkeypatch, DatasetNotFoundError("no"))
    with pytest.raises(DataError, match="at revision 'v9'"):
        load_hub("some/name", revision="v9")


def test_offline_the_real_client_fails_in_plain_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match="the Hub cannot be reached"):
        load_hub("no-such-owner/no-such-dataset")
