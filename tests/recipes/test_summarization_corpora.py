"""Real corpora with line breaks in fields, and in Chinese, through the command line."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from recipes.__main__ import main

pytestmark = pytest.mark.slow

#: What a user types for each corpus, and how ROUGE is counted by itself.
CORPORA = {
    "mts_dialog": (
        "--data.train={0}/mts_dialog/MTS-Dialog-TrainingSet.csv",
        "--data.test={0}/mts_dialog/MTS-Dialog-ValidationSet.csv",
        "--data.columns={{source: dialogue, target: section_text}}",
    ),
    "csl_ts_zh": (
        "--data.train={0}/csl_ts_zh/dev.tsv",
        "--data.columns={{source: 1, target: 2}}",
    ),
}
TESTED = {"mts_dialog": 100, "csl_ts_zh": 100}


@pytest.mark.parametrize("corpus", CORPORA)
@pytest.mark.parametrize(
    ("recipe", "backbone", "flags"),
    [
        (
            "dialogues",
            "t5",
            [
                "--data.max_target_length=24",
                "--model.generation={num_beams: 2, max_new_tokens: 12}",
            ],
        ),
        ("extractive", "bert", ["--model.max_sentences=1"]),
    ],
    ids=["abstractive", "extractive"],
)
def test_a_corpus_trains_one_epoch(
    corpus: str,
    recipe: str,
    backbone: str,
    flags: list[str],
    real_data: Path,
    tiny: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    files = [flag.format(real_data / "summarization") for flag in CORPORA[corpus]]
    small = [f"--model.backbone={tiny(backbone)}", "--data.max_length=96", "--run_dir=run"]
    train = ["--trainer.max_epochs=1", "--trainer.accelerator=cpu", "--trainer.logger=false"]
    command = [f"summarization/{recipe}", *files, *small, *flags, *train]
    assert main(command) == 0
    metrics = json.loads(Path("run/metrics.json").read_text(encoding="utf-8"))
    assert 0 <= metrics["test/rougeL"] <= 1
    # Chinese has no Latin words: in words nothing would be found.
    assert metrics["baseline/oracle/rouge1"] > 0.1
    lines = Path("run/predictions.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == TESTED[corpus]
