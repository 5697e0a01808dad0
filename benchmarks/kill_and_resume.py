"""Kill a training at random moments, resume it, and compare every bit with one that was not killed.

    python -m benchmarks.kill_and_resume --processes 1 --kills 20
    python -m benchmarks.kill_and_resume --processes 2 --kills 20

Each trial runs `python -m recipes ner fit` on the sample corpus with a tiny random BERT (dropout
0.1, a checkpoint every 7 steps, a validation each epoch), ends all its processes with SIGKILL and
then runs `python -m recipes ner fit --resume RUN`. Moments follow the run's own progress, so that
they fall within it whatever the machine's speed: two in three are a random step, drawn from all,
plus a random part of a step's time; the third waits for a checkpoint, drawn at random, to be
under way.
A run tells its steps in `history.jsonl` (`--trainer.log_every_n_steps 1`). One that was killed
before it had a `config.yaml` is begun anew, as a person would; one that ended before the kill after
all counts for nothing, and another is killed in its place.

Compared are weights and optimizer of the last checkpoint, the weights of the best one, the scores
of each validation and the bytes of the exported model.

With `--start fork` (the default) the processes are forked from one that has imported everything,
with what `torchrun` sets in the environment, and call the command line's `main`: a kill then costs
seconds. `--start command` starts `python -m recipes` and, for two processes, leaves starting the
second to Lightning.
"""

import argparse
import contextlib
import json
import os
import platform
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

RESULT = Path(__file__).parent / "results" / "kill_and_resume.json"
#: Steps between checkpoints, epochs and steps of an epoch.
EVERY, EPOCHS, STEPS = 7, 3, 40
#: Longest that a run may take, in seconds.
PATIENCE = 900.0


