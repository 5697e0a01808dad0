"""`python -m recipes NAME --help`: the settings that a person changes, with the recipe's values."""

import inspect
import sys
from importlib import import_module
from typing import Any

import yaml
from docstring_parser import parse
from rich import box
from rich.console import Console
from rich.table import Table

from recipes.catalog import SUBCOMMANDS, Recipe

#: Flags of a run itself, and the Trainer's that people use most.
OF_THE_RUN = {
    "--config FILE": "More settings, in YAML; flags win over them.",
    "--seed_everything": "Fixes what is drawn at random, and the order of the training examples.",
    "--seeds N": "Run N seeds, from --seed_everything on, and report mean and spread.",
    "--run_dir": "Folder of this run; runs/TASK/RECIPE-TIME by default.",
    "--resume": "Go on with the run in this folder.",
    "--ckpt_path": "Checkpoint file with the weights to validate, test or predict with.",
    "--early_stopping": "Stop after so many validations without a better score.",
    "--average": "swa, ema or best:5 also averages weights; kept only where validation is better.",
    "--auto_batch": "Find the tokens that a batch may hold by trial steps, and record them.",
    "--distill.teacher": "Learn from a trained run too; recipes/distillation/README.md has more.",
    "--checkpoint_every": "Between validations: steps (50), a time (10m), 0 for none, or auto.",
    "--trainer.max_epochs": "Times through the training data.",
    "--trainer.precision": "Such as bf16-mixed.",
    "--trainer.accumulate_grad_batches": "Batches to an optimizer step.",
    "--trainer.logger": "false keeps no W&B run.",
    "--print_config": "All settings there are, as YAML.",
}
#: Set by a link, or not for the command line.
_HIDDEN = {
    ("data", "backbone"),
    ("data", "seed"),
    ("model", "labels"),
    ("model", "sentence_pairs"),
    ("model", "tokenizer_folder"),
}


def show(recipe: Recipe) -> None:
    """Print the settings of a recipe, by the docstrings of its classes."""
    settings = yaml.safe_load(recipe.path.read_text(encoding="utf-8"))
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    console.print(
        f"usage: python -m recipes {recipe.name} [{' | '.join(SUBCOMMANDS)}] [OVERRIDES]\n\n"
        f"{recipe.description}\nWithout a subcommand: fit, test the best checkpoint, report.",
        markup=False,
    )
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("flag", "value", "what it is"):
        table.add_column(column, overflow="fold")
    for part in ("model", "data"):
        given = settings[part].get("init_args", {})
        for name, default, text in _arguments(settings[part]["class_path"]):
            if (part, name) not in _HIDDEN:
                value = given.get(name, default)
                table.add_row(f"--{part}.{name}", _shown(value), text)
        table.add_section()
    for flag, text in OF_THE_RUN.items():
        table.add_row(flag, _shown(_value(settings, flag.strip("-").split("."))), text)
    console.print(table, markup=False)


def _arguments(class_path: str) -> list[tuple[str, Any, str]]:
    module, _, name = class_path.rpartition(".")
    found = getattr(import_module(module), name)
    texts = {
        entry.arg_name: " ".join((entry.description or "").split())
        for entry in parse(found.__doc__ or "").params
    }
    parameters = list(inspect.signature(found).parameters.items())
    return [(key, value.default, texts.get(key, "")) for key, value in parameters]


def _value(settings: Any, path: list[str]) -> Any:
    for key in path:
        settings = settings.get(key) if isinstance(settings, dict) else None
    return settings


def _shown(value: Any) -> str:
    if value is None or value is inspect.Parameter.empty:
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)
