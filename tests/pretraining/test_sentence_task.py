"""The sentence objective: its loss against transformers' own, what is learned, what is exported."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Trainer
from safetensors.torch import load_file
from transformers import AutoModelForMaskedLM, AutoModelForPreTraining

from tests.conftest import ARCHITECTURES
from tests.pretraining.masked_data import paired_data
from tests.training.distributed_runs import make_trainer, whole
from tests.training.workers import together
from zoo.errors import RunError, ZooError
from zoo.pretraining.datamodule import MaskedLMDataModule
from zoo.pretraining.encoding import IGNORED, corrupt
from zoo.pretraining.metrics import SentenceScores
from zoo.pretraining.sentence_head import FILE, HEAD
from zoo.pretraining.task import MaskedLMTask
from zoo.tracking.export import export_model

Tiny = Callable[[str], Path]
MakeTrainer = Callable[..., Trainer]

_NAMES = ["ada", "bob", "cleo", "fox", "dog", "bear", "lion", "cat"]


@pytest.fixture
def corpus(tmp_path: Path) -> str:
    """Documents of one word each, said in pairs of words: a partner of another one shows."""
    lines = [" ".join([_NAMES[at % 8], "worked"] * (3 + at % 4)) for at in range(48)]
    path = tmp_path / "corpus.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


def _task(data: MaskedLMDataModule, **options: Any) -> MaskedLMTask:
    return MaskedLMTask(data.backbone, sentence_pairs=data.sentence_pairs, **options)


def _pretraining_model(config: Any) -> Any:
    config = deepcopy(config)
    config.num_labels = 2
    return AutoModelForPreTraining.from_config(config).eval()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("architecture", "objective"), [("bert", "next"), ("bert", "order"), ("albert", "order")]
)
def test_the_loss_is_that_of_transformers_pretraining_model(
    architecture: str,
    objective: Any,
    packed: bool,
    tiny: Tiny,
    corpus: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = paired_data(corpus, tiny(architecture), sentence_pairs=objective)
    task = _task(data, mask_share=0.3, packed=packed)
    task.configure_model()
    task.net.eval()
    made: list[Any] = []

    def noted(*given: Any, **named: Any) -> Any:
        made.append(corrupt(*given, **named))
        return made[-1]

    monkeypatch.setattr("zoo.pretraining.task.corrupt", noted)
    batch: Any = next(iter(data.train_dataloader()))
    assert 0 < batch["sentence_labels"].sum() < len(batch["sentence_labels"])
    loss: Any = task.training_step(batch, 3)
    ((read, right),) = made

    theirs: Any = _pretraining_model(task.net.config)
    state = task.net.state_dict()
    body, name = {"bert": ("bert", "label"), "albert": ("albert", "order_label")}[architecture]
    pooler, output = {
        "bert": ("bert.pooler.dense", "cls.seq_relationship"),
        "albert": ("albert.pooler", "sop_classifier.classifier"),
    }[architecture]
    renamed = {
        key.replace(f"{HEAD}.dense", pooler).replace(f"{HEAD}.output", output): value
        for key, value in state.items()
    }
    missing, unexpected = theirs.load_state_dict(renamed, strict=False)
    assert (missing, unexpected) == ([], [])
    types = {"token_type_ids": batch["token_type_ids"]} if body == "bert" else {}
    assert ("token_type_ids" in task.input_names) == bool(types)
    labels = {
        "next_sentence_label" if name == "label" else f"sentence_{name}": batch["sentence_labels"]
    }
    expected = theirs(
        input_ids=read, attention_mask=batch["attention_mask"], labels=right, **types, **labels
    ).loss
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)
    # Without the pairs it would be another.
    tokens = theirs(
        input_ids=read, attention_mask=batch["attention_mask"], labels=right, **types
    ).get("loss")
    assert tokens is None or abs(float(tokens - loss)) > 0.1


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_judges_pairs_and_never_masks_special_tokens(
    architecture: str, tiny: Tiny, corpus: str, trainer: MakeTrainer
) -> None:
    data = paired_data(corpus, tiny(architecture))
    task = _task(data, mask_share=0.5)
    fit = trainer(limit_train_batches=2, log_every_n_steps=1)
    fit.fit(task, data)
    names = {f"val/{name}" for name in ("loss", "sentence_loss", "sentence_accuracy")}
    names |= {f"train/{name}" for name in ("masked_loss", "sentence_loss", "sentence_accuracy")}
    assert names <= fit.callback_metrics.keys()
    logged = {name: float(value) for name, value in fit.callback_metrics.items()}
    total = logged["train/masked_loss"] + logged["train/sentence_loss"]
    assert logged["train/loss"] == pytest.approx(total, rel=1e-5)
    batch: Any = next(iter(data.train_dataloader()))
    read, right = task.ask(batch, 0)
    special = torch.isin(batch["input_ids"], torch.tensor(task.tokenizer.all_special_ids))
    assert (right[special] == IGNORED).all()
    assert torch.equal(read[special], batch["input_ids"][special])
    assert (right[~special] != IGNORED).float().mean() == pytest.approx(0.5, abs=0.2)


@pytest.mark.slow
def test_segments_of_other_documents_are_learned_to_be_told(
    tiny: Tiny, tmp_path: Path, trainer: MakeTrainer
) -> None:
    # Documents of one name each.
    lines = [" ".join([("ada", "fox")[at % 2]] * 12) for at in range(64)]
    path = tmp_path / "clear.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    data = paired_data(str(path), tiny("bert"), seed=1)
    torch.manual_seed(1)
    task = _task(data, learning_rate=3e-3, mask_share=0.05)
    trainer(max_epochs=30, limit_val_batches=0).fit(task, data)
    scores = trainer().validate(task, data, verbose=False)[0]
    # Partners of the same name nobody can tell; all others are told by their two names.
    rows: Any = data.rows("validation")
    drawn = rows.drawn(range(len(rows)), 0)
    special = set(data.tokenizer.all_special_ids)
    differ = [len(set(one["input_ids"]) - special) > 1 for one in drawn]
    told = [own == one["sentence_label"] for own, one in zip(differ, drawn, strict=True)]
    best = sum(told) / len(told)
    assert scores["val/sentence_accuracy"] > 0.5 + 0.6 * (best - 0.5)


def test_the_scores_are_those_of_all_pairs_counted_by_hand(
    tiny: Tiny, corpus: str, trainer: MakeTrainer
) -> None:
    data = paired_data(corpus, tiny("bert"), batch_size=7)
    task = _task(data)
    run = trainer(max_steps=1, max_epochs=-1, limit_val_batches=0)
    run.fit(task, data)
    (found,) = trainer().test(task, data, verbose=False)
    nats, right = [], []
    head = task.net.get_submodule(HEAD)
    with torch.no_grad(), task.evaluating():
        for batch in data.test_dataloader():
            inputs = {
                name: batch[name] for name in ("input_ids", "attention_mask", "token_type_ids")
            }
            states = task.net.base_model(**inputs).last_hidden_state[:, 0]
            chances = head(states).softmax(-1)
            for row, label in zip(chances, batch["sentence_labels"], strict=True):
                nats.append(-float(row[label].log()))
                right.append(bool(row[label] > 0.5))
    assert found["test/sentence_loss"] == pytest.approx(sum(nats) / len(nats), rel=1e-4)
    assert found["test/sentence_accuracy"] == pytest.approx(sum(right) / len(right), abs=1e-6)


def test_sums_of_counts_are_exact_however_they_are_shared_out() -> None:
    nats, right = torch.tensor([0.5, 1.5, 1.0]), torch.tensor([True, False, True])
    one = SentenceScores()
    one.update(nats, right)
    assert {name: float(value) for name, value in one.compute().items()} == {
        "sentence_loss": pytest.approx(1.0),
        "sentence_accuracy": pytest.approx(2 / 3),
    }


def test_the_exported_model_is_a_plain_one_with_the_head_beside(
    tiny: Tiny, corpus: str, tmp_path: Path, trainer: MakeTrainer
) -> None:
    data = paired_data(corpus, tiny("bert"))
    task = _task(data, learning_rate=1e-3)
    fit = trainer(max_steps=3, max_epochs=-1, limit_val_batches=0)
    fit.fit(task, data)
    (scores,) = trainer().validate(task, data, verbose=False)
    folder = tmp_path / "run" / "model"
    export_model(task, folder, metadata={})
    # The task still has it.
    assert trainer().validate(task, data, verbose=False)[0] == scores
    names = load_file(folder / "model.safetensors")
    assert not [name for name in names if HEAD in name]
    plain, known = AutoModelForMaskedLM.from_pretrained(folder, output_loading_info=True)
    assert not known["missing_keys"]
    assert not known["unexpected_keys"]
    again = MaskedLMTask.from_run(folder)
    batch: Any = next(iter(data.val_dataloader()))
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask", "token_type_ids")}
    with torch.no_grad(), again.evaluating():
        theirs = plain.eval()(**inputs).logits[batch["attention_mask"] == 1]
        ours = again(batch)[batch["attention_mask"] == 1]
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)

    # Who goes on with the objective, or tests it, has the head back.
    on = paired_data(corpus, folder)
    (found,) = trainer().validate(_task(on), on, verbose=False)
    assert found == pytest.approx(scores, abs=1e-6)
    other = paired_data(corpus, folder, sentence_pairs="order")
    with pytest.raises(RunError, match=r"no trained head for --data\.sentence_pairs order"):
        trainer().validate(_task(other), other, verbose=False)
    (folder / FILE).unlink()
    with pytest.raises(RunError, match="or give --ckpt_path"):
        trainer().validate(_task(on), on, verbose=False)


def test_a_checkpoint_brings_the_head_and_is_of_its_objective(
    tiny: Tiny, corpus: str, tmp_path: Path, trainer: MakeTrainer
) -> None:
    data = paired_data(corpus, tiny("bert"))
    fit = trainer(max_steps=2, max_epochs=-1, limit_val_batches=0)
    task = _task(data, adaptation="lora", learning_rate=1e-2)
    fit.fit(task, data)
    fit.save_checkpoint(tmp_path / "x.ckpt")
    (scores,) = trainer().validate(task, data, verbose=False)
    again = trainer()
    path = str(tmp_path / "x.ckpt")
    found = again.validate(
        _task(data, adaptation="lora"), data, ckpt_path=path, weights_only=True, verbose=False
    )[0]
    assert found == pytest.approx(scores, abs=1e-6)
    for wrong in (None, "order"):
        other = paired_data(corpus, tiny("bert"), sentence_pairs=wrong)
        with pytest.raises(RunError, match=r"was trained with --data\.sentence_pairs next"):
            trainer().validate(_task(other), other, ckpt_path=path, weights_only=True)


def test_task_and_data_must_agree(tiny: Tiny, corpus: str, trainer: MakeTrainer) -> None:
    data = paired_data(corpus, tiny("bert"))
    with pytest.raises(ZooError, match="must have the same sentence_pairs"):
        trainer(max_steps=1).fit(MaskedLMTask(data.backbone), data)
    plain = paired_data(corpus, tiny("bert"), sentence_pairs=None)
    with pytest.raises(ZooError, match="must have the same sentence_pairs"):
        trainer(max_steps=1).fit(MaskedLMTask(data.backbone, sentence_pairs="next"), plain)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
def test_two_processes_count_every_pair_once_and_train_one_head(
    strategy: str, tiny: Tiny, corpus: str, tmp_path: Path, trainer: MakeTrainer
) -> None:
    data = paired_data(corpus, tiny("bert"))
    task = _task(data, learning_rate=1e-3)
    trainer(max_steps=3, max_epochs=-1, limit_val_batches=0).fit(task, data)
    folder = tmp_path / "model"
    export_model(task, folder, metadata={})
    (alone,) = trainer().validate(task, data, verbose=False)
    first, second = together(
        2, evaluate_and_fit, tmp_path / "out", strategy, corpus, str(folder), timeout=400
    )
    for key in ("val/loss", "val/sentence_loss", "val/sentence_accuracy"):
        assert first["scores"][key] == pytest.approx(alone[key], rel=1e-5)
    before = task.net.get_submodule(HEAD).state_dict()
    for name, weight in first["head"].items():
        assert torch.equal(weight, second["head"][name])
        assert not torch.equal(weight, before[name])


def evaluate_and_fit(strategy: str, corpus: str, folder: str) -> dict[str, Any]:
    """Scores of an exported model in one of two processes, and its head after some steps."""
    data = paired_data(corpus, folder, batch_size=5)
    (scores,) = make_trainer(2, strategy).validate(_task(data), data, verbose=False)
    task = _task(data, learning_rate=1e-2, warmup=0.0)
    fit = {"max_steps": 2, "max_epochs": -1, "limit_val_batches": 0}
    make_trainer(2, strategy, **fit).fit(task, data)
    head = task.net.get_submodule(HEAD).named_parameters()
    return {"scores": scores, "head": {name: whole(own).detach() for name, own in head}}
