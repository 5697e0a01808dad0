"""`python -m recipes NAME [SUBCOMMAND] [OVERRIDES]`: the command line of the project."""

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from recipes import catalog
from zoo.errors import TrainingStoppedError, ZooError

#: Exit status of a training that could not go on: a full disk, no memory, a loss that is no number.
STOPPED = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a recipe or a verb; the exit status."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _main(arguments)
    except BrokenPipeError:
        # The reader of the output went away (`| head`): nothing to report, nothing to flush.
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)  # noqa: T201
        return catalog.INTERRUPTED
    except Exception as error:
        mistake, status = _mistake(error), _status(error)
        if mistake is None or os.environ.get("ZOO_DEBUG"):
            raise
        sys.stdout.flush()
        print(f"error: {mistake}", file=sys.stderr)  # noqa: T201
        return status


def _status(error: BaseException | None) -> int:
    """1 if a training that was well asked for had to stop, 2 for a mistake."""
    while error is not None:
        if isinstance(error, TrainingStoppedError):
            return STOPPED
        error = error.__cause__ or error.__context__
    return catalog.MISTAKE


def _mistake(error: BaseException) -> str | None:
    """What to say of an error that the user can mend; None for a defect of ours.

    Libraries between the mistake and here wrap our errors, and raise their own for settings that
    they refuse: those count as the user's when Lightning raised them.
    """
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, ZooError):
            return str(inner)
        inner = inner.__cause__ or inner.__context__
    if lost(error):
        return (
            "Another process of this run has ended, or does not answer, so this one ends too. "
            "The first error of all their outputs says why. Go on with --resume and the run's "
            f"folder. ({str(error).strip().splitlines()[-1][:200]})"
        )
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}."
    frames = traceback.extract_tb(error.__traceback__)
    refused = type(error).__name__ == "MisconfigurationException" or isinstance(error, ValueError)
    if refused and frames and "lightning" in Path(frames[-1].filename).parts:
        return " ".join(str(error).split())
    return None


def lost(error: BaseException) -> bool:
    """Whether an error is of a connection to another process of the run that broke or timed out."""
    if not isinstance(error, RuntimeError):
        return False
    kind = type(error).__name__
    said = str(error).lower()
    broken = ("connection closed by peer", "connection reset", "broken pipe", "timed out")
    return kind.startswith("Dist") or ("gloo" in said and any(word in said for word in broken))


def _main(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        _help()
        return 0
    if arguments[0] == "--version":
        from zoo import __version__

        print(f"lightning-text-zoo {__version__}")  # noqa: T201
        return 0
    first, rest = arguments[0], arguments[1:]
    if first in catalog.VERBS:
        verb: Callable[[Sequence[str]], int] = import_module(f"recipes.{first}").main
        return verb(rest)
    if first.startswith("-"):
        raise ZooError(
            f"The recipe's name comes first, then {first}: python -m recipes NAME {first} ..."
        )
    recipe = catalog.find(first)  # a wrong name shows before anything slow is imported
    if {"-h", "--help"} & set(rest):
        from recipes.help import show

        show(recipe)
        return 0
    subcommand = rest.pop(0) if rest and not rest[0].startswith("-") else None
    if subcommand is not None and subcommand not in catalog.SUBCOMMANDS:
        raise ZooError(
            f"{subcommand!r} is no subcommand; there are {', '.join(catalog.SUBCOMMANDS)}, or none "
            "to fit, test and report."
        )
    from zoo.training.allocator import keep_memory

    keep_memory()  # before torch asks for any
    from recipes.cli import RecipeCLI
    from recipes.run import run
    from zoo.tracking.quiet import quiet

    quiet()
    if any(word.partition("=")[0] == "--seeds" for word in rest):
        from recipes.seeds import run_seeds

        return run_seeds(first, rest, subcommand=subcommand)
    return run(RecipeCLI.build(first, rest, subcommand=subcommand))


def _help() -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    console.print(
        "usage: python -m recipes NAME [fit | validate | test | predict] [OVERRIDES]\n\n"
        "Without a subcommand a recipe fits, tests the best checkpoint and reports.\n"
        "OVERRIDES are flags such as --model.backbone roberta-base --data.train FILE\n"
        "--trainer.max_epochs 5; `python -m recipes NAME --help` lists them. --seeds 5 runs five\n"
        "seeds and reports their mean and spread.\n",
        markup=False,
    )
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("recipe", no_wrap=True)
    table.add_column("what it does")
    for recipe in catalog.recipes():
        table.add_row(recipe.name, recipe.description)
    console.print(table)
    verbs = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    verbs.add_column("command", no_wrap=True)
    verbs.add_column("what it does")
    for verb, description in catalog.VERBS.items():
        verbs.add_row(verb, description)
    console.print(verbs)


if __name__ == "__main__":
    sys.exit(main())
