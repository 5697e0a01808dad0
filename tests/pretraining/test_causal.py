"""Causal language models: what they see, what they are asked, and who refuses them."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Trainer

from tests.conftest import make_tiny
from zoo import backbones
from zoo.errors import BackboneError
from zoo.pretraining.blocks import logits_of, piece_numbers
from zoo.pretraining.causal_datamodule import CausalLMDataModule
from zoo.pretraining.causal_task import CausalLMTask
from zoo.pretraining.encoding import IGNORED
from zoo.tracking.export import export_model

Tiny = Callable[[str], Path]
MakeTrainer = Callable[..., Trainer]

TEXTS = [f"ada lived in london for {at} years ." for at in range(12)] + ["Löwe und Bär 😀 , again"]


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def decoder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny random decoder with a byte-level tokenizer."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    folder = tmp_path_factory.mktemp(request.param)
    make_tiny("roberta", folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    sizes: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 128,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    if request.param == "llama":
        sizes["intermediate_size"] = 48
    config = AutoConfig.for_model(request.param, **sizes)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


@pytest.fixture
def corpus(tmp_path: Path) -> str:
    path = tmp_path / "corpus.txt"
    path.write_text("\n".join(TEXTS), encoding="utf-8")
    return str(path)


def _data(corpus: str, backbone: Path, **options: Any) -> CausalLMDataModule:
    given = {"train": corpus, "validation": corpus, "test": corpus, "backbone": str(backbone)}
    return CausalLMDataModule(**{**given, "max_length": 64, "batch_size": 4, **options})


def _task(folder: Path) -> CausalLMTask:
    task = CausalLMTask(str(folder))
    task.configure_model()
    task.net.eval()
    return task


def test_the_loss_of_training_is_transformers_own_and_asks_for_all_of_the_text(
    decoder: Path, corpus: str
) -> None:
    data, task = _data(corpus, decoder, pack=False), _task(decoder)
    batch = next(iter(data.train_dataloader()))
    labels = batch["labels"]
    assert torch.equal(labels != IGNORED, batch["words"] >= 0)
    loss = task.training_step(batch, 0)
    theirs = task.net(
        input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=labels
    ).loss
    torch.testing.assert_close(loss, theirs, rtol=1e-5, atol=1e-5)


def test_no_token_sees_what_follows_or_another_document(decoder: Path) -> None:
    net = _task(decoder).net
    pieces = piece_numbers([[5, 6, 3], [4]])
    generator = torch.Generator().manual_seed(0)
    ids, other = (torch.randint(5, 60, pieces.shape, generator=generator) for _ in range(2))
    batch = {"input_ids": ids, "attention_mask": (pieces > 0).long(), "pieces": pieces}
    with torch.inference_mode():
        found = logits_of(net, batch)
        for row, begin, end in ((0, 0, 5), (0, 5, 11), (0, 11, 14), (1, 0, 4)):
            alone = net(input_ids=ids[row : row + 1, begin:end]).logits[0]
            torch.testing.assert_close(found[row, begin:end], alone, rtol=1e-4, atol=1e-5)
        changed = ids.clone()
        changed[0, 8:] = other[0, 8:]
        again = logits_of(net, {**batch, "input_ids": changed})
    torch.testing.assert_close(found[0, :8], again[0, :8], rtol=1e-5, atol=1e-6)
    assert (found[0, 8:] - again[0, 8:]).abs().max() > 1e-4


def test_perplexity_and_bits_per_byte_are_those_of_whole_texts(
    decoder: Path, corpus: str, trainer: MakeTrainer
) -> None:
    task, data = _task(decoder), _data(corpus, decoder)
    (scores,) = trainer().test(task, data, verbose=False)
    # By hand: each text alone, a token at a time.
    nats = tokens = 0.0
    task.net.eval()
    for text in TEXTS:
        ids = task.tokenizer(text, return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            logs = task.net(input_ids=ids).logits[0].double().log_softmax(-1)
        for at in range(1, ids.shape[1] - 1):  # the special token behind is not asked for
            nats -= logs[at - 1, ids[0, at]].item()
            tokens += 1
    size = sum(len(text.encode()) for text in TEXTS)
    assert scores["test/loss"] == pytest.approx(nats / tokens, rel=1e-5)
    assert scores["test/perplexity"] == pytest.approx(math.exp(nats / tokens), rel=1e-4)
    assert scores["test/bits_per_byte"] == pytest.approx(nats / size / math.log(2), rel=1e-5)


def test_a_text_is_continued_by_the_most_probable_tokens(decoder: Path) -> None:
    task = _task(decoder)
    (found,) = task.predict("ada lived", max_new_tokens=6)
    ids = task.tokenizer("ada lived")["input_ids"][:-1]
    begin = len(ids)
    for _ in range(6):
        with torch.inference_mode():
            logits = task.net(input_ids=torch.tensor([ids])).logits
        ids.append(int(logits[0, -1].argmax()))
        if ids[-1] == task.tokenizer.eos_token_id:
            break
    assert found.continuation == task.tokenizer.decode(ids[begin:], skip_special_tokens=True)
    assert found.to_dict() == {"text": "ada lived", "continuation": found.continuation}
    long = task.predict("ada lived in london " * 60, max_new_tokens=5)
    assert len(long) == 1


def test_decoders_are_refused_where_an_encoder_is_needed_and_the_other_way_round(
    decoder: Path, tiny: Tiny
) -> None:
    heads: list[backbones.Head] = ["token-classification", "masked-lm", "question-answering"]
    for head in heads:
        with pytest.raises(BackboneError, match=r"is a decoder.*needs an encoder \("):
            backbones.load_model(str(decoder), head, labels=["a"])
    with pytest.raises(BackboneError, match=r"is a decoder.*needs an encoder-decoder"):
        backbones.load_model(str(decoder), "text-to-text", labels=["a"])
    for encoder in ("bert", "bart"):
        with pytest.raises(BackboneError, match="is no decoder"):
            backbones.load_model(str(tiny(encoder)), "causal-lm", labels=["token"])


@pytest.mark.parametrize(("size", "layers", "width"), [("tiny", 2, 128), ("small", 4, 512)])
def test_a_size_from_scratch_is_a_gpt2_of_that_shape(
    size: Any, layers: int, width: int, tiny: Tiny
) -> None:
    task = CausalLMTask(str(tiny("bert")), from_scratch=size)
    with torch.device("meta"):
        task.configure_model()
    config = task.net.config
    assert (config.model_type, config.n_layer, config.n_embd) == ("gpt2", layers, width)
    assert config.vocab_size == len(task.tokenizer)
    assert config.bos_token_id == task.tokenizer.cls_token_id
    assert config.eos_token_id == task.tokenizer.sep_token_id


@pytest.mark.parametrize("kind", ["lora", "ia3"])
def test_a_decoder_is_adapted_and_its_export_predicts_the_same(
    kind: str, decoder: Path, corpus: str, trainer: MakeTrainer, tmp_path: Path
) -> None:
    data = _data(corpus, decoder)
    task = CausalLMTask(str(decoder), adaptation=kind, learning_rate=0.05, layer_decay=0.9)
    trainer(max_steps=3, max_epochs=-1, limit_val_batches=0).fit(task, data)
    trained = {name for name, own in task.net.named_parameters() if own.requires_grad}
    # Both blocks, and nothing but what is new: the head is the embeddings turned round.
    new = "lora_" if kind == "lora" else "ia3_"
    assert {True} == {new in name for name in trained if "lm_head" not in name}
    export_model(task, tmp_path / "model", metadata={})
    again = CausalLMTask.from_run(tmp_path / "model")
    batch = next(iter(data.val_dataloader()))
    with torch.no_grad(), task.evaluating(), again.evaluating():
        ours, theirs, before = (one(batch) for one in (task, again, CausalLMTask(str(decoder))))
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    assert (ours - before).abs().max() > 1e-3
