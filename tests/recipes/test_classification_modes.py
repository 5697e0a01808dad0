"""Every mode of classification through the command line, and what users get wrong there."""

import json
import math
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import pearsonr, spearmanr  # type: ignore[import-untyped]

from recipes.__main__ import main

WORDS = {"animal": ["fox", "dog", "bear"], "person": ["Ada", "Bob", "Cleo"]}
MODES = ("single_label", "multi_label", "ordinal", "regression")
SCORES = {
    "single_label": {"accuracy", "f1_macro", "mcc", "auroc", "average_precision", "ece", "loss"},
    "multi_label": {"f1_macro", "f1_micro", "auroc", "average_precision", "ece", "loss"},
    "ordinal": {"qwk", "mae", "accuracy", "auroc", "ece", "loss"},
    "regression": {"pearson", "spearman", "mae", "loss"},
}


def target(mode: str, count: int, words: list[str]) -> Any:
    """What a text of some words has in a mode."""
    if mode == "single_label":
        return "animal" if words[0] in WORDS["animal"] else "person"
    if mode == "multi_label":
        return [label for label in WORDS if set(words) & set(WORDS[label])]
    return str(count) if mode == "ordinal" else 100 + 12.5 * count


def write_corpus(folder: Path, mode: str, *, texts: int = 40) -> None:
    """Texts of one to three words of both kinds, or of none where that is a target too."""
    chance = random.Random(3)
    for split in ("train", "validation", "test"):
        lines = []
        for _ in range(texts):
            count = chance.choice([1, 3, 5])
            kind = chance.choice(sorted(WORDS))
            words = [chance.choice(WORDS[kind])] * count
            if mode == "multi_label":
                words = [chance.choice(WORDS[one]) for one in WORDS if chance.random() < 0.5]
            text = " ".join(words)
            lines.append(json.dumps({"text": text, "label": target(mode, count, words)}))
        (folder / f"{split}.jsonl").write_text("\n".join(lines), encoding="utf-8")


