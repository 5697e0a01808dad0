"""How fast and how large a training is."""

import resource
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import BertConfig, BertModel

from zoo.tracking.throughput import Throughput, peak_memory_gib


class _Module:
    def __init__(self) -> None:
        self.logged: dict[str, float] = {}

    def log_dict(self, values: dict[str, float], **_: Any) -> None:
        self.logged |= values


class _Day:
    """A training whose clock is moved by hand."""

    def __init__(self, world_size: int = 1) -> None:
        self.now = 1000.0
        self.callback = Throughput()
        self.trainer: Any = SimpleNamespace(world_size=world_size)
        self.module: Any = _Module()

    def begin_epoch(self) -> None:
        self.callback.on_train_epoch_start(self.trainer, self.module)

    def step(self, seconds: float, tokens: int) -> None:
        batch = {"tokens": tokens}
        wait = seconds / 2  # for the batch; then the step itself
        self.now += wait
        self.callback.on_train_batch_start(self.trainer, self.module, batch, 0)
        self.now += seconds - wait
        self.callback.on_train_batch_end(self.trainer, self.module, None, batch, 0)

    def validate(self, seconds: float) -> None:
        self.callback.on_validation_start(self.trainer, self.module)
        self.now += seconds
        self.callback.on_validation_end(self.trainer, self.module)

    def end_epoch(self) -> float:
        self.callback.on_train_epoch_end(self.trainer, self.module)
        logged: float = self.module.logged["perf/tokens_per_second"]
        return logged


@pytest.fixture
def day(monkeypatch: pytest.MonkeyPatch) -> Callable[..., _Day]:
    def make(world_size: int = 1) -> _Day:
        made = _Day(world_size)
        monkeypatch.setattr("time.perf_counter", lambda: made.now)
        return made

    return make


def test_before_the_first_step_there_is_no_speed() -> None:
    assert Throughput().tokens_per_second == 0.0


def test_speed_is_tokens_over_the_time_of_the_steps(day: Callable[..., _Day]) -> None:
    one = day()
    one.begin_epoch()
    one.step(2.0, 300)
    one.step(1.0, 150)
    assert one.end_epoch() == pytest.approx(450 / 3)


def test_tokens_of_all_processes_count(day: Callable[..., _Day]) -> None:
    one = day(world_size=4)
    one.begin_epoch()
    one.step(2.0, 100)
    assert one.end_epoch() == pytest.approx(400 / 2)


def test_what_happens_between_epochs_does_not_count(day: Callable[..., _Day]) -> None:
    one = day()
    for _ in range(2):
        one.begin_epoch()
        one.step(1.0, 100)
        one.validate(50.0)
        assert one.end_epoch() == pytest.approx(100)
        one.now += 500.0


def test_validation_within_an_epoch_does_not_count_but_the_steps_after_it_do(
    day: Callable[..., _Day],
) -> None:
    one = day()
    one.begin_epoch()
    for _ in range(4):
        one.step(1.0, 100)
        one.validate(50.0)
    # Waiting for the first batch after a validation may be left out: half a second each here.
    assert 100 <= one.end_epoch() <= 400 / 2.5


def test_a_batch_that_does_not_count_its_tokens_is_no_error(day: Callable[..., _Day]) -> None:
    one = day()
    one.begin_epoch()
    one.callback.on_train_batch_end(one.trainer, one.module, None, {}, 0)
    assert one.end_epoch() == 0.0


def test_memory_is_the_peak_of_this_process() -> None:
    before = peak_memory_gib()
    block = bytearray(b"x") * (200 * 2**20)
    after = peak_memory_gib()
    assert len(block) == 200 * 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unit = 1 if sys.platform == "darwin" else 1024
    assert before <= after <= peak * unit / 2**30
    assert 0.01 < after < 64


def _batch(lengths: list[int], width: int) -> dict[str, Any]:
    mask = (torch.arange(width) < torch.tensor(lengths)[:, None]).long()
    return {"tokens": sum(lengths), "attention_mask": mask}


class _Small(_Module):
    """A module with a BERT of one layer, 4 wide."""

    def __init__(self) -> None:
        super().__init__()
        config = BertConfig(
            vocab_size=9,
            hidden_size=4,
            num_hidden_layers=1,
            num_attention_heads=1,
            intermediate_size=16,
        )
        self.net = BertModel(config)
        self.device = torch.device("cpu")


def test_shares_of_padding_and_of_the_peak_are_those_of_the_batches(
    day: Callable[..., _Day], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = day(world_size=2)
    one.module, one.trainer.precision = _Small(), "32-true"
    monkeypatch.setattr("zoo.tracking.throughput.gemm_peak", lambda *_, **__: 1000.0)
    one.callback.on_train_start(one.trainer, one.module)
    one.begin_epoch()
    for lengths, width in (([3, 5], 5), ([2, 2], 4)):
        one.now += 2.0
        batch = _batch(lengths, width)
        one.callback.on_train_batch_end(one.trainer, one.module, None, batch, 0)
    one.end_epoch()
    assert one.module.logged["perf/padding_share"] == pytest.approx(1 - 12 / 18)
    work = sum(3 * (24 * 16 * s + 4 * s * s * 4) for s in (3, 5, 2, 2))
    # Two processes do twice the work, at twice the peak.
    assert one.module.logged["perf/gemm_share"] == pytest.approx(work / (4.0 * 1000.0))
    again = Throughput()
    again.load_state_dict(one.callback.state_dict())
    assert again.figures["perf/padding_share"] == one.callback.figures["perf/padding_share"]


def test_a_model_whose_work_is_unknown_has_no_share_of_the_peak(day: Callable[..., _Day]) -> None:
    one = day()
    one.trainer.precision = "32-true"
    one.callback.on_train_start(one.trainer, one.module)
    one.begin_epoch()
    one.step(1.0, 100)
    one.end_epoch()
    assert "perf/gemm_share" not in one.module.logged


def test_lengths_of_many_batches_add_up_wherever_a_checkpoint_is_made(
    day: Callable[..., _Day], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoo.tracking.throughput.gemm_peak", lambda *_, **__: 1000.0)
    one = day()
    one.module, one.trainer.precision = _Small(), "32-true"
    one.callback.on_train_start(one.trainer, one.module)
    one.begin_epoch()
    real = positions = work = 0
    for number in range(150):
        lengths = [1 + number % 5, 2 + number % 3]
        one.now += 1.0
        batch = _batch(lengths, 6)
        one.callback.on_train_batch_end(one.trainer, one.module, None, batch, number)
        real, positions = real + sum(lengths), positions + 12
        work += sum(3 * (24 * 16 * s + 4 * s * s * 4) for s in lengths)
        if number == 100:
            state = one.callback.state_dict()
            assert (state["real_positions"], state["work"]) == (real, work)
    assert one.callback.figures["perf/padding_share"] == pytest.approx(1 - real / positions)
    assert one.callback.figures["perf/gemm_share"] == pytest.approx(work / (150 * 1000.0))