class Processes:
    """The processes of one run, in a group of their own.

    Args:
        arguments: Of `python -m recipes`.
        count: How many processes train.
        log: File for what they print.
        fork: Whether to fork them, or to start the command.
    """

    def __init__(self, arguments: list[str], *, count: int, log: Path, fork: bool):
        self.group = 0
        self.left: set[int] = set()
        self.failed = False
        if not fork:
            with log.open("ab") as file:
                command = [sys.executable, "-m", "recipes", *arguments]
                started = subprocess.Popen(command, stdout=file, stderr=file, process_group=0)
            self.group = started.pid
            self.left = {started.pid}
            return
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        for rank in range(count):
            pid = os.fork()
            if pid == 0:
                _be_a_process(arguments, rank=rank, count=count, port=port, log=log)
            os.setpgid(pid, self.group or pid)
            self.group = self.group or pid
            self.left.add(pid)

    def running(self) -> bool:
        """Whether any is left."""
        for pid in list(self.left):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                self.left.discard(pid)
                self.failed |= status != 0
        return bool(self.left)

    def kill(self) -> None:
        """End them all at once, and leave them no time."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.group, signal.SIGKILL)
        while self.running():
            time.sleep(0.01)

    def wait(self) -> None:
        """Wait for the end.

        Raises:
            RuntimeError: It failed, or takes too long.
        """
        end = time.monotonic() + PATIENCE
        while self.running():
            if self.failed or time.monotonic() > end:
                self.kill()
                raise RuntimeError("a run that nobody killed failed; see the log")
            time.sleep(0.05)
        if self.failed:
            raise RuntimeError("a run that nobody killed failed; see the log")


def _be_a_process(arguments: list[str], *, rank: int, count: int, port: int, log: Path) -> None:
    from recipes.__main__ import main

    status = 1
    try:
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        if count > 1:
            os.environ |= {
                "LOCAL_RANK": str(rank),
                "RANK": str(rank),
                "NODE_RANK": "0",
                "GROUP_RANK": "0",
                "WORLD_SIZE": str(count),
                "LOCAL_WORLD_SIZE": str(count),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
                "TORCHELASTIC_RUN_ID": "kill",
            }
        sys.argv = ["recipes", *arguments]
        status = main(arguments)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def tiny_backbone(folder: Path) -> Path:
    """A tiny random BERT with a small vocabulary, dropout on."""
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertConfig, BertModel, BertTokenizer

    from zoo.data.samples import folder as sample

    corpus = next(Path(str(sample("ner-sample"))).glob("train.*"))
    trained = BertWordPieceTokenizer(lowercase=True)
    trained.train([str(corpus)], vocab_size=600)
    tokenizer = BertTokenizer(vocab=trained.get_vocab(), do_lower_case=True)
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=128,
        max_position_embeddings=128,
    )
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def fingerprint(run: Path) -> dict[str, Any]:
    """All that must be the same, for comparing."""
    last = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    best = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    parts: dict[str, Any] = {f"last.{key}": value for key, value in last["state_dict"].items()}
    parts |= {f"best.{key}": value for key, value in best["state_dict"].items()}
    for number, state in last["optimizer_states"][0]["state"].items():
        parts |= {f"optimizer.{number}.{key}": value for key, value in state.items()}
    parts["step"] = torch.tensor(last["global_step"])
    parts["best.step"] = torch.tensor(best["global_step"])
    exported = (run / "model" / "model.safetensors").read_bytes()
    parts["export"] = torch.frombuffer(bytearray(exported), dtype=torch.uint8)
    rows = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    scores = [value for row in rows for key, value in row.items() if key.startswith("val/")]
    parts["scores"] = torch.tensor(scores, dtype=torch.float64)
    return parts


def differences(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """Names of what is not the same to the bit."""
    return sorted(
        name
        for name in a.keys() | b.keys()
        if name not in a or name not in b or not torch.equal(a[name], b[name])
    )


def _await_step(run: Path, step: int, processes: Processes) -> float:
    """Return when a step is told of; the mean time of those before it, in seconds."""
    history, began = run / "history.jsonl", 0.0
    while processes.running():
        with contextlib.suppress(OSError):
            steps = history.read_bytes().count(b"train/loss")
            began = began or (time.monotonic() if steps else 0.0)
            if steps >= step:
                return (time.monotonic() - began) / max(1, steps)
        time.sleep(0.002)
    return 0.0


def _await_checkpoint(run: Path, number: int, processes: Processes) -> None:
    """Return in the moment in which the file of a checkpoint begins to be written."""
    unfinished = run / "checkpoints" / ".new.ckpt.unfinished"
    seen, there = 0, False
    while processes.running():
        now = unfinished.exists()
        seen += now and not there
        there = now
        if seen >= number:
            return
        time.sleep(0.0002)


def _step(run: Path) -> int | None:
    from zoo.errors import RunError
    from zoo.tracking.checkpoints import newest_complete
    from zoo.tracking.run_folder import RunFolder

    try:
        found = newest_complete(RunFolder(run))
    except RunError:
        return -1
    return None if found is None else found.step


def measure(work: Path, *, processes: int, kills: int, seed: int, fork: bool) -> dict[str, Any]:
    """Run all trials and say how they went."""
    chance = random.Random(seed)
    options = [
        "ner",
        "fit",
        f"--model.backbone={tiny_backbone(work / 'tiny')}",
        "--model.learning_rate=1e-3",
        "--data.batch_size=16",
        f"--trainer.max_epochs={EPOCHS}",
        f"--trainer.limit_train_batches={STEPS}",
        "--trainer.limit_val_batches=4",
        "--trainer.log_every_n_steps=1",
        "--trainer.accelerator=cpu",
        "--trainer.logger=false",
        f"--checkpoint_every={EVERY}",
        f"--trainer.devices={processes}",
    ]
    if processes > 1:
        options.append("--trainer.strategy=ddp")

    def start(run: Path, *more: str) -> Processes:
        os.environ["ZOO_RUN_DIR"] = str(run.resolve())
        arguments = [*(options if "--resume" not in more else options[:2]), *more]
        log = run.with_suffix(".log")
        return Processes(arguments, count=processes, log=log, fork=fork)

    def undisturbed(name: str) -> tuple[dict[str, Any], float]:
        run = work / name
        began = time.monotonic()
        start(run, "--run_dir", str(run)).wait()
        return fingerprint(run), time.monotonic() - began

    undisturbed("warm-up")  # encodes the corpus once
    whole, seconds = undisturbed("whole")
    again, _ = undisturbed("again")
    assert not differences(whole, again), "two undisturbed runs differ: nothing can be compared"
    print(f"an undisturbed run takes {seconds:.1f} s", flush=True)

    last = torch.load(work / "whole" / "checkpoints" / "last.ckpt", weights_only=True)
    checkpoints = int(last["zoo_checkpoint"])
    trials: list[dict[str, Any]] = []
    missed = 0
    while len(trials) < kills:
        number = len(trials)
        run = work / f"killed-{number:02d}-{missed}"
        writing = number % 3 == 2
        began = time.monotonic()
        running = start(run, "--run_dir", str(run))
        if writing:
            at = chance.randint(1, checkpoints - 1)
            _await_checkpoint(run, at, running)
        else:
            at = chance.randint(0, EPOCHS * STEPS - 2)
            time.sleep(chance.uniform(0.0, 2.0) * _await_step(run, at, running))
        if not running.running():
            missed += 1
            print(f"run ended before {'checkpoint' if writing else 'step'} {at}: again", flush=True)
            assert missed <= kills, "the kills come too late"
            continue
        running.kill()
        trial: dict[str, Any] = {
            "moment": f"checkpoint {at} is begun" if writing else f"step {at} is told of",
            "seconds": round(time.monotonic() - began, 2),
            "half_a_file_left": (run / "checkpoints" / ".new.ckpt.unfinished").exists(),
            "resumed_from_step": _step(run),
        }
        if (run / "config.yaml").is_file():
            start(run, "--resume", str(run)).wait()
        else:
            shutil.rmtree(run, ignore_errors=True)
            trial["resumed_from_step"] = "begun anew"
            start(run, "--run_dir", str(run)).wait()
        trial["different"] = differences(fingerprint(run), whole)
        trials.append(trial)
        print(json.dumps(trial), flush=True)
    return {
        "processes": processes,
        "start": "fork" if fork else "command",
        "seed": seed,
        "seconds_undisturbed": round(seconds, 2),
        "kills": kills,
        "bit_identical": sum(not trial["different"] for trial in trials),
        "while_writing": sum(trial["half_a_file_left"] for trial in trials),
        "ended_before_the_kill": missed,
        "trials": trials,
    }


def main() -> None:
    """Measure, print, and add to the file of results."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--start", choices=("fork", "command"), default="fork")
    parser.add_argument("--work", type=Path, default=Path("kill_and_resume.work"))
    parser.add_argument("--result", type=Path, default=RESULT)
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    if given.start == "fork":
        import lightning  # noqa: F401
        import transformers.models.bert.modeling_bert  # noqa: F401

        import recipes.cli
        import recipes.run  # noqa: F401
        import zoo.ner.task  # noqa: F401
    folder = given.work / f"{given.processes}-{given.start}"
    if folder.exists():
        raise SystemExit(f"{folder} is there already; move it away.")
    folder.mkdir(parents=True)
    found = measure(
        folder.resolve(),
        processes=given.processes,
        kills=given.kills,
        seed=given.seed,
        fork=given.start == "fork",
    )
    write = _adder(given.result)
    write(found)
    print(f"{found['bit_identical']} of {found['kills']} bit-identical")


def _adder(path: Path) -> Callable[[dict[str, Any]], None]:
    def add(found: dict[str, Any]) -> None:
        results = json.loads(path.read_text()) if path.is_file() else {}
        results[f"{found['processes']} process(es), {found['start']}"] = {
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, used by others meanwhile",
            "versions": {name: version(name) for name in ("torch", "lightning", "torchdata")},
            **found,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(results, indent=1) + "\n")

    return add


if __name__ == "__main__":
    main()
