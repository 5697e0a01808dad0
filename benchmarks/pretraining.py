"""Masked language models of equal training time: gone on with, from scratch, and a tiny one.

`python -m benchmarks.pretraining FOLDER --minutes 10` reads `valid.txt` of WikiText-2 in `FOLDER`
(or any file of articles with headings ` = Title = `), splits it by article, trains three models one
after the other for as many minutes each and asks all of them for the same masked tokens of the
articles that none of them saw:

- `continued`: `minilm-l6`, whose masked-LM head is new, but for the embeddings that it shares;
- `same shape`: the same with random weights;
- `tiny`: a BERT of 2 layers of width 128 with random weights.

With `--held_out`, the tested articles are left out altogether and others, out of train, take their
place: that is what the learning rates were chosen by.

All of them have one tokenizer. Beside them stands the cross-entropy of train's unigrams. The
learning rate knows the budget: it rises for the first 5% of the time and is 0 where it ends. Only
training is in the budget, not evaluation. Articles are documents; what the tokenization of the
corpus did to numbers and hyphens (`@,@`) is undone, and `<unk>` is the tokenizer's unknown token.
"""

import argparse
import json
import math
import random
import re
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer, seed_everything

from zoo import MaskedLMDataModule, MaskedLMTask
from zoo.tracking.console import print_table
from zoo.tracking.report import Table

BACKBONE = "minilm-l6"
#: Share of the articles that is tested on.
TESTED = 0.2
#: Share of the budget in which the learning rate rises.
WARMUP = 0.05
#: Name, size from scratch (None goes on from the backbone), highest learning rate.
MODELS = (("continued", None, 5e-4), ("same shape", "same", 5e-4), ("tiny", "tiny", 2e-3))

_HEADING = re.compile(r"^ ?= [^=].*[^=] = ?$")
_JOINED = re.compile(r" @(.)@ ")


def articles(path: Path, *, unknown: str) -> list[str]:
    """The articles of a file of WikiText, each as one line."""
    found: list[list[str]] = []
    for line in path.read_text(encoding="utf-8").split("\n"):
        text = line.strip()
        if _HEADING.match(line) or not found:
            found.append([])
        if text:
            found[-1].append(_JOINED.sub(r"\1", text.strip("= ")).replace("<unk>", unknown))
    return [" ".join(lines) for lines in found if lines]


def rate(used: float) -> float:
    """Share of the highest learning rate where so much of the budget is used."""
    return used / WARMUP if used < WARMUP else max(0.0, (1 - used) / (1 - WARMUP))


class TimeBudget(Callback):
    """Ends training after some seconds, and lets the learning rate fall to 0 until then."""

    def __init__(self, seconds: float, learning_rate: float):
        self.seconds = seconds
        self.learning_rate = learning_rate
        self.began = math.inf
        self.tokens = 0

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        """Set the learning rate."""
        if self.began == math.inf:
            self.began = time.perf_counter()
        used = (time.perf_counter() - self.began) / self.seconds
        for group in trainer.optimizers[0].param_groups:
            # The first step has a rate above 0.
            group["lr"] = self.learning_rate * rate(max(used, WARMUP / 100))

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        """Count tokens, and stop where the budget is used up."""
        self.tokens += int(batch["attention_mask"].sum())
        trainer.should_stop = time.perf_counter() - self.began >= self.seconds


