"""Masked language modelling through the command line on a tiny backbone, and what it is for."""

import io
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from recipes import catalog
from recipes.__main__ import main

NAMES = ["ada", "bob", "cleo", "fox", "dog", "bear"]


def write_corpus(folder: Path) -> None:
    """Sentences whose words even a tiny random model learns to expect."""
    chance = random.Random(5)
    for split, count in (("train", 160), ("validation", 40), ("test", 48)):
        lines = [f"lived in london the quick {chance.choice(NAMES)} ." for _ in range(count)]
        (folder / f"{split}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture
def flags(
    tmp_path: Path, tiny: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """Overrides that make a recipe small; the test runs in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    write_corpus(tmp_path)
    return [
        f"--model.backbone={tiny('bert')}",
        f"--data.dataset={tmp_path}",
        "--data.max_length=32",
        "--data.batch_size=8",
        "--model.learning_rate=5e-3",
        "--trainer.max_epochs=2",
        "--trainer.accelerator=cpu",
        "--trainer.logger=false",
        "--run_dir=run",
    ]


def metrics_of(run: str) -> dict[str, float]:
    content: dict[str, float] = json.loads(Path(run, "metrics.json").read_text(encoding="utf-8"))
    return content


def write_entities(folder: Path) -> None:
    """Tagged sentences for a recipe that goes on from the pretrained model."""
    folder.mkdir()
    for split in ("train", "validation", "test"):
        lines = [f"{name}\tB-PER\nlived\tO\nin\tO\nlondon\tB-LOC\n" for name in NAMES * 5]
        (folder / f"{split}.conll").write_text("\n".join(lines), encoding="utf-8")


def test_a_run_learns_tests_predicts_compares_and_becomes_a_backbone(
    flags: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A sentence in each block: then the place tells most words, which even a tiny model learns.
    apart = ["--data.pack=false", "--trainer.max_epochs=12"]
    assert main(["pretraining", *flags, *apart]) == 0
    shown = capsys.readouterr().out
    assert "Scores by kind of masked token" in shown
    assert "-m recipes predict run" in shown
    metrics = metrics_of("run")
    assert metrics["perf/tokens_per_second"] > 0
    for name in ("loss", "perplexity", "accuracy", "bits_per_byte"):
        for key in (f"val/{name}", f"test/{name}", f"baseline/unigram/{name}"):
            assert key in metrics
    assert metrics["test/loss"] < metrics["baseline/unigram/loss"] - 0.5
    assert metrics["test/perplexity"] == pytest.approx(2.718281828 ** metrics["test/loss"])
    report = Path("run/report.md").read_text(encoding="utf-8")
    assert "Most confident errors" in report
    lines = Path("run/predictions.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    nats = [value for record in records for value in record["nats"]]
    assert sum(nats) / len(nats) == pytest.approx(metrics["test/loss"], abs=1e-5)

    # The exported model tests as the run did, and so does the checkpoint.
    test = ["--data.test=test.txt", "--data.max_length=32", "--trainer.logger=false", apart[0]]
    assert main(["pretraining", "test", "--model.backbone=run/model", *test, "--run_dir=b"]) == 0
    assert metrics_of("b")["test/loss"] == pytest.approx(metrics["test/loss"], abs=1e-6)
    best = "--ckpt_path=run/checkpoints/best.ckpt"
    assert main(["pretraining", "test", best, *test, "--run_dir=c"]) == 0
    assert metrics_of("c")["test/loss"] == pytest.approx(metrics["test/loss"], abs=1e-6)
    assert main(["compare", "run", "c", "--output=compared.html"]) == 0
    capsys.readouterr()

    (tmp_path / "asked.txt").write_text("the quick fox lived in [MASK] .\n", encoding="utf-8")
    assert main(["predict", "run", "asked.txt"]) == 0
    (record,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(record["masks"][0]) == 5

    class Piped:
        buffer = io.BytesIO(b"no mask here\n")

        @staticmethod
        def isatty() -> bool:
            return False

    monkeypatch.setattr("sys.stdin", Piped())
    assert main(["predict", "run"]) == 2
    assert "There is no mask to fill" in capsys.readouterr().err

    # What it is for: any other recipe takes it with one flag.
    write_entities(tmp_path / "entities")
    tagger = ["--model.backbone=run/model", "--data.dataset=entities", "--trainer.logger=false"]
    short = ["--trainer.max_epochs=1", "--data.stride=8", "--trainer.accelerator=cpu"]
    assert main(["ner", *tagger, *short, "--run_dir=tagged"]) == 0
    assert "test/f1" in metrics_of("tagged")


def test_a_model_from_scratch_with_its_own_tokenizer_is_tested_resumed_and_made_to_a_backbone(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = ["--data.new_tokenizer=wordpiece", "--data.vocabulary=300", "--model.spans=true"]
    assert main(["pretraining", *flags, "--model.from_scratch=tiny", *own]) == 0
    loss = metrics_of("run")["test/loss"]
    config = json.loads(Path("run/model/config.json").read_text(encoding="utf-8"))
    assert (config["num_hidden_layers"], config["hidden_size"]) == (2, 128)
    assert config["architectures"] == ["BertForMaskedLM"]
    words = json.loads(Path("run/model/tokenizer.json").read_text(encoding="utf-8"))["model"]
    # Of the words of train, none of the backbone's others.
    assert "lived" in words["vocab"]
    assert "lovelace" not in words["vocab"]
    assert len(words["vocab"]) == config["vocab_size"] < 100
    assert "backbone" not in json.loads(Path("run/model/zoo.json").read_text(encoding="utf-8"))
    test = ["--data.test=test.txt", "--data.max_length=32", "--trainer.logger=false"]
    for name, weights in (
        ("a", "--model.backbone=run/model"),
        ("b", "--ckpt_path=run/checkpoints/best.ckpt"),
    ):
        assert main(["pretraining", "test", weights, *test, f"--run_dir={name}"]) == 0
        assert metrics_of(name)["test/loss"] == pytest.approx(loss, abs=1e-6)
    more = ["--resume=run", "--trainer.max_epochs=3"]
    assert main(["pretraining", *more]) == 0
    history = Path("run/history.jsonl").read_text(encoding="utf-8").splitlines()
    assert sum("val/loss" in line for line in history) == 3
    capsys.readouterr()
    write_entities(tmp_path / "entities")
    tagger = ["--model.backbone=run/model", "--data.dataset=entities", "--data.stride=8"]
    limits = ["--trainer.max_epochs=1", "--trainer.logger=false", "--trainer.accelerator=cpu"]
    assert main(["ner", *tagger, *limits, "--run_dir=tagged"]) == 0
    limits += ["--trainer.limit_train_batches=2", "--trainer.limit_val_batches=1"]
    for task in ("classification", "qa"):
        own = ["--model.backbone=run/model", f"--run_dir={task}"]
        assert main([task, "fit", *own, *limits]) == 0


def test_a_mistake_is_one_sentence(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pretraining", *flags, "--model.from_scratch=huge"]) == 2
    assert main(["pretraining", *flags, "--data.max_length=2"]) == 2
    assert "leave no room beside" in capsys.readouterr().err
    assert main(["pretraining", "test", "--model.backbone=minilm-l6", "--run_dir=x"]) == 2
    assert "has no trained head" in capsys.readouterr().err
    assert main(["pretraining", *flags, "--data.new_tokenizer=bpe", "--run_dir=y"]) == 2
    assert "weights belong to its own tokenizer" in capsys.readouterr().err


def test_a_decoder_is_trained_tested_gone_on_with_and_refused_by_other_recipes(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    longer = ["--trainer.max_epochs=6", "--data.vocabulary=400"]
    assert main(["pretraining/causal", *flags, *longer]) == 0
    metrics = metrics_of("run")
    assert metrics["test/loss"] < metrics["baseline/unigram/loss"] - 0.5
    test = ["--data.test=test.txt", "--data.max_length=32", "--trainer.logger=false"]
    test += ["--model.from_scratch=null", "--data.new_tokenizer=null", "--data.dataset=null"]
    weights = "--model.backbone=run/model"
    assert main(["pretraining/causal", "test", weights, *test, "--run_dir=a"]) == 0
    assert metrics_of("a")["test/loss"] == pytest.approx(metrics["test/loss"], abs=1e-6)
    best = "--ckpt_path=run/checkpoints/best.ckpt"
    assert main(["pretraining/causal", "test", best, *test, "--run_dir=b"]) == 0
    assert metrics_of("b")["test/loss"] == pytest.approx(metrics["test/loss"], abs=1e-6)
    capsys.readouterr()
    (tmp_path / "asked.txt").write_text("lived in\n", encoding="utf-8")
    assert main(["predict", "run", "asked.txt"]) == 0
    (record,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert record["continuation"].startswith(" london")

    # It goes on from its folder, with a lower loss than it begins with.
    on = [*test[1:], "--data.train=train.txt", *test[:1], weights, "--trainer.accelerator=cpu"]
    assert main(["pretraining/causal", *on, "--trainer.max_epochs=1", "--run_dir=on"]) == 0
    assert metrics_of("on")["test/loss"] < metrics["test/loss"] + 0.1

    write_entities(tmp_path / "entities")
    capsys.readouterr()
    assert main(["ner", weights, "--data.dataset=entities", "--run_dir=c"]) == 2
    assert "is a decoder, whose tokens do not see what follows" in capsys.readouterr().err


@pytest.mark.slow
def test_two_processes_test_every_block_once_with_the_scores_of_one(flags: list[str]) -> None:
    assert main(["pretraining", *flags]) == 0
    # Processes are started anew for this: Lightning's launcher runs the command line again.
    arguments = ["--model.backbone=run/model", "--data.dataset=.", "--data.max_length=32"]
    parallel = ["--trainer.accelerator=cpu", "--trainer.devices=2", "--trainer.strategy=ddp"]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "recipes", "pretraining", "test", *arguments, *parallel),
            *("--trainer.logger=false", "--run_dir=two"),
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1", "ZOO_RUN_DIR": ""},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    for name in ("loss", "perplexity", "accuracy", "bits_per_byte"):
        one, two = (metrics_of(run)[f"test/{name}"] for run in ("run", "two"))
        assert two == pytest.approx(one, rel=1e-5)

    def blocks(run: str) -> list[tuple[int, int]]:
        lines = Path(run, "predictions.jsonl").read_text(encoding="utf-8").splitlines()
        return [(one["example"], one["part"]) for one in map(json.loads, lines)]

    assert blocks("two") == blocks("run")


@pytest.mark.parametrize(
    "name", [recipe.name for recipe in catalog.recipes() if recipe.task == "pretraining"]
)
def test_every_shipped_recipe_runs_through_the_command_line(name: str, flags: list[str]) -> None:
    assert main([name, *flags, "--trainer.max_epochs=1"]) == 0
    assert "test/loss" in metrics_of("run")


@pytest.mark.slow
def test_a_sentence_objective_is_one_flag_through_fit_test_resume_and_export(
    flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = "--data.sentence_pairs=next"
    begin = [*flags, "--data.dataset=pretraining-sample", "--data.max_length=64", pairs]
    begin += ["--trainer.limit_train_batches=8", "--trainer.limit_val_batches=4"]
    begin.append("--trainer.limit_test_batches=6")
    assert main(["pretraining", *begin]) == 0
    metrics = metrics_of("run")
    for key in ("loss", "sentence_loss", "sentence_accuracy"):
        assert {f"val/{key}", f"test/{key}"} <= metrics.keys()
    assert metrics["test/perplexity"] == pytest.approx(2.718281828 ** metrics["test/loss"])
    assert "baseline/unigram/loss" in metrics
    config = json.loads(Path("run/model/config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["BertForMaskedLM"]
    test = ["--data.max_length=64", "--data.batch_size=8", "--trainer.limit_test_batches=6"]
    test.append("--trainer.logger=false")
    best = "--ckpt_path=run/checkpoints/best.ckpt"
    # The checkpoint says its objective, and a model's folder has its head beside.
    for name, given in (("a", [best]), ("b", ["--model.backbone=run/model", pairs])):
        assert main(["pretraining", "test", *given, *test, f"--run_dir={name}"]) == 0
        for key in ("test/loss", "test/sentence_loss", "test/sentence_accuracy"):
            assert metrics_of(name)[key] == pytest.approx(metrics[key], abs=1e-6)
    assert main(["pretraining", "--resume=run", "--trainer.max_epochs=3"]) == 0
    history = Path("run/history.jsonl").read_text(encoding="utf-8").splitlines()
    assert sum("val/sentence_loss" in line for line in history) == 3
    capsys.readouterr()
    assert main(["pretraining/causal", *begin, "--run_dir=c"]) == 2
    assert "--data.sentence_pairs next is for masked language models" in capsys.readouterr().err
    assert main(["pretraining", *begin, "--model.sentence_pairs=next", "--run_dir=d"]) == 2
    assert (
        "--model.sentence_pairs follows --data.sentence_pairs: set that" in capsys.readouterr().err
    )
    assert main(["pretraining", *begin, "--distill.teacher=run", "--run_dir=e"]) == 2
    assert "is for NER, classification" in capsys.readouterr().err
