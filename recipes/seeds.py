"""`python -m recipes NAME --seeds 5`: a recipe with several seeds, and their mean and spread."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from recipes.catalog import INTERRUPTED, MISTAKE
from recipes.cli import RecipeCLI
from recipes.seed_report import write_report
from zoo.errors import RunError, ZooError
from zoo.tracking.comparison.runs import flat_settings
from zoo.tracking.console import console, print_table, program, shown
from zoo.tracking.run_folder import new_run_folder
from zoo.tracking.seed_group import SeedGroup, is_group, spread_table, spreads

#: Settings that may change between two goes at a group: they change nothing in the results.
_FREE = ("seed_everything", "recipe", "trainer.logger", "trainer.enable_progress_bar")


class _Plan(RecipeCLI):
    """A recipe's settings, checked as far as flags go; nothing is built of them."""

    def _set_seed(self) -> None:
        """Draw no seed: `true` asks Lightning for one, which would be another the next time."""

    def before_instantiate_classes(self) -> None:
        """Leave the folder alone: each seed chooses its own."""

    def instantiate_classes(self) -> None:
        """Build nothing: each seed has a process of its own for that."""


def run_seeds(name: str, overrides: Sequence[str], *, subcommand: str | None) -> int:
    """Run a recipe with several seeds, one after the other, each in a process of its own.

    Seeds count up from `--seed_everything`. All have the same examples held out, and share the
    encoded data. In a group's folder (`--run_dir`) that is there already, seeds that are finished
    are left as they are, and one that was stopped goes on.

    Args:
        name: The recipe's name or path, as typed.
        overrides: Flags, `--seeds` among them.
        subcommand: None or `fit`.

    Returns:
        The exit status: 0 only if all seeds are finished.

    Raises:
        ZooError: A flag is wrong.
    """
    values, flags = _take(overrides, "--seeds", "--run_dir", "--resume")
    count = _count(values["--seeds"])
    if subcommand not in (None, "fit"):
        raise ZooError(f"--seeds trains models anew; `{subcommand}` takes a trained one.")
    if values["--resume"] is not None:
        raise ZooError(
            "--resume goes on with a single run. To go on with several seeds, give the same "
            "command again with --run_dir and their common folder."
        )
    if os.environ.get("WANDB_SWEEP_ID"):
        raise ZooError(
            "--seeds makes several runs, and an agent of a sweep waits for one: leave it out there."
        )
    if os.environ.get("LOCAL_RANK") is not None:
        raise ZooError(
            "--seeds starts its runs itself, so it cannot be started by torchrun or the like; "
            "--trainer.devices gives each run several processes."
        )
    plan = _Plan.build(name, flags, subcommand=subcommand)
    first = plan.config.seed_everything
    if isinstance(first, bool) or first is None:
        raise ZooError(f"--seeds counts up from --seed_everything: give it a number, not {first}.")
    seeds = list(range(first, first + count))
    group = _group(plan, values["--run_dir"])
    begun = _Group(plan, group, name, flags)
    group.path.mkdir(parents=True, exist_ok=True)
    begun.seeds = sorted({*begun.earlier, *seeds})
    return begun.run(seeds)


