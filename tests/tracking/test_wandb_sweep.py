"""Sweeps: W&B's own agent runs the file of a task, and each of its runs is one run at W&B."""

import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from recipes.catalog import FAMILIES
from recipes.search import sweep_file
from tests.tracking.wandb_stand_in import ENTITY, StandIn
from zoo.tracking.search.space import read_space
from zoo.tracking.wandb_record import WandbRecord

ROOT = Path(__file__).resolve().parents[2]


def _wandb(*words: str) -> "subprocess.CompletedProcess[str]":
    """The command as a person types it, with this environment first on the path."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [sys.executable, "-m", "wandb", *words],
        capture_output=True,
        text=True,
        timeout=550,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )


@pytest.mark.slow
def test_an_agent_runs_the_file_of_a_task_and_each_of_its_runs_is_one(
    stand_in: StandIn,
    tmp_path: Path,
    tiny: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ZOO_RUN_DIR", raising=False)
    chance = random.Random(5)
    for split in ("train", "validation", "test"):
        names = [chance.choice(["Ada", "Bob"]) for _ in range(40)]
        lines = [f"{name}\tB-PER\nlived\tO\nhere\tO\n.\tO\n" for name in names]
        Path(f"{split}.conll").write_text("\n".join(lines), encoding="utf-8")
    # The file as it is, but for a smaller model and data, which a user would set just so.
    sweep = yaml.safe_load(sweep_file("ner").read_text(encoding="utf-8"))
    small = [f"--model.backbone={tiny('bert')}", f"--data.dataset={tmp_path}"]
    sweep["command"] += [*small, "--trainer.accelerator=cpu"]
    Path("sweep.yaml").write_text(yaml.safe_dump(sweep), encoding="utf-8")
    made = _wandb("sweep", "--entity", ENTITY, "sweep.yaml")
    assert made.returncode == 0, made.stdout + made.stderr
    assert list(stand_in.sweeps) == ["sweep0"]
    tried: list[dict[str, Any]] = [
        {
            "model.learning_rate": rate,
            "model.weight_decay": 0.01,
            "model.warmup": 0.1,
            "model.schedule": "linear",
            "data.batch_size": 8,
            "trainer.max_epochs": 1,
        }
        for rate in (5e-3, 1e-4)
    ]
    stand_in.suggestions = [dict(one) for one in tried]
    agent = _wandb("agent", "--count", "2", f"{ENTITY}/zoo/sweep0")
    assert agent.returncode == 0, agent.stdout + agent.stderr
    # Two runs of the agent, and not one more.
    assert stand_in.sweeps["sweep0"]["runs"] == ["swept0", "swept1"]
    assert sorted(stand_in.runs) == ["swept0", "swept1"], agent.stdout + agent.stderr
    for name, given in zip(("swept0", "swept1"), tried, strict=True):
        run = stand_in.runs[name]
        assert run["sweep"] == "sweep0"
        assert run["exit_code"] == 0
        config = run["config_values"]
        assert config["model"]["init_args"]["learning_rate"] == given["model.learning_rate"]
        assert config["model.learning_rate"] == given["model.learning_rate"]
        assert config["data"]["init_args"]["batch_size"] == 8
        assert sweep["metric"]["name"] in run["summary"]
        assert not any(key.startswith("test/") for key in run["summary"])
    records = [WandbRecord.read(path) for path in sorted(Path("runs/ner").iterdir())]
    assert sorted(one.id for one in records if one is not None) == ["swept0", "swept1"]


@pytest.mark.parametrize("task", list(FAMILIES))
def test_the_file_of_a_task_is_one_that_wandb_and_a_local_search_both_take(task: str) -> None:
    path = sweep_file(task)
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert content["command"] == [
        "${env}",
        "${interpreter}",
        "-m",
        "recipes",
        task,
        "fit",
        "${args}",
    ]
    assert (ROOT / content["program"]).is_file()
    space = read_space(path)
    assert space.metric.startswith("val/")
    assert space.maximize == (not space.metric.endswith("loss"))
    assert "model.learning_rate" in space.parameters


@pytest.mark.parametrize("task", list(FAMILIES))
def test_every_parameter_of_a_sweep_is_a_setting_of_the_recipe(
    task: str, tiny: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import optuna

    import recipes

    monkeypatch.chdir(tmp_path)
    space = read_space(sweep_file(task))
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
    given = {name: str(one.suggest(trial, name)) for name, one in space.parameters.items()}
    flags = [f"--{name}={value}" for name, value in {**space.fixed, **given}.items()]
    recipe = recipes.load(
        task, [*flags, f"--model.backbone={tiny('bert')}", "--trainer.logger=false"]
    )
    assert recipe.model.monitor == space.metric
    assert recipe.model.monitor_mode == ("max" if space.maximize else "min")
    assert recipe.model.learning_rate == float(given["model.learning_rate"])
    assert recipe.datamodule.batch_size == int(given["data.batch_size"])
    assert recipe.trainer.max_epochs == int(space.fixed["trainer.max_epochs"])
