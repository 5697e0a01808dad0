"""A training that cannot go on stops in time, says why, and keeps what is needed to go on."""

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, Trainer
from torch import Tensor

from zoo import NERDataModule, NERTask
from zoo.errors import TrainingStoppedError
from zoo.tracking.checkpoints import Interval, RunCheckpoints, newest_complete, saving
from zoo.tracking.guards import FiniteLoss, out_of_memory_advice
from zoo.tracking.run_folder import RunFolder
from zoo.training.memory import is_out_of_memory

MakeTrainer = Callable[..., Trainer]


def _fit(
    make: MakeTrainer, data: NERDataModule, task: NERTask, folder: Path, *callbacks: Callback
) -> Trainer:
    run = RunFolder(folder)
    trainer = make(
        max_epochs=2,
        enable_checkpointing=True,
        callbacks=[
            *callbacks,
            FiniteLoss(run, resume="COMMAND"),
            RunCheckpoints(run, monitor=task.monitor, every=Interval(steps=2)),
        ],
    )
    trainer.fit(task, data)
    return trainer


class _Broken(NERTask):
    """Its loss is no number at the fourth step."""

    def training_loss(self, loss: Tensor, count: Any) -> Any:
        factor = float("nan") if self.trainer.global_step == 3 else 1.0
        return super().training_loss(loss * factor, count)


def test_a_loss_that_is_no_number_stops_before_it_is_learned_and_keeps_the_batch(
    data: NERDataModule, bert: str, tmp_path: Path, trainer: MakeTrainer
) -> None:
    task = _Broken(bert, labels=data.labels)
    with pytest.raises(TrainingStoppedError) as stopped:
        _fit(trainer, data, task, tmp_path / "run")
    said = str(stopped.value)
    assert "The loss is nan at step 3 (epoch 1)" in said
    assert "last.ckpt (step 2)" in said
    assert said.endswith("Go on:\n  COMMAND")
    assert all(bool(torch.isfinite(value).all()) for value in task.net.state_dict().values())
    kept = json.loads((tmp_path / "run" / "nonfinite_batch.json").read_text(encoding="utf-8"))
    assert kept["step"] == 3
    assert len(kept["examples"]) == len(kept["input_ids"]) == 8
    for row, text in zip(kept["examples"], kept["texts"], strict=True):
        words = data.examples("train")[row]["tokens"]
        assert words[1] in text, (words, text)


class _FullDisk(Callback):
    """A disk that is full from one step until another."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, steps: range):
        self.steps = steps
        self.full = False

        def sync(handle: int) -> None:
            if self.full:
                raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr("os.fsync", sync)

    def on_before_zero_grad(self, trainer: Trainer, *_: Any, **__: Any) -> None:
        self.full = trainer.global_step + 1 in self.steps


def test_a_full_disk_is_said_and_training_goes_on_with_the_next_checkpoint(
    data: NERDataModule,
    bert: str,
    tmp_path: Path,
    trainer: MakeTrainer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []
    monkeypatch.setattr(
        saving.log, "warning", lambda message, *values: said.append(message % values)
    )
    run = RunFolder(tmp_path / "run")
    disk = _FullDisk(monkeypatch, range(4, 5))
    _fit(trainer, data, NERTask(bert, labels=data.labels), run.path, disk)
    (sentence,) = said
    assert "The checkpoint of step 4 could not be written: No space left on device." in sentence
    assert "Kept as they were: last.ckpt" in sentence
    found = newest_complete(run)
    assert found is not None
    assert found.step == 10


def test_a_disk_that_is_full_at_the_end_stops_the_run_and_keeps_what_was(
    data: NERDataModule,
    bert: str,
    tmp_path: Path,
    trainer: MakeTrainer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = RunFolder(tmp_path / "run")
    disk = _FullDisk(monkeypatch, range(9, 11))
    with pytest.raises(
        TrainingStoppedError, match=r"step 10.*No space.*last\.ckpt, previous\.ckpt"
    ):
        _fit(trainer, data, NERTask(bert, labels=data.labels), run.path, disk)
    found = newest_complete(run)
    assert found is not None
    assert found.step == 8


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        MemoryError(),
    ],
)
def test_errors_of_want_of_memory_are_told_from_others(error: Exception) -> None:
    assert is_out_of_memory(error)
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_out_of_memory_names_the_settings_that_need_less_and_keep_the_result_first() -> None:
    said = out_of_memory_advice(
        batch_size=32, accumulate=1, max_length=512, precision="32-true", accelerator=True
    )
    first, second, third, _ = said.split("; or ")
    knobs = "--data.batch_size 16 --trainer.accumulate_grad_batches 2"
    assert first.startswith(f"Out of memory with batches of 32. Try {knobs}")
    assert second == "--trainer.precision bf16-mixed"
    assert third == "--data.max_length 256 (now 512)"
