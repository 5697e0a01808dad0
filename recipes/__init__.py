"""Recipes: a datamodule, a task and trainer settings for each task, ready to run.

>>> import recipes
>>> recipe = recipes.load("ner", ["--trainer.max_epochs=1"])
>>> recipe.trainer.fit(recipe.model, recipe.datamodule)
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recipes.cli import RecipeCLI

__all__ = ["load"]


def load(name: str, overrides: Sequence[str] = ()) -> "RecipeCLI":
    """A recipe with its parts built but nothing run: `.model`, `.datamodule` and `.trainer`.

    Args:
        name: As on the command line: `ner`, `ner/wnut17`, or the path of a YAML file.
        overrides: Flags as on the command line, such as `--trainer.max_epochs=1`.

    Raises:
        ZooError: There is no such recipe, or something it names cannot be used.
    """
    from recipes.cli import RecipeCLI

    return RecipeCLI.build(name, list(overrides), subcommand=None)
