"""The bar in a terminal is right whenever a person looks, and costs little in between."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from lightning import Callback, Trainer
from lightning.pytorch.demos.boring_classes import BoringModel

from zoo.tracking.progress import ProgressBar


class _Look(Callback):
    """Where the bar stands after each batch, when a validation begins, and at the epoch's end."""

    def __init__(self, bar: ProgressBar) -> None:
        self.bar = bar
        self.steps: list[int] = []
        self.before: list[int] = []
        self.after: list[int] = []

    def _place(self) -> int:
        return int(self.bar.train_progress_bar.completed)

    def on_train_batch_end(self, *_: Any) -> None:
        self.steps.append(self._place())

    def on_validation_start(self, *_: Any) -> None:
        self.before.append(self._place())

    def on_train_epoch_end(self, *_: Any) -> None:
        self.after.append(self._place())


@pytest.fixture
def look(
    trainer: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch
) -> Callable[[float], _Look]:
    """A function that trains while so many seconds pass at each look at the clock."""

    def run(tick: float) -> _Look:
        now = 100.0

        def monotonic() -> float:
            nonlocal now
            now += tick
            return now

        monkeypatch.setattr("zoo.tracking.progress.time", SimpleNamespace(monotonic=monotonic))
        bar = ProgressBar()
        seen = _Look(bar)
        trainer(
            callbacks=[bar, seen],
            enable_progress_bar=True,
            limit_train_batches=7,
            limit_val_batches=1,
            val_check_interval=4,
        ).fit(BoringModel())
        return seen

    return run


def test_slow_steps_move_the_bar_each(look: Callable[[float], _Look]) -> None:
    seen = look(1.0)
    assert seen.steps == [1, 2, 3, 4, 5, 6, 7]
    assert (seen.before, seen.after) == ([4], [7])


def test_fast_steps_move_it_now_and_then_but_it_is_right_while_training_waits(
    look: Callable[[float], _Look],
) -> None:
    seen = look(0.0)
    assert seen.steps == [1, 1, 1, 1, 4, 4, 4]
    assert (seen.before, seen.after) == ([4], [7])
