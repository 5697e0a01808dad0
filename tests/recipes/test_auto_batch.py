"""`--auto_batch`: what it finds is kept, and the run is the one that the found budget gives."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from recipes.__main__ import main
from tests.recipes.test_ner_run import write_corpus


@pytest.fixture
def flags(
    tmp_path: Path, tiny: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    monkeypatch.chdir(tmp_path)
    write_corpus(tmp_path, sentences=300)
    return [
        f"--model.backbone={tiny('bert')}",
        f"--data.dataset={tmp_path}",
        "--data.batch_size=8",
        "--trainer.limit_val_batches=2",
        "--model.learning_rate=5e-3",
        "--trainer.max_epochs=1",
        "--trainer.log_every_n_steps=1",
        "--trainer.accelerator=cpu",
        "--trainer.logger=false",
    ]


def _config(run: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(Path(run, "config.yaml").read_text(encoding="utf-8"))
    return found


def _losses(run: str) -> list[float]:
    rows = map(json.loads, Path(run, "history.jsonl").read_text(encoding="utf-8").splitlines())
    return [row["train/loss"] for row in rows if "train/loss" in row]


def _weights(run: str) -> dict[str, torch.Tensor]:
    path = Path(run, "checkpoints", "last.ckpt")
    found: dict[str, torch.Tensor] = torch.load(path, weights_only=True)["state_dict"]
    return found


@pytest.mark.slow
def test_the_run_is_the_one_that_the_found_budget_gives(
    flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ner", "fit", *flags, "--auto_batch=true", "--run_dir=auto"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    kept = _config("auto")
    budget = kept["data"]["init_args"]["max_tokens"]
    assert kept["auto_batch"] is False
    assert f"auto_batch: {budget:,} tokens a batch" in said
    assert "The learning rate stays 0.005" in said
    assert kept["model"]["init_args"]["learning_rate"] == 5e-3

    given = [f"--data.max_tokens={budget}", "--run_dir=given"]
    assert main(["ner", "fit", *flags, *given]) == 0
    assert _losses("auto") == _losses("given")
    assert len(_losses("auto")) >= 15
    ours, theirs = _weights("auto"), _weights("given")
    assert all(torch.equal(ours[name], value) for name, value in theirs.items())

    assert main(["ner", "fit", "--config=auto/config.yaml", "--run_dir=again"]) == 0
    assert _losses("again") == _losses("auto")


@pytest.mark.slow
def test_a_resumed_run_keeps_its_budget_and_looks_for_no_other(
    flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ner", "fit", *flags, "--auto_batch=true", "--run_dir=run"]) == 0
    budget = _config("run")["data"]["init_args"]["max_tokens"]
    capsys.readouterr()
    assert main(["ner", "fit", "--resume=run", "--trainer.max_epochs=2"]) == 0
    assert "auto_batch" not in capsys.readouterr().out
    assert _config("run")["data"]["init_args"]["max_tokens"] == budget
    assert main(["ner", "fit", "--resume=run", "--auto_batch=true"]) == 2
    assert "--auto_batch is for runs that begin" in capsys.readouterr().err


def test_evaluating_refuses_to_look_for_a_budget(
    flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ner", "test", *flags, "--auto_batch=true"]) == 2
    assert "`test` fits nothing" in capsys.readouterr().err


def test_a_budget_below_the_longest_example_is_refused(
    flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ner", "fit", *flags, "--data.max_tokens=4", "--run_dir=run"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "--data.max_tokens 4 is less than the longest training example" in said
