"""A whole NER run through the command line on a tiny backbone: what it leaves, and again."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import recipes
from recipes import catalog
from recipes.__main__ import main

NAMES = ["Ada", "Bob", "Cleo", "Dora", "Emil"]
PLACES = ["London", "Paris", "Rome", "Bern", "Oslo"]


def write_corpus(folder: Path, *, sentences: int = 60) -> None:
    """Sentences whose entities even a tiny random model learns."""
    chance = random.Random(5)
    for split in ("train", "validation", "test"):
        lines = []
        for _ in range(sentences):
            name, place = chance.choice(NAMES), chance.choice(PLACES)
            lines.append(f"{name}\tB-PER\nlived\tO\nin\tO\n{place}\tB-LOC\n.\tO\n")
        (folder / f"{split}.conll").write_text("\n".join(lines), encoding="utf-8")


def small(folder: Path, tiny: Callable[[str], Path], *, learning_rate: str = "5e-3") -> list[str]:
    """Overrides that make a recipe small, on the corpus in a folder."""
    return [
        f"--model.backbone={tiny('bert')}",
        f"--data.dataset={folder}",
        "--data.batch_size=8",
        f"--model.learning_rate={learning_rate}",
        "--trainer.max_epochs=2",
        "--trainer.accelerator=cpu",
    ]


@pytest.fixture
def flags(
    tmp_path: Path, tiny: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """Overrides that make a recipe small; the test runs in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    write_corpus(tmp_path)
    return small(tmp_path, tiny)


def metrics_of(run: str) -> dict[str, float]:
    content: dict[str, float] = json.loads(Path(run, "metrics.json").read_text(encoding="utf-8"))
    return content


