"""The corpora that come with the project."""

from pathlib import Path

import pytest

from zoo.data import samples
from zoo.data.sources import find_sources


def _sample(root: Path, name: str) -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "README.md").write_text("A datasheet.")
    return folder


def test_in_a_checkout_samples_lie_beside_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    qa, ner = _sample(tmp_path / "data", "qa"), _sample(tmp_path / "data", "ner")
    monkeypatch.setattr(samples, "_HERE", tmp_path / "zoo")
    assert samples.names() == ["ner-sample", "qa-sample"]
    assert samples.folder("ner-sample") == ner
    assert samples.folder("qa-sample") == qa


def test_an_installed_package_has_its_samples_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _sample(tmp_path / "data", "somebody-elses")
    inside = _sample(tmp_path / "zoo" / "sample_data", "ner")
    monkeypatch.setattr(samples, "_HERE", tmp_path / "zoo")
    assert samples.names() == ["ner-sample"]
    assert samples.folder("ner-sample") == inside


def test_a_datasheet_may_describe_several_corpora_each_with_a_name_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = _sample(tmp_path / "data", "qa")
    for corpus in ("sample", "open", "pictures"):
        (task / corpus).mkdir()
    (task / "sample" / "train.csv").write_text("text,label\n")
    (task / "open" / "train.jsonl").write_text("{}\n")
    monkeypatch.setattr(samples, "_HERE", tmp_path / "zoo")
    assert samples.names() == ["qa-open-sample", "qa-sample"]
    assert samples.folder("qa-sample") == task / "sample"
    assert samples.folder("qa-open-sample") == task / "open"


def test_a_folder_without_a_datasheet_is_no_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data" / "draft").mkdir(parents=True)
    monkeypatch.setattr(samples, "_HERE", tmp_path / "zoo")
    assert samples.names() == []
    assert samples.folder("draft-sample") is None


@pytest.mark.parametrize("name", ["ner", "nothing-sample", "../data/ner-sample", "", "-sample"])
def test_only_a_samples_full_name_finds_it(name: str) -> None:
    assert samples.folder(name) is None


def test_the_sample_for_entities_has_all_three_splits() -> None:
    assert "ner-sample" in samples.names()
    sources = find_sources("ner-sample", {})
    assert sorted(sources.splits) == ["test", "train", "validation"]
