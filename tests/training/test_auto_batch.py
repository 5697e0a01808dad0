"""Trial steps of a real task, over a device whose memory is made up."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from lightning import Trainer

from zoo import NERDataModule, NERTask
from zoo.data.token_budget import extent, largest_batches
from zoo.errors import ZooError
from zoo.training.auto_batch import BudgetSearch
from zoo.training.memory import Meter, is_out_of_memory

MakeTrainer = Callable[..., Trainer]


class _Device:
    """A meter that raises nothing and sees nothing: the task below runs out of memory itself."""

    limit, catchable = 100, True

    def reset(self) -> None: ...

    def peak(self) -> int:
        return 50


class _Greedy(NERTask):
    """Runs out of memory with more than so many tokens in a batch."""

    most = 0
    steps = 0

    def training_step(self, batch: Mapping[str, Any], batch_idx: int) -> Any:
        if batch["input_ids"].numel() > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        type(self).steps += 1
        return super().training_step(batch, batch_idx)


def _meter(*_: Any) -> Meter:
    return _Device()


def _search(make: MakeTrainer, data: NERDataModule, task: NERTask) -> tuple[BudgetSearch, Trainer]:
    longest = extent(data, None).longest
    search = BudgetSearch(
        lambda budget: largest_batches(data, budget),
        smallest=longest,
        largest=10_000,
        ran_out=is_out_of_memory,
        make_meter=_meter,
    )
    trainer = make(max_epochs=1, callbacks=[search], limit_val_batches=0)
    trainer.fit(task, data)
    return search, trainer


def test_running_out_of_memory_is_caught_and_the_budget_below_it_found(
    data: NERDataModule, bert: str, trainer: MakeTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Greedy, "most", 150)
    search, made = _search(trainer, data, _Greedy(bert, labels=data.labels))
    assert search.budget is not None
    assert search.budget.bound == "memory"
    tried = {trial.budget: trial.fits for trial in search.budget.trials}
    assert set(tried.values()) == {True, False}
    # What a budget's largest batch holds is at most the budget: one may do that is above 150.
    fits = max(one["input_ids"].numel() for one in largest_batches(data, search.budget.tokens))
    assert fits <= 150
    assert search.budget.tokens > 100
    assert made.global_step == 0  # no step of the trainer's own was done


def test_an_example_that_does_not_fit_alone_names_what_to_change(
    data: NERDataModule, bert: str, trainer: MakeTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Greedy, "most", 2)
    with pytest.raises(ZooError, match=r"Not even one .* fits.*--data\.max_length"):
        _search(trainer, data, _Greedy(bert, labels=data.labels))


def test_the_largest_batches_hold_the_longest_examples_and_the_most_rows(
    data: NERDataModule,
) -> None:
    batches = largest_batches(data, 120)
    lengths = data.training_sampler(120).lengths
    widths = [batch["input_ids"].shape for batch in batches]
    assert all(rows * width <= 120 for rows, width in widths)
    assert max(width for _, width in widths) == lengths.max()


def test_what_a_step_took_is_seen_by_the_meter_of_this_process() -> None:
    # A process of its own: one that held more before, and gave it back, may not tell.
    script = """
import torch
from zoo.training.memory import ProcessMeter
meter = ProcessMeter()
meter.reset()
before = meter.peak()
held = torch.ones(400 << 20, dtype=torch.uint8)
assert meter.peak() - before > 300 << 20, (meter.peak(), before)
assert meter.limit > before
"""
    subprocess.run([sys.executable, "-c", script], check=True)
