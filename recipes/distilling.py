"""What `--distill.teacher` adds to a recipe: the teacher, the student, and both in the report."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipes.trained import trained_task
from zoo import backbones
from zoo.distillation.settings import DistillationSettings
from zoo.errors import RunError, ZooError
from zoo.tracking.console import console, program, shown
from zoo.tracking.report import Table
from zoo.tracking.run_folder import RunFolder

if TYPE_CHECKING:
    from recipes.cli import RecipeCLI
    from zoo.training.task import FineTuningTask

#: Rows that speed is measured on.
_ROWS = 160
#: How long other processes wait for the first one to write the student, in seconds.
_PATIENCE = 600.0
#: What launchers tell the processes of one run, and another run must not hear.
_OF_THIS_RUN = (
    "ZOO_RUN_DIR",
    "RANK",
    "LOCAL_RANK",
    "NODE_RANK",
    "GROUP_RANK",
    "WORLD_SIZE",
    "LOCAL_WORLD_SIZE",
    "MASTER_ADDR",
    "MASTER_PORT",
    "TORCHELASTIC_RUN_ID",
    "WANDB_RUN_ID",
)


def settings_of(config: Any) -> DistillationSettings | None:
    """What the settings of a run say of distillation; None if nothing.

    Raises:
        ZooError: A value is out of its range, or no teacher is given.
    """
    given = config.get("distill")
    if given is None:
        return None
    settings = DistillationSettings(**vars(given))
    settings.check()
    if settings.teacher is None:
        raise ZooError(
            "--distill needs a teacher: --distill.teacher RUN, the folder of a run that was "
            "trained before."
        )
    return settings


def teacher_of(cli: "RecipeCLI", settings: DistillationSettings) -> "FineTuningTask":
    """The teacher, and the student made of it where one is asked for.

    Raises:
        ZooError: There is no such run, or it is of another task.
    """
    assert settings.teacher is not None
    config = cli.config
    if not Path(settings.teacher).expanduser().exists():
        raise RunError(
            f"There is no teacher in {settings.teacher}. Train one first: {program('python')} -m "
            f"recipes {cli.family} --run_dir {settings.teacher}"
        )
    teacher = trained_task(settings.teacher)
    name = str(config.model.class_path).rpartition(".")[2]
    if type(teacher).__name__ != name:
        raise ZooError(
            f"The teacher in {settings.teacher} was trained for {teacher.family} "
            f"({type(teacher).__name__}), and this recipe is for {cli.family} ({name}). Take its "
            f"own: {program('python')} -m recipes {teacher.family} --distill.teacher "
            f"{settings.teacher}"
        )
    if settings.layers is not None:
        folder = cli.folder.path / "student"
        _make_student(teacher, folder, settings)
        config.model.init_args.backbone = config.data.init_args.backbone = str(folder)
    data = config.data.init_args
    if "labels" in data and data.labels is None and getattr(teacher, "mode", "") != "regression":
        data.labels = list(teacher.known_labels)
    return teacher


def _make_student(teacher: "FineTuningTask", folder: Path, settings: DistillationSettings) -> None:
    from zoo.distillation.student import pretrained_student_of, student_of

    if (folder / "config.json").is_file():
        return  # a run that goes on, or another process of this one
    if int(os.environ.get("RANK") or os.environ.get("LOCAL_RANK") or 0):
        _wait_for(folder / "config.json")
        return
    assert settings.layers is not None
    make = student_of if settings.start == "teacher" else pretrained_student_of
    make(teacher, folder, layers=settings.layers)


def _wait_for(path: Path) -> None:
    until = time.monotonic() + _PATIENCE
    while not path.is_file():
        if time.monotonic() > until:
            raise RunError(f"The first process has not written {path.parent}.")
        time.sleep(0.1)


# The report.


def comparison_of(
    cli: "RecipeCLI", metrics: Mapping[str, float]
) -> tuple[dict[str, Table], dict[str, float]]:
    """Teacher, student and (if asked for) the student without a teacher, side by side.

    Args:
        cli: The run, whose student is trained, tested and exported.
        metrics: The student's scores.

    Returns:
        The table for the report, and scores for `metrics.json`.
    """
    from zoo.distillation.speed import Size, tokens_per_second

    assert cli.teacher is not None
    assert cli.distilling is not None
    device = cli.trainer.strategy.root_device
    score = cli.model.monitor.split("/", 1)[1]
    student = type(cli.model).from_run(cli.folder.path)
    tasks: dict[str, FineTuningTask] = {"teacher": cli.teacher, "student": student}
    scores: dict[str, Mapping[str, float]] = {
        "teacher": _scores_of_teacher(cli),
        "student": metrics,
    }
    if cli.distilling.baseline:
        folder = _baseline(cli, cli.distilling)
        if folder is not None:
            name = "student without teacher"
            tasks[name] = type(cli.model).from_run(folder.path)
            scores[name] = _read(folder)
    for task in tasks.values():
        task.to(device)
    speeds = tokens_per_second(tasks, _batches(cli))
    rows: list[tuple[Any, ...]] = []
    for name, task in tasks.items():
        size = Size.of(task.net)
        rows.append(
            (
                name,
                *(_score(scores[name], f"{split}/{score}") for split in ("val", "test")),
                f"{size.parameters:,}",
                f"{size.megabytes:.1f}",
                f"{speeds[name]:,.0f}",
                f"{speeds[name] / speeds['teacher']:.2f}",
            )
        )
    columns = (
        "",
        f"val/{score}",
        f"test/{score}",
        "parameters",
        "MiB",
        "tokens/s",
        "times as fast",
    )
    found = {
        "perf/inference_tokens_per_second": speeds["student"],
        "perf/times_as_fast": speeds["student"] / speeds["teacher"],
    }
    for name, of_name in (("teacher", "teacher"), ("without_teacher", "student without teacher")):
        value = scores.get(of_name, {}).get(f"test/{score}")
        if value is not None:
            found[f"baseline/{name}/{score}"] = value
    return {"distillation": Table("Teacher and student", columns, rows)}, found


def _score(scores: Mapping[str, float], name: str) -> str:
    return f"{scores[name]:.3f}" if name in scores else ""


def _read(folder: RunFolder) -> dict[str, float]:
    if not folder.metrics.is_file():
        return {}
    found: dict[str, float] = json.loads(folder.metrics.read_text(encoding="utf-8"))
    return found


def _scores_of_teacher(cli: "RecipeCLI") -> Mapping[str, float]:
    """The teacher's scores on this run's data: its run's own, or measured now."""
    teacher = cli.teacher
    assert teacher is not None
    model = backbones.model_folder(teacher.backbone)
    fingerprint = backbones.metadata(str(model)).get("data", {}).get("fingerprint")
    known = _read(RunFolder(model.parent)) if model.name == "model" else {}
    if fingerprint == cli.datamodule.fingerprint and any(one.startswith("test/") for one in known):
        return known
    if cli.trainer.world_size > 1:
        return {}  # the other processes have gone, and its scores are sums over all of them
    from lightning import Trainer

    device = cli.trainer.strategy.root_device
    trainer = Trainer(
        accelerator=device.type,
        devices=1 if device.index is None else [device.index],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    found: dict[str, float] = {}
    for evaluate in (trainer.validate, trainer.test):
        found |= evaluate(teacher, cli.datamodule, verbose=False)[0]
    cli.datamodule.trainer = cli.trainer
    return found


def _batches(cli: "RecipeCLI") -> list[dict[str, Any]]:
    """Batches of the test split, in its order of length, spread evenly over it."""
    import numpy as np

    data = cli.datamodule
    table = data.features("test")
    chosen = np.linspace(0, len(table) - 1, min(_ROWS, len(table))).astype(int).tolist()
    chosen.sort(key=lambda row: -len(table[row]["input_ids"]))
    rows = data.rows("test")
    return [
        rows[chosen[at : at + data.batch_size]] for at in range(0, len(chosen), data.batch_size)
    ]


def _baseline(cli: "RecipeCLI", settings: DistillationSettings) -> RunFolder | None:
    """The same student, trained by the same settings with the gold labels alone."""
    from zoo.distillation.student import pretrained_student_of

    folder = RunFolder(cli.folder.path / "baseline")
    if any(name.startswith("test/") for name in _read(folder)):
        return folder
    student = str(cli.model.backbone)
    if settings.layers is not None and settings.start == "teacher":
        assert cli.teacher is not None
        student = str(cli.folder.path / "student-without-teacher")
        pretrained_student_of(cli.teacher, student, layers=settings.layers)
    start = [sys.executable, "-m", "recipes", str(cli.folder.config)]
    if folder.last_checkpoint.exists():
        command = [*start, f"--resume={folder.path}"]
    else:
        shutil.rmtree(folder.path, ignore_errors=True)
        command = [
            *start,
            "--distill=null",
            f"--model.backbone={student}",
            f"--run_dir={folder.path}",
            "--trainer.logger=false",
        ]
    console().print("\nThe same student without a teacher:")
    sys.stdout.flush()
    environment = {name: value for name, value in os.environ.items() if name not in _OF_THIS_RUN}
    status = subprocess.run(command, env=environment, check=False).returncode
    if status != 0 or not any(name.startswith("test/") for name in _read(folder)):
        console().print(
            f"The student without a teacher did not end well (status {status}): see "
            f"{shown(folder.path)}."
        )
        return None
    return folder


__all__ = ["comparison_of", "settings_of", "teacher_of"]
