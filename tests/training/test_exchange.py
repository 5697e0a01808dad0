"""Processes average gradients of embeddings by the rows that were touched."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Trainer
from torch import nn

from tests.conftest import without_dropout
from tests.training.exchange_runs import (
    CASES,
    ROWS,
    averaged,
    drawn,
    odd,
    refused_memory,
    shared,
    train_counting,
)
from tests.training.workers import together
from zoo.training import shared_memory
from zoo.training.exchange import RowwiseDDPStrategy, row_embeddings


@pytest.mark.slow
@pytest.mark.parametrize("world", [2, 3])
def test_rows_are_averaged_as_whole_gradients_are(world: int, tmp_path: Path) -> None:
    found = together(world, averaged, tmp_path / "out", list(CASES), world)
    for case in CASES:
        own = [drawn(case, rank) for rank in range(world)]
        for one in found:
            ours, plain, sent = (one[case][name] for name in ("ours", "plain", "sent"))
            if case == "no gradient anywhere":
                assert ours is None
                continue
            mean = sum(each.double() for each in own if each is not None) / world
            torch.testing.assert_close(ours.double(), torch.as_tensor(mean), atol=1e-6, rtol=1e-6)
            torch.testing.assert_close(ours, plain, atol=1e-6, rtol=1e-6)
            assert sent == (case == "all in the last"), case
            assert torch.equal(ours, found[0][case]["ours"]), case
            if world == 2:  # a sum of two is the same whichever comes first
                assert torch.equal(ours, plain), case


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_no_number_is_too_small_or_too_odd_to_be_sent(dtype: torch.dtype, tmp_path: Path) -> None:
    for mean in together(2, odd, tmp_path / "out", dtype, 2):
        assert mean[1, 1] == 2.0**-131
        assert mean[2, 2] == -(2.0**-131)
        assert mean[3, 3] == float("inf")
        assert mean[4, 4].isnan()
        assert mean.isfinite().sum() == mean.numel() - 2


has_memory = pytest.mark.skipif(
    not Path(shared_memory._FOLDER).is_dir(), reason="this system has no folder of memory"
)


@has_memory
@pytest.mark.slow
@pytest.mark.parametrize("world", [2, 3])
def test_means_through_shared_memory_are_those_of_a_plain_sum(world: int, tmp_path: Path) -> None:
    # 64 bytes at a time: less than one piece, one, and several with an odd end.
    found = together(world, shared, tmp_path / "out", [1, 8, 16, 100, 1001], 64, world)
    assert [one["made"] for one in found] == [1] + [0] * (world - 1)
    assert found[0]["left"] == [False]
    for one in found:
        for (ours, plain), (first, _) in zip(one["pairs"], found[0]["pairs"], strict=True):
            close = 2e-2 if ours.dtype == torch.bfloat16 else 1e-6
            torch.testing.assert_close(ours, plain, atol=close, rtol=close)
            assert torch.equal(ours, first)
            if world == 2:
                assert torch.equal(ours, plain)


@has_memory
@pytest.mark.slow
def test_processes_agree_whether_they_share_memory(tmp_path: Path) -> None:
    found = together(2, refused_memory, tmp_path / "out", 2)
    assert found == [[False, False, True]] * 2


@has_memory
def test_memory_that_is_not_there_or_is_another_is_not_shared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_memory, "_FOLDER", str(tmp_path / "missing"))
    assert shared_memory._new_file(64) is None
    monkeypatch.setattr(shared_memory, "_FOLDER", str(tmp_path))

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "posix_fallocate", full)
        assert shared_memory._new_file(64) is None
    assert list(tmp_path.iterdir()) == []
    made = shared_memory._new_file(64)
    assert made is not None
    name, content = made
    assert shared_memory._mapped(name, content, 64) is not None
    assert shared_memory._mapped(name, b"another!", 64) is None
    assert shared_memory._mapped(name, content, 128) is None
    assert shared_memory._mapped(str(tmp_path / "missing"), content, 64) is None


@pytest.fixture
def wide(tiny: Callable[[str], Path], tmp_path: Path) -> str:
    """A tiny model without dropout, that knows far more words than a batch has."""
    from transformers import AutoConfig, AutoModel

    folder = tmp_path / "wide"
    shutil.copytree(tiny("bert"), folder)
    without_dropout(folder, vocab_size=1000)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        AutoModel.from_config(AutoConfig.from_pretrained(folder)).save_pretrained(folder)
    return str(folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("world", "window", "strategy"), [(2, 2, "by rows"), (2, 1, "by rows alone"), (3, 1, "by rows")]
)
def test_a_model_learns_the_same_by_rows(
    world: int, window: int, strategy: str, wide: str, corpus: Path, tmp_path: Path
) -> None:
    same = dict.fromkeys(("train", "validation", "test"), str(corpus))
    data = {**same, "batch_size": 4, "max_length": 64, "stride": 8}
    fit = {
        "max_steps": 8,
        "max_epochs": -1,
        "limit_val_batches": 0,
        "gradient_clip_val": 0.5,
        "accumulate_grad_batches": window,
    }
    plain, rows = (
        together(
            world,
            train_counting,
            tmp_path / name,
            "ner",
            wide,
            data,
            options={"world": world, "strategy": name, "fit": fit},
        )
        for name in ("plain ddp", strategy)
    )
    assert [one["exchanges"] for one in plain] == [0] * world
    assert [one["exchanges"] for one in rows] == [8] * world
    for ours, theirs in zip(rows, plain, strict=True):
        assert ours["losses"] == pytest.approx(theirs["losses"], abs=1e-5)
        assert ours["norms"] == pytest.approx(theirs["norms"], abs=1e-5)
        for name, weight in ours["weights"].items():
            torch.testing.assert_close(weight, theirs["weights"][name], atol=2e-5, rtol=1e-4)
            assert torch.equal(weight, rows[0]["weights"][name]), name


def _model(*, tied: bool = False, **options: Any) -> nn.ModuleDict:
    model = nn.ModuleDict(
        {
            "words": nn.Embedding(ROWS, 4, **options),
            "positions": nn.Embedding(ROWS // 2, 4),
            "output": nn.Linear(4, ROWS, bias=False),
        }
    )
    if tied:
        output: Any = model["output"]
        output.weight = model["words"].weight
    return model


def test_large_embeddings_are_found_that_no_other_layer_has() -> None:
    model = _model()
    (found,) = row_embeddings(model, fewest_rows=ROWS)
    assert found is model["words"].weight
    assert len(row_embeddings(model, fewest_rows=1)) == 2
    assert row_embeddings(model, fewest_rows=ROWS + 1) == []
    assert row_embeddings(_model(tied=True), fewest_rows=ROWS) == []
    assert row_embeddings(_model(sparse=True), fewest_rows=ROWS) == []


def test_frozen_embeddings_are_not_exchanged() -> None:
    model = _model()
    model["words"].weight.requires_grad_(False)
    assert row_embeddings(model, fewest_rows=ROWS) == []
    # `DistributedDataParallel` must have something to average.
    alone = _model()
    alone["positions"].weight.requires_grad_(False)
    alone["output"].weight.requires_grad_(False)
    assert row_embeddings(alone, fewest_rows=ROWS) == []


def test_ddp_is_the_strategy_that_exchanges_rows() -> None:
    trainer = Trainer(strategy="ddp", accelerator="cpu", devices=2, logger=False)
    assert isinstance(trainer.strategy, RowwiseDDPStrategy)
    assert trainer.strategy.exchange_rows is None
