"""Models that write: what they are told by, what is refused, and encoders warm-started into one."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    BertConfig,
)

from tests.conftest import SEQ2SEQ
from zoo.backbones import (
    get,
    head_labels,
    load_config,
    load_model,
    load_tokenizer,
    longest_input,
    max_length_of,
    registry,
    resolve,
    text_to_text,
    untied,
)
from zoo.backbones.sources import halves
from zoo.errors import BackboneError

HEAD: Any = "text-to-text"
LABELS = ["summary"]
Tiny = Callable[[str], Path]


def _twice(folder: Path) -> str:
    return f"{folder}-2-{folder}"


def _load(backbone: str, **options: Any) -> Any:
    return load_model(backbone, HEAD, labels=LABELS, **options)


@pytest.fixture
def other_bert(tiny: Tiny, tmp_path: Path) -> Path:
    """A BERT with the tokenizer of the tiny one, but other weights."""
    torch.manual_seed(5)
    AutoModel.from_config(AutoConfig.from_pretrained(tiny("bert"))).save_pretrained(tmp_path / "b")
    AutoTokenizer.from_pretrained(tiny("bert")).save_pretrained(tmp_path / "b")
    return tmp_path / "b"


@pytest.mark.parametrize("architecture", SEQ2SEQ)
def test_an_encoder_decoder_comes_in_float32_and_in_training_mode(
    tiny: Tiny, architecture: str
) -> None:
    model = _load(str(tiny(architecture)))
    assert all(module.training for module in model.modules())
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    stored = AutoModelForSeq2SeqLM.from_pretrained(tiny(architecture)).state_dict()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, stored[name])


@pytest.mark.parametrize("architecture", SEQ2SEQ)
def test_an_encoder_decoder_can_write_wherever_it_comes_from(tiny: Tiny, architecture: str) -> None:
    assert head_labels(str(tiny(architecture)), HEAD) == LABELS
    assert head_labels("bart-large-cnn", HEAD) == LABELS
    assert head_labels("facebook/bart-large-cnn", HEAD) == LABELS
    assert head_labels("minilm-l6", HEAD) is None
    assert head_labels("minilm-l6-2-minilm-l6", HEAD) is None
    assert head_labels("minilm-l6-2-minilm-l6", "token-classification") is None
    assert head_labels(str(tiny("bert")), HEAD) is None
    assert head_labels(str(tiny(architecture)), "token-classification") is None


@pytest.mark.parametrize("known", ["minilm-l6", None])
def test_an_encoder_alone_is_refused_with_the_way_to_make_it_write(
    tiny: Tiny, known: str | None
) -> None:
    name = known or str(tiny("bert"))
    for refuse in (_load, text_to_text):
        with pytest.raises(BackboneError, match="no encoder-decoder") as caught:
            refuse(name)
        assert f"Use {name}-2-{name}" in str(caught.value)


@pytest.mark.parametrize(
    "head", ["token-classification", "sequence-classification", "question-answering"]
)
def test_an_encoder_decoder_is_refused_where_an_encoder_is_needed(tiny: Tiny, head: Any) -> None:
    for name in (str(tiny("t5")), str(tiny("bart")), "minilm-l6-2-minilm-l6"):
        with pytest.raises(BackboneError, match=r"is an encoder-decoder.*needs an encoder"):
            load_model(name, head, labels=["a", "b"])


def test_the_tokenizer_of_an_encoder_decoder_reads_whole_texts_as_it_was_pretrained(
    tiny: Tiny,
) -> None:
    own = AutoTokenizer.from_pretrained(tiny("bart"))
    ours = load_tokenizer(str(tiny("bart")))
    assert ours("Ada lived.")["input_ids"] == own("Ada lived.")["input_ids"]


def test_what_can_be_split_is_split_where_it_can_only_mean_that(tmp_path: Path) -> None:
    folder = tmp_path / "a-2-b"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    assert halves("minilm-l6-2-minilm-l12") == ("minilm-l6", "minilm-l12")
    assert halves(f"{folder}-2-minilm-l6") == (str(folder), "minilm-l6")
    assert halves("lab/a-2-other/b") == ("lab/a", "other/b")
    assert halves("google-bert/bert-base-cased-2-bert-base-cased") == (
        "google-bert/bert-base-cased",
        "bert-base-cased",
    )
    # A Hub id with the same letters in it stays one.
    assert halves("lab/model-2-large") is None
    assert resolve("lab/model-2-large").location == "lab/model-2-large"
    assert halves(str(folder)) is None
    with pytest.raises(BackboneError, match=r"several ways: lab/a and x-2-lab/b or"):
        halves("lab/a-2-x-2-lab/b")


def test_a_half_that_nobody_registered_is_named() -> None:
    with pytest.raises(BackboneError, match=r"Unknown backbone 'minilm-l7'.*minilm-l6"):
        resolve("minilm-l6-2-minilm-l7")


def test_halves_with_different_tokenizers_are_refused_with_the_reason(tiny: Tiny) -> None:
    name = f"{tiny('bert')}-2-{tiny('roberta')}"
    for refuse in (load_tokenizer, _load):
        with pytest.raises(BackboneError, match=r"have different tokenizers.*need the same"):
            refuse(name)


@pytest.mark.parametrize("architecture", ["distilbert", "deberta-v2", "modernbert"])
def test_an_architecture_without_attention_to_an_encoder_cannot_be_the_decoder(
    tiny: Tiny, architecture: str
) -> None:
    with pytest.raises(BackboneError, match=r"cannot be a decoder.*BERT, RoBERTa"):
        load_config(_twice(tiny(architecture)))


def test_an_encoder_decoder_cannot_be_half_of_one(tiny: Tiny) -> None:
    with pytest.raises(BackboneError, match=r"one half is an encoder-decoder \(t5\)"):
        _load(_twice(tiny("t5")))


@pytest.mark.parametrize("architecture", ["bert", "roberta", "xlm-roberta", "electra"])
def test_both_halves_begin_with_their_own_weights(tiny: Tiny, architecture: str) -> None:
    folder = tiny(architecture)
    model = _load(_twice(folder))
    stored = AutoModel.from_pretrained(folder).state_dict()
    names = [name for name in stored if not name.startswith("pooler.")]
    encoder, decoder = model.encoder.state_dict(), model.decoder.base_model.state_dict()
    for name in names:
        assert torch.equal(encoder[name], stored[name])
        assert torch.equal(decoder[name], stored[name])
    assert {name for name in decoder if "crossattention" in name} == set(decoder) - set(names)
    # What is written is told by the matrix of what is read.
    output = model.get_output_embeddings().weight
    assert output is model.decoder.base_model.get_input_embeddings().weight
    assert all(module.training for module in model.modules())
    tokenizer = load_tokenizer(_twice(folder))
    for config in (model.config, model.generation_config):
        assert config.decoder_start_token_id == tokenizer.cls_token_id
        assert config.eos_token_id == tokenizer.sep_token_id
        assert config.pad_token_id == tokenizer.pad_token_id


@pytest.mark.parametrize("architecture", ["bert", "roberta", "electra"])
@pytest.mark.parametrize("tie_weights", [False, True])
def test_every_weight_that_learns_gets_a_gradient(
    tiny: Tiny, architecture: str, tie_weights: bool
) -> None:
    model = _load(_twice(tiny(architecture)), tie_weights=tie_weights)
    ids = torch.tensor([[0, 5, 6, 7, 2]])
    logits = model(input_ids=ids, attention_mask=torch.ones_like(ids), decoder_input_ids=ids).logits
    logits.square().sum().backward()
    without = {
        name for name, one in model.named_parameters() if one.requires_grad and one.grad is None
    }
    assert not without


def test_another_encoder_may_read_for_a_decoder(tiny: Tiny, tmp_path: Path) -> None:
    config = AutoConfig.for_model(
        "distilbert", vocab_size=load_config(str(tiny("bert"))).vocab_size, dim=24, n_heads=2,
        n_layers=1, hidden_dim=32, max_position_embeddings=96,
    )  # fmt: skip
    AutoModel.from_config(config).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(tiny("bert")).save_pretrained(tmp_path)
    name = f"{tmp_path}-2-{tiny('bert')}"
    model = _load(name)
    assert longest_input(name) == 96
    ids = torch.ones(1, 4, dtype=torch.long)
    logits = model(input_ids=ids, decoder_input_ids=ids[:, :3]).logits
    assert logits.shape == (1, 3, model.config.decoder.vocab_size)
    with pytest.raises(BackboneError, match="the same architecture twice"):
        _load(name, tie_weights=True)


@pytest.mark.parametrize("architecture", ["bert", "roberta"])
def test_the_matrix_before_the_output_is_the_checkpoints_or_else_new(
    tiny: Tiny, tmp_path: Path, architecture: str
) -> None:
    def last(model: Any) -> torch.Tensor:
        head = model.decoder.cls.predictions.transform if architecture == "bert" else None
        weight: torch.Tensor = (head or model.decoder.lm_head).dense.weight
        return weight

    assert 0.01 < last(_load(_twice(tiny(architecture)))).std() < 0.03  # drawn with 0.02
    masked = AutoModelForMaskedLM.from_pretrained(tiny(architecture))
    with torch.no_grad():
        for parameter in masked.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    masked.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(tiny(architecture)).save_pretrained(tmp_path)
    stored = load_file(tmp_path / "model.safetensors")
    where = "cls.predictions.transform" if architecture == "bert" else "lm_head"
    assert torch.equal(last(_load(_twice(tmp_path))), stored[f"{where}.dense.weight"])


def test_tied_weights_are_one_and_the_attention_to_the_encoder_is_the_decoders(tiny: Tiny) -> None:
    apart, tied = (_load(_twice(tiny("bert")), tie_weights=tie) for tie in (False, True))
    body = AutoModel.from_pretrained(tiny("bert"), add_pooling_layer=False)
    saved = sum(one.numel() for one in body.parameters())
    count = [sum(one.numel() for one in model.parameters()) for model in (apart, tied)]
    assert count[0] - count[1] == saved
    theirs = {id(one) for one in tied.decoder.parameters()}
    for name, one in tied.encoder.named_parameters():
        assert (id(one) in theirs) != name.startswith("pooler.")
    ids = torch.tensor([[2, 5, 6, 3]])
    with torch.no_grad():
        first, second = (
            model.eval()(input_ids=ids, decoder_input_ids=ids).logits for model in (tied, tied)
        )
        assert torch.equal(first, second)
        tied.decoder.bert.embeddings.word_embeddings.weight[5] += 1.0
    assert torch.equal(
        tied.encoder.embeddings.word_embeddings.weight[5],
        tied.decoder.bert.embeddings.word_embeddings.weight[5],
    )


@torch.inference_mode()
def test_tied_weights_are_saved_as_two_and_tied_again(tiny: Tiny, tmp_path: Path) -> None:
    tied = _load(_twice(tiny("bert")), tie_weights=True).eval()
    for parameter in tied.parameters():
        parameter.add_(torch.randn_like(parameter) * 0.1)
    copy = untied(tied)
    copy.save_pretrained(tmp_path)
    load_tokenizer(_twice(tiny("bert"))).save_pretrained(tmp_path)
    plain = AutoModelForSeq2SeqLM.from_pretrained(tmp_path)
    ids = torch.tensor([[2, 5, 6, 7, 3]])
    ours, theirs = (
        model.generate(input_ids=ids, max_new_tokens=12, min_new_tokens=12)
        for model in (tied, plain)
    )
    assert torch.equal(ours, theirs)
    again = _load(str(tmp_path), tie_weights=True)
    assert again.encoder.get_input_embeddings().weight is again.get_output_embeddings().weight
    count = [sum(one.numel() for one in model.parameters()) for model in (tied, again, copy)]
    assert count[0] == count[1] < count[2]
    assert head_labels(str(tmp_path), HEAD) == LABELS
    assert max_length_of(str(tmp_path)) == 128


def test_what_is_not_the_same_twice_is_not_tied(tiny: Tiny, other_bert: Path) -> None:
    with pytest.raises(BackboneError, match="the same weights twice"):
        _load(f"{tiny('bert')}-2-{other_bert}", tie_weights=True)
    with pytest.raises(BackboneError, match="is for a warm start A-2-A"):
        _load(str(tiny("bart")), tie_weights=True)


def test_a_model_that_shares_nothing_needs_no_copy(tiny: Tiny) -> None:
    for name in (_twice(tiny("bert")), str(tiny("t5"))):
        model = _load(name)
        assert untied(model) is model


def test_without_weights_the_shape_of_a_warm_start_is_the_same(tiny: Tiny) -> None:
    for tie in (False, True):
        full = _load(_twice(tiny("bert")), tie_weights=tie)
        empty = _load(_twice(tiny("bert")), tie_weights=tie, weights=False)
        empty.load_state_dict(full.state_dict())
        assert empty.generation_config.to_dict() == full.generation_config.to_dict()
        learning = [
            {name for name, one in model.named_parameters() if one.requires_grad}
            for model in (full, empty)
        ]
        assert learning[0] == learning[1]


def test_the_embedded_encoder_writes_without_a_network() -> None:
    model = _load("minilm-l6-2-minilm-l6", tie_weights=True)
    # Once 22.7 million less the pooler's in both, and the attention to the encoder in each of 6
    # layers: four matrices of 384 by 384 with biases, and a norm. Then the head's matrix and norm,
    # the biases of 30,522 words, and the pooler that nothing reads.
    attention = 4 * (384 * 384 + 384) + 2 * 384
    head = 384 * 384 + 384 + 2 * 384 + 30_522
    total = sum(one.numel() for one in model.parameters())
    assert total == get("minilm-l6").parameters + 6 * attention + head
    found = text_to_text("minilm-l6-2-minilm-l6")
    assert (found.prefix, found.decoder_start_token_id) == ("", 101)
    assert longest_input("minilm-l6-2-minilm-l6") == 512


def test_what_a_model_expects_is_known_of_registered_ones_folders_and_exports(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "t5"
    shutil.copytree(tiny("t5"), folder)
    foreign = text_to_text(str(folder))
    assert foreign.prefix == ""
    assert foreign.decoder_start_token_id == 0
    assert foreign.generation == {}
    # As a run exports it: what it was trained with goes before what the registry says.
    content = {"backbone": "t5-small", "encoding": {"prefix": "tl;dr: "}}
    (folder / "zoo.json").write_text(json.dumps(content))
    exported = text_to_text(str(folder))
    assert (exported.prefix, exported.generation) == ("tl;dr: ", {})
    (folder / "zoo.json").write_text(json.dumps({"backbone": "t5-small"}))
    assert text_to_text(str(folder)).prefix == "summarize: "
    (folder / "zoo.json").unlink()
    assert text_to_text(str(tiny("bart"))).decoder_start_token_id == 2
    package = f"{tmp_path.name}:t5"
    here = replace(get("t5-small"), name="here", hub_id="lab/here", package=package, sha256={})
    (tmp_path / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path.parent))
    monkeypatch.setitem(registry._specs, "here", here)
    registered = text_to_text("here")
    assert registered.prefix == "summarize: "
    assert registered.generation == get("t5-small").generation


def test_a_causal_model_is_no_encoder_decoder(tmp_path: Path, tiny: Tiny) -> None:
    config = BertConfig.from_pretrained(tiny("bert"), is_decoder=True)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(tiny("bert")).save_pretrained(tmp_path)
    with pytest.raises(BackboneError, match="no encoder-decoder"):
        _load(str(tmp_path))


def test_a_model_that_does_not_say_how_writing_begins_is_refused(
    tiny: Tiny, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny("t5"), folder)
    for name in ("config.json", "generation_config.json"):
        path = folder / name
        if path.is_file():
            content = json.loads(path.read_text(encoding="utf-8"))
            content.pop("decoder_start_token_id", None)
            path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(BackboneError, match="decoder_start_token_id"):
        text_to_text(str(folder))