def test_a_run_leaves_everything_that_the_design_names(
    flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ner", *flags, "--run_dir=run"]) == 0
    shown = capsys.readouterr().out
    assert "test/f1" in shown
    assert "python -m recipes predict run" in shown
    assert "wandb sync" in shown
    run = Path("run")
    for name in (
        "config.yaml",
        "metrics.json",
        "predictions.jsonl",
        "report.md",
        "plots/confusion.png",
        "plots/curves.png",
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
        "model/model.safetensors",
        "model/config.json",
        "model/tokenizer.json",
        "model/zoo.json",
    ):
        assert (run / name).is_file(), name
    metrics = metrics_of("run")
    assert {
        "test/f1",
        "test/precision",
        "test/recall",
        "test/f1/PER",
        "test/f1/LOC",
        "val/f1",
        "baseline/lookup/f1",
        "perf/tokens_per_second",
        "perf/peak_memory_gib",
    } <= set(metrics)
    # Every name of test occurs in train, so that the dictionary finds them all.
    assert metrics["baseline/lookup/f1"] == 1.0
    assert metrics["test/f1"] > 0.9
    history = (run / "history.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["step"] for line in history if "val/f1" in line] == [8, 16]
    predictions = (run / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["example"] for line in predictions] == list(range(60))


def test_the_saved_config_reruns_the_run_with_the_same_metrics(flags: list[str]) -> None:
    assert main(["ner", *flags, "--run_dir=first", "--trainer.logger=false"]) == 0
    config = yaml.safe_load(Path("first/config.yaml").read_text(encoding="utf-8"))
    assert not {"run_dir", "resume", "ckpt_path"} & set(config)
    assert main(["first/config.yaml", "--run_dir=second"]) == 0
    assert main(["ner", "--config=first/config.yaml", "--run_dir=third"]) == 0

    def scores(run: str) -> dict[str, float]:
        return {
            name: value for name, value in metrics_of(run).items() if not name.startswith("perf/")
        }

    assert scores("first") == scores("second") == scores("third")


def test_the_exported_model_tests_as_the_run_did(flags: list[str]) -> None:
    assert main(["ner", *flags, "--run_dir=run", "--trainer.logger=false"]) == 0
    # The label order must come from the weights: a test file alone has its own.
    only_test = ["--data.test=test.conll", "--trainer.logger=false"]
    arguments = ["ner", "test", "--model.backbone=run/model", *only_test, "--run_dir=again"]
    assert main(arguments) == 0
    assert metrics_of("again")["test/f1"] == metrics_of("run")["test/f1"]
    checkpoint = "--ckpt_path=run/checkpoints/best.ckpt"
    assert main(["ner", "test", checkpoint, *only_test, "--run_dir=third"]) == 0
    assert metrics_of("third")["test/f1"] == metrics_of("run")["test/f1"]
    assert main(["ner", "validate", checkpoint, "--data.dataset=.", "--run_dir=fourth"]) == 0
    assert metrics_of("fourth")["val/f1"] == pytest.approx(metrics_of("run")["val/f1"])


def test_fit_alone_exports_and_does_not_touch_the_test_split(flags: list[str]) -> None:
    assert main(["ner", "fit", *flags, "--run_dir=run", "--trainer.logger=false"]) == 0
    assert Path("run/model/model.safetensors").is_file()
    assert not [name for name in metrics_of("run") if name.startswith("test/")]


def test_types_that_only_test_has_count_as_missed_and_are_said(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    extra = "\nAcme\tB-ORG\ngrew\tO\n\nOslo\tB-LOC\ngrew\tO\n"
    with (tmp_path / "test.conll").open("a", encoding="utf-8") as file:
        file.write(extra)
    assert main(["ner", *flags, "--run_dir=run", "--trainer.logger=false"]) == 0
    assert "ORG occurs in test (1 times) but never in train" in capsys.readouterr().err
    metrics = metrics_of("run")
    assert metrics["test/support/ORG"] == 1
    assert metrics["test/recall/ORG"] == 0


def test_predict_reads_files_and_gives_one_json_object_a_text(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ner", *flags, "--run_dir=run", "--trainer.logger=false"]) == 0
    capsys.readouterr()
    (tmp_path / "texts.txt").write_text("Ada lived in Rome .\n\nBob lived in Oslo .\n")
    (tmp_path / "words.jsonl").write_text('{"tokens": ["Cleo", "lived", "in", "Bern", "."]}\n')
    assert main(["predict", "run", "texts.txt", "words.jsonl"]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [record["text"] for record in records] == [
        "Ada lived in Rome .",
        "",
        "Bob lived in Oslo .",
        "Cleo lived in Bern .",
    ]
    for record in records:
        for entity in record["entities"]:
            assert record["text"][entity["start"] : entity["end"]] == entity["text"]
            assert 0 < entity["score"] <= 1
    assert {key: value for key, value in records[0]["entities"][0].items() if key != "score"} == {
        "type": "PER",
        "text": "Ada",
        "start": 0,
        "end": 3,
    }
    assert records[3]["tags"][0] == "B-PER"


def test_an_exported_model_is_cut_into_the_windows_it_was_trained_with(flags: list[str]) -> None:
    from zoo import NERDataModule, backbones

    windows = ["--data.max_length=12", "--data.stride=2", "--trainer.logger=false"]
    assert main(["ner", *flags, *windows, "--run_dir=run"]) == 0
    assert backbones.max_length_of("run/model") == 12
    data = NERDataModule(".", backbone="run/model")
    assert (data.max_length, data.stride) == (12, 2)


def test_types_of_held_out_examples_are_said(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = "\n".join(f"Word{i}\tB-T{i}\nx\tO\n" for i in range(40))
    (tmp_path / "only.conll").write_text(lines, encoding="utf-8")
    arguments = [*flags, "--data.train=only.conll", "--run_dir=run", "--trainer.logger=false"]
    assert main(["ner", *arguments]) == 0
    said = capsys.readouterr().err
    assert "8 of 40 training examples are held out" in said
    assert said.count("never in train") == 8


def test_a_run_that_was_moved_and_a_run_of_a_yaml_file_go_on_as_they_are_told(
    flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ner", *flags, "--run_dir=old", "--trainer.logger=false"]) == 0
    before = metrics_of("old")
    Path("old").rename("new")
    assert main(["ner", "--resume=new", "--trainer.logger=false"]) == 0
    assert metrics_of("new")["test/f1"] == before["test/f1"]
    assert metrics_of("new")["perf/tokens_per_second"] == before["perf/tokens_per_second"]
    # The command that an interrupted run prints names the file that was typed, not its stem.
    Path("mine.yaml").write_text(Path("new/config.yaml").read_text(encoding="utf-8"))
    cli = recipes.load("mine.yaml", ["--trainer.logger=false"])
    assert cli.command("--resume", "run").endswith("-m recipes mine.yaml --resume run")
    assert cli.config.recipe == "ner/sample"


@pytest.mark.parametrize("epoch", [0, 1])
def test_ctrl_c_while_validating_goes_on_with_every_score(
    flags: list[str], epoch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zoo import NERTask

    assert main(["ner", *flags, "--run_dir=whole", "--trainer.logger=false"]) == 0
    step = NERTask.validation_step

    def interrupting(self: NERTask, batch: Any, batch_index: int) -> None:
        step(self, batch, batch_index)
        if batch_index == 1 and self.current_epoch == epoch and not self.trainer.sanity_checking:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(NERTask, "validation_step", interrupting)
        stopping = ["--early_stopping=5", "--trainer.logger=false"]
        assert main(["ner", *flags, *stopping, "--run_dir=run"]) == 130
    assert main(["ner", "--resume=run", "--trainer.logger=false"]) == 0

    def scores(run: str) -> list[tuple[int, float]]:
        lines = Path(run, "history.jsonl").read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
        return [(row["step"], row["val/f1"]) for row in rows if "val/f1" in row]

    # Dropout draws anew after the stop, so only what came before it is the same number.
    assert [step for step, _ in scores("run")] == [step for step, _ in scores("whole")]
    assert scores("run")[0] == scores("whole")[0]
    assert metrics_of("run")["test/f1"] > 0.9


def test_early_stopping_ends_a_run_that_no_longer_improves(flags: list[str]) -> None:
    arguments = ["--trainer.max_epochs=30", "--early_stopping=1", "--trainer.logger=false"]
    assert main(["ner", "fit", *flags, *arguments, "--run_dir=run"]) == 0
    history = Path("run/history.jsonl").read_text(encoding="utf-8").splitlines()
    assert 2 <= len([line for line in history if "val/f1" in line]) < 30


def test_a_recipe_loads_into_python_without_leaving_anything(flags: list[str]) -> None:
    recipe = recipes.load("ner", [*flags, "--trainer.logger=false"])
    assert recipe.model.labels == ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
    assert recipe.datamodule.batch_size == 8
    assert recipe.trainer.max_epochs == 2
    assert not Path("runs").exists()


def test_w_and_b_keeps_the_run_offline_with_the_keys_of_the_design(
    flags: list[str], wandb_records: Callable[[Path], list[Any]]
) -> None:
    assert main(["ner", *flags, "--run_dir=run"]) == 0
    (path,) = Path("run/wandb").glob("offline-run-*/run-*.wandb")
    keys: set[str] = set()
    config: dict[str, Any] = {}
    summary: dict[str, Any] = {}
    tags: list[str] = []
    for record in wandb_records(path):
        keys |= {item.key or ".".join(item.nested_key) for item in record.history.item}
        for update in (*record.run.config.update, *record.config.update):
            config[update.key or ".".join(update.nested_key)] = json.loads(update.value_json)
        for item in record.summary.update:
            summary[item.key or ".".join(item.nested_key)] = json.loads(item.value_json)
        tags += record.run.tags
    for key in ("train/loss", "train/lr", "val/f1", "test/f1", "perf/tokens_per_second"):
        assert key in keys, (key, sorted(keys))
    assert "perf/peak_memory_gib" in keys
    assert any(key.startswith("test/confusion_matrix") for key in keys)
    assert any(key.startswith("test/errors") for key in keys)
    assert summary["test/f1"] == pytest.approx(metrics_of("run")["test/f1"])
    assert summary["baseline/lookup/f1"] == 1.0
    assert "data_fingerprint" in config
    assert config["trainer"]["max_epochs"] == 2
    assert "ner" in tags


@pytest.mark.slow
def test_two_processes_test_every_example_once_with_the_scores_of_one(flags: list[str]) -> None:
    assert main(["ner", *flags, "--run_dir=run", "--trainer.logger=false"]) == 0
    # Processes are started anew for this: Lightning's launcher runs the command line again.
    command = [sys.executable, "-m", "recipes", "ner", "test", "--model.backbone=run/model"]
    options = ["--data.dataset=.", "--trainer.accelerator=cpu", "--trainer.logger=false"]
    for count in ("2", "3"):
        parallel = [f"--trainer.devices={count}", "--trainer.strategy=ddp", f"--run_dir=run{count}"]
        done = subprocess.run(
            [*command, *options, *parallel],
            env={**os.environ, "OMP_NUM_THREADS": "1", "ZOO_RUN_DIR": ""},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        assert metrics_of(f"run{count}")["test/f1"] == metrics_of("run")["test/f1"]
        assert Path(f"run{count}/predictions.jsonl").read_text(encoding="utf-8").count("\n") == 60


def test_ctrl_c_keeps_a_checkpoint_and_the_run_goes_on_from_it(
    flags: list[str], tmp_path: Path
) -> None:
    write_corpus(tmp_path, sentences=400)
    command = [sys.executable, "-m", "recipes", "ner", *flags, "--trainer.logger=false"]
    process = subprocess.Popen(
        [*command, "--run_dir=run", "--trainer.max_epochs=40"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    history = Path("run/history.jsonl")
    deadline = time.monotonic() + 120
    while not (history.is_file() and "train/loss" in history.read_text(encoding="utf-8")):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 130, said
    assert "--resume run" in said
    assert "Traceback" not in said
    assert Path("run/checkpoints/last.ckpt").is_file()
    stopped_at = int(said.split("Stopped at step ")[1].split(";")[0])
    # 50 steps an epoch: two epochs in all are more than were done, or the run just ends.
    assert main(["ner", "--resume=run", "--trainer.max_epochs=4", "--trainer.logger=false"]) == 0
    steps = [json.loads(line)["step"] for line in history.read_text().splitlines()]
    assert steps == sorted(steps), "no step was done twice"
    assert max(steps) >= stopped_at
    assert metrics_of("run")["test/f1"] > 0.9


@pytest.mark.parametrize(
    "name", [recipe.name for recipe in catalog.recipes() if recipe.task == "ner"]
)
def test_every_shipped_recipe_runs_through_the_command_line(name: str, flags: list[str]) -> None:
    limits = ["--trainer.max_epochs=1", "--trainer.logger=false"]
    assert main([name, *flags, *limits, "--run_dir=run"]) == 0
    assert "test/f1" in metrics_of("run")
