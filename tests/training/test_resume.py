"""A training that goes on from any of its checkpoints ends as the one that was not stopped."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, Trainer, seed_everything

from zoo import NERDataModule, NERTask
from zoo.tracking.averaging import Average, AveragingCallback
from zoo.tracking.checkpoints import Interval, RunCheckpoints
from zoo.tracking.run_folder import RunFolder
from zoo.training.early_stopping import PatientStopping
from zoo.training.random_states import RandomStates

#: 40 sentences in batches of 8: five batches an epoch.
BATCHES = 5


class _Copies(RunCheckpoints):
    """Keeps a copy of every checkpoint that was written."""

    def save(self, trainer: Trainer) -> bool:
        saved = super().save(trainer)
        copies = self.folder.path / "copies"
        copies.mkdir(exist_ok=True)
        place = f"{self.number:03d}-step-{trainer.global_step}"
        folder = copies / place / "checkpoints"
        folder.mkdir(parents=True)
        for path in self.folder.checkpoints.iterdir():
            shutil.copy(path, folder / path.name)
        return saved


@pytest.fixture
def fit(
    tmp_path: Path, corpus: Path, bert: str
) -> Callable[..., tuple[Trainer, NERTask, RunCheckpoints]]:
    """A function that trains in a folder, from its last checkpoint if it has one."""

    def run(
        folder: Path,
        *callbacks: Callback,
        workers: int = 0,
        patience: int | None = None,
        model: dict[str, Any] | None = None,
        average: str = "none",
        **options: Any,
    ) -> tuple[Trainer, NERTask, RunCheckpoints]:
        seed_everything(3)
        same = str(corpus)
        data = NERDataModule(
            train=same,
            validation=same,
            test=same,
            backbone=bert,
            batch_size=8,
            max_length=64,
            stride=8,
            num_workers=workers,
        )
        task = NERTask(bert, labels=data.labels, learning_rate=1e-3, **(model or {}))
        run_folder = RunFolder(folder)
        checkpoints = _Copies(run_folder, monitor=task.monitor, every=Interval(steps=1))
        stopping: list[Callback] = (
            [PatientStopping(task.monitor, mode="max", patience=patience)] if patience else []
        )
        kind = Average.parse(average)
        if kind is not None:
            folder_of_best = run_folder.checkpoints
            stopping += [kind.callback(folder_of_best, monitor=task.monitor, mode="max")]
        trainer = Trainer(
            accelerator="cpu",
            devices=1,
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=str(folder),
            gradient_clip_val=1.0,
            callbacks=[RandomStates(), *stopping, checkpoints, *callbacks],
            **{"max_epochs": 2, **options},
        )
        last = run_folder.last_checkpoint
        path = str(last) if last.exists() else None
        trainer.fit(task, data, ckpt_path=path, weights_only=True)
        return trainer, task, checkpoints

    return run


def _state(trainer: Trainer, task: NERTask, checkpoints: RunCheckpoints) -> dict[str, Any]:
    """All that the next step, the test and the export would depend on."""
    parts: dict[str, Any] = {
        f"model.{name}": value.clone() for name, value in task.state_dict().items()
    }
    for number, state in trainer.optimizers[0].state_dict()["state"].items():
        parts |= {f"{number}.{name}": value.clone() for name, value in state.items()}
    best = torch.load(checkpoints.folder.best_checkpoint, weights_only=True)
    parts |= {f"best.{name}": value for name, value in best["state_dict"].items()}
    for one in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(one, AveragingCallback):
            averaged = one.weights(trainer)
            assert averaged, "there was nothing to average"
            parts |= {f"average.{name}": value for name, value in averaged.items()}
    rates = [group["lr"] for group in trainer.optimizers[0].param_groups]
    rest = (trainer.global_step, checkpoints.best_score, *rates)
    return {**parts, "rest": torch.tensor(rest, dtype=torch.float64)}


def _different(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    return [name for name in a.keys() | b.keys() if not torch.equal(a[name], b[name])]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"max_epochs": 3, "accumulate_grad_batches": 2},
        {"val_check_interval": 2},
        {"val_check_interval": 0.5, "accumulate_grad_batches": 2},
        {"check_val_every_n_epoch": 2, "max_epochs": 4},
        {"max_epochs": -1, "max_steps": 12},
        {"val_check_interval": 3, "check_val_every_n_epoch": None},
        {"limit_train_batches": 3},
        {"patience": 1, "max_epochs": 9},
        {
            "model": {"schedule": "plateau", "schedule_options": {"factor": 0.1}},
            "average": "best:2",
            "val_check_interval": 2,
        },
        pytest.param(
            {"average": "swa", "accumulate_grad_batches": 2, "max_epochs": 3},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            {"average": "ema", "model": {"schedule": "warmup_stable_decay", "layer_decay": 0.7}},
            marks=pytest.mark.slow,
        ),
        pytest.param({"workers": 2}, marks=pytest.mark.slow),
        pytest.param({"workers": 2, "limit_train_batches": 3}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_from_every_checkpoint_a_training_ends_with_the_same_bits(
    fit: Callable[..., Any], tmp_path: Path, options: dict[str, Any]
) -> None:
    whole = _state(*fit(tmp_path / "whole", **options))
    copies = sorted((tmp_path / "whole" / "copies").iterdir())
    assert len(copies) >= 3
    wrong = {}
    for copy in copies:
        wrong[copy.name] = _different(_state(*fit(copy, **options)), whole)[:3]
    assert not {name: parts for name, parts in wrong.items() if parts}
