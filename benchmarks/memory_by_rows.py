"""Peak memory of training against the number of training examples: it should hardly grow.

    python -m benchmarks.memory_by_rows --rows 10000 100000
    python -m benchmarks.memory_by_rows --rows 10000 100000 1000000 --processes 2

Trains a few steps on files of so many short texts and prints the largest anonymous resident memory
(RssAnon) of every process. Memory-mapped files are not among it: the system takes them back when it
needs the room. Linux only. A file is read and encoded in a run of its own first, which is measured
too: it streams, and should hardly grow either.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_LABELS = ["place", "person", "animal", "thing"]
_WORDS = [
    "the",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "a",
    "lazy",
    "dog",
    "while",
    "ada",
    "lives",
    "in",
    "london",
    "and",
    "works",
]
#: Seconds between two looks.
_EVERY = 0.02
_MIB = 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], allow_abbrev=False)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--strategy", default="ddp", help="of several processes (%(default)s)")
    parser.add_argument("--backbone", default="minilm-l6")
    options = parser.parse_args()
    peaks: dict[str, list[float]] = {"encoding": [], "training": []}
    for rows in options.rows:
        with tempfile.TemporaryDirectory() as folder:
            _write(Path(folder, "train.csv"), rows, seed=1)
            _write(Path(folder, "validation.csv"), 64, seed=2)
            _write(Path(folder, "test.csv"), 64, seed=3)
            for phase in peaks:
                found = _peaks(options, folder, phase)
                peaks[phase].append(max(found))
                each = ", ".join(f"{one:,.0f}" for one in found)
                print(f"{rows:>9,} rows, {phase}: {each} MiB", flush=True)
    for phase, found in peaks.items():
        print(f"{phase} grows by {found[-1] - found[0]:,.0f} MiB (goal: below 50 MB)")
    return 0


def _write(path: Path, rows: int, *, seed: int) -> None:
    chance = random.Random(seed)
    with path.open("w", encoding="utf-8") as file:
        file.write("text,label\n")
        for number in range(rows):
            words = " ".join(chance.choices(_WORDS, k=chance.randint(3, 12)))
            file.write(f"{words} {number},{_LABELS[number % len(_LABELS)]}\n")


def _peaks(options: argparse.Namespace, folder: str, phase: str) -> list[float]:
    """The largest RssAnon of each process, MiB."""
    several = phase == "training" and options.processes > 1
    command = [
        *(sys.executable, "-m", "recipes", "classification", "fit"),
        *(f"--data.dataset={folder}", f"--model.backbone={options.backbone}"),
        *(f"--trainer.max_steps={options.steps if phase == 'training' else 1}",),
        *("--trainer.limit_val_batches=2", "--data.batch_size=8", "--trainer.logger=false"),
        *("--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false"),
        *("--trainer.enable_checkpointing=false", f"--run_dir={folder}/{phase}"),
    ]
    if several:
        command += [f"--trainer.devices={options.processes}"]
        command += [f"--trainer.strategy={options.strategy}"]
    environment = {**os.environ, "ZOO_CACHE": f"{folder}/cache", "ZOO_RUN_DIR": ""}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    largest: dict[int, float] = {}
    while process.poll() is None:
        for pid in _family(process.pid):
            now = _anonymous(pid)
            if now is not None:
                largest[pid] = max(now, largest.get(pid, 0.0))
        time.sleep(_EVERY)
    if process.returncode:
        raise SystemExit("the run failed; its output is above")
    # Small helpers (a `git` that tells the commit) are no processes of the run.
    main_peak = largest[process.pid]
    return [peak for peak in largest.values() if peak > main_peak / 2]


def _family(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except OSError:
        return [pid]
    return [pid, *(one for child in children for one in _family(int(child)))]


def _anonymous(pid: int) -> float | None:
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    sizes = [line.split()[1] for line in lines if line.startswith("RssAnon:")]
    return int(sizes[0]) / _MIB if sizes else None


if __name__ == "__main__":
    sys.exit(main())
