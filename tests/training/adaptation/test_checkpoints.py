"""Checkpoints that hold only what was trained: small, exact, and of one base alone."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, Trainer, seed_everything
from safetensors.torch import load_file, save_file

from zoo import NERDataModule, NERTask
from zoo.errors import RunError
from zoo.training.adaptation import Adaptation
from zoo.training.random_states import RandomStates

Make = Callable[..., tuple[NERTask, NERDataModule]]

KINDS = ("head", "gradual", "bitfit", "lora", "dora", "adalora", "ia3", "prompt")


@pytest.fixture
def make(corpus: Path, bert: str) -> Make:
    """A function from an adaptation to a task and its data."""

    def made(adaptation: Any, backbone: str = bert) -> tuple[NERTask, NERDataModule]:
        seed_everything(3)
        same = dict.fromkeys(("train", "validation", "test"), str(corpus))
        data = NERDataModule(**same, backbone=backbone, batch_size=8, max_length=64, stride=8)
        task = NERTask(backbone, labels=data.labels, learning_rate=1e-2, adaptation=adaptation)
        return task, data

    return made


class _Saves(Callback):
    """Writes a checkpoint after some steps."""

    def __init__(self, folder: Path, at: tuple[int, ...]):
        self.folder, self.at = folder, at

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_step in self.at:
            trainer.save_checkpoint(self.folder / f"{trainer.global_step}.ckpt")


def _fit(
    made: tuple[NERTask, NERDataModule], *callbacks: Callback, resume: Path | None = None
) -> Trainer:
    task, data = made
    trainer = Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=4,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        gradient_clip_val=1.0,
        limit_val_batches=0,
        callbacks=[RandomStates(), *callbacks],
    )
    trainer.fit(task, data, ckpt_path=None if resume is None else str(resume), weights_only=True)
    return trainer


def _everything(task: NERTask, trainer: Trainer) -> dict[str, torch.Tensor]:
    found = {name: value.clone() for name, value in task.state_dict().items()}
    for number, state in trainer.optimizers[0].state_dict()["state"].items():
        found |= {f"{number}.{name}": value.clone() for name, value in state.items()}
    return found


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=() if kind in ("lora", "adalora") else pytest.mark.slow)
        for kind in KINDS
    ],
)
def test_a_training_goes_on_from_what_was_trained_alone_to_the_same_bits(
    kind: str, make: Make, tmp_path: Path
) -> None:
    at = (3, 11, 17)  # 20 steps in all: while AdaLoRA takes ranks away, and after
    adaptation = Adaptation(kind=kind, dropout=0.1)
    first = make(adaptation)
    whole = _everything(first[0], _fit(first, _Saves(tmp_path, at)))
    for step in at:
        again = make(adaptation)
        resumed = _everything(again[0], _fit(again, resume=tmp_path / f"{step}.ckpt"))
        assert resumed.keys() == whole.keys()
        assert [name for name in whole if not torch.equal(whole[name], resumed[name])] == []


def test_a_lora_checkpoint_holds_adapters_head_and_their_optimizer_state_alone(
    make: Make, tmp_path: Path
) -> None:
    made = make("lora")
    _fit(made, _Saves(tmp_path, (5,)))
    found = torch.load(tmp_path / "5.ckpt", weights_only=True)
    names = [name for name in found["state_dict"] if "lora_" not in name]
    assert names == ["model.classifier.weight", "model.classifier.bias"]
    # Rank 8 on queries and values of two layers that are 32 wide, and a head of 3 labels.
    weights = sum(value.numel() for value in found["state_dict"].values())
    assert weights == 2 * 2 * (8 * 32 + 32 * 8) + 3 * 32 + 3
    states = found["optimizer_states"][0]["state"].values()
    assert sum(state["exp_avg"].numel() for state in states) == weights
    assert found["hyper_parameters"]["adaptation"] == "lora"


def test_a_checkpoint_is_refused_on_other_base_weights(
    make: Make, bert: str, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(bert, other)
    made = make("lora", str(other))
    _fit(made, _Saves(tmp_path, (5,)))
    weights = load_file(other / "model.safetensors")
    name = next(name for name in weights if name.endswith("key.weight"))
    weights[name][0, 0] += 1e-6
    save_file(weights, other / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(RunError, match=r"on other weights than .*other has here"):
        _fit(make("lora", str(other)), resume=tmp_path / "5.ckpt")


@pytest.mark.parametrize(
    ("saved", "asked", "said"),
    [
        ("lora", "full", "is of --model.adaptation lora, but the task has full"),
        ("full", "lora", "is of --model.adaptation full, but the task has lora"),
        ("lora", Adaptation(kind="lora", rank=4), "'rank': 4"),
    ],
)
def test_a_checkpoint_is_refused_by_another_adaptation(
    saved: str, asked: Any, said: str, make: Make, tmp_path: Path
) -> None:
    _fit(make(saved), _Saves(tmp_path, (5,)))
    with pytest.raises(RunError, match=said):
        _fit(make(asked), resume=tmp_path / "5.ckpt")


@pytest.mark.parametrize("kind", ["head", "lora", "adalora", "prompt"])
def test_the_task_of_a_checkpoint_predicts_as_the_one_that_was_trained(
    kind: str, make: Make, tmp_path: Path
) -> None:
    made = make(Adaptation(kind=kind, rank=4))
    _fit(made, _Saves(tmp_path, (20,)))
    content = torch.load(tmp_path / "20.ckpt", weights_only=True)
    other = NERTask.of_checkpoint(content)
    other.model.eval() if other.model is not None else None
    batch = next(iter(made[1].val_dataloader()))
    with torch.no_grad(), made[0].evaluating(), other.evaluating():
        assert torch.equal(made[0](batch), other(batch))


def test_head_trains_on_a_backbone_without_dropout(make: Make) -> None:
    task, data = make("head")

    class Watch(Callback):
        def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
            assert task.net.dropout.training
            body = task.net.base_model
            assert not any(part.training for part in body.modules() if part is not body)

    _fit((task, data), Watch())
    task.predict(["the ada dog"])  # leaves it as it was
    assert not task.net.base_model.encoder.training


def test_gradual_begins_with_the_head_and_opens_a_part_at_a_time(make: Make) -> None:
    task, data = make(Adaptation(kind="gradual", unfreeze_by=0.6))
    seen: list[tuple[bool, ...]] = []
    parts = ("classifier.weight", "bert.encoder.layer.1.output.dense.weight")
    parts += ("bert.encoder.layer.0.output.dense.weight", "bert.embeddings.word_embeddings.weight")

    class Watch(Callback):
        def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
            own = dict(task.net.named_parameters())
            seen.append(tuple(bool(trainer.optimizers[0].state.get(own[name])) for name in parts))

    _fit((task, data), Watch())
    # 20 steps, all open after 12: the head from the first, then a part every four steps.
    opened = [sum(1 for one in seen if not one[at]) for at in range(4)]
    assert opened == [0, 4, 8, 12]


def test_a_run_of_a_trained_model_starts_its_adaptation_on_it(make: Make, tmp_path: Path) -> None:
    task, data = make("lora")
    task.configure_model()
    batch = next(iter(data.val_dataloader()))
    plain = NERTask(task.backbone, labels=data.labels)
    plain.model = plain._load(data.labels)
    with torch.no_grad(), task.evaluating(), plain.evaluating():
        plain.net.classifier.load_state_dict(task.net.classifier.state_dict())
        assert torch.allclose(task(batch), plain(batch), atol=1e-6)


def test_settings_are_saved_as_plain_data(make: Make, tmp_path: Path) -> None:
    made = make({"kind": "lora", "rank": 4, "targets": ["query"]})
    _fit(made, _Saves(tmp_path, (5,)))
    found = torch.load(tmp_path / "5.ckpt", weights_only=True)["hyper_parameters"]["adaptation"]
    assert json.loads(json.dumps(found)) == found
    assert Adaptation.of(found) == Adaptation(kind="lora", rank=4, targets=["query"])
    assert len([name for name in made[0].state_dict() if "lora_A" in name]) == 2