class _Group:
    """A group of seeds at work."""

    def __init__(self, plan: RecipeCLI, group: SeedGroup, name: str, flags: Sequence[str]):
        self.plan, self.group, self.name, self.flags = plan, group, name, flags
        self.phase = [plan.phase] if plan.phase else []
        self.settings = _settings(plan)
        self.seeds: list[int] = []
        self.failed: dict[int, int] = {}
        self.earlier: list[int] = []
        if is_group(group.path):
            record = group.read()
            self.earlier = [int(seed) for seed in record["seeds"]]
            _require_same(group, record, self.settings, plan.phase)

    def run(self, seeds: Sequence[int]) -> int:
        self._record()
        with _Children() as children:
            for number, seed in enumerate(seeds, start=1):
                if self._finished(seed):
                    _say(f"seed {seed} ({number} of {len(seeds)}) is finished")
                    continue
                _say(f"seed {seed} ({number} of {len(seeds)})")
                status = children.run(self._command(seed), self._environment(seed))
                stopped = children.asked and not self._finished(seed)
                if stopped or status in (INTERRUPTED, -signal.SIGINT):
                    self._record()
                    _say(f"\nStopped. Finished seeds are kept; go on:\n  {self._again(len(seeds))}")
                    return INTERRUPTED
                if status != 0 or not self._finished(seed):
                    self.failed[seed] = status
                    if status == MISTAKE and not self._done() and not self._began(seed):
                        # It would stop the other seeds at the same place.
                        self._record()
                        return MISTAKE
                    _say(f"seed {seed} failed ({_ended(status)}); the others go on")
                self._record()
        return self._finish(len(seeds))

    def _finish(self, count: int) -> int:
        done = self._done()
        found = spreads([self.group.metrics(seed) for seed in done])
        if found:
            brief = {name: spread for name, spread in found.items() if _is_brief(name)}
            print_table(spread_table(f"Scores over seeds {_listed(done)}", brief))
        out = console()
        out.print(f"seeds    {shown(self.group.path)}/")
        out.print(f"report   {shown(self.group.report)}")
        for seed, status in self.failed.items():
            out.print(f"failed   seed {seed} ({_ended(status)})")
        if self.failed:
            out.print(f"again    {self._again(count)}", markup=False)
            return 1
        command = f"{program('python')} -m recipes compare"
        out.print(f"next     {command} {shown(self.group.path)} ANOTHER", markup=False)
        return 0

    def _done(self) -> list[int]:
        return [seed for seed in self.seeds if self._finished(seed)]

    def _finished(self, seed: int) -> bool:
        """Whether a seed has the scores that end its run."""
        scores = self.group.metrics(seed)
        if self.plan.phase == "fit":
            return bool(scores) and self.group.run(seed).report.is_file()
        return any(name.startswith("test/") for name in scores)

    def _began(self, seed: int) -> bool:
        return self.group.run(seed).last_checkpoint.is_file()

    def _command(self, seed: int) -> list[str]:
        folder = self.group.run(seed)
        start = [sys.executable, "-m", "recipes", self.name, *self.phase]
        if self._began(seed) and folder.config.is_file():
            return [*start, f"--resume={folder.path}"]
        if folder.path.exists():
            _move_away(folder.path)
        return [*start, *self.flags, f"--seed_everything={seed}", f"--run_dir={folder.path}"]

    def _environment(self, seed: int) -> dict[str, str]:
        name = self.group.path.resolve().name
        return {
            **os.environ,
            "WANDB_RUN_GROUP": os.environ.get("WANDB_RUN_GROUP") or name,
            "WANDB_NAME": f"{name}/seed-{seed}",
        }

    def _again(self, count: int) -> str:
        flags = [f"--seeds={count}", f"--run_dir={shown(self.group.path)}"]
        words = shlex.join([self.name, *self.phase, *self.flags, *flags])
        return f"{program('python')} -m recipes {words}"

    def _record(self) -> None:
        done = self._done()
        found = spreads([self.group.metrics(seed) for seed in done])
        self.group.write(
            {
                "recipe": self.plan.config.recipe or self.plan.recipe.name,
                "subcommand": self.plan.phase,
                "seeds": self.seeds,
                "finished": done,
                "failed": self.failed,
                "scores": {
                    name: {
                        "mean": spread.mean,
                        "standard_deviation": spread.deviation,
                        "min": min(spread.values),
                        "max": max(spread.values),
                        "values": spread.values,
                    }
                    for name, spread in found.items()
                },
                "settings": self.settings,
            }
        )
        if done:
            write_report(self.group, done, self.failed)


