"""What all tasks share, shown with entity recognition: building, training, weights again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer, seed_everything
from safetensors.torch import load_file

from zoo import NERDataModule, NERTask
from zoo.errors import RunError, ZooError
from zoo.tracking.export import export_model

LABELS = ["O", "B-PER", "I-PER"]


class _Losses(Callback):
    def __init__(self) -> None:
        self.losses: list[float] = []
        self.training: list[bool] = []

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        self.losses.append(float(outputs["loss"]))
        task: Any = pl_module
        self.training.append(all(module.training for module in task.model.modules()))


def _trainer(folder: Path, *callbacks: Callback, **settings: Any) -> Trainer:
    options: dict[str, Any] = {
        "accelerator": "cpu",
        "devices": 1,
        "max_epochs": 1,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "default_root_dir": str(folder),
        **settings,
    }
    return Trainer(callbacks=list(callbacks), **options)


def _weights(task: NERTask) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in task.net.state_dict().items()}


def _equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_a_plain_trainer_learns_forty_sentences_by_heart(
    data: NERDataModule, bert: str, tmp_path: Path
) -> None:
    seen = _Losses()
    task = NERTask(bert, labels=data.labels, learning_rate=1e-2)
    trainer = _trainer(tmp_path, seen, max_epochs=10)
    trainer.fit(task, data)
    assert len(seen.losses) == 50
    assert sum(seen.losses[-5:]) < sum(seen.losses[:5]) / 10
    (scores,) = trainer.test(task, data, verbose=False)
    assert scores["test/f1"] == 1.0
    assert [(e.type, e.text) for e in task.predict(["the london dog ."])[0].entities] == [
        ("PER", "london")
    ]


def test_the_same_seed_gives_the_same_losses_and_weights(
    data: NERDataModule, bert: str, tmp_path: Path
) -> None:
    def train(seed: int) -> tuple[list[float], dict[str, torch.Tensor]]:
        seed_everything(seed)
        seen = _Losses()
        task = NERTask(bert, labels=data.labels, learning_rate=1e-3)
        _trainer(tmp_path, seen).fit(task, data)
        return seen.losses, _weights(task)

    first, again, other = train(1), train(1), train(2)
    assert first[0] == again[0]
    assert _equal(first[1], again[1])
    assert first[0] != other[0]


@pytest.mark.parametrize("precision", ["bf16-mixed", "32-true"])
def test_gradients_are_clipped_in_every_precision(
    data: NERDataModule, bert: str, tmp_path: Path, precision: Any
) -> None:
    norms: list[float] = []

    class Norm(Callback):
        def on_before_zero_grad(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
            gradients = [p.grad.norm() for p in pl_module.parameters() if p.grad is not None]
            norms.extend([float(torch.stack(gradients).norm())] if gradients else [])

    task = NERTask(bert, labels=data.labels, learning_rate=1e-3)
    trainer = _trainer(tmp_path, Norm(), max_steps=3, precision=precision, gradient_clip_val=0.01)
    trainer.fit(task, data)
    assert norms == pytest.approx([0.01] * len(norms), rel=1e-3)
    assert len(norms) >= 2


def test_a_step_that_clips_is_that_of_gradients_clipped_before(
    data: NERDataModule, bert: str, tmp_path: Path
) -> None:
    class Before(NERTask):
        def configure_gradient_clipping(self, *arguments: Any, **options: Any) -> None:
            torch.nn.utils.clip_grad_norm_(self.parameters(), 0.05)

    def train(kind: type[NERTask], **options: Any) -> dict[str, torch.Tensor]:
        seed_everything(3)
        task = kind(bert, labels=data.labels, learning_rate=1e-3)
        _trainer(tmp_path, _Losses(), max_steps=4, **options).fit(task, data)
        return _weights(task)

    right = train(Before)
    mine, free = train(NERTask, gradient_clip_val=0.05), train(NERTask)
    for name, one in mine.items():
        torch.testing.assert_close(one, right[name], rtol=1e-5, atol=1e-6)
    assert not _equal(mine, free)


def test_dropout_is_active_while_training_and_not_while_predicting(
    data: NERDataModule, bert: str, tmp_path: Path
) -> None:
    seen = _Losses()
    task = NERTask(bert, labels=data.labels)
    _trainer(tmp_path, seen).fit(task, data)
    assert seen.training == [True] * 5
    batch = next(iter(data.val_dataloader()))
    task.train()
    assert not torch.equal(task(batch), task(batch))
    scores = [task.predict(["the quick dog ."])[0] for _ in range(2)]
    assert scores[0] == scores[1]
    assert task.net.training  # as it was before


def test_configure_model_builds_once(bert: str) -> None:
    task = NERTask(bert, labels=LABELS)
    task.configure_model()
    built = task.model
    assert built is not None
    assert all(module.training for module in built.modules())
    task.configure_model()
    assert task.model is built


def test_a_test_after_a_fit_keeps_the_trained_weights(
    data: NERDataModule, bert: str, tmp_path: Path
) -> None:
    task = NERTask(bert, labels=data.labels)
    trainer = _trainer(tmp_path)
    trainer.fit(task, data)
    trained = _weights(task)
    trainer.test(task, data, verbose=False)
    _trainer(tmp_path).validate(task, data, verbose=False)
    assert _equal(_weights(task), trained)


@pytest.mark.parametrize("stage", ["test", "validate", "predict"])
def test_without_trained_weights_there_is_nothing_to_evaluate(
    data: NERDataModule, bert: str, tmp_path: Path, stage: str
) -> None:
    task = NERTask(bert, labels=data.labels)
    with pytest.raises(RunError, match=r"no trained ner head.*--ckpt_path"):
        getattr(_trainer(tmp_path), stage)(task, data)
    with pytest.raises(RunError, match="no trained ner head"):
        task.predict(["the dog"])


def test_a_fit_after_a_refused_test_starts_from_the_backbones_weights(
    data: NERDataModule, bert: str, tmp_path: Path
) -> None:
    task = NERTask(bert, labels=data.labels, learning_rate=0.0)
    with pytest.raises(RunError):
        _trainer(tmp_path).test(task, data)
    _trainer(tmp_path).fit(task, data)
    stored = load_file(Path(bert) / "model.safetensors")
    body = {f"bert.{name}": tensor for name, tensor in stored.items() if "pooler" not in name}
    assert _equal({name: _weights(task)[name] for name in body}, body)


def test_a_test_of_a_checkpoint_equals_the_test_after_the_fit(
    data: NERDataModule, bert: str, tmp_path: Path
) -> None:
    task = NERTask(bert, labels=data.labels, learning_rate=5e-3)
    trainer = _trainer(tmp_path, max_epochs=2)
    trainer.fit(task, data)
    (expected,) = trainer.test(task, data, verbose=False)
    trainer.save_checkpoint(tmp_path / "end.ckpt", weights_only=True)
    fresh = NERTask(bert, labels=data.labels)
    (scores,) = _trainer(tmp_path).test(
        fresh, data, ckpt_path=str(tmp_path / "end.ckpt"), weights_only=True, verbose=False
    )
    assert scores == expected
    assert _equal(_weights(fresh), _weights(task))


def test_a_checkpoint_with_other_labels_is_refused(
    data: NERDataModule, bert: str, tmp_path: Path
) -> None:
    task = NERTask(bert, labels=["O", "B-LOC", "I-LOC", "B-PER", "I-PER"])
    trainer = _trainer(tmp_path)
    trainer.strategy.connect(task)
    task.configure_model()
    trainer.save_checkpoint(tmp_path / "other.ckpt", weights_only=True)
    with pytest.raises(RunError, match=r"knows the labels O, B-LOC.*given O, B-PER, I-PER"):
        _trainer(tmp_path).test(
            NERTask(bert, labels=data.labels),
            data,
            ckpt_path=str(tmp_path / "other.ckpt"),
            weights_only=True,
        )


def test_a_checkpoint_of_something_else_is_refused(bert: str) -> None:
    with pytest.raises(RunError, match="no checkpoint of a zoo task"):
        NERTask(bert, labels=LABELS).on_load_checkpoint({"state_dict": {}})


@pytest.mark.parametrize("stopped", [3, 5, 7])
def test_a_resumed_training_ends_as_the_one_that_was_not_stopped(
    data: NERDataModule, bert: str, tmp_path: Path, stopped: int
) -> None:
    def task() -> NERTask:
        seed_everything(3)
        made = NERTask(bert, labels=data.labels, learning_rate=1e-3)
        made.configure_model()
        assert made.model is not None
        for module in made.model.modules():  # its random numbers are not part of the checkpoint
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        return made

    whole, first, second = task(), task(), task()
    straight = _Losses()
    _trainer(tmp_path, straight, max_epochs=2).fit(whole, data)

    class Stop(Callback):
        def on_train_batch_end(self, trainer: Trainer, *_: Any, **__: Any) -> None:
            if trainer.global_step == stopped:  # of 5 steps an epoch
                trainer.save_checkpoint(tmp_path / "stopped.ckpt")
                trainer.should_stop = True

    begun, rest = _Losses(), _Losses()
    _trainer(tmp_path, begun, Stop(), max_epochs=2).fit(first, data)
    _trainer(tmp_path, rest, max_epochs=2).fit(
        second, data, ckpt_path=str(tmp_path / "stopped.ckpt"), weights_only=True
    )
    assert begun.losses[:stopped] + rest.losses == straight.losses
    assert _equal(_weights(second), _weights(whole))


def test_the_trained_task_of_a_run_predicts_as_before(
    data: NERDataModule, bert: str, tmp_path: Path
) -> None:
    task = NERTask(bert, labels=data.labels, learning_rate=1e-2)
    _trainer(tmp_path, max_epochs=5).fit(task, data)
    export_model(task, tmp_path / "run" / "model", metadata={"backbone": "bert-base-cased"})
    texts = ["the london dog .", "the lazy ada"]
    again = NERTask.from_run(tmp_path / "run")
    assert again.labels == data.labels
    assert list(again.predict(texts)) == list(task.predict(texts))
    assert _equal(_weights(again), _weights(task))


def test_a_run_with_more_labels_in_its_data_keeps_its_own_first(
    data: NERDataModule, bert: str, tmp_path: Path
) -> None:
    task = NERTask(bert, labels=data.labels)
    task.configure_model()
    export_model(task, tmp_path / "model", metadata={})
    more = NERTask.from_run(tmp_path / "model", labels=[*data.labels, "B-LOC", "I-LOC"])
    assert more.known_labels == data.labels
    with pytest.raises(RunError, match="knows the labels O, B-PER, I-PER"):
        NERTask.from_run(tmp_path / "model", labels=["O", "B-LOC", "I-LOC"])


def test_a_folder_without_a_head_is_no_run(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(RunError, match="has no head for ner"):
        NERTask.from_run(tiny("bert"))
    with pytest.raises(RunError, match="holds no trained model"):
        NERTask.from_run(tmp_path)


def test_the_rate_is_warmed_up_over_its_share_of_all_steps(
    data: NERDataModule, bert: str, tmp_path: Path
) -> None:
    rates: list[float] = []

    class Rates(Callback):
        def on_train_batch_start(self, trainer: Trainer, *_: Any, **__: Any) -> None:
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    task = NERTask(bert, labels=data.labels, learning_rate=1.0, warmup=0.2, schedule="linear")
    _trainer(tmp_path, Rates(), max_epochs=2).fit(task, data)
    # 40 sentences in batches of 8, twice: 10 steps, of which 2 warm up and 8 go down to 0.
    down = [1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]
    assert rates == pytest.approx([0.0, 0.5, *down])


def test_a_training_without_an_end_is_asked_for_one(
    data: NERDataModule, bert: str, tmp_path: Path
) -> None:
    with pytest.raises(ZooError, match=r"--trainer\.max_epochs or --trainer\.max_steps"):
        _trainer(tmp_path, max_epochs=-1).fit(NERTask(bert, labels=data.labels), data)
