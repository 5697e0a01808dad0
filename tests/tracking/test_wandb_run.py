"""What a whole run leaves for W&B, read back from the files of its offline run."""

import json
import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from recipes.__main__ import main
from tests.tracking.conftest import Written
from tests.tracking.wandb_stand_in import StandIn
from zoo.tracking.wandb_record import WandbRecord

Read = Callable[[Path], Written]

NAMES, PLACES = ["Ada", "Bob", "Cleo", "Dora"], ["London", "Paris", "Rome", "Bern"]


def _write_corpus(folder: Path) -> None:
    chance = random.Random(5)
    for split, size in (("train", 60), ("validation", 30), ("test", 20)):
        lines = []
        for _ in range(size):
            name, place = chance.choice(NAMES), chance.choice(PLACES)
            lines.append(f"{name}\tB-PER\nlived\tO\nin\tO\n{place}\tB-LOC\n.\tO\n")
        (folder / f"{split}.conll").write_text("\n".join(lines), encoding="utf-8")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, tiny: Callable[[str], Path]) -> Path:
    """The folder where one offline run was made, in `run`, for all tests here to read."""
    folder = tmp_path_factory.mktemp("home")
    _write_corpus(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("ZOO_CACHE", str(folder / "cache"))
        patch.setenv("ZOO_RUN_DIR", "")
        patch.setenv("WANDB_MODE", "offline")
        status = main(
            [
                "ner",
                f"--model.backbone={tiny('bert')}",
                f"--data.dataset={folder}",
                "--data.batch_size=8",
                "--model.learning_rate=5e-3",
                "--trainer.max_epochs=3",
                "--trainer.accelerator=cpu",
                "--trainer.log_every_n_steps=2",
                "--run_dir=run",
            ]
        )
    assert status == 0
    return folder


@pytest.fixture
def run(home: Path, written: Read) -> Written:
    """The run that was written."""
    (folder,) = home.glob("run/wandb/offline-run-*")
    return written(folder)


def _metrics(home: Path) -> dict[str, float]:
    content: dict[str, float] = json.loads((home / "run/metrics.json").read_text("utf-8"))
    return content


def test_the_config_is_the_whole_recipe_with_data_versions_and_commit(
    home: Path, run: Written
) -> None:
    recipe = yaml.safe_load((home / "run/config.yaml").read_text(encoding="utf-8"))
    assert {"model", "data", "trainer", "seed_everything", "recipe"} <= set(recipe)
    assert {key: run.config.get(key, "missing") for key in recipe} == recipe
    report = (home / "run/report.md").read_text(encoding="utf-8")
    assert f"(fingerprint {run.config['data_fingerprint']})" in report
    assert "transformers 5" in run.config["versions"]
    assert "threads" in run.config
    if "git commit" in report:
        assert len(run.config["git_commit"]) == 40
    assert (run.run.run_group, run.run.job_type) == ("ner/sample", "fit")


def test_every_key_of_the_design_is_in_the_history_or_the_summary(home: Path, run: Written) -> None:
    logged = {key for row in run.rows for key in row}
    for key in (
        "train/loss",
        "train/lr",
        "val/f1",
        "val/loss",
        "test/f1",
        "test/precision",
        "perf/tokens_per_second",
        "perf/peak_memory_gib",
    ):
        assert key in logged, key
    metrics = _metrics(home)
    assert "baseline/lookup/f1" in metrics
    for key, value in metrics.items():
        assert run.summary[key] == pytest.approx(value), key
    # 60 sentences in batches of 8 are 8 steps an epoch; every second one is logged.
    losses = [row["trainer/global_step"] for row in run.rows if "train/loss" in row]
    assert losses == list(range(1, 24, 2))
    steps = [row["_step"] for row in run.rows]
    assert steps == sorted(set(steps))


def test_the_summary_holds_the_best_validation_and_says_when_it_was(
    home: Path, run: Written
) -> None:
    scores = [row for row in run.rows if "val/f1" in row]
    assert len(scores) == 3
    best = max(scores, key=lambda row: row["val/f1"])  # the first of equals
    assert run.summary["val/f1"] == best["val/f1"]
    assert run.summary["val/loss"] == best["val/loss"]
    assert run.summary["best/step"] == best["trainer/global_step"]
    assert run.summary["best/epoch"] == best["epoch"]


def test_tables_and_the_confusion_matrix_lie_in_the_run_with_their_rows(home: Path) -> None:
    media = next(home.glob("run/wandb/offline-run-*/files/media/table/test"))
    tables = {
        path.name.split("_")[0]: json.loads(path.read_text(encoding="utf-8"))
        for path in media.glob("*.json")
    }
    metrics = _metrics(home)
    per_type = next(table for name, table in tables.items() if name.startswith("per"))
    f1 = per_type["columns"].index("f1")
    scores = {row[0]: row[f1] for row in per_type["data"]}
    assert scores["PER"] == pytest.approx(metrics["test/f1/PER"])
    assert scores["all"] == pytest.approx(metrics["test/f1"])
    gold = Counter({"PER": 20, "LOC": 20})  # one of each in each of 20 sentences
    counted: Counter[str] = Counter()
    for actual, _, count in tables["confusion"]["data"]:
        counted[actual] += count
    assert {name: counted[name] for name in gold} == gold


def _metadata(artifact: Any) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(artifact.metadata)
    return content


def test_the_lineage_goes_from_the_data_through_the_run_to_the_model(
    home: Path, run: Written
) -> None:
    # The others hold the tables.
    data, model = (one for one in run.artifacts if one.type in ("dataset", "model"))
    assert (data.type, model.type) == ("dataset", "model")
    assert data.use_after_commit, "an input of the run"
    assert not model.use_after_commit, "an output of the run"
    fingerprint = run.config["data_fingerprint"]
    facts = _metadata(data)
    assert facts["fingerprint"] == fingerprint
    assert facts["sizes"] == {"train": 60, "validation": 30, "test": 20}
    assert facts["sources"]["train"].endswith("train.conll")
    about = _metadata(model)
    assert model.name == "model-ner-sample"
    assert about["data"]["fingerprint"] == fingerprint
    assert about["task"] == "ner"
    assert about["labels"] == ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
    assert about["scores"]["test/f1"] == pytest.approx(_metrics(home)["test/f1"])
    # The files stay where they are: W&B is told their names, sizes and digests.
    entries = {entry.path: entry for entry in model.manifest.contents}
    weights = entries["model.safetensors"]
    path = home / "run/model/model.safetensors"
    assert weights.ref == path.as_uri()
    assert weights.size == path.stat().st_size


def test_a_resumed_run_is_the_same_one_at_w_and_b(
    home: Path, run: Written, written: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(home / "run", tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("ZOO_CACHE", str(home / "cache"))
    before = WandbRecord.read(tmp_path / "run")
    assert main(["ner", "--resume=run", "--trainer.max_epochs=4"]) == 0
    (folder,) = (
        path
        for path in (tmp_path / "run/wandb").glob("offline-run-*")
        if not (home / "run/wandb" / path.name).exists()
    )
    again = written(folder)
    assert before is not None
    assert again.run.run_id == run.run.run_id == before.id
    assert again.rows[0]["_step"] == before.rows
    losses = [row["trainer/global_step"] for row in again.rows if "train/loss" in row]
    assert losses == list(range(25, 32, 2))
    record = WandbRecord.read(tmp_path / "run")
    assert record is not None
    assert record.id == before.id


def test_a_refused_key_ends_a_recipe_before_it_trains(
    home: Path,
    stand_in: StandIn,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    monkeypatch.setenv("ZOO_CACHE", str(home / "cache"))
    config = str(home / "run/config.yaml")
    assert main(["ner", "--config", config, "--run_dir=refused"]) == 2
    said = capsys.readouterr()
    assert "refuses this run" in said.err
    assert "WANDB_MODE=offline" in said.err
    assert "epoch 1" not in said.out
    assert not Path("refused/checkpoints").exists()


def test_a_recipe_with_an_account_names_the_page_of_its_run(
    home: Path,
    stand_in: StandIn,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ZOO_CACHE", str(home / "cache"))
    config = str(home / "run/config.yaml")
    assert main(["ner", "fit", "--config", config, "--run_dir=run", "--log_model=true"]) == 0
    (name,) = stand_in.runs
    assert f"/zoo/runs/{name}" in capsys.readouterr().out
    (model,) = stand_in.artifacts_of("model")
    weights = Path("run/model/model.safetensors").read_bytes()
    assert stand_in.uploads[f"{model}/model.safetensors"] == weights
    assert stand_in.runs[name]["summary"]["perf/fit_seconds"] > 0
