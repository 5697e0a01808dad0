"""The folder that a run leaves behind."""

import json
import os
from pathlib import Path

import pytest

from zoo.errors import RunError
from zoo.tracking.run_folder import (
    ENVIRONMENT,
    RunFolder,
    choose_run_folder,
    existing_run_folder,
    write_atomically,
)


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.setattr("time.strftime", lambda *_: "20260102-030405")


def _choose(chosen: str | None = None, recipe: str = "wnut17") -> RunFolder:
    return choose_run_folder(task="ner", recipe=recipe, chosen=chosen)


def test_a_run_is_named_after_its_recipe_and_the_time() -> None:
    folder = _choose()
    assert folder.path == Path("runs/ner/wnut17-20260102-030405")
    assert folder.id == "wnut17-20260102-030405"
    assert not folder.path.exists()


def test_runs_of_the_same_second_get_folders_of_their_own() -> None:
    for expected in (
        "wnut17-20260102-030405",
        "wnut17-20260102-030405-2",
        "wnut17-20260102-030405-3",
    ):
        folder = _choose()
        assert folder.id == expected
        folder.path.mkdir(parents=True)


@pytest.mark.parametrize(
    ("recipe", "slug"),
    [("my recipe/v1.2", "my-recipe-v1.2"), ("../../etc", "..-..-etc"), ("配方", "run")],
)
def test_a_recipes_name_is_made_a_single_folder(recipe: str, slug: str) -> None:
    assert _choose(recipe=recipe).path == Path(f"runs/ner/{slug}-20260102-030405")


def test_a_chosen_folder_is_taken_new_or_empty(tmp_path: Path) -> None:
    assert _choose("mine").path == Path("mine")
    (tmp_path / "mine").mkdir()
    assert _choose("mine").path == Path("mine")


def test_a_chosen_folder_may_begin_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert _choose("~/mine").path == tmp_path / "mine"


def test_a_chosen_folder_with_a_run_in_it_is_refused_with_a_way_on(tmp_path: Path) -> None:
    (tmp_path / "mine" / "checkpoints").mkdir(parents=True)
    with pytest.raises(RunError, match=r"holds a run already.*--resume mine"):
        _choose("mine")


def test_a_chosen_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    with pytest.raises(RunError, match="mine is a file"):
        _choose("mine")


def test_other_processes_inherit_the_folder_of_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _choose()
    assert os.environ[ENVIRONMENT] == str(tmp_path / first.path)
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr("time.strftime", lambda *_: "later")
    assert _choose().path == tmp_path / first.path
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert _choose().id == "wnut17-later"


def test_a_run_that_was_begun_is_found(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("model: {}\n")
    assert existing_run_folder(str(tmp_path / "run"), option="--resume").path == tmp_path / "run"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("file", "is a file, not the folder of a run"),
        ("nowhere", "there is no such folder"),
        ("empty", r"no config\.yaml in it"),
    ],
)
def test_what_is_no_run_is_refused_with_its_option(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match=rf"^--resume .*{name}.*{said}"):
        existing_run_folder(str(tmp_path / name), option="--resume")


def test_scores_are_added_and_the_newest_counts(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.add_metrics({"val/f1": 0.5, "perf/seconds": 3.0}) == {
        "val/f1": 0.5,
        "perf/seconds": 3.0,
    }
    everything = folder.add_metrics({"val/f1": 0.75, "test/f1": 0.25})
    assert everything == {"perf/seconds": 3.0, "test/f1": 0.25, "val/f1": 0.75}
    written = json.loads((tmp_path / "metrics.json").read_text())
    assert written == everything
    assert list(written) == sorted(written)
    assert folder.add_metrics({}) == everything


def test_history_is_one_json_line_a_record(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.read_history() == []
    records = [{"step": 1, "train/loss": 0.5}, {"step": 2, "val/f1": 0.25}]
    for record in records:
        folder.add_history(record)
    lines = (tmp_path / "history.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == records == folder.read_history()


def test_the_names_in_a_run_are_the_documented_ones() -> None:
    folder = RunFolder(Path("r"))
    found = {
        str(path.relative_to("r"))
        for path in (
            *(folder.config, folder.metrics, folder.predictions, folder.report, folder.plots),
            *(folder.checkpoints, folder.last_checkpoint, folder.model),
        )
    }
    assert found == {
        *("config.yaml", "metrics.json", "predictions.jsonl", "report.md", "plots"),
        *("checkpoints", "checkpoints/last.ckpt", "model"),
    }


def test_a_write_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_atomically(path, "old ü")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "new \ud800")
    assert path.read_text(encoding="utf-8") == "old ü"
    write_atomically(path, "new")
    assert path.read_text(encoding="utf-8") == "new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
