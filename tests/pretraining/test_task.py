"""The loss, the masks of a resumed training, and filling masks."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, Trainer

from tests.conftest import ARCHITECTURES
from tests.pretraining.masked_data import masked_data
from zoo.errors import DataError, RunError, ZooError
from zoo.pretraining.datamodule import MaskedLMDataModule
from zoo.pretraining.encoding import IGNORED, corrupt, seeded
from zoo.pretraining.task import MaskedLMTask

Tiny = Callable[[str], Path]
MakeTrainer = Callable[..., Trainer]

_NAMES = ["ada", "bob", "cleo", "fox", "dog", "bear"]


@pytest.fixture
def corpus(tmp_path: Path) -> str:
    lines = [f"{_NAMES[at % 6]} lived in london for {at} years ." for at in range(48)]
    path = tmp_path / "corpus.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


def _data(corpus: str, backbone: Path | str, **options: Any) -> MaskedLMDataModule:
    return masked_data(corpus, backbone, **{"batch_size": 4, **options})


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_loss_of_training_is_transformers_own_for_the_same_masks(
    architecture: str, tiny: Tiny, corpus: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Theirs knows of no pieces: a document in each block.
    data = _data(corpus, tiny(architecture), pack=False)
    task = MaskedLMTask(data.backbone, mask_share=0.3, whole_words=True)
    task.configure_model()
    task.net.eval()
    made: list[Any] = []

    def noted(*given: Any, **named: Any) -> Any:
        made.append(corrupt(*given, **named))
        return made[-1]

    monkeypatch.setattr("zoo.pretraining.task.corrupt", noted)
    batch = next(iter(data.train_dataloader()))
    loss = task.training_step(batch, 3)
    ((read, right),) = made
    assert (right != IGNORED).sum() > 5
    theirs = task.net(input_ids=read, attention_mask=batch["attention_mask"], labels=right).loss
    torch.testing.assert_close(loss, theirs, rtol=1e-5, atol=1e-5)


def test_evaluation_asks_for_the_same_tokens_whatever_the_batches_and_the_seed(
    tiny: Tiny, corpus: str
) -> None:
    def asked(**options: Any) -> dict[tuple[int, int], list[int]]:
        data = _data(corpus, tiny("bert"), **options)
        return {
            (example, part): [token for token in row if token != IGNORED]
            for batch in data.val_dataloader()
            for row, example, part in zip(
                batch["labels"].tolist(), batch["example"], batch["part"], strict=True
            )
        }

    found = asked()
    assert asked(seed=7, batch_size=3) == found
    assert asked(max_length=16) != found
    tokens = sum(map(len, found.values()))
    words = sum(
        word >= 0
        for row in _data(corpus, tiny("bert")).features("validation")["words"]
        for word in row
    )
    assert tokens / words == pytest.approx(0.15, abs=5 * (0.1275 / words) ** 0.5)


def test_each_epoch_and_each_batch_has_masks_of_its_own(
    tiny: Tiny, corpus: str, monkeypatch: pytest.MonkeyPatch, trainer: MakeTrainer
) -> None:
    seen: list[tuple[int, ...]] = []

    def noted(*numbers: int) -> torch.Generator:
        seen.append(numbers)
        return seeded(*numbers)

    monkeypatch.setattr("zoo.pretraining.task.seeded", noted)
    data = _data(corpus, tiny("bert"), seed=5)
    run = trainer(max_epochs=2, limit_train_batches=3, limit_val_batches=0)
    run.fit(MaskedLMTask(data.backbone, spans=True), data)
    assert seen == [(5, epoch, batch, 0) for epoch in range(2) for batch in range(3)]


@pytest.mark.parametrize("pairs", [None, "next"])
def test_a_training_that_is_resumed_in_an_epoch_ends_with_the_same_weights(
    pairs: Any, tiny: Tiny, corpus: str, tmp_path: Path, trainer: MakeTrainer
) -> None:
    folder = tmp_path / "calm"
    shutil.copytree(tiny("bert"), folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "config.json").write_text(json.dumps(config))

    class Save(Callback):
        def on_train_batch_end(self, trainer: Trainer, *_: Any, **__: Any) -> None:
            if trainer.global_step == 5:  # of 6 steps an epoch, of 12 with pairs
                trainer.save_checkpoint(tmp_path / "half.ckpt")

    def fit(checkpoint: str | None = None) -> dict[str, torch.Tensor]:
        torch.manual_seed(3)  # the head is new
        task = MaskedLMTask(str(folder), learning_rate=1e-3, sentence_pairs=pairs)
        run = trainer(max_epochs=3, limit_val_batches=0, callbacks=[Save()])
        data = _data(corpus, folder, sentence_pairs=pairs)
        run.fit(task, data, ckpt_path=checkpoint, weights_only=True)
        state: dict[str, torch.Tensor] = task.state_dict()
        return state

    whole = fit()
    resumed = fit(str(tmp_path / "half.ckpt"))
    for name, tensor in whole.items():
        assert torch.equal(tensor, resumed[name]), name


@pytest.mark.parametrize("architecture", ["bert", "roberta", "xlm-roberta", "albert", "modernbert"])
def test_masks_are_filled_as_transformers_would(architecture: str, tiny: Tiny) -> None:
    task = MaskedLMTask(str(tiny(architecture)))
    task.configure_model()
    task.net.eval()
    long = "the quick brown fox jumps over the lazy dog " * 20
    given = ["Ada [MASK] in <mask> .", "The [MASK]", f"{long}[MASK] {long}"]
    found = task.predict(given, batch_size=2, top_k=3)
    assert [len(one.masks) for one in found] == [2, 1, 1]
    assert not task.net.training
    text = given[0].replace("[MASK]", "<mask>").replace("<mask>", str(task.tokenizer.mask_token))
    inputs = task.tokenizer(text, return_tensors="pt")
    with torch.inference_mode():
        logits = task.net(
            input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]
        ).logits[0]
    places = (inputs["input_ids"][0] == task.tokenizer.mask_token_id).nonzero().flatten()
    for place, fills in zip(places, found[0].masks, strict=True):
        best = logits[place].softmax(-1).topk(3)
        assert [one.score for one in fills] == pytest.approx(best.values.tolist(), abs=1e-5)
        words = [str(task.tokenizer.decode([token])).strip() for token in best.indices]
        assert [one.token for one in fills] == words
    record = found[0].to_dict()
    assert record["masks"][1][0]["text"].startswith("Ada [MASK] in")
    assert json.loads(json.dumps(record)) == record
    assert "<ol>" in found._repr_html_()


def test_a_text_without_a_mask_is_refused(tiny: Tiny) -> None:
    task = MaskedLMTask(str(tiny("bert")))
    task.configure_model()
    with pytest.raises(DataError, match=r"no mask to fill in 'Ada lived': write \[MASK\]"):
        task.predict("Ada lived")
    assert MaskedLMTask.input_of_line("  ") is None
    with pytest.raises(DataError, match=r"needs \"text\".*has words"):
        MaskedLMTask.input_of({"words": []})


def test_a_head_that_was_never_trained_is_not_evaluated(
    tiny: Tiny, corpus: str, trainer: MakeTrainer
) -> None:
    data = _data(corpus, tiny("bert"))
    with pytest.raises(RunError, match="has no trained pretraining head"):
        trainer().validate(MaskedLMTask(data.backbone), data, verbose=False)
    with pytest.raises(RunError, match="from_scratch tiny gives random weights"):
        trainer().validate(MaskedLMTask(data.backbone, from_scratch="tiny"), data, verbose=False)


@pytest.mark.parametrize(
    ("size", "layers", "width"), [("tiny", 2, 128), ("mini", 4, 256), ("small", 4, 512)]
)
def test_a_size_from_scratch_is_a_bert_of_that_shape(
    size: Any, layers: int, width: int, tiny: Tiny
) -> None:
    task = MaskedLMTask(str(tiny("roberta")), from_scratch=size)
    task.configure_model()
    config = task.net.config
    assert (config.model_type, config.num_hidden_layers, config.hidden_size) == (
        "bert",
        layers,
        width,
    )
    assert config.vocab_size == len(task.tokenizer)
    assert task.net.training


def test_the_same_shape_from_scratch_has_other_weights(tiny: Tiny) -> None:
    tasks = [MaskedLMTask(str(tiny("bert"))), MaskedLMTask(str(tiny("bert")), from_scratch="same")]
    for task in tasks:
        task.configure_model()
    states = [task.net.state_dict() for task in tasks]
    assert {name: one.shape for name, one in states[0].items()} == {
        name: one.shape for name, one in states[1].items()
    }
    words = "bert.embeddings.word_embeddings.weight"
    assert not torch.equal(states[0][words], states[1][words])


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(ZooError, match="must be above 0 and below 1"):
        MaskedLMTask(mask_share=share)
