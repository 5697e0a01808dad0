"""Distillation through the command line, on a tiny backbone: what it leaves, and again."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lightning import Callback, LightningModule, Trainer
from safetensors.torch import load_file

import recipes
from recipes.__main__ import main
from recipes.run import _begin
from tests.distillation.students import narrow
from zoo import NERTask
from zoo.distillation import Distillation
from zoo.training.auto_batch import BudgetSearch

_NAMES = ["Ada", "Bob", "Cleo", "Dora", "Emil"]
_PLACES = ["London", "Paris", "Rome", "Bern", "Oslo"]


@pytest.fixture
def flags(
    tmp_path: Path, tiny: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """Overrides that make a recipe small; a teacher lies in the folder `teacher`."""
    monkeypatch.chdir(tmp_path)
    chance = random.Random(5)
    for split in ("train", "validation", "test"):
        lines = [
            f"{chance.choice(_NAMES)}\tB-PER\nlived\tO\nin\tO\n{chance.choice(_PLACES)}\tB-LOC\n.\tO\n"
            for _ in range(40)
        ]
        (tmp_path / f"{split}.conll").write_text("\n".join(lines), encoding="utf-8")
    common = [
        f"--data.dataset={tmp_path}",
        "--data.batch_size=8",
        "--model.learning_rate=5e-3",
        "--trainer.accelerator=cpu",
        "--trainer.logger=false",
    ]
    backbone = f"--model.backbone={tiny('bert')}"
    assert main(["ner", *common, backbone, "--trainer.max_epochs=2", "--run_dir=teacher"]) == 0
    return [*common, "--trainer.max_epochs=1", "--distill.teacher=teacher", "--distill.layers=1"]


class StopsAfterAnEpoch(Callback):
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.should_stop = True


def scores_of(run: str) -> dict[str, float]:
    content: dict[str, float] = json.loads(Path(run, "metrics.json").read_text(encoding="utf-8"))
    return content


@pytest.mark.slow
def test_a_student_with_fewer_layers_is_a_run_as_any_other_beside_its_teacher(
    flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = load_file("teacher/model/model.safetensors")
    assert main(["distillation", *flags, "--run_dir=run", "--distill.baseline=true"]) == 0
    shown = capsys.readouterr().out
    assert "Teacher and student" in shown
    page = Path("run/report.md").read_text(encoding="utf-8")
    for name in ("| teacher |", "| student |", "| student without teacher |"):
        assert name in page
    student, teacher = (NERTask.from_run(run) for run in ("run", "teacher"))
    assert student.net.config.num_hidden_layers == 1
    assert teacher.net.config.num_hidden_layers == 2
    count = sum(one.numel() for one in student.net.parameters())
    assert f"{count:,}" in page
    scores = scores_of("run")
    assert scores["baseline/teacher/f1"] == scores_of("teacher")["test/f1"]
    assert scores["baseline/without_teacher/f1"] == scores_of("run/baseline")["test/f1"]
    assert scores["perf/times_as_fast"] > 0
    after = load_file("teacher/model/model.safetensors")
    assert all(torch.equal(before[name], after[name]) for name in before)
    # The student alone has never seen the teacher: neither its head nor its layers.
    alone = yaml.safe_load(Path("run/baseline/config.yaml").read_text(encoding="utf-8"))
    assert alone["distill"] is None
    assert alone["model"]["init_args"]["backbone"].endswith("student-without-teacher")
    assert main(["ner", "test", *flags[:1], "--model.backbone=run/model", "--trainer.logger=false",
                 "--run_dir=again"]) == 0  # fmt: skip
    assert scores_of("again")["test/f1"] == scores["test/f1"]


def test_the_saved_config_distils_again_with_the_same_scores(flags: list[str]) -> None:
    assert main(["distillation", *flags, "--run_dir=first"]) == 0
    assert main(["first/config.yaml", "--run_dir=second"]) == 0
    ours, theirs = (
        {name: value for name, value in scores_of(run).items() if not name.startswith("perf/")}
        for run in ("first", "second")
    )
    assert ours == theirs


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_to_the_same_weights(flags: list[str]) -> None:
    inside = ["--distill.hidden=1.0", "--distill.minilm=1.0", "--trainer.max_epochs=2"]
    assert main(["distillation", *flags, *inside, "--run_dir=whole"]) == 0
    cli = recipes.load("distillation", [*flags, *inside, "--run_dir=parts", "--checkpoint_every=3"])
    cli.trainer.callbacks.append(StopsAfterAnEpoch())  # type: ignore[attr-defined]
    _begin(cli)
    cli.trainer.fit(cli.model, cli.datamodule)
    assert main(["distillation", "--resume=parts"]) == 0
    whole, parts = (load_file(f"{run}/model/model.safetensors") for run in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


@pytest.mark.slow
def test_another_backbone_can_be_the_student(flags: list[str], tiny: Callable[[str], Path]) -> None:
    flags = [flag for flag in flags if "layers" not in flag]
    student = f"--model.backbone={narrow(tiny('bert'), Path('narrow'))}"
    assert main(["ner", *flags, student, "--run_dir=run"]) == 0
    assert NERTask.from_run("run").net.config.hidden_size == 16


def test_what_cannot_be_distilled_is_refused_in_a_sentence(
    flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for recipe, flag, said in (
        ("distillation", "--distill.teacher=nowhere", "recipes ner --run_dir nowhere"),
        ("classification", "--seed_everything=1", "recipes ner --distill.teacher teacher"),
        ("distillation", "--distill.layers=9", "the teacher has 2, so give 1 to 2"),
        ("distillation", "--distill.alpha=2", "--distill.alpha 2.0 is a share"),
        ("ner", "--distill.teacher=null", "--distill needs a teacher"),
    ):
        capsys.readouterr()
        assert main([recipe, *flags, flag, "--run_dir=run"]) == 2
        assert said in " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
def test_a_budget_is_looked_for_with_the_teacher_at_work(
    flags: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, bool]] = []
    say, texts = Distillation._say, Path("more.txt")
    texts.write_text("\n".join(f"Ada saw {name} ." for name in _NAMES * 4), encoding="utf-8")

    def noted(self: Distillation, batch: Any) -> Any:
        trainer: Any = self._task.trainer
        searching = any(isinstance(one, BudgetSearch) for one in trainer.callbacks)
        asked.append(("search" if searching else "fit", "rows" in batch))
        return say(self, batch)

    monkeypatch.setattr(Distillation, "_say", noted)
    more = ["--distill.cache_gib=0", f"--distill.unlabelled={texts}", "--run_dir=run"]
    assert main(["distillation", "fit", *flags, *more, "--auto_batch=true"]) == 0
    kinds = [kind for kind, _ in asked]
    assert kinds.count("search") >= 2
    assert kinds.count("fit") >= 2
    # Both what is labelled, of which trial batches say no rows, and what is not.
    assert {rows for kind, rows in asked if kind == "search"} == {True, False}
    known = yaml.safe_load(Path("run/config.yaml").read_text(encoding="utf-8"))
    assert known["data"]["init_args"]["max_tokens"] > 0
    teacher = NERTask.from_run("teacher")
    assert all(one.requires_grad for one in teacher.net.parameters())
