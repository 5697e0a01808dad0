"""`python -m recipes find_lr NAME`: a learning rate for a recipe, by a range test."""

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recipes import catalog
from zoo.errors import ZooError

#: Settings of the recipe's trainer that change what a step is.
_OF_A_STEP = (
    "accelerator",
    "precision",
    "accumulate_grad_batches",
    "gradient_clip_val",
    "gradient_clip_algorithm",
)


def main(arguments: Sequence[str]) -> int:
    """Find a rate, draw the picture and print what to run; the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m recipes find_lr",
        usage="python -m recipes find_lr NAME [--steps N] [--smallest LR] [--largest LR] "
        "[--picture FILE] [OVERRIDES]",
        description="Find a learning rate: a short training on the recipe's data whose rate grows "
        "with each step. Suggested is the rate at which the loss falls fastest. No run is left "
        "behind, only the picture.",
        epilog="OVERRIDES are the recipe's own flags, such as --model.backbone or --data.train. "
        "It runs in one process; with several, a step learns from as many times the examples, and "
        "so does --trainer.accumulate_grad_batches here.",
        allow_abbrev=False,
    )
    parser.add_argument("name", metavar="NAME", help="a recipe, such as ner, or a YAML file")
    parser.add_argument("--steps", type=int, default=100, help="how many rates (100)")
    parser.add_argument("--smallest", type=float, default=1e-7, help="the first rate (1e-7)")
    parser.add_argument("--largest", type=float, default=1.0, help="the last rate (1)")
    parser.add_argument(
        "--picture", metavar="FILE", default="lr_find.png", help="where it is drawn (lr_find.png)"
    )
    asked = bool({"-h", "--help"} & set(arguments))
    if not asked and (not arguments or arguments[0].startswith("-")):
        raise ZooError(
            "The recipe's name comes first: python -m recipes find_lr NAME --data.train FILE. "
            "`python -m recipes` lists all."
        )
    options, overrides = parser.parse_known_args(arguments)
    picture = Path(options.picture).expanduser()
    if picture.is_dir() or picture.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise ZooError(f"--picture {options.picture}: give a file that ends in .png, .svg or .pdf.")
    catalog.find(options.name)  # a wrong name shows before anything slow is imported

    from recipes.parts_cli import PartsCLI
    from zoo.tracking.console import console, program, shown
    from zoo.tracking.quiet import quiet
    from zoo.training.lr_finder import find_learning_rate

    quiet()
    cli = PartsCLI.build(options.name, overrides, subcommand=None)
    trainer: dict[str, Any] = {name: cli.config.trainer[name] for name in _OF_A_STEP}
    found = find_learning_rate(
        cli.model,
        cli.datamodule,
        smallest=options.smallest,
        largest=options.largest,
        steps=options.steps,
        **{name: value for name, value in trainer.items() if value is not None},
    )
    picture.parent.mkdir(parents=True, exist_ok=True)
    found.picture(picture)
    out = console()
    end = " where the loss diverged" if found.diverged else ""
    out.print(
        f"{cli.recipe.name}: {len(found.rates)} steps, from {found.rates[0]:.1e} to "
        f"{found.rates[-1]:.1e}{end}",
        markup=False,
    )
    out.print(f"picture  {shown(picture)}", markup=False)
    if found.suggestion is None:
        out.print("The loss never fell: try a wider range, or more --steps.", markup=False)
        return 0
    out.print(
        f"fastest  {found.suggestion:.1e} (the loss falls most), lowest loss at {found.lowest:.1e}",
        markup=False,
    )
    words = [program("python"), "-m", "recipes", options.name, *overrides]
    command = shlex.join([*words, "--model.learning_rate", f"{found.suggestion:.1e}"])
    out.print(f"next     {command}", markup=False, soft_wrap=True)
    return 0
