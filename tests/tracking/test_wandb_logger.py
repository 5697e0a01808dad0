"""Runs of Weights & Biases: real offline runs, read back from their files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import wandb
from lightning import LightningModule, Trainer

from tests.tracking.conftest import Written
from zoo.tracking import wandb_logger
from zoo.tracking.report import ConfusionMatrix, Curve, Table, TaskReport
from zoo.tracking.wandb_logger import RunLogger, has_account

pytestmark = pytest.mark.usefixtures("nobodys_account")

Read = Callable[[Path], Written]


def _logger(folder: Path, name: str = "run-1", **changes: Any) -> RunLogger:
    settings: dict[str, Any] = {
        "name": name,
        "group": "wnut17",
        "job_type": "fit",
        "tags": ["ner", "minilm-l6"],
        **changes,
    }
    return RunLogger(folder, **settings)


def _folder(logger: RunLogger) -> Path:
    folder = logger.offline_folder
    assert folder is not None
    return folder


def test_without_a_key_a_whole_run_is_written_offline(tmp_path: Path, written: Read) -> None:
    logger = _logger(tmp_path / "run")
    logger.log_settings({"seed": 42, "model": {"learning_rate": 0.5}})
    logger.log_metrics({"train/loss": 1.5, "train/lr": 0.1}, step=10)
    logger.log_metrics({"val/f1": 0.25}, step=20)
    logger.log_settings({"git_commit": "abc"})
    logger.finish()
    folder = _folder(logger)
    assert folder.parent == tmp_path / "run" / "wandb"
    assert folder.name.startswith("offline-run-")
    run = written(folder)
    assert (run.run.project, run.run.display_name) == ("zoo", "run-1")
    assert (run.run.run_group, run.run.job_type) == ("wnut17", "fit")
    assert sorted(run.run.tags) == ["minilm-l6", "ner"]
    assert run.config["seed"] == 42
    assert run.config["model"] == {"learning_rate": 0.5}
    assert run.config["git_commit"] == "abc"
    logged = [
        {key: value for key, value in row.items() if not key.startswith("_")} for row in run.history
    ]
    assert logged == [
        {"train/loss": 1.5, "train/lr": 0.1, "trainer/global_step": 10},
        {"val/f1": 0.25, "trainer/global_step": 20},
    ]
    assert run.exit_code == 0


def test_two_loggers_in_one_process_make_two_runs(tmp_path: Path, written: Read) -> None:
    first, second = _logger(tmp_path, "first"), _logger(tmp_path, "second")
    first.log_metrics({"a": 1.0}, step=1)
    second.log_metrics({"b": 2.0}, step=1)
    first.log_metrics({"a": 3.0}, step=2)
    first.finish()
    second.log_metrics({"b": 4.0}, step=2)
    second.finish()
    one, two = written(_folder(first)), written(_folder(second))
    assert one.run.run_id != two.run.run_id
    assert [row.get("a") for row in one.history] == [1.0, 3.0]
    assert [row.get("b") for row in two.history] == [2.0, 4.0]
    assert not any("b" in row for row in one.history)


def test_a_run_of_the_notebook_is_left_alone(tmp_path: Path, written: Read) -> None:
    own = wandb.init(mode="offline", dir=tmp_path, settings=wandb.Settings(silent=True))
    logger = _logger(tmp_path)
    logger.log_metrics({"a": 1.0}, step=1)
    assert logger.experiment.id != own.id
    logger.finish()
    own.log({"mine": 1.0})
    own.finish()
    run = written(Path(own.dir).parent)
    assert [row["mine"] for row in run.history] == [1.0]
    assert run.run.project != "zoo"


def test_the_report_is_in_the_summary_and_in_tables_of_the_same_keys(
    tmp_path: Path, written: Read
) -> None:
    report = TaskReport(
        tables={"errors": Table("Errors", ("kind", "score"), [("missed", 0.5), ("wrong", 0.25)])},
        predictions=[],
        confusion=ConfusionMatrix(["PER", "LOC"], [[2, 1], [0, 3]]),
        curves={"threshold": Curve("F1 by threshold", "threshold", "f1", {"f1": [(0.0, 0.5)]})},
    )
    logger = _logger(tmp_path)
    logger.log_report(report, {"test/f1": 0.75, "baseline/lookup/f1": 0.5})
    logger.finish()
    folder = _folder(logger)
    run = written(folder)
    assert run.summary["test/f1"] == 0.75
    assert run.summary["baseline/lookup/f1"] == 0.5
    tables = {
        path.name.split("_table")[0]: json.loads(path.read_text())
        for path in (folder / "files" / "media" / "table" / "test").glob("*.json")
    }
    errors = next(table for name, table in tables.items() if name.startswith("errors"))
    assert errors["columns"] == ["kind", "score"]
    assert errors["data"] == [["missed", 0.5], ["wrong", 0.25]]
    curve = next(table for name, table in tables.items() if name.startswith("threshold"))
    assert [0.0, "f1", 0.5] in [list(row) for row in curve["data"]]
    matrix = next(table for name, table in tables.items() if name.startswith("confusion"))
    assert sorted(map(tuple, matrix["data"])) == [
        ("LOC", "LOC", 3),
        ("LOC", "PER", 0),
        ("PER", "LOC", 1),
        ("PER", "PER", 2),
    ]


def test_a_failed_run_is_marked_and_finished_only_once(tmp_path: Path, written: Read) -> None:
    logger = _logger(tmp_path)
    logger.log_metrics({"a": 1.0}, step=1)
    logger.finish(failed=True)
    logger.finish()
    assert written(_folder(logger)).exit_code == 1


def test_a_run_that_logged_nothing_was_never_started(tmp_path: Path) -> None:
    logger = _logger(tmp_path)
    logger.log_settings({"seed": 1})
    logger.finish()
    assert logger.offline_folder is None
    assert not (tmp_path / "wandb").exists()


def test_a_trainer_logs_through_it_without_a_copy_of_the_arguments(
    tmp_path: Path, written: Read
) -> None:
    logger = _logger(tmp_path)
    module = LightningModule()
    module.save_hyperparameters({"learning_rate": 0.5})
    trainer = Trainer(
        accelerator="cpu", logger=logger, enable_checkpointing=False, enable_progress_bar=False
    )
    assert trainer.logger is logger
    trainer.logger.log_hyperparams(dict(module.hparams))
    logger.log_settings({"seed": 1})
    logger.log_metrics({"a": 1.0}, step=0)
    logger.finish()
    config = written(_folder(logger)).config
    assert {key for key in config if not key.startswith("_")} == {"seed"}


def test_a_disabled_run_has_nothing_to_send(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    logger = _logger(tmp_path)
    logger.log_metrics({"a": 1.0}, step=1)
    logger.finish()
    assert logger.offline_folder is None
    assert not list(tmp_path.glob("wandb/*run-*"))


@pytest.mark.parametrize(
    ("environment", "netrc", "expected"),
    [
        ({}, None, False),
        ({"WANDB_API_KEY": "x"}, None, True),
        ({"WANDB_API_KEY": "x", "WANDB_MODE": "offline"}, None, False),
        ({"WANDB_API_KEY": "x", "WANDB_MODE": "disabled"}, None, False),
        ({"WANDB_API_KEY": "x", "WANDB_MODE": "online"}, None, True),
        ({"WANDB_BASE_URL": "https://wandb.example.org"}, "machine wandb.example.org", True),
        ({"WANDB_BASE_URL": "https://wandb.example.org"}, "machine other.example.org", False),
    ],
)
def test_an_account_is_a_key_unless_the_user_stays_offline(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    netrc: str | None,
    expected: bool,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    if netrc is not None:
        path = tmp_path / "home" / ".netrc"
        path.write_text(f"{netrc}\n  login user\n  password secret\n")
        path.chmod(0o600)
    assert has_account() is expected


def test_the_project_is_the_users_choice(
    tmp_path: Path, written: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_PROJECT", "theirs")
    logger = _logger(tmp_path)
    logger.log_metrics({"a": 1.0}, step=1)
    logger.finish()
    assert written(_folder(logger)).run.project == "theirs"


def test_a_connection_that_is_lost_stops_no_training_and_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(wandb_logger.log, "warning", said.append)
    logger = _logger(tmp_path / "run")
    logger.log_metrics({"train/loss": 1.5}, step=1)

    def lost(*_: Any, **__: Any) -> None:
        raise ConnectionResetError("Connection lost")

    run = logger.experiment
    with monkeypatch.context() as broken:
        broken.setattr(run, "log", lost)
        broken.setattr(type(run.summary), "update", lost)
        logger.log_metrics({"train/loss": 1.25}, step=2)
        logger.log_metrics({"train/loss": 1.0}, step=3)
        logger.log_scores({"test/f1": 0.5})
    (sentence,) = said
    assert "no longer takes what is logged (Connection lost)" in sentence
    assert logger.failed
    with monkeypatch.context() as broken:
        broken.setattr(run, "finish", lost)
        logger.finish()
    assert "could not end this run" in said[-1]
    run.finish()
