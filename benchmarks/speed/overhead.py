"""What a whole recipe adds to its training steps: bars, logging, callbacks, and Lightning itself.

The recipe runs as a person sees it, in a terminal (a pseudo-terminal whose output is thrown away)
and with its logger (W&B offline). After each of its steps a twin, the same task in a bare PyTorch
loop with a loader of its own, trains on the same examples in the same process: step by step the
machine is the same for both. The recipe's step is the time from the end of the twin's to its next
beginning, so that all that Lightning and the callbacks do counts: its work on an accelerator is
waited for, and its bar, which is drawn by a thread, is not while the twin works. What a recipe does
so many times a second (the bar, the loss in it) it does here twice as often for its own time, since
the clock goes on for the twin's: that is charged to the recipe too. What Lightning's loop takes
without any of this (`Trainer(barebones=True)`) is measured the same way, with the shortest steps.
"""

import argparse
import json
import os
import pty
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from lightning import Callback, LightningModule, Trainer

from benchmarks.speed import corpora
from benchmarks.speed.peers import Step, task_loss
from benchmarks.speed.progress import say
from benchmarks.speed.results import Goal, Result, environment
from benchmarks.speed.timing import Spread
from zoo.training.allocator import keep_memory

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Steps that are not counted: the first ones make buffers.
_WARM_UP = 3

#: Runs with small batches are longer, up to so many times: what happens now and then then counts.
_LONGER, _LARGE = 8, 32

#: A step of the twin that takes so many times the median was disturbed.
_DISTURBED = 1.5

#: Steps this long or longer have a goal.
_MS, _MOST = 20, 1.02

#: Names what was measured without the recipe.
_ALONE = ", Lightning alone"


def measure(options: argparse.Namespace) -> Result:
    """Run the recipe with each batch size, several times."""
    names = ("backbone", "steps", "sizes", "lora_sizes", "repetitions")
    result = Result("overhead", {name: getattr(options, name) for name in names})
    cases = [("full", size, False) for size in options.sizes]
    # To train all of a model takes long even for one example: the optimizer reads all of it.
    cases += [("lora", size, alone) for alone in (False, True) for size in options.lora_sizes]
    for kind, size, alone in cases:
        with result.part(f"{kind}, batches of {size}{_ALONE if alone else ''}", options.out):
            _measure(kind, size, options, result, alone=alone)
    return result


def _measure(
    kind: str, size: int, options: argparse.Namespace, result: Result, *, alone: bool
) -> None:
    ratios, ours, bare, added = [], [], [], []
    name = f"{kind}{_ALONE}" if alone else kind
    for number in range(options.repetitions):
        say(f"overhead: {name}, batches of {size}, run {number + 1} of {options.repetitions}")
        found = _run(kind, size, options, alone=alone)
        ours += found["recipe"]
        bare += found["twin"]
        added += [a - b for a, b in zip(found["recipe thread"], found["twin thread"], strict=True)]
        ratios.append(_over(found["recipe"], found["twin"]))
    spread = Spread.of(ratios)
    step = 1000 * float(np.median(bare))
    result.rows.append(
        {
            "trained": name,
            "batch": size,
            "steps": _steps(size, options),
            "ms of a bare step": step,
            "ms of the recipe's": 1000 * float(np.median(ours)),
            "recipe over bare": spread,
            "added ms of the thread's processor time": 1000 * float(np.mean(added)),
        }
    )
    if step >= _MS and not alone:
        goal = f"recipe over bare loop, {kind}, steps of {step:.0f} ms"
        result.goals.append(Goal(goal, spread, _MOST, "at most"))


def _over(ours: list[float], bare: list[float]) -> float:
    """Ratio of the whole, without the pairs in which the twin was disturbed.

    The recipe's dearest steps are not left out: they are those that log or draw.
    """
    recipe, twin = np.array(ours), np.array(bare)
    kept = twin <= np.median(twin) * _DISTURBED
    return float(recipe[kept].sum() / twin[kept].sum())


