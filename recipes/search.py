"""`python -m recipes search ner [OVERRIDES]`: tries settings on this machine and keeps the best."""

import argparse
import hashlib
import json
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from recipes import catalog
from recipes.catalog import FAMILIES, Recipe
from zoo.errors import ZooError, check_at_least

if TYPE_CHECKING:
    from recipes.trials import Trials
    from zoo.tracking.search.study import Search, Tried

#: Flags that a search sets itself, or that make no sense for its trials.
_OURS = ("run_dir", "resume", "recipe", "ckpt_path")


def main(arguments: Sequence[str]) -> int:
    """Search, print and write what was found; the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m recipes search",
        description="Try settings of a recipe on this machine, each as a run of its own that is "
        "fitted and validated but never tested, and keep the best. The same command again goes on "
        "where it was stopped; with more --trials it goes further.",
        epilog="What is tried comes from recipes/TASK/sweep.yaml, which `wandb sweep` takes as "
        "well. OVERRIDES are flags of the recipe, such as --data.train FILE; a parameter of the "
        "search that is given there is not searched.",
        allow_abbrev=False,
    )
    parser.add_argument("recipe", help="a recipe's name, such as ner or ner/wnut17, or its file")
    parser.add_argument("--trials", type=int, default=20, help="trials in all (%(default)s)")
    parser.add_argument("--sweep", help="a file like recipes/TASK/sweep.yaml")
    parser.add_argument("--metric", help="the validation score that decides, such as val/f1_macro")
    parser.add_argument("--seed", type=int, default=42, help="fixes what is tried (%(default)s)")
    options, overrides = parser.parse_known_args(arguments)
    check_at_least("--trials", options.trials, 1)
    check_at_least("--seed", options.seed, 0)
    if overrides and not overrides[0].startswith("-"):
        raise ZooError(f"{overrides[0]!r} is no flag; OVERRIDES are such as --data.train FILE.")
    recipe = catalog.find(options.recipe)
    given = _given(overrides)
    for name in _OURS:
        if name in given:
            raise ZooError(f"--{name} cannot be set for a search: each trial has its own.")
    task = _task(recipe)
    sweep = Path(options.sweep).expanduser() if options.sweep else sweep_file(task)
    if not sweep.is_file():
        raise ZooError(f"--sweep {sweep}: there is no such file.")

    from zoo.tracking.search.space import read_space
    from zoo.tracking.search.study import Search

    space = read_space(sweep)
    space = replace(space, metric=options.metric or space.metric)
    if not space.metric.startswith("val/"):
        raise ZooError(
            f"A search that decides by {space.metric} would choose by what it is judged by later; "
            "give a score of the validation, such as val/f1."
        )
    slug = recipe.name.removeprefix(f"{task}/").replace("/", "-")
    key = [recipe.name, recipe.path.read_text("utf-8"), sweep.read_text("utf-8"), *overrides]
    key += [space.metric, str(options.seed)]
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:8]
    folder = Path("runs") / task / f"search-{slug}-{digest}"
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        search = Search(space, folder / "trials.journal", seed=options.seed, fixed=given)
        return _run(search, folder, options.recipe, recipe, overrides, options.trials)


def sweep_file(task: str) -> Path:
    """The file of a task's sweep that comes with the recipes."""
    return Path(__file__).resolve().parent / task / "sweep.yaml"


def _run(
    search: "Search",
    folder: Path,
    name: str,
    recipe: Recipe,
    overrides: Sequence[str],
    trials: int,
) -> int:
    from recipes.trials import Trials
    from zoo.tracking.console import console, program, shown

    out = console()
    runner = Trials(
        folder,
        name,
        fixed=[f"--{key}={value}" for key, value in search.space.fixed.items()],
        overrides=overrides,
        group=f"{recipe.name}-{folder.name}",
        metric=search.space.metric,
    )
    before = search.tried()
    out.print(
        f"{recipe.name}: {trials} trials by {search.space.metric} over "
        f"{', '.join(search.parameters)}, in {shown(folder)}/"
        + (f"; {len(before)} are done" if before else "")
    )

    def after(tried: "Tried") -> None:
        best = search.best()
        runner.tidy(search.tried(), keep=None if best is None else best.number)
        _write(search, folder, name, overrides)
        value = "" if tried.value is None else f"{search.space.metric} {tried.value:.4f}  "
        settings = " ".join(f"{key}={value}" for key, value in tried.settings.items())
        reason = f"  {tried.error}" if tried.error else ""
        out.print(
            f"trial {tried.number}  {value}{tried.state}  {settings}{reason}",
            markup=False,
            soft_wrap=True,
        )

    try:
        search.run(trials, runner.attempt, after)
    except KeyboardInterrupt:
        again = shlex.join(["search", name, "--trials", str(trials), *overrides])
        out.print(f"\nStopped; the same command goes on:\n  {program('python')} -m recipes {again}")
        return catalog.INTERRUPTED
    _write(search, folder, name, overrides)
    _say(search, runner, folder)
    return 0 if search.best() is not None else 1


def _write(search: "Search", folder: Path, name: str, overrides: Sequence[str]) -> None:
    from zoo.tracking.search.results import picture, write_results

    facts = {"recipe": name, "overrides": list(overrides), "seed": search.seed}
    write_results(search, folder / "search.json", facts)
    picture(search, folder / "search.png")


def _say(search: "Search", runner: "Trials", folder: Path) -> None:
    from zoo.tracking.console import console, print_table, program, shown
    from zoo.tracking.search.results import trials_table

    out = console()
    print_table(trials_table(search))
    best = search.best()
    if best is None:
        out.print("Not one trial came through; their logs are beside the trials.")
        return
    python = f"{program('python')} -m recipes"
    run = runner.folder(best.number)
    out.print(f"best     {shown(run)}  {search.space.metric} {best.value:.4f}")
    out.print(f"model    {shown(run / 'model')}")
    out.print(f"trials   {shown(folder / 'search.json')}, {shown(folder / 'search.png')}")
    test = ["test", "--model.backbone", shown(run / "model"), *runner.data_overrides]
    out.print(f"test it  {python} {shlex.join([runner.name, *test])}", markup=False)
    again = shlex.join([runner.name, *runner.flags(best.settings)])
    out.print(f"rerun    {python} {again}", markup=False)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Only one process searches in a folder."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ZooError(f"This very search is running already, in {folder}.") from None
    try:
        yield
    finally:
        lock.release()


def _given(overrides: Sequence[str]) -> list[str]:
    """Names of the flags in the overrides, as a sweep has them."""
    flags = [word.partition("=")[0] for word in overrides if word.startswith("--")]
    return [flag.removeprefix("--").replace(".init_args.", ".") for flag in flags]


def _task(recipe: Recipe) -> str:
    """The family of a recipe: its folder's name, or that of its model's class."""
    if recipe.task in FAMILIES:
        return recipe.task
    import yaml

    try:
        content = yaml.safe_load(recipe.path.read_text(encoding="utf-8"))
        found = str(content["model"]["class_path"]).rpartition(".")[2]
    except (yaml.YAMLError, LookupError, TypeError) as error:
        raise ZooError(f"{recipe.path} is no recipe: there is no model in it.") from error
    for family, tasks in FAMILIES.items():
        if found in tasks:
            return family
    raise ZooError(f"{recipe.path} is of the task {found!r}, which is not known.")
