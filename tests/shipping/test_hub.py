"""Pushing to the Hub: the real client against a local stand-in of the Hub's API."""

import json
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub.constants
import pytest

from tests.shipping.hub import TOKEN, Hub
from zoo.errors import RunError, ZooError
from zoo.shipping.hub import check_target, push


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    stand_in = Hub()
    monkeypatch.setenv("HF_ENDPOINT", stand_in.address)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    # Xet is a protocol of its own, between a binary and servers that no stand-in has.
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    yield stand_in
    stand_in.close()


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """A folder as an export leaves it, with large and small files."""
    folder = tmp_path / "export"
    folder.mkdir()
    said = {"family": "ner", "export": {"format": "onnx", "task": "NERTask"}}
    (folder / "zoo.json").write_text(json.dumps(said), encoding="utf-8")
    (folder / "README.md").write_text("---\nlicense: mit\n---\n\n# Käse\n", encoding="utf-8")
    (folder / "model.onnx").write_bytes(bytes(range(256)) * 9000)
    (folder / "config.json").write_text("{}", encoding="utf-8")
    return folder


def test_all_files_arrive_byte_by_byte_in_one_commit(hub: Hub, export: Path) -> None:
    assert push(export, "ada/my-ner", private=True) == f"{hub.address}/ada/my-ner"
    files = {path.name: path.read_bytes() for path in export.iterdir()}
    assert hub.repositories == {"ada/my-ner": files}
    assert hub.private == {"ada/my-ner": True}
    assert hub.commits == ["Add the export as onnx"]
    assert list(hub.objects.values()) == [files["model.onnx"]]
    assert hub.unexpected == []


def test_a_name_that_is_taken_is_refused_unless_it_is_to_be_updated(hub: Hub, export: Path) -> None:
    hub.repositories["ada/my-ner"] = {"old.txt": b"old"}
    with pytest.raises(ZooError, match=r"a repository ada/my-ner .* already.*--update") as caught:
        push(export, "ada/my-ner")
    assert str(export) in str(caught.value)
    assert hub.repositories == {"ada/my-ner": {"old.txt": b"old"}}
    push(export, "ada/my-ner", update=True)
    assert set(hub.repositories["ada/my-ner"]) == {
        "old.txt",
        *(path.name for path in export.iterdir()),
    }


def test_a_foreign_name_and_a_wrong_token_are_sentences(
    hub: Hub, export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ZooError, match=r"may not write to bob/my-ner.*holds everything"):
        push(export, "bob/my-ner")
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(ZooError, match=r"does not know the token.*holds everything"):
        push(export, "ada/my-ner")
    assert hub.repositories == {}


def test_no_network_is_a_sentence(hub: Hub, export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.close()  # nothing listens there any more
    with pytest.raises(ZooError, match=r"cannot be reached.*holds everything"):
        push(export, "ada/my-ner")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ZooError, match="HF_HUB_OFFLINE is set"):
        push(export, "ada/my-ner")


def test_without_a_card_nothing_is_pushed(hub: Hub, export: Path) -> None:
    (export / "README.md").unlink()
    with pytest.raises(RunError, match="no model card"):
        push(export, "ada/my-ner")
    assert hub.repositories == {}


def test_a_bad_name_and_a_missing_token_show_before_any_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("my-ner", "ada/my ner", "ada/b/c", "/ner", "ada/", "ada/x..y"):
        with pytest.raises(ZooError, match="no name of a repository"):
            check_target(name)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    monkeypatch.setattr(
        huggingface_hub.constants, "HF_STORED_TOKENS_PATH", str(tmp_path / "none too")
    )
    with pytest.raises(ZooError, match="needs a token"):
        check_target("ada/my-ner")
