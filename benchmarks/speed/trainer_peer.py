"""One fine-tuning on WNUT-17 without the zoo's training: transformers' Trainer, or a bare loop.

A process of its own (`python -m benchmarks.speed.trainer_peer '{...}'`) that writes its figures as
JSON. Sentences, subwords, labels and the head are as in the zoo's recipe; what is measured is the
time of training alone: data is read and tokenised before. Nothing is evaluated while training, as
the Trainer's defaults have it. Afterwards the words of dev and test are tagged with the most
probable tag each, and seqeval counts (its default reading of tags, as in the example script).
"""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from seqeval.metrics import f1_score

from zoo import NERDataModule, backbones
from zoo.ner.encoding import IGNORED


def main() -> None:
    """Train as the JSON in the first argument says."""
    settings: dict[str, Any] = json.loads(sys.argv[1])
    from transformers import AutoModelForTokenClassification, set_seed

    data = NERDataModule(**settings["data"], backbone=settings["backbone"])
    set_seed(settings["seed"])
    with backbones.quiet_transformers():
        model = AutoModelForTokenClassification.from_pretrained(
            backbones.resolve(settings["backbone"]).location,
            dtype=torch.float32,
            num_labels=len(data.labels),
        )
    rows = examples(data, "train")
    train = bare_loop if settings["way"] == "loop" else with_trainer
    seconds = train(model, rows, data, settings)
    found = {
        "fit_seconds": seconds,
        "dev_f1": score(model, data, "validation"),
        "test_f1": score(model, data, "test"),
    }
    Path(settings["out"]).write_text(json.dumps(found), encoding="utf-8")


def examples(data: NERDataModule, split: Any) -> list[dict[str, list[int]]]:
    """Windows of a split with a label for each token, `IGNORED` but at a word's first subword."""
    found = []
    for row in data.features(split):
        labels = np.full(len(row["input_ids"]), IGNORED)
        labels[row["positions"]] = row["labels"]
        found.append(
            {
                "input_ids": row["input_ids"],
                "attention_mask": [1] * len(labels),
                "labels": labels.tolist(),
            }
        )
    return found


def collator(data: NERDataModule) -> Any:
    """What the example script pads batches with."""
    from transformers import DataCollatorForTokenClassification

    return DataCollatorForTokenClassification(data.tokenizer)


def with_trainer(model: Any, rows: list[Any], data: NERDataModule, settings: Any) -> float:
    """Seconds of `Trainer.train`."""
    from datasets import Dataset
    from transformers import Trainer, TrainingArguments

    options: dict[str, Any] = {}
    if settings["way"] == "trainer, grouped":
        options = {
            "per_device_train_batch_size": 32,
            "train_sampling_strategy": "group_by_length",
            "bf16": True,
        }
    arguments = TrainingArguments(
        output_dir=settings["folder"],
        num_train_epochs=settings["epochs"],
        learning_rate=settings["learning_rate"],
        seed=settings["seed"],
        use_cpu=not torch.cuda.is_available(),
        report_to="none",
        **options,
    )
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=Dataset.from_list(rows),
        data_collator=collator(data),
    )
    began = time.perf_counter()
    trainer.train()
    return time.perf_counter() - began


def bare_loop(model: Any, rows: list[Any], data: NERDataModule, settings: Any) -> float:
    """Seconds of a plain loop: random batches of 32, AdamW, a rate that falls to 0, clipping."""
    from torch.utils.data import DataLoader

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device).train()
    loader: Any = DataLoader(rows, batch_size=32, shuffle=True, collate_fn=collator(data))  # type: ignore[arg-type]
    steps = settings["epochs"] * len(loader)
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings["learning_rate"], fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    began = time.perf_counter()
    for _ in range(settings["epochs"]):
        for batch in loader:
            model(**batch.to(device)).loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


@torch.inference_mode()
def score(model: Any, data: NERDataModule, split: Any) -> float:
    """Entity F1 of a split, counted by seqeval."""
    model.eval()
    said: dict[int, list[str]] = {}
    gold = [list(one["tags"]) for one in data.examples(split)]
    for batch in batches(data, split):
        inputs = {name: batch[name].to(model.device) for name in ("input_ids", "attention_mask")}
        best = model(**inputs).logits.argmax(dim=-1).cpu()
        for row, example in enumerate(batch["example"]):
            tags = [data.labels[int(at)] for at in best[row][batch["word_mask"][row]]]
            said.setdefault(example, []).extend(tags)  # windows of a document come in order
    return float(f1_score(gold, [said.get(row, []) for row in range(len(gold))]))


def batches(data: NERDataModule, split: Any) -> Iterator[dict[str, Any]]:
    """A split in order, 64 windows at a time."""
    features = data.features(split)
    for at in range(0, len(features), 64):
        yield data.collate([features[row] for row in range(at, min(at + 64, len(features)))])


if __name__ == "__main__":
    main()