class _Children:
    """Runs commands one after the other, and lets each end on its own terms after Ctrl-C."""

    def __init__(self) -> None:
        self.asked = False
        self._process: subprocess.Popen[bytes] | None = None
        # A terminal sends Ctrl-C to all processes in its foreground, ours and the child alike.
        # Without one nobody else tells the child, and it must not be told twice: twice is "now".
        self._shared = _in_foreground()

    @contextmanager
    def _listening(self) -> Iterator[None]:
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self._pass_on) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def __enter__(self) -> "_Children":
        self._context = self._listening()
        self._context.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._context.__exit__(*error)

    def _pass_on(self, number: int, frame: Any) -> None:
        self.asked = True
        if self._process is not None and not (self._shared and number == signal.SIGINT):
            self._process.send_signal(number)

    def run(self, command: Sequence[str], environment: Mapping[str, str]) -> int:
        if self.asked:
            return INTERRUPTED
        sys.stdout.flush()
        own = None if self._shared else 0
        self._process = subprocess.Popen(command, env=environment, process_group=own)
        try:
            return self._process.wait()
        finally:
            self._process = None


def _in_foreground() -> bool:
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


def _take(words: Sequence[str], *names: str) -> tuple[dict[str, str | None], list[str]]:
    """The values of some flags, the last of each, and all other words."""
    found: dict[str, str | None] = dict.fromkeys(names)
    others, rest = [], iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if name in names:
            found[name] = value if equals else next(rest, "")
        else:
            others.append(word)
    return found, others


def _count(text: str | None) -> int:
    try:
        count = int(text or "")
    except ValueError:
        raise ZooError(
            f"--seeds {text}: expected how many seeds to run, such as --seeds 5; "
            "--seed_everything says which is the first."
        ) from None
    if count < 2:
        raise ZooError(
            f"--seeds {count}: a spread takes at least 2 seeds. For a single run leave --seeds out "
            "and choose its seed by --seed_everything."
        )
    return count


def _group(plan: RecipeCLI, chosen: str | None) -> SeedGroup:
    if chosen is None:
        task, recipe = _task_and_recipe(plan)
        return SeedGroup(new_run_folder(task=task, recipe=recipe, ending="-seeds"))
    path = Path(chosen).expanduser()
    if not chosen.strip():
        raise RunError("--run_dir is empty; give a folder, or leave it out.")
    if path.exists() and not path.is_dir():
        raise RunError(f"--run_dir {path} is a file; give a folder.")
    if path.is_dir() and any(path.iterdir()) and not is_group(path):
        raise RunError(
            f"--run_dir {path} is not empty, and no seeds were run in it. Give a new folder, or "
            "one that --seeds made, to go on there."
        )
    return SeedGroup(path)


def _task_and_recipe(plan: RecipeCLI) -> tuple[str, str]:
    task = plan.family
    recipe = plan.config.recipe or plan.recipe.name
    return task, recipe.removeprefix(f"{task}/")


def _settings(plan: RecipeCLI) -> dict[str, Any]:
    settings: dict[str, Any] = yaml.safe_load(plan.settings())
    return settings


def _require_same(
    group: SeedGroup, record: Mapping[str, Any], settings: Mapping[str, Any], phase: str | None
) -> None:
    """Refuse to mix seeds of different settings in one group."""
    if record.get("subcommand") != phase:
        was = record.get("subcommand") or "without a subcommand"
        raise RunError(f"{group.path} was begun {was}: go on in the same way.")
    before, now = (dict(flat_settings(one)) for one in (record["settings"], settings))
    for name in {**before, **now}:
        if name not in _FREE and before.get(name) != now.get(name):
            raise RunError(
                f"{group.path} was begun with --{name} {before.get(name)}, not "
                f"{now.get(name)}: seeds of one group have the same settings. Give the same flags, "
                "or another --run_dir."
            )


def _move_away(path: Path) -> None:
    """Keep what a run left that cannot go on, out of the way of a new one."""
    number = 1
    while path.with_name(f"{path.name}.stopped-{number}").exists():
        number += 1
    path.rename(path.with_name(f"{path.name}.stopped-{number}"))


def _ended(status: int) -> str:
    return f"killed by signal {-status}" if status < 0 else f"exit status {status}"


def _is_brief(name: str) -> bool:
    """Whether a score is shown in the terminal; the report has all."""
    return name.count("/") == 1 and not name.endswith(("/loss", "perf/test_seconds"))


def _listed(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds))


def _say(text: str) -> None:
    console().print(text, markup=False)
    sys.stdout.flush()
