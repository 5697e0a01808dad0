"""Two processes with one thread each against one process with two: real tokens per second.

    python -m benchmarks.scaling                    # the bundled NER sample and encoder
    python -m benchmarks.scaling --pairs 5 --batch_size 32 64 128    # 16, 32 and 64 each
    python -m benchmarks.scaling --pairs 5 --steps 40 --strategy fsdp2

Both sides read batches of as many examples in all, and train the same model. A pair is one run of
each, one right after the other, and which comes first alternates: what else the machine does then
weighs on both. Printed are the ratio of each pair and their median, and how unevenly tokens were
dealt. What two processes lose is the exchange of the gradients, which costs the same for a batch of
any size: hence several sizes. The machine should be idle.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

#: Steps that are not counted: the first ones make buffers and connections.
_WARM_UP = 3


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], allow_abbrev=False)
    parser.add_argument("--pairs", type=int, default=3, help="runs of each side (%(default)s)")
    parser.add_argument("--steps", type=int, default=20, help="steps of a run (%(default)s)")
    parser.add_argument(
        "--batch_size",
        type=int,
        nargs="+",
        default=[64],
        help="examples of a step of all processes together (64: 32 each, as recipes have)",
    )
    parser.add_argument("--strategy", default="ddp", help="of the two processes (%(default)s)")
    parser.add_argument("--backbone", default="minilm-l6")
    parser.add_argument("--dataset", default="ner-sample")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker is not None:
        _work(argparse.Namespace(**{**vars(options), "batch_size": options.batch_size[0]}))
        return 0
    for size in options.batch_size:
        print(f"{size} examples a step, {size // 2} of each of two processes")
        _compare(argparse.Namespace(**{**vars(options), "batch_size": size}))
    return 0


def _compare(options: argparse.Namespace) -> None:
    """Pairs of runs on batches of one size."""
    ratios, uneven = [], []
    for pair in range(options.pairs):
        sides = {}
        for processes in (1, 2) if pair % 2 == 0 else (2, 1):
            sides[processes] = _measure(options, processes)
        ratio = sides[2]["speed"] / sides[1]["speed"]
        ratios.append(ratio)
        uneven.append(sides[2]["imbalance"])
        print(
            f"pair {pair + 1}: 1 process with 2 threads {sides[1]['speed']:,.0f} tokens/s, "
            f"2 with 1 thread {sides[2]['speed']:,.0f}, ratio {ratio:.3f}"
        )
    print(f"median ratio {statistics.median(ratios):.3f} (goal: at least 0.85)")
    print(f"token imbalance over an epoch {max(uneven):.2%} (goal: at most 2%)")


def _measure(options: argparse.Namespace, processes: int) -> dict[str, float]:
    """Tokens per second of all processes together, and the imbalance of a whole epoch."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = str(one.getsockname()[1])
    threads = str(2 // processes)
    with tempfile.TemporaryDirectory() as folder:
        started = [
            subprocess.Popen(
                [
                    *(sys.executable, "-m", "benchmarks.scaling", "--worker", folder),
                    *("--steps", str(options.steps), "--batch_size", str(options.batch_size)),
                    *("--strategy", options.strategy, "--backbone", options.backbone),
                    *("--dataset", options.dataset),
                ],
                env={
                    **os.environ,
                    "OMP_NUM_THREADS": threads,
                    "MKL_NUM_THREADS": threads,
                    "MASTER_ADDR": "127.0.0.1",
                    "MASTER_PORT": port,
                    "WORLD_SIZE": str(processes),
                    "LOCAL_WORLD_SIZE": str(processes),
                    "RANK": str(rank),
                    "LOCAL_RANK": str(rank),
                    "GROUP_RANK": "0",
                    "TORCHELASTIC_RUN_ID": "scaling",
                },
            )
            for rank in range(processes)
        ]
        if any(process.wait() for process in started):
            raise SystemExit("a process failed; its output is above")
        found = [
            json.loads(Path(folder, f"{rank}.json").read_text(encoding="utf-8"))
            for rank in range(processes)
        ]
    epochs = [one["epoch_tokens"] for one in found]
    # From the first that was ready to the last that was done: waiting for each other counts.
    seconds = max(one["end"] for one in found) - min(one["begin"] for one in found)
    return {
        "speed": sum(one["tokens"] for one in found) / seconds,
        "imbalance": max(epochs) / min(epochs) - 1,
    }


def _work(options: argparse.Namespace) -> None:
    import torch
    from lightning import Callback, LightningModule, Trainer, seed_everything

    from zoo import NERDataModule, NERTask, quiet

    quiet()
    seed_everything(42, verbose=False)
    world, rank = int(os.environ["WORLD_SIZE"]), int(os.environ["RANK"])

    class Clock(Callback):
        def __init__(self) -> None:
            self.tokens, self.begin, self.end = 0, 0.0, 0.0
            self.epoch_tokens = 0

        def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
            loader: Any = trainer.train_dataloader
            lengths, rows = loader.sampler.lengths, loader.sampler.batches()
            self.epoch_tokens = sum(int(lengths[batch].sum()) for batch in rows)

        def on_train_batch_end(
            self,
            trainer: Trainer,
            pl_module: LightningModule,
            outputs: Any,
            batch: Any,
            batch_idx: int,
        ) -> None:
            self.end = time.time()  # of all processes of this machine alike
            if trainer.global_step == _WARM_UP:
                self.begin = self.end
            elif trainer.global_step > _WARM_UP:
                self.tokens += int(batch["tokens"])

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    data = NERDataModule(
        options.dataset, backbone=options.backbone, batch_size=options.batch_size // world
    )
    task = NERTask(options.backbone, labels=data.labels)
    clock = Clock()
    Trainer(
        accelerator="cpu",
        devices=world,
        strategy=options.strategy if world > 1 else "auto",
        max_steps=options.steps + _WARM_UP,
        max_epochs=-1,
        limit_val_batches=0,
        num_sanity_val_steps=0,
        gradient_clip_val=1.0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[clock],
    ).fit(task, data)
    names = ("tokens", "begin", "end", "epoch_tokens")
    found = {name: getattr(clock, name) for name in names}
    Path(options.worker, f"{rank}.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