def train(
    name: str, size: Any, learning_rate: float, data: MaskedLMDataModule, given: argparse.Namespace
) -> dict[str, Any]:
    """Train one model and test it."""
    seed_everything(given.seed, verbose=False)
    task = MaskedLMTask(
        BACKBONE,
        from_scratch=size,
        learning_rate=learning_rate,
        schedule="constant",
        warmup=0.0,
        whole_words=given.whole_words,
        begin_with_unigrams=not given.zero_bias,
    )
    budget = TimeBudget(60 * given.minutes, learning_rate)
    trainer = Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=1_000_000,  # the budget ends it
        limit_val_batches=0,
        num_sanity_val_steps=0,
        gradient_clip_val=1.0,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        callbacks=[budget],
    )
    trainer.fit(task, data)
    seconds = time.perf_counter() - budget.began
    steps = trainer.global_step
    (scores,) = trainer.test(task, data, verbose=False)
    found = {key.removeprefix("test/"): value for key, value in scores.items()}
    return {
        "model": name,
        "parameters": sum(one.numel() for one in task.net.parameters()),
        "learning_rate": learning_rate,
        "steps": steps,
        "tokens": budget.tokens,
        "tokens_per_second": budget.tokens / seconds,
        "seconds": seconds,
        **found,
    }


def _folder_with_splits(given: argparse.Namespace, folder: Path, unknown: str) -> tuple[int, int]:
    path = Path(given.folder)
    found = articles(path / "valid.txt" if path.is_dir() else path, unknown=unknown)
    random.Random(given.seed).shuffle(found)
    tested = round(len(found) * TESTED)
    if given.held_out:
        found = found[tested:]
    for split, own in (("test", found[:tested]), ("train", found[tested:])):
        (folder / f"{split}.txt").write_text("\n".join(own) + "\n", encoding="utf-8")
    return len(found) - tested, tested


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", help="folder with valid.txt of WikiText-2, or such a file")
    parser.add_argument("--minutes", type=float, default=10.0, help="of training, each model")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--max_length", type=int, default=128)
    parser.add_argument("--batch_size", type=int, default=8, help="blocks a step")
    parser.add_argument("--whole_words", action="store_true")
    parser.add_argument("--zero_bias", action="store_true", help="do not begin with unigrams")
    parser.add_argument(
        "--held_out", action="store_true", help="spare the test, to choose settings"
    )
    parser.add_argument("--learning_rate", type=float, help="one for all models, not their own")
    parser.add_argument("--only", nargs="+", choices=[name for name, *_ in MODELS])
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--output", type=Path, help="JSON file")
    return parser.parse_args()


def main() -> None:
    """Print the table and write the JSON."""
    given = _parsed()
    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = MaskedLMDataModule(
            train=str(folder / "train.txt"),
            test=str(folder / "test.txt"),
            validation=str(folder / "test.txt"),  # never looked at in training
            backbone=BACKBONE,
            max_length=given.max_length,
            batch_size=given.batch_size,
            seed=given.seed,
        )
        unknown = str(data.tokenizer.unk_token)
        trained_on, tested_on = _folder_with_splits(given, folder, unknown)
        unigrams = data.baselines()
        baseline = {key.removeprefix("unigram/"): value for key, value in unigrams.items()}
        results = [{"model": "unigrams", **baseline}]
        for model, size, own in MODELS:
            if given.only and model not in given.only:
                continue
            results.append(train(model, size, given.learning_rate or own, data, given))
            last = results[-1]
            print(f"{model}: {last['loss']:.3f} nats after {last['steps']} steps", flush=True)
        tokens = int(data.token_counts().sum())
        asked = sum(len(ids) for ids, _ in data.asked("test"))
    names = ("loss", "perplexity", "accuracy", "bits_per_byte", "steps", "tokens_per_second")
    rows = [(row["model"], *(row.get(name, "") for name in names)) for row in results]
    title = (
        f"Masked-LM loss on {asked:,} fixed masks of {tested_on} articles, {given.minutes:g} min "
        f"each on {trained_on} articles ({tokens:,} tokens)"
    )
    print_table(Table(title, ("model", *names), rows))
    if given.output is not None:
        paths = ("folder", "output")
        known = {key: one for key, one in vars(given).items() if one is not None}
        settings = {key: str(one) for key, one in known.items() if key not in paths}
        facts = {"train_tokens": tokens, "masks": asked, "articles": [trained_on, tested_on]}
        content = {"settings": settings, "data": facts, "results": results}
        given.output.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
