"""Tokenizers and models as training needs them, whatever the files say."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
)

from zoo.backbones import head_labels, load_config, load_model, load_tokenizer, max_length_of
from zoo.errors import BackboneError

HEAD: Any = "token-classification"
LABELS = ["O", "B-A", "I-A"]
Tiny = Callable[[str], Path]


def _fine_tuned(tiny: Tiny, folder: Path, auto: Any, labels: list[str]) -> Path:
    """A folder as a training leaves it: a tiny BERT with a head whose weights are all 7."""
    model = auto.from_pretrained(tiny("bert"), id2label=dict(enumerate(labels)))
    torch.nn.init.constant_(model.classifier.weight, 7.0)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny("bert")).save_pretrained(folder)
    return folder


@pytest.fixture
def tagger(tiny: Tiny, tmp_path: Path) -> Path:
    return _fine_tuned(tiny, tmp_path / "tagger", AutoModelForTokenClassification, LABELS)


def _head(model: Any) -> torch.Tensor:
    weight: torch.Tensor = model.classifier.weight
    return weight


def _words(model: Any) -> torch.Tensor:
    weight: torch.Tensor = model.get_input_embeddings().weight
    return weight


@pytest.mark.parametrize("architecture", ["bert", "roberta", "deberta-v2", "modernbert"])
def test_a_model_comes_in_training_mode_so_that_dropout_works(
    tiny: Tiny, architecture: str
) -> None:
    model = load_model(str(tiny(architecture)), HEAD, labels=LABELS)
    assert all(module.training for module in model.modules())
    assert model.config.id2label == {0: "O", 1: "B-A", 2: "I-A"}
    assert model.config.label2id == {"O": 0, "B-A": 1, "I-A": 2}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_checkpoint_in_half_precision_is_widened_to_float32(
    tiny: Tiny, tmp_path: Path, dtype: torch.dtype
) -> None:
    half = AutoModelForTokenClassification.from_pretrained(
        tiny("bert"), dtype=dtype, id2label=dict(enumerate(LABELS))
    )
    half.eval().save_pretrained(tmp_path)
    stored = load_file(tmp_path / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {dtype}
    model = load_model(str(tmp_path), HEAD, labels=LABELS)
    assert model.training
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, stored[name].float())


def test_the_tokenizers_own_truncation_and_padding_are_off() -> None:
    own = AutoTokenizer.from_pretrained(_minilm())
    words = ["dog"] * 300
    assert len(own.backend_tokenizer.encode(words, is_pretokenized=True).ids) == 128
    encode = load_tokenizer("minilm-l6").backend_tokenizer.encode
    assert len(encode(words, is_pretokenized=True).ids) == 302
    assert len(encode(["dog"], is_pretokenized=True).ids) == 3


def _minilm() -> str:
    from zoo.backbones import resolve

    return resolve("minilm-l6").location


@pytest.mark.parametrize("architecture", ["roberta", "modernbert"])
def test_byte_level_tokenizers_give_every_word_its_leading_space(
    tiny: Tiny, architecture: str
) -> None:
    def pieces(tokenizer: Any) -> list[str]:
        encoded = tokenizer.backend_tokenizer.encode(["fox", "dog"], is_pretokenized=True)
        words = ["", ""]
        for piece, word in zip(encoded.tokens, encoded.word_ids, strict=True):
            if word is not None:
                words[word] += piece
        return words

    assert pieces(AutoTokenizer.from_pretrained(tiny(architecture))) == ["fox", "dog"]
    assert pieces(load_tokenizer(str(tiny(architecture)))) == ["Ġfox", "Ġdog"]


def test_a_tokenizer_without_byte_level_pieces_stays_as_it_is(tiny: Tiny) -> None:
    for architecture in ("bert", "xlm-roberta"):
        own = AutoTokenizer.from_pretrained(tiny(architecture)).backend_tokenizer
        ours = load_tokenizer(str(tiny(architecture))).backend_tokenizer
        assert ours.pre_tokenizer.__getstate__() == own.pre_tokenizer.__getstate__()


@pytest.mark.parametrize(
    ("architecture", "longest"), [("bert", 128), ("roberta", 128), ("xlm-roberta", 128)]
)
def test_the_longest_input_is_what_the_positions_allow(
    tiny: Tiny, architecture: str, longest: int
) -> None:
    assert max_length_of(str(tiny(architecture))) == longest
    model = load_model(str(tiny(architecture)), HEAD, labels=LABELS)
    model(input_ids=torch.full((1, longest), 5))
    with pytest.raises((IndexError, RuntimeError)):
        model(input_ids=torch.full((1, longest + 1), 5))


def test_the_longest_input_of_a_long_model_is_capped_at_what_is_usual() -> None:
    assert max_length_of("modernbert-base") == 512


def test_a_head_with_the_same_labels_is_kept(
    tagger: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        model = load_model(str(tagger), HEAD, labels=LABELS)
    assert head_labels(str(tagger), HEAD) == LABELS
    assert torch.equal(_head(model), torch.full((3, 32), 7.0))
    assert not caplog.records


@pytest.mark.parametrize(
    "labels", [["O", "B-B", "I-B"], ["O", "I-A", "B-A"], ["O", "B-A", "I-A", "B-B", "I-B"]]
)
def test_a_head_with_other_labels_is_replaced_with_a_line_saying_so(
    tagger: Path, caplog: pytest.LogCaptureFixture, labels: list[str]
) -> None:
    with caplog.at_level(logging.WARNING):
        model = load_model(str(tagger), HEAD, labels=labels)
    assert _head(model).shape == (len(labels), 32)
    assert _head(model).abs().max() < 0.2  # drawn with a standard deviation of 0.02
    assert _head(model).std() > 0.01
    assert f"head of {tagger} has other labels (O, B-A, I-A), so it is replaced" in caplog.text
    stored = load_file(tagger / "model.safetensors")["bert.embeddings.word_embeddings.weight"]
    assert torch.equal(_words(model), stored)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_head_of_another_task_is_not_taken_over(
    tiny: Tiny, tmp_path: Path, classes: int
) -> None:
    # A classifier of texts has a matrix of the same name as a classifier of words.
    folder = _fine_tuned(
        tiny, tmp_path, AutoModelForSequenceClassification, ["x", "y", "z"][:classes]
    )
    assert head_labels(str(folder), HEAD) is None
    model = load_model(str(folder), HEAD, labels=LABELS)
    assert _head(model).shape == (3, 32)
    assert _head(model).abs().max() < 0.2


@pytest.mark.parametrize("labels", [LABELS, ["O", "B-B", "I-B"], ["O", "B-A", "I-A", "B-B"]])
def test_of_a_hub_model_only_the_body_is_used(
    tagger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, labels: list[str]
) -> None:
    commit = "0" * 40
    repository = tmp_path / "hub" / "models--some-lab--tagger"
    shutil.copytree(tagger, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    model = load_model("some-lab/tagger", HEAD, labels=labels)
    assert _head(model).shape == (len(labels), 32)
    assert _head(model).abs().max() < 0.2
    stored = load_file(tagger / "model.safetensors")["bert.embeddings.word_embeddings.weight"]
    assert torch.equal(_words(model), stored)


def test_without_weights_the_shape_is_the_same_and_the_numbers_are_new(tagger: Path) -> None:
    full = load_model(str(tagger), HEAD, labels=LABELS)
    empty = load_model(str(tagger), HEAD, labels=LABELS, weights=False)
    shapes = {name: tensor.shape for name, tensor in full.state_dict().items()}
    assert {name: tensor.shape for name, tensor in empty.state_dict().items()} == shapes
    assert not torch.equal(_head(empty), _head(full))


def test_a_pretrained_masked_lm_head_is_kept_in_a_folder_and_of_a_hub_model(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "hub" / "models--some-lab--filler" / "snapshots" / ("0" * 40)
    model = AutoModelForMaskedLM.from_pretrained(tiny("bert"))
    torch.nn.init.constant_(model.cls.predictions.bias, 7.0)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny("bert")).save_pretrained(folder)
    (folder.parents[1] / "refs").mkdir()
    (folder.parents[1] / "refs" / "main").write_text("0" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    for name in (str(folder), "some-lab/filler"):
        labels = head_labels(name, "masked-lm")
        assert labels == ["token"]
        found: Any = load_model(name, "masked-lm", labels=labels)
        bias = found.cls.predictions.bias
        assert torch.equal(bias, torch.full_like(bias, 7.0))
        assert head_labels(name, HEAD) is None
    assert head_labels(str(tiny("bert")), "masked-lm") is None
    with pytest.raises(BackboneError, match="encoder-decoder"):
        load_model(str(tiny("bart")), "masked-lm", labels=["token"])


@pytest.mark.parametrize("keep", [0, 100, 5000])
def test_damaged_weights_are_said_to_be_damaged(tagger: Path, keep: int) -> None:
    weights = tagger / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:keep])
    with pytest.raises(BackboneError, match="are damaged"):
        load_model(str(tagger), HEAD, labels=LABELS)


def test_missing_weights_and_pickles_are_no_model(tagger: Path) -> None:
    state = load_file(tagger / "model.safetensors")
    (tagger / "model.safetensors").unlink()
    torch.save(state, tagger / "pytorch_model.bin")
    with pytest.raises(BackboneError, match=r"cannot be loaded.*model\.safetensors"):
        load_model(str(tagger), HEAD, labels=LABELS)


@pytest.mark.parametrize(
    ("name", "load"), [("config.json", load_config), ("tokenizer.json", load_tokenizer)]
)
def test_damaged_json_files_are_said_to_be_unreadable(
    tagger: Path, name: str, load: Callable[[str], object]
) -> None:
    (tagger / name).write_text('{"model_type": ')
    with pytest.raises(BackboneError, match=str(tagger)):
        load(str(tagger))


def test_a_damaged_configuration_has_no_labels_to_offer(tagger: Path) -> None:
    (tagger / "config.json").write_text('{"model_type": ')
    with pytest.raises(BackboneError, match=str(tagger)):
        head_labels(str(tagger), HEAD)


def test_weights_of_another_size_than_the_configuration_are_refused(tagger: Path) -> None:
    config = json.loads((tagger / "config.json").read_text())
    (tagger / "config.json").write_text(json.dumps({**config, "intermediate_size": 50}))
    with pytest.raises(BackboneError, match=str(tagger)):
        load_model(str(tagger), HEAD, labels=LABELS)


@pytest.mark.parametrize("backbone", ["roberta-base", "some-lab/some-model"])
@pytest.mark.parametrize(
    "load",
    [load_config, load_tokenizer, lambda name: load_model(name, HEAD, labels=LABELS)],
    ids=["config", "tokenizer", "model"],
)
def test_a_hub_model_without_a_network_is_explained_in_plain_words(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    backbone: str,
    load: Callable[[str], object],
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(BackboneError) as caught:
        load(backbone)
    said = str(caught.value)
    assert said.startswith(f"Backbone {backbone} (")
    assert "is not in the Hub's cache on this machine" in said
    assert "HF_TOKEN" in said
    assert "minilm-l6" in said
    assert "\n" not in said
