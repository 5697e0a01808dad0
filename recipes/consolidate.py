"""`python -m recipes consolidate RUN`: a checkpoint, sharded or not, becomes `RUN/model`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import recipes
from recipes.facts import metadata_of
from zoo.errors import RunError
from zoo.tracking.console import console, shown
from zoo.tracking.export import export_model
from zoo.tracking.run_folder import existing_run_folder
from zoo.training.sharding import read_checkpoint

#: Of the run's settings these do not matter here: one process on the CPU does it.
_ALONE = (
    "--trainer.accelerator=cpu",
    "--trainer.devices=1",
    "--trainer.num_nodes=1",
    "--trainer.strategy=auto",
    "--trainer.precision=32-true",
    "--trainer.logger=false",
)


def main(arguments: Sequence[str]) -> int:
    """Write the model; the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m recipes consolidate",
        description="Write the model of a run's checkpoint to its model/ folder, in the format of "
        "transformers. A run does this itself at its end; this is for one that was stopped, and "
        "for checkpoints that many processes wrote in shards.",
        allow_abbrev=False,
    )
    parser.add_argument("run", help="a run's folder")
    parser.add_argument(
        "--checkpoint",
        type=Path,
        help="checkpoint file, or folder of shards; the run's best by default, else its last",
    )
    options = parser.parse_args(arguments)
    folder = existing_run_folder(options.run, option="RUN")
    path = options.checkpoint or next(
        (one for one in (folder.best_checkpoint, folder.last_checkpoint) if one.exists()), None
    )
    if path is None:
        raise RunError(f"{options.run} has no checkpoint to make a model of.")
    if not path.exists():
        raise RunError(f"--checkpoint {path}: there is no such file or folder.")
    cli = recipes.load(str(folder.config), _ALONE)
    cli.model = type(cli.model).of_checkpoint(read_checkpoint(path))
    # Known by the run's folder here, but by its recipe in the run itself.
    metadata = {**metadata_of(cli), "recipe": cli.config.recipe}
    export_model(cli.model, folder.model, metadata=metadata)
    cli.model.save_adapter(folder.adapter)
    console().print(f"model    {shown(folder.model)} (of {shown(path)})")
    return 0
