"""Recipes with a schedule, an average or a learning-rate finder, through the command line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from recipes.__main__ import main
from tests.recipes.test_ner_run import metrics_of, small, write_corpus
from zoo.tracking.averaging import StepAverage


@pytest.fixture
def flags(
    tmp_path: Path, tiny: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    monkeypatch.chdir(tmp_path)
    write_corpus(tmp_path)
    return [*small(tmp_path, tiny), "--trainer.logger=false"]


def _weights(run: str) -> dict[str, torch.Tensor]:
    return load_file(Path(run, "model", "model.safetensors"))


def test_an_average_becomes_the_model_only_where_validation_is_better(
    flags: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ner", *flags, "--run_dir=good"]) == 0
    best = torch.load("good/checkpoints/best.ckpt", weights_only=True)["state_dict"]
    assert metrics_of("good")["test/f1"] > 0.9
    capsys.readouterr()

    # Whatever was averaged, these are the weights of a trained model.
    monkeypatch.setattr(StepAverage, "weights", lambda self, trainer: best)
    slow = [*flags, "--model.learning_rate=1e-9", "--average=ema"]
    assert main(["ner", *slow, "--run_dir=kept"]) == 0
    assert "The average is the model." in capsys.readouterr().out.replace("\n", " ")
    kept, good = metrics_of("kept"), metrics_of("good")
    for name in ("val/f1", "val/loss", "test/f1", "test/loss"):
        assert kept[name] == pytest.approx(good[name], abs=1e-6), name
    assert kept["average/f1"] == kept["val/f1"]
    for name, value in _weights("kept").items():
        assert torch.equal(value, _weights("good")[name]), name
    # Its checkpoint tests as the run did.
    assert main(["ner", "test", *flags, "--ckpt_path=kept/checkpoints/average.ckpt",
                 "--run_dir=again"]) == 0  # fmt: skip
    assert metrics_of("again")["test/f1"] == kept["test/f1"]

    nothing = {name: torch.zeros_like(value) for name, value in best.items()}
    monkeypatch.setattr(StepAverage, "weights", lambda self, trainer: nothing)
    assert main(["ner", *flags, "--average=swa", "--run_dir=left"]) == 0
    assert "The best checkpoint is the model." in capsys.readouterr().out.replace("\n", " ")
    assert "best checkpoint is the model" in Path("left/report.md").read_text(encoding="utf-8")
    assert not Path("left/checkpoints/average.ckpt").exists()
    for name, value in _weights("left").items():
        assert torch.equal(value, _weights("good")[name]), name
    assert metrics_of("left")["test/f1"] == good["test/f1"]


def test_an_average_that_is_not_kept_leaves_nothing_behind(
    flags: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(average: StepAverage, trainer: Any) -> dict[str, torch.Tensor]:
        named = trainer.lightning_module.named_parameters()
        return {name: torch.zeros_like(own) for name, own in named}

    monkeypatch.setattr(StepAverage, "weights", nothing)
    # Then the run goes on with what it ended with.
    monkeypatch.setattr("recipes.run.why_damaged", lambda path: "it was cut off")
    assert main(["ner", "fit", *flags, "--average=swa", "--run_dir=run"]) == 0
    last = torch.load("run/checkpoints/last.ckpt", weights_only=True)["state_dict"]
    for name, value in _weights("run").items():
        assert torch.equal(value, last[f"model.{name}"]), name


@pytest.mark.parametrize(
    "adaptation", ["full", *(pytest.param(k, marks=pytest.mark.slow) for k in ("lora", "gradual"))]
)
def test_a_run_with_every_choice_at_once_resumes_to_the_same_scores(
    adaptation: str, flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = [
        *flags,
        f"--model.adaptation={adaptation}",
        "--average=best:2",
        "--early_stopping=4",
        "--model.schedule=plateau",
        "--model.schedule_options.patience=2",
        "--model.layer_decay=0.8",
        "--trainer.val_check_interval=4",
    ]
    assert main(["ner", *chosen, "--run_dir=run"]) == 0
    assert "Averaged weights (best of steps" in " ".join(capsys.readouterr().out.split())
    first = metrics_of("run")
    Path("run/metrics.json").unlink()
    assert main(["ner", "--resume=run"]) == 0
    second = metrics_of("run")
    scores = [name for name in first if not name.startswith("perf/")]
    assert {name: first[name] for name in scores} == {name: second[name] for name in scores}
    config = Path("run/config.yaml").read_text(encoding="utf-8")
    assert "patience: 2" in config
    assert "average: best:2" in config


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--average=sometimes"], "--average sometimes: give none, swa, ema, or best:5"),
        (["--average=ema", "--trainer.enable_checkpointing=false"], "--average needs checkpoints"),
        (["--model.schedule=plateau", "--early_stopping=1"], "before --model.schedule plateau has"),
        (["--model.schedule_options.decay=0.1"], "the schedule linear has no such option"),
        (["--model.layer_decay=1.5"], "--model.layer_decay 1.5 must be above 0 and at most 1"),
    ],
)
def test_choices_that_do_not_go_together_are_refused_before_training(
    flags: list[str], more: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ner", *flags, *more]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not Path("runs").exists()


def test_a_learning_rate_is_found_with_a_picture_and_a_command(
    flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = set(Path().rglob("*"))
    flags = [one.replace("batch_size=8", "batch_size=4") for one in flags]
    assert main(["find_lr", "ner", "--steps=40", *flags]) == 0
    shown = capsys.readouterr().out
    assert set(Path().rglob("*")) - before == {Path("lr_find.png")}
    assert Path("lr_find.png").read_bytes()[:4] == b"\x89PNG"
    command = next(line for line in shown.splitlines() if line.startswith("next"))
    rate = float(command.split("--model.learning_rate ")[1])
    assert 1e-5 < rate < 0.5
    assert "-m recipes ner" in command
    assert f"--data.dataset={Path.cwd()}" in command


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "The recipe's name comes first"),
        (["nerr"], "no recipe 'nerr'"),
        (["ner", "--picture=somewhere"], "ends in .png"),
        (["ner", "--smallest=0"], "smallest one above 0"),
        (["ner", "--data.batch_size=64"], "Give a smaller --data.batch_size"),
        (["ner", "--run_dir=x"], "--run_dir is for a run"),
    ],
)
def test_a_mistaken_search_for_a_rate_says_what_to_give(
    flags: list[str], arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    own: Any = [] if len(arguments) < 2 else [one for one in flags if "batch" not in one]
    assert main(["find_lr", *arguments[:1], *own, *arguments[1:]]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
