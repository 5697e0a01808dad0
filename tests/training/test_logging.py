"""What is logged of training steps, and what is left out where nobody keeps it."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from lightning import Callback, Trainer
from lightning.pytorch.loggers.logger import DummyLogger

from zoo import NERDataModule, NERTask

MakeTrainer = Callable[..., Trainer]


class _Rows(DummyLogger):
    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[int | None, dict[str, Any]]] = []

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        self.rows.append((step, dict(metrics)))


class _Seen(Callback):
    """The loss that a callback finds after each step, and the step's own."""

    def __init__(self) -> None:
        self.found: list[float] = []
        self.own: list[float] = []

    def on_train_batch_end(self, trainer: Trainer, *arguments: Any) -> None:
        self.found.append(float(trainer.callback_metrics["train/loss"]))
        self.own.append(float(arguments[1]["loss"]))


@pytest.fixture
def fit(
    data: NERDataModule, bert: str, trainer: MakeTrainer, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[list[Any], _Seen, int]]:
    """A function that fits while so many seconds pass at each look at the clock."""

    def run(tick: float, pause: float) -> tuple[list[Any], _Seen, int]:
        now, seen = 0.0, _Seen()

        def monotonic() -> float:
            nonlocal now
            now += tick
            return now

        monkeypatch.setattr("zoo.training.optimizing.time", SimpleNamespace(monotonic=monotonic))
        logged = 0
        task = NERTask(bert, labels=data.labels)
        task.loss_pause = pause
        log = task.log

        def counted(name: str, *arguments: Any, **options: Any) -> None:
            nonlocal logged
            logged += name == "train/loss"
            log(name, *arguments, **options)

        monkeypatch.setattr(task, "log", counted)
        rows = _Rows()
        # 40 sentences in batches of 8: five steps an epoch.
        made = trainer(max_epochs=2, logger=rows, log_every_n_steps=3, callbacks=[seen])
        made.fit(task, data)
        kept = [
            (step, {name: value for name, value in row.items() if name.startswith("train/")})
            for step, row in rows.rows
            if "train/loss" in row
        ]
        return kept, seen, logged

    return run


def test_what_is_kept_of_the_loss_is_that_of_its_step_however_fast_the_steps_are(fit: Any) -> None:
    # Each step is slow enough to be shown; or no time passes: then steps 3, 6 and 9 are logged,
    # the last of each epoch, and the very first.
    for tick, places in ((1.0, range(10)), (0.0, (0, 2, 4, 5, 8, 9))):
        kept, seen, logged = fit(tick, 0.2)
        assert [step for step, _ in kept] == [2, 5, 8]
        for step, row in kept:
            assert row["train/loss"] == pytest.approx(seen.own[step], rel=1e-5)
            assert row["train/lr"] > 0
        assert logged == len(places)
        for place in places:
            assert seen.found[place] == pytest.approx(seen.own[place], rel=1e-5)


def test_callbacks_find_the_loss_of_each_step_unless_it_is_told_that_none_looks(fit: Any) -> None:
    kept, seen, logged = fit(0.0, 0.0)
    assert [step for step, _ in kept] == [2, 5, 8]
    assert logged == 10
    assert seen.found == pytest.approx(seen.own, rel=1e-5)
