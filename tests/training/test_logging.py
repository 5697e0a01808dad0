"""What is logged of training steps, and what is left out where nobody keeps it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lightning import Callback, Trainer, seed_everything
from lightning.pytorch.loggers.logger import DummyLogger

from zoo import NERDataModule, NERTask
from zoo.tracking.progress import ProgressBar
from zoo.tracking.recorder import Recorder
from zoo.tracking.run_folder import RunFolder

MakeTrainer = Callable[..., Trainer]


class _Rows(DummyLogger):
    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[int | None, dict[str, Any]]] = []

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        self.rows.append((step, dict(metrics)))


class _Seen(Callback):
    """The loss that a callback finds after each step, and the step's own."""

    def __init__(self, *, found: bool) -> None:
        self.looks = found
        self.found: list[float] = []
        self.own: list[float] = []

    def on_train_batch_end(self, trainer: Trainer, *arguments: Any) -> None:
        if self.looks:
            self.found.append(float(trainer.callback_metrics["train/loss"]))
        self.own.append(float(arguments[1]["loss"]))


@pytest.fixture
def fit(data: NERDataModule, bert: str, trainer: MakeTrainer) -> Callable[..., tuple[Any, ...]]:
    """A function that fits for two epochs: rows with a loss, the losses, and how many were logged.

    40 sentences in batches of 8: five steps an epoch.
    """

    def run(*callbacks: Callback, logs_steps: bool, **options: Any) -> tuple[list[Any], _Seen, int]:
        logged, rows, seen = 0, _Rows(), _Seen(found=logs_steps)
        task = NERTask(bert, labels=data.labels, learning_rate=1e-3)
        task.logs_steps = logs_steps
        log = task.log

        def counted(name: str, *arguments: Any, **given: Any) -> None:
            nonlocal logged
            logged += name == "train/loss"
            log(name, *arguments, **given)

        task.log = counted  # type: ignore[method-assign]
        seed_everything(5)
        fitting = trainer(
            max_epochs=2,
            logger=rows,
            log_every_n_steps=3,
            callbacks=[seen, *callbacks],
            **options,
        )
        fitting.fit(task, data)
        kept = [
            (step, {name: value for name, value in row.items() if not name.startswith("val/")})
            for step, row in rows.rows
            if "train/loss" in row
        ]
        return kept, seen, logged

    return run


def test_callbacks_find_the_loss_of_each_step_unless_it_is_told_that_none_looks(fit: Any) -> None:
    kept, seen, logged = fit(logs_steps=True)
    assert [step for step, _ in kept] == [2, 5, 8]
    assert logged == 10
    assert seen.found == pytest.approx(seen.own, rel=1e-5)
    assert fit(logs_steps=False)[::2] == ([], 0)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_recorder_logs_what_lightning_would(fit: Any, tmp_path: Path, accumulate: int) -> None:
    folder = RunFolder(tmp_path / "run")
    right, _, _ = fit(logs_steps=True, accumulate_grad_batches=accumulate)
    mine, _, logged = fit(Recorder(folder), logs_steps=False, accumulate_grad_batches=accumulate)
    assert logged == 0
    assert [step for step, _ in mine] == [step for step, _ in right]
    assert len(right) == (3 if accumulate == 1 else 2)
    for (_, row), (_, other) in zip(mine, right, strict=True):
        assert row == pytest.approx({name: float(value) for name, value in other.items()})
    # Lightning counts steps from 0, the run's own history as people do.
    history = [row for row in folder.read_history() if "train/loss" in row]
    assert [row["step"] for row in history] == [step + 1 for step, _ in mine]
    for row, (_, other) in zip(history, mine, strict=True):
        assert {name: row[name] for name in other} == pytest.approx(other)


def test_the_bar_shows_the_loss_of_the_last_step_though_it_is_not_logged(
    fit: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    shown: list[float] = []

    class Bar(ProgressBar):
        def get_metrics(self, trainer: Any, pl_module: Any) -> dict[str, Any]:
            found = super().get_metrics(trainer, pl_module)
            shown.append(found.get("train/loss", -1.0))
            return found

    _, seen, logged = fit(Bar(), logs_steps=False, enable_progress_bar=True)
    assert logged == 0
    assert shown[-1] == pytest.approx(seen.own[-1], rel=1e-5)
    assert {round(one, 4) for one in shown} <= {-1.0, *(round(one, 4) for one in seen.own)}
