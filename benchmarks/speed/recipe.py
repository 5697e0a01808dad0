"""The shipped recipe on WNUT-17 against transformers' Trainer: time to train, and F1.

Each training is a process of its own, and they take turns seed by seed. Texts are encoded before,
for all. The recipe's time is its `perf/fit_seconds`: training with logging (W&B offline),
checkpoints and a validation of each epoch. The Trainer's is that of `Trainer.train` with nothing
evaluated. All have the recipe's learning rate (the Trainer's own default trains this small model
worse) and the same epochs; seeds are paired for the interval of the difference in F1 (Student's t).
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.speed import corpora
from benchmarks.speed.progress import say
from benchmarks.speed.results import Goal, Result, environment
from benchmarks.speed.timing import Spread, ratios, turns

OURS, BF16 = "recipe", "recipe, bf16"
DEFAULTS, GROUPED, LOOP = "trainer, defaults", "trainer, grouped", "loop"
WAYS = (OURS, BF16, DEFAULTS, GROUPED, LOOP)

#: Largest share of the other's time.
_GOALS = {DEFAULTS: 0.40, GROUPED: 0.95}

#: Student's t for two-sided 95% by degrees of freedom.
_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)


def measure(options: argparse.Namespace) -> Result:
    """Train all ways with each seed."""
    settings = {
        name: getattr(options, name)
        for name in ("backbone", "epochs", "seeds", "max_examples", "learning_rate", "ways", "ours")
    }
    result = Result("recipe", settings)
    found: dict[str, dict[int, dict[str, float]]] = {way: {} for way in options.ways}
    with tempfile.TemporaryDirectory() as name:
        tokens = options.epochs * _encoded(_data(options, Path(name)), options.backbone)
    for number, seed in enumerate(options.seeds):
        for way in turns(options.ways, number):
            with result.part(f"{way}, seed {seed}", options.out):
                found[way][seed] = said = train(way, seed, options)
                say(f"{way}, seed {seed}: {said['fit_seconds']:.0f} s, F1 {said['test_f1']:.3f}")
                _tell(found, tokens, result)
    return result


def _tell(
    found: Mapping[str, Mapping[int, Mapping[str, float]]], tokens: int, result: Result
) -> None:
    """Rows and goals of the trainings that are done; pairs are of seeds that both ways have."""
    result.rows.clear()
    result.goals.clear()
    best = BF16 if BF16 in found else OURS
    for way, by_seed in found.items():
        runs = list(by_seed.values())
        if not runs:
            continue
        row: dict[str, Any] = {
            "way": way,
            "seconds": Spread.of([one["fit_seconds"] for one in runs]),
            "real tokens/s": Spread.of([tokens / one["fit_seconds"] for one in runs]),
            "dev F1": statistics.mean(one["dev_f1"] for one in runs),
            "test F1": statistics.mean(one["test_f1"] for one in runs),
            "peak memory, GiB": max(one["peak_memory_gib"] for one in runs),
        }
        for ours in (OURS, BF16):
            pairs = [
                (own, by_seed[seed]) for seed, own in found.get(ours, {}).items() if seed in by_seed
            ]
            if not pairs or way in (OURS, BF16):
                continue
            taken = ratios(
                *zip(*[(a["fit_seconds"], b["fit_seconds"]) for a, b in pairs], strict=True)
            )
            row[f"{ours} takes"] = taken
            for split in ("dev", "test"):
                differences = [a[f"{split}_f1"] - b[f"{split}_f1"] for a, b in pairs]
                row[f"{split} F1, {ours} minus it"] = interval(differences)
            if ours == best and way in _GOALS:
                name = f"time of the {best} over {way}"
                result.goals.append(Goal(name, taken, _GOALS[way], "at most"))
        result.rows.append(row)


def interval(differences: Sequence[float]) -> str:
    """Mean difference and its 95% interval over paired seeds."""
    mean = statistics.mean(differences)
    number = len(differences)
    if number < 2:
        return f"{mean:+.3f}"
    t = _T[number - 2] if number - 2 < len(_T) else 1.96
    half = t * statistics.stdev(differences) / math.sqrt(number)
    return f"{mean:+.3f} ({mean - half:+.3f} to {mean + half:+.3f})"


def train(way: str, seed: int, options: argparse.Namespace) -> dict[str, float]:
    """Train once, in a process of its own: its time and scores."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = _data(options, folder)
        return (_ours if way in (OURS, BF16) else _theirs)(way, seed, files, folder, options)


def _data(options: argparse.Namespace, folder: Path) -> dict[str, str]:
    """Files of the corpus, those to train on shortened if asked for; the sample by its name."""
    files = {} if options.sample else corpora.wnut17()
    if not files:
        from zoo.data import samples

        place = samples.folder("ner-sample") or Path()
        files = {split: str(place / f"{split}.conll") for split in ("train", "validation", "test")}
    if options.max_examples is not None:
        text = Path(files["train"]).read_text(encoding="utf-8")
        # A sentence ends with an empty line, in WNUT-17 often with a lone tab.
        sentences: list[list[str]] = [[]]
        for line in text.splitlines():
            if line.strip():
                sentences[-1].append(line)
            elif sentences[-1]:
                sentences.append([])
        kept = [one for one in sentences if one][: options.max_examples]
        short = folder / "train.conll"
        short.write_text("\n\n".join("\n".join(one) for one in kept) + "\n", encoding="utf-8")
        files = {**files, "train": str(short)}
    return files


def _ours(
    way: str, seed: int, files: dict[str, str], folder: Path, options: argparse.Namespace
) -> dict[str, float]:
    run = folder / "run"
    flags = [f"--data.{split}={file}" for split, file in files.items()]
    flags += [f"--model.backbone={options.backbone}", f"--trainer.max_epochs={options.epochs}"]
    flags += [f"--seed_everything={seed}", f"--run_dir={run}", *options.ours]
    flags += [f"--model.learning_rate={options.learning_rate}"]
    if way == BF16:
        flags.append("--trainer.precision=bf16-mixed")
    run_apart([sys.executable, "-m", "recipes", "ner/wnut17", *flags], folder)
    scores = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    return {
        "fit_seconds": scores["perf/fit_seconds"],
        "dev_f1": scores["val/f1"],
        "test_f1": scores["test/f1"],
        "peak_memory_gib": scores["perf/peak_memory_gib"],
    }


def _encoded(files: dict[str, str], backbone: str) -> int:
    """Encode all splits into the cache that all trainings read; the tokens of train."""
    from zoo import NERDataModule

    splits: dict[str, Any] = dict(files)
    data = NERDataModule(**splits, backbone=backbone)
    for split in data.splits():
        data.features(split)
    return sum(len(row) for row in data.features("train")["input_ids"])


def _theirs(
    way: str, seed: int, files: dict[str, str], folder: Path, options: argparse.Namespace
) -> dict[str, float]:
    settings = {
        "way": way,
        "seed": seed,
        "data": files,
        "backbone": options.backbone,
        "epochs": options.epochs,
        "learning_rate": options.learning_rate,
        "folder": str(folder / "trainer"),
        "out": str(folder / "found.json"),
    }
    run_apart([sys.executable, "-m", "benchmarks.speed.trainer_peer", json.dumps(settings)], folder)
    found: dict[str, float] = json.loads((folder / "found.json").read_text(encoding="utf-8"))
    return found


def run_apart(command: Sequence[str], folder: Path) -> None:
    """Run a command, and end with what it printed last if it fails."""
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env={**environment(), "HF_DATASETS_CACHE": str(folder / "cache")},
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout[-3000:]}")
