"""Runs of tiny models compare with the scores that they report themselves."""

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recipes.__main__ import main

Records = list[dict[str, Any]]


def line_of(out: str, name: str) -> str:
    (found,) = [line for line in out.splitlines() if line.split()[:1] == [name]]
    return found


def write_corpus(folder: Path, family: str) -> None:
    """Examples that even a tiny random model half learns."""
    chance = random.Random(3)
    for split in ("train", "validation", "test"):
        names = [chance.choice(["ada", "bob", "fox", "dog"]) for _ in range(40)]
        kinds = ["person" if name in ("ada", "bob") else "animal" for name in names]
        if family == "ner":
            tags = ["PER" if kind == "person" else "ANIMAL" for kind in kinds]
            text = "\n".join(
                f"the\tO\n{name}\tB-{tag}\nlived\tO\n"
                for name, tag in zip(names, tags, strict=True)
            )
            (folder / f"{split}.conll").write_text(text)
        elif family == "classification":
            rows = [f"the {name} lived,{kind}" for name, kind in zip(names, kinds, strict=True)]
            (folder / f"{split}.csv").write_text("\n".join(["text,label", *rows]))
        else:
            questions = [
                {
                    "context": f"the {name} lived in london .",
                    "qas": [
                        {
                            "id": f"{split}-{number}",
                            "question": "who lived ?",
                            "answers": [{"text": name, "answer_start": 4}],
                        }
                    ],
                }
                for number, name in enumerate(names)
            ]
            content = {"data": [{"title": "T", "paragraphs": questions}]}
            (folder / f"{split}.json").write_text(json.dumps(content))


@pytest.mark.slow
@pytest.mark.parametrize("family", ["ner", "classification", "qa"])
def test_two_real_runs_compare_with_the_scores_that_they_report(
    family: str,
    tiny: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    read_page: Callable[[Path], Any],
) -> None:
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "data"
    data.mkdir()
    write_corpus(data, family)
    common = [f"--model.backbone={tiny('bert')}", f"--data.dataset={data}", "--data.batch_size=8"]
    common += ["--trainer.accelerator=cpu", "--trainer.logger=false"]
    for name, rate, epochs in (("slow", "1e-5", 1), ("fast", "5e-3", 6)):
        own = [f"--model.learning_rate={rate}", f"--trainer.max_epochs={epochs}"]
        assert main([family, *common, *own, f"--run_dir=runs/{family}/{name}"]) == 0
    capsys.readouterr()
    assert main(["compare"]) == 0
    out = capsys.readouterr().out
    assert "warning" not in out, "the predictions give the scores of metrics.json"
    score = "accuracy" if family == "classification" else "f1"
    shown = line_of(out, score)
    for name in ("slow", "fast"):
        metrics = json.loads(Path(f"runs/{family}/{name}/metrics.json").read_text())
        assert f"{metrics[f'test/{score}']:.3f} [" in shown
    assert "B is better" in out
    assert re.search(r"--trainer.max_epochs\s+1\s+6", out)
    assert f"val/{score}" not in out
    assert read_page(Path(f"runs/{family}/comparison.html")).loaded, "there are curves"


@pytest.mark.slow
def test_an_abstractive_and_an_extractive_run_compare_on_the_same_documents(
    tiny: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "data"
    data.mkdir()
    chance = random.Random(7)
    for split in ("train", "validation", "test"):
        lines = []
        for number in range(32):
            names = chance.sample(["ada", "bob", "cleo", "fox", "dog"], 3)
            said = f"{names[0]} lived in london ."
            sentences = [f"{name} jumps over the dog ." for name in names[1:]]
            sentences.insert(chance.randrange(3), said)
            record = {"id": f"{split}-{number}", "source": sentences, "target": said}
            lines.append(json.dumps(record))
        (data / f"{split}.jsonl").write_text("\n".join(lines))
    common = [f"--data.dataset={data}", "--data.max_length=96", "--data.batch_size=8"]
    common += ["--trainer.accelerator=cpu", "--trainer.logger=false"]
    own = {
        "summarization/dialogues": [
            f"--model.backbone={tiny('t5')}",
            "--model.generation={num_beams: 1, max_new_tokens: 12}",
            "--trainer.max_epochs=1",
        ],
        "summarization/scitldr": [
            f"--model.backbone={tiny('bert')}",
            "--model.learning_rate=5e-3",
            "--model.max_sentences=1",
            "--trainer.max_epochs=8",
        ],
    }
    for recipe, flags in own.items():
        name = f"--run_dir=runs/{recipe}"
        assert main([recipe, *common, *flags, name]) == 0
    capsys.readouterr()
    assert main(["compare"]) == 0
    out = capsys.readouterr().out
    assert "warning" not in out
    assert "B is better: rougeL" in out
    assert re.search(r"zoo.SummarizationTask\s+zoo.ExtractiveSummarizationTask", out)
    assert line_of(out, "rougeLsum").count("[") == 3