@pytest.fixture
def flags(
    tmp_path: Path, tiny: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """Overrides that make a recipe small; the test runs in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return [
        f"--model.backbone={tiny('bert')}",
        f"--data.dataset={tmp_path}",
        "--data.batch_size=8",
        "--model.learning_rate=3e-3",
        "--trainer.max_epochs=6",
        "--trainer.accelerator=cpu",
        "--trainer.logger=false",
        "--run_dir=run",
    ]


def metrics_of(run: str) -> dict[str, float]:
    content: dict[str, float] = json.loads(Path(run, "metrics.json").read_text(encoding="utf-8"))
    return content


def _tests(run: str) -> dict[str, float]:
    return {name: value for name, value in metrics_of(run).items() if name.startswith("test/")}


def _lines(path: str | Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("mode", MODES)
def test_a_run_of_each_mode_leaves_all_there_is_and_is_tested_again_with_the_same_scores(
    mode: str, flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_corpus(tmp_path, mode)
    assert main(["classification", *flags, f"--data.mode={mode}"]) == 0
    shown, said = capsys.readouterr()
    assert "Traceback" not in said
    assert "Warning" not in said
    metrics = metrics_of("run")
    assert {f"test/{name}" for name in SCORES[mode]} <= set(metrics)
    assert {f"val/{name}" for name in SCORES[mode]} <= set(metrics)
    assert any(name.startswith("baseline/bag_of_words/") for name in metrics)
    report = Path("run/report.md").read_text(encoding="utf-8")
    titles = {
        "multi_label": ("Scores of each label", "Most confident errors", "threshold"),
        "regression": ("Scores by size of the target", "Largest errors"),
    }.get(mode, ("Scores of each label", "Most confident errors"))
    assert all(title in report for title in titles)
    assert titles[0] in shown
    picture = "predicted_by_gold" if mode == "regression" else "reliability"
    assert Path(f"run/plots/{picture}.png").read_bytes().startswith(b"\x89PNG")
    records = _lines("run/predictions.jsonl")
    assert [record["example"] for record in records] == list(range(40))
    gold = [json.loads(line)["label"] for line in Path("test.jsonl").read_text().splitlines()]
    assert [record["gold"] for record in records] == gold

    # The exported model, the checkpoint and `predict` say the same.
    only_test = ["--data.test=test.jsonl", "--trainer.logger=false", "--trainer.accelerator=cpu"]
    for weights in ("--model.backbone=run/model", "--ckpt_path=run/checkpoints/best.ckpt"):
        folder = weights.split("=")[0].strip("-")
        assert main(["classification", "test", weights, *only_test, f"--run_dir={folder}"]) == 0
        capsys.readouterr()
        found = _tests(folder)
        assert found.keys() == _tests("run").keys()
        _expect_equal(found, _tests("run"), mode)
    texts = [json.dumps({"text": record["text"]}) for record in records]
    (tmp_path / "texts.jsonl").write_text("\n".join(texts), encoding="utf-8")
    assert main(["predict", "run", "texts.jsonl"]) == 0
    predicted = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    for one, record in zip(predicted, records, strict=True):
        if mode == "multi_label":
            assert [pair["label"] for pair in one["labels"]] == record["labels"]
        elif mode == "regression":
            assert one["value"] == pytest.approx(record["value"], abs=2e-3)
        else:
            assert one["label"] == record["label"]
            assert one["probability"] == pytest.approx(record["probability"], abs=2e-4)


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_two_processes_fit_and_test_with_the_scores_of_one(
    mode: str, flags: list[str], tmp_path: Path
) -> None:
    write_corpus(tmp_path, mode, texts=33)
    command = [sys.executable, "-m", "recipes", "classification"]
    parallel = ["--trainer.devices=2", "--trainer.strategy=ddp", f"--data.mode={mode}"]

    def run(*arguments: str) -> None:
        done = subprocess.run(
            [*command, *arguments],
            env={**os.environ, "OMP_NUM_THREADS": "1", "ZOO_RUN_DIR": ""},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr

    run(*flags, *parallel, "--trainer.max_epochs=2")
    # What two processes fitted on validation, one finds again.
    weights = ["--model.backbone=run/model", "--data.dataset=.", "--trainer.accelerator=cpu"]
    assert main(["classification", "test", *weights, "--run_dir=one"]) == 0
    run("test", *weights, *parallel, "--trainer.logger=false", "--run_dir=two")
    one = _tests("one")
    # Two processes on the same weights, and the run before its scale was folded into them.
    for other in ("two", "run"):
        _expect_equal(_tests(other), one, mode)
        assert len(_lines(f"{other}/predictions.jsonl")) == 33
        if mode == "regression":
            _expect_correlations_of_its_own_predictions(other)
    assert main(["classification", "validate", *weights, "--run_dir=val"]) == 0
    # These are of the temperature before its last fit, or in bins of it.
    fitted = ("val/loss", "val/ece", "val/auroc", "val/average_precision")
    again = {name: value for name, value in metrics_of("val").items() if name.startswith("val/")}
    _expect_equal(
        {name: metrics_of("run")[name] for name in again if name not in fitted}, again, mode
    )


def _expect_equal(found: dict[str, float], expected: dict[str, float], mode: str) -> None:
    """The same scores, but for rounding.

    A hardly trained regression gives numbers that are all but alike, whose order is rounding: its
    correlations are no scores of the weights.
    """
    for name, value in found.items():
        if mode != "regression" or not name.endswith(("pearson", "spearman")):
            close = 5e-3 if mode == "regression" else 1e-4
            assert value == pytest.approx(expected[name], rel=close, abs=1e-4), name


def _expect_correlations_of_its_own_predictions(run: str) -> None:
    records = _lines(f"{run}/predictions.jsonl")
    values = [[record[key] for record in records] for key in ("value", "gold")]
    for name, correlation in (("pearson", pearsonr), ("spearman", spearmanr)):
        expected = correlation(*values).statistic
        assert metrics_of(run)[f"test/{name}"] == pytest.approx(expected, abs=1e-3), name


def _write(path: Path, rows: list[tuple[str, Any]]) -> str:
    lines = [json.dumps({"text": text, "label": label}) for text, label in rows]
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("mode", MODES)
def test_what_data_may_be_like_runs_to_the_end(
    mode: str, flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Empty texts, a class that validation or test lacks, one that only test has, one text alone.
    rows: dict[str, list[tuple[str, Any]]] = {
        "single_label": [("", "a"), ("fox", "a"), ("dog", "b"), (" ", "c")],
        "multi_label": [("", ["a"]), ("fox", ["a", "b"]), ("dog", []), (" ", ["c"])],
        "ordinal": [("", 1), ("fox", 1), ("dog", 2), (" ", 10)],
        "regression": [("", 1.5), ("fox", 1.5), ("dog", 2), (" ", -7)],
    }
    new = {"single_label": "new", "multi_label": ["new", "a"], "ordinal": 5, "regression": 99.5}
    _write(tmp_path / "train.jsonl", rows[mode] * 3)
    _write(tmp_path / "validation.jsonl", rows[mode][:1])
    _write(tmp_path / "test.jsonl", [*rows[mode][:2], ("x", new[mode])])
    options = ["--trainer.max_epochs=1", f"--data.mode={mode}"]
    assert main(["classification", *flags, *options]) == 0
    said = capsys.readouterr().err
    assert "6 empty texts kept in train" in said
    if mode != "regression":
        name = "5" if mode == "ordinal" else "new"
        assert f"Label {name} occurs in test (1 times) but never in train" in said
    assert len(_lines("run/predictions.jsonl")) == 3
    assert all(map(math.isfinite, metrics_of("run").values()))


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["single_label", "multi_label", "ordinal"])
def test_a_thousand_labels_run(mode: str, flags: list[str], tmp_path: Path) -> None:
    rows = [(f"word {n}", [str(n)] if mode == "multi_label" else n) for n in range(1000)]
    _write(tmp_path / "train.jsonl", rows)
    _write(tmp_path / "validation.jsonl", rows[::20])
    _write(tmp_path / "test.jsonl", rows[::25])
    options = ["--trainer.max_epochs=1", f"--data.mode={mode}", "--data.batch_size=50"]
    assert main(["classification", *flags, *options]) == 0
    assert len(_lines("run/predictions.jsonl")) == 40


def test_one_label_that_a_text_may_have_or_not_runs(flags: list[str], tmp_path: Path) -> None:
    rows = [("fox dog", ["animal"]), ("dog bear", ["animal"]), ("Ada", []), ("Bob", [])] * 6
    for split in ("train", "validation", "test"):
        _write(tmp_path / f"{split}.jsonl", rows)
    assert main(["classification", *flags]) == 0
    assert metrics_of("run")["test/f1_macro"] > 0.6
    assert metrics_of("run")["baseline/bag_of_words/f1_macro"] == 1.0


@pytest.mark.parametrize(
    ("lines", "options", "said"),
    [
        ("a,1.5\nb,high\n", ["--data.mode=regression"], "train.csv:3: the target of a regression"),
        ("a,1.5\nb\n", ["--data.mode=regression"], "train.csv:3: expected 2 fields"),
        ("a,x;y\nb\n", ["--data.separator=;"], "train.csv:3: expected 2 fields"),
        ("a,2.5\n" * 30, [], "train.csv: Every text has the target 2.5"),
        ("a,low\nb,high\n" * 9, ["--data.mode=ordinal"], "--data.labels '[high, low]'"),
        ("a,1\n" * 30, ["--data.mode=ordinal"], "Every text has the label '1'"),
        ("a,1\nb,2\n" * 9, ["--data.mode=rank"], "--data.mode rank"),
        ("a,1\nb,2\n" * 9, ["--data.separator="], "--data.separator"),
        (
            "a,1.5\nb,2\n" * 9,
            ["--model.class_weights=balanced"],
            "class_weights and label_smoothing are not for regression",
        ),
    ],
)
def test_bad_targets_are_one_sentence_and_status_2(
    lines: str, options: list[str], said: str, flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("train.csv").write_text(f"text,label\n{lines}", encoding="utf-8")
    assert main(["classification", *flags, "--data.train=train.csv", *options]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error


def test_trained_weights_in_another_mode_and_mixed_inputs_are_said_with_status_2(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_corpus(tmp_path, "single_label")
    assert main(["classification", *flags, "--trainer.max_epochs=1"]) == 0
    weights = ["--model.backbone=run/model", "--data.test=test.jsonl", "--run_dir=x"]
    assert main(["classification", "test", *weights, "--data.mode=multi_label"]) == 2
    assert "trained with the mode single_label, not multi_label" in capsys.readouterr().err
    mixed = ['{"text": "fox"}', '{"text": "fox", "text2": "dog"}']
    (tmp_path / "mixed.jsonl").write_text("\n".join(mixed), encoding="utf-8")
    assert main(["predict", "run", "mixed.jsonl"]) == 2
    assert "trained on single texts; a pair was given" in capsys.readouterr().err
