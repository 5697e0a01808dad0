"""Runs with an account, against a stand-in of W&B's server on the loopback."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.tracking.conftest import Written
from tests.tracking.wandb_stand_in import ENTITY, StandIn
from zoo.errors import ZooError
from zoo.tracking import wandb_logger
from zoo.tracking.wandb_logger import RunLogger
from zoo.tracking.wandb_record import WandbRecord

Read = Callable[[Path], Written]


def _logger(folder: Path, **changes: Any) -> RunLogger:
    settings: dict[str, Any] = {
        "name": "run-1",
        "group": "wnut17",
        "job_type": "fit",
        "tags": ["ner", "minilm-l6"],
        "monitor": "val/f1",
        **changes,
    }
    return RunLogger(folder, **settings)


def _model(folder: Path) -> Path:
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "config.json").write_text("{}", encoding="utf-8")
    return folder


def test_config_history_summary_and_lineage_arrive(tmp_path: Path, stand_in: StandIn) -> None:
    logger = _logger(tmp_path / "run", log_model=True)
    logger.log_settings({"model": {"learning_rate": 0.5}, "data_fingerprint": "abc"})
    logger.start()
    logger.log_data("ner sample", {"fingerprint": "abc", "sizes": {"train": 10}})
    logger.log_metrics({"train/loss": 1.5, "train/lr": 0.1, "epoch": 0}, step=9)
    logger.log_metrics({"val/f1": 0.75, "epoch": 0}, step=9)
    logger.log_metrics({"val/f1": 0.5, "epoch": 1}, step=19)
    logger.log_scores({"test/f1": 0.25})
    logger.log_model("ner/sample", _model(tmp_path / "model"), {"data": {"fingerprint": "abc"}})
    logger.finish()
    assert logger.arrived
    assert logger.offline_folder is None
    (name,) = stand_in.runs
    run = stand_in.runs[name]
    assert run["displayName"] == "run-1"
    assert (run["project"], run["groupName"], run["jobType"]) == ("zoo", "wnut17", "fit")
    assert run["config_values"]["model"] == {"learning_rate": 0.5}
    assert run["exit_code"] == 0
    assert stand_in.rows(name) == [
        {"_step": 0, "trainer/global_step": 9, "train/loss": 1.5, "train/lr": 0.1, "epoch": 0},
        {"_step": 1, "trainer/global_step": 9, "val/f1": 0.75, "epoch": 0},
        {"_step": 2, "trainer/global_step": 19, "val/f1": 0.5, "epoch": 1},
    ]
    summary = run["summary"]
    assert summary["val/f1"] == 0.75, "the best, not the last"
    assert (summary["best/step"], summary["best/epoch"]) == (9, 0)
    assert summary["test/f1"] == 0.25
    data, model = stand_in.artifacts_of("dataset"), stand_in.artifacts_of("model")
    assert [one["artifactCollectionName"] for one in data.values()] == ["data-ner-sample"]
    assert [one["artifactCollectionName"] for one in model.values()] == ["model-ner-sample"]
    assert {one["state"] for one in stand_in.artifacts.values()} == {"COMMITTED"}
    # Lineage: the run used the data, and made the model.
    assert stand_in.used == [(name, next(iter(data)))]
    assert stand_in.uploads[f"{next(iter(model))}/model.safetensors"] == b"weights"
    record = WandbRecord.read(tmp_path / "run")
    assert record is not None
    assert (record.id, record.entity, record.project) == (name, ENTITY, "zoo")
    assert record.url == logger.url
    assert stand_in.unknown == []


@pytest.mark.parametrize("key", ["x" * 40, "short"], ids=["unknown", "malformed"])
def test_a_refused_key_stops_the_run_before_training_and_names_the_ways_out(
    key: str, tmp_path: Path, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", key)
    logger = _logger(tmp_path / "run")
    began = time.monotonic()
    with pytest.raises(ZooError) as refused:
        logger.start()
    assert time.monotonic() - began < 20
    said = str(refused.value)
    assert "127.0.0.1 refuses this run" in said
    for way in ("WANDB_API_KEY", "wandb login", "WANDB_MODE=offline", "--trainer.logger false"):
        assert way in said
    assert key not in said
    assert stand_in.runs == {}
    logger.finish(failed=True)  # nothing was started, so nothing is left to end


def test_a_server_that_does_not_answer_leaves_the_run_on_disk(
    tmp_path: Path,
    stand_in: StandIn,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    written: Read,
) -> None:
    monkeypatch.setattr(wandb_logger, "_BEGIN", 2.0)
    stand_in.broken = 503
    logger = _logger(tmp_path / "run")
    logger.start()
    logger.log_metrics({"val/f1": 0.5}, step=1)
    logger.finish()
    assert "does not answer, so this run is kept on disk only" in caplog.text
    folder = logger.offline_folder
    assert folder is not None
    assert folder.name.startswith("offline-run-")
    assert [row["val/f1"] for row in written(folder).rows] == [0.5]
    assert logger.url is None


def test_a_server_that_goes_away_neither_stops_the_run_nor_keeps_it_waiting(
    tmp_path: Path, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, written: Read
) -> None:
    monkeypatch.setattr(wandb_logger, "_END", 3.0)
    logger = _logger(tmp_path / "run")
    logger.start()
    logger.log_metrics({"val/f1": 0.25}, step=1)
    stand_in.broken = 503
    began = time.monotonic()
    for step in range(2, 50):
        logger.log_metrics({"val/f1": step / 100}, step=step)
    logged = time.monotonic() - began
    logger.log_model("ner", _model(tmp_path / "model"), {})
    logger.finish()
    assert logged < 30, "rows of history never wait for the server"
    assert time.monotonic() - began < 120
    assert not logger.arrived
    folder = logger.offline_folder
    assert folder is not None
    assert len(written(folder).rows) == 49
    # What did not arrive can be sent with the command that is named.
    stand_in.broken = None
    _sync(logger)
    (name,) = stand_in.runs
    assert [row["trainer/global_step"] for row in stand_in.rows(name)] == list(range(1, 50))
    assert stand_in.runs[name]["summary"]["val/f1"] == 0.49


@pytest.mark.parametrize("mode", ["online", "offline"])
def test_a_resumed_run_goes_on_in_the_same_one_with_no_step_twice(
    mode: str, tmp_path: Path, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", mode)
    first = _logger(tmp_path / "run")
    first.log_metrics({"train/loss": 3.0, "epoch": 0}, step=9)
    first.log_metrics({"val/f1": 0.75, "epoch": 0}, step=9)
    first.log_metrics({"train/loss": 2.0, "epoch": 1}, step=19)
    first.log_metrics({"train/loss": 1.0, "epoch": 1}, step=29)
    first.finish(failed=True)
    # The checkpoint was of step 10: the resumed run does steps 10 to 29 once more.
    second = _logger(tmp_path / "run", resume=True)
    second.log_metrics({"train/loss": 2.0, "epoch": 1}, step=19)
    second.log_metrics({"train/loss": 1.0, "epoch": 1}, step=29)
    second.log_metrics({"val/f1": 0.5, "epoch": 1}, step=29)
    second.log_metrics({"train/loss": 0.5, "epoch": 2}, step=39)
    second.finish()
    if mode == "offline":
        assert stand_in.runs == {}
        monkeypatch.delenv("WANDB_MODE")
        _sync(second)
    (name,) = stand_in.runs
    assert stand_in.rows(name) == [
        {"_step": 0, "trainer/global_step": 9, "train/loss": 3.0, "epoch": 0},
        {"_step": 1, "trainer/global_step": 9, "val/f1": 0.75, "epoch": 0},
        {"_step": 2, "trainer/global_step": 19, "train/loss": 2.0, "epoch": 1},
        {"_step": 3, "trainer/global_step": 29, "train/loss": 1.0, "epoch": 1},
        {"_step": 4, "trainer/global_step": 29, "val/f1": 0.5, "epoch": 1},
        {"_step": 5, "trainer/global_step": 39, "train/loss": 0.5, "epoch": 2},
    ]
    assert stand_in.runs[name]["summary"]["val/f1"] == 0.75
    assert stand_in.runs[name]["exit_code"] == 0


def _sync(logger: RunLogger) -> None:
    """The command that a person is told to type."""
    command = [sys.executable, "-m", "wandb", *logger.sync_command, "--yes"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=240, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stdout + done.stderr
