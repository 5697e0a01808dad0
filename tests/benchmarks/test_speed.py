"""Every benchmark of speed runs on a tiny model, and what must be the same is the same."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.speed.__main__ import main

pytestmark = pytest.mark.slow

Measure = Callable[..., dict[str, Any]]


@pytest.fixture
def measure(tiny: Callable[[str], Path], tmp_path: Path) -> Measure:
    def run(part: str, *flags: str) -> dict[str, Any]:
        out = tmp_path / "out"
        always = ["--anyway", "--sample", f"--backbone={tiny('bert')}", f"--out={out}"]
        assert main([part, *always, f"--picture={tmp_path / 'speed.png'}", *flags]) == 0
        file = out / f"speed_{part}.json"
        record: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        assert record["machine"]["versions"]["torch"]
        return record

    return run


def test_steps_have_equal_losses_in_both_precisions(measure: Measure, tmp_path: Path) -> None:
    record = measure("steps", "--batches=2", "--batch_size=4", "--rounds=1", "--no-memory")
    ways = {(row["corpus"], row["precision"], row["way"]) for row in record["rows"]}
    names = ("ner", "classification", "qa", "summarization", "pretraining")
    for corpus in (f"{name}-sample" for name in names):
        for precision in ("fp32", "bf16"):
            assert {(corpus, precision, "zoo"), (corpus, precision, "transformers")} <= ways
    for precision in ("fp32", "bf16"):
        assert ("ner-sample", precision, "zoo, frozen embeddings") in ways
    assert all(min(row["real tokens/s"]) > 0 for row in record["rows"])
    assert all(row["ceiling"] >= 1 for row in record["rows"])
    exact = {name: value for name, value in record["checks"].items() if "fp32" in name}
    assert max(value for name, value in exact.items() if name.endswith("loss")) <= 1e-5
    assert max(value for name, value in exact.items() if name.endswith("norm")) <= 1e-3
    assert main(["report", f"--out={tmp_path / 'out'}", f"--picture={tmp_path / 'speed.png'}"]) == 0
    assert (tmp_path / "speed.png").read_bytes().startswith(b"\x89PNG")
    assert "qa-sample" in (tmp_path / "out" / "speed.md").read_text(encoding="utf-8")


def test_each_way_has_a_peak_of_its_own(measure: Measure) -> None:
    flags = ("--families", "ner", "--precisions", "fp32", "--batches=2", "--rounds=1")
    record = measure("steps", *flags, "--batch_size=64")
    peaks = {row["way"]: row["peak memory, GiB"] for row in record["rows"]}
    # The weights, their gradients and the optimizer's two moments: 4 x 4 bytes of each.
    assert all(0.0005 < peak < 2 for peak in peaks.values())


def test_padding_to_a_fixed_length_has_the_same_losses(measure: Measure) -> None:
    flags = ("--families", "classification", "--precisions", "fp32", "--batches=2")
    few = ("--batch_size=4", "--rounds=1", "--no-memory")
    record = measure("padding", *flags, *few)
    assert [row["way"] for row in record["rows"]] == ["zoo", "transformers, fixed"]
    losses = [value for name, value in record["checks"].items() if name.endswith("loss")]
    assert len(losses) == 1
    assert max(losses) <= 1e-5
    assert record["rows"][0]["ceiling"] > 1.2


def test_worker_processes_are_measured_beside_none(measure: Measure) -> None:
    flags = ("--families", "ner", "--workers", "0", "1", "--steps=2", "--batch_size=4")
    record = measure("loading", *flags, "--rounds=1")
    assert [row["workers"] for row in record["rows"]] == [0, 1]
    none, one = record["rows"]
    assert none["times as fast"] == [1.0, 1.0, 1.0]
    assert 0 < none["ms to make a batch"][0] < none["ms a step"][0]
    assert one["times as fast"][0] == pytest.approx(none["ms a step"][0] / one["ms a step"][0])


def test_metrics_have_the_values_of_their_oracles(measure: Measure) -> None:
    record = measure("metrics", "--tokens=3000", "--summaries=6", "--rounds=1")
    assert set(record["checks"]) == {"entity scores", "ROUGE"}
    assert max(record["checks"].values()) < 1e-9
    assert len(record["goals"]) == 3


def test_start_up_is_measured_in_processes_of_its_own(
    measure: Measure, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What takes seconds to import stands for nothing here.
    commands = {
        name: ["-c", "pass"] for name in ("python", "lightning and BERT", "from zoo import NERTask")
    }
    commands["import zoo"] = ["-c", "import zoo"]
    monkeypatch.setattr("benchmarks.speed.startup.COMMANDS", commands)
    record = measure("startup", "--rounds=2")
    assert {row["command"] for row in record["rows"]} == set(commands)
    assert len(record["goals"]) == 2


def test_a_recipe_in_a_terminal_trains_beside_its_twin(measure: Measure) -> None:
    sizes = ("--sizes", "16", "--lora_sizes", "16")
    record = measure("overhead", "--steps=3", *sizes, "--repetitions=1")
    ways = [row["trained"] for row in record["rows"]]
    assert ways == ["full", "lora", "lora, Lightning alone"]
    for row in record["rows"]:
        assert row["ms of a bare step"] > 0
        assert row["recipe over bare"][0] > 0


def test_trainings_are_compared_by_time_and_score(measure: Measure) -> None:
    record = measure("recipe", "--epochs=1", "--seeds", "1", "--max_examples=24", "--ways=recipe")
    (row,) = record["rows"]
    assert row["seconds"][0] > 0
    assert 0 <= row["test F1"] <= 1


@pytest.mark.parametrize("way", ["trainer, grouped", "loop"])
def test_peers_train_and_are_scored(measure: Measure, way: str) -> None:
    record = measure("recipe", "--epochs=1", "--seeds", "1", "--max_examples=24", "--ways", way)
    (row,) = record["rows"]
    assert row["seconds"][0] > 0
    assert 0 <= row["test F1"] <= 1