def _steps(size: int, options: argparse.Namespace) -> int:
    """How many steps of a run count."""
    return int(options.steps) * min(_LONGER, max(1, _LARGE // size))


def _run(
    kind: str, size: int, options: argparse.Namespace, *, alone: bool
) -> dict[str, list[float]]:
    """Seconds of each step of both, from a process in a terminal of its own."""
    with tempfile.TemporaryDirectory() as name:
        out = Path(name) / "found.json"
        flags = _flags(kind, size, options, Path(name))
        settings = {"flags": flags, "out": str(out), "alone": alone}
        command = [sys.executable, "-m", "benchmarks.speed.overhead", json.dumps(settings)]
        said: list[bytes] = []

        def read(descriptor: int) -> bytes:
            data = os.read(descriptor, 4096)
            said.append(data)
            # What is read here would go to the screen; an empty string would end the reading.
            return b"\0" if data else b""

        before = dict(os.environ)
        os.environ.update({**environment(), "COLUMNS": "100", "TERM": "xterm"})
        try:
            with _silent():
                status = pty.spawn(command, read)
        finally:
            os.environ.clear()
            os.environ.update(before)
        if status:
            text = b"".join(said).decode(errors="replace")
            raise SystemExit(f"the recipe failed:\n{text[-3000:]}")
        found: dict[str, list[float]] = json.loads(out.read_text(encoding="utf-8"))
        return found


class _silent:  # noqa: N801  used like a function
    """Standard output into nothing, also that of code that writes to its descriptor."""

    def __enter__(self) -> None:
        sys.stdout.flush()
        self.kept = os.dup(1)
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 1)
        os.close(nothing)

    def __exit__(self, *error: object) -> None:
        os.dup2(self.kept, 1)
        os.close(self.kept)


def _flags(kind: str, size: int, options: argparse.Namespace, folder: Path) -> list[str]:
    files = {} if options.sample else corpora.wnut17()
    data = [f"--data.{split}={file}" for split, file in files.items()]
    return [
        *(data or ["--data.dataset=ner-sample"]),
        *(f"--run_dir={folder / 'run'}", f"--model.backbone={options.backbone}"),
        *(f"--data.batch_size={size}", "--trainer.max_epochs=1", f"--model.adaptation={kind}"),
        f"--trainer.limit_train_batches={_steps(size, options) + _WARM_UP}",
        *("--trainer.limit_val_batches=2", "--trainer.num_sanity_val_steps=0"),
    ]


class Twin(Callback):
    """Trains the same task in a bare loop beside a recipe.

    Attributes:
        seconds: Of each step of the `recipe` and of the `twin`, by the clock and in processor time
            of the thread that trains, which a machine that others use disturbs less.
    """

    def __init__(self) -> None:
        names = ("recipe", "twin", "recipe thread", "twin thread")
        self.seconds: dict[str, list[float]] = {name: [] for name in names}
        self._since = (0.0, 0.0)
        self._steps = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Make the twin."""
        task: Any = type(pl_module)(**pl_module.hparams)
        task.configure_model()
        task.log = lambda *arguments, **options: None
        precision = "bf16" if "bf16" in str(trainer.precision) else "fp32"
        self.step = Step(
            task, task_loss(task), precision=precision, device=pl_module.device, groups=True
        )
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.step.optimizer, lambda step: 1.0)
        loader: Any = trainer.datamodule.train_dataloader()  # type: ignore[attr-defined]
        self.batches: Iterator[Any] = iter(loader)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._since = _now(pl_module.device)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Stop the recipe's clock, do the twin's step, go on."""
        device = pl_module.device
        ended = _now(device)
        with _bar_held(trainer):
            own = next(self.batches)
            self.step({name: _moved(value, device) for name, value in own.items()})
            self.schedule.step()
            done = _now(device)
            if not torch.equal(own["input_ids"], batch["input_ids"].cpu()):
                raise RuntimeError("the twin has another batch than the recipe")
        self._steps += 1
        if self._steps > _WARM_UP:
            for kind, clock in (("", 0), (" thread", 1)):
                self.seconds[f"recipe{kind}"].append(ended[clock] - self._since[clock])
                self.seconds[f"twin{kind}"].append(done[clock] - ended[clock])
        self._since = _now(device)


def _now(device: torch.device) -> tuple[float, float]:
    """Seconds by the clock, and of processor time of this thread, once all work is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter(), time.thread_time()


def _bar_held(trainer: Trainer) -> Any:
    """Within, a thread that would draw the bar waits."""
    progress: Any = getattr(trainer.progress_bar_callback, "progress", None)
    return nullcontext() if progress is None else progress.live._lock


def _moved(value: Any, device: torch.device) -> Any:
    return value.to(device) if isinstance(value, torch.Tensor) else value


def _run_alone(cli: Any, twin: Twin) -> None:
    """Train the recipe's task and data with Lightning's loop and nothing else."""
    cli.model.logs_steps = False
    trainer = Trainer(
        barebones=True,
        max_epochs=1,
        devices=1,
        limit_train_batches=cli.config.trainer.limit_train_batches,
        gradient_clip_val=cli.config.trainer.gradient_clip_val,
        callbacks=[twin],
    )
    trainer.fit(cli.model, cli.datamodule)


def main() -> None:
    """Run the recipe with its twin."""
    settings = json.loads(sys.argv[1])
    keep_memory()  # as `python -m recipes` does
    from recipes.cli import RecipeCLI
    from recipes.run import run

    cli = RecipeCLI.build("ner/wnut17", settings["flags"], subcommand="fit")
    twin, status = Twin(), 0
    if settings["alone"]:
        _run_alone(cli, twin)
    else:
        # Last: what all others do counts for the recipe.
        cli.trainer.callbacks.append(twin)  # type: ignore[attr-defined]
        status = run(cli)
    Path(settings["out"]).write_text(json.dumps(twin.seconds), encoding="utf-8")
    sys.exit(status)


if __name__ == "__main__":
    main()
