"""Which recipes there are: one YAML file each, in the folder of its task."""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from zoo.errors import ZooError

#: The recipe that the bare name of a task stands for.
DEFAULT = "sample"

#: Commands, each the `main` of the module of its name here; no recipe may be called like one.
VERBS = {
    "backbones": "list the pretrained models that --model.backbone takes by name",
    "compare": "runs side by side: scores with intervals, significance, errors",
    "consolidate": "write the model of a checkpoint, sharded or not, for everything else",
    "doctor": "look at the data of a recipe before a model is trained on it",
    "export": "a trained model to take away: transformers, ONNX or int8, with a card; to the Hub",
    "find_lr": "a learning rate for a recipe: try a range of them in one short training",
    "predict": "use a trained model on files or standard input",
    "search": "try settings on this machine, and keep the best; `wandb agent` takes the same file",
    "serve": "a trained model as a local page and a JSON endpoint",
}

#: The tasks of each family, by their names in `zoo`: told apart by the head.
FAMILIES = {
    "ner": ("NERTask",),
    "classification": ("ClassificationTask",),
    "qa": ("QATask",),
    "pretraining": ("MaskedLMTask", "CausalLMTask"),
    "summarization": ("SummarizationTask", "ExtractiveSummarizationTask"),
}

SUBCOMMANDS = ("fit", "validate", "test", "predict")

#: Exit status of a mistake that the user can mend.
MISTAKE = 2
#: Exit status after Ctrl-C, as shells have it.
INTERRUPTED = 130

#: Files beside the recipes that are none: the space that a search goes through.
_NOT_RECIPES = ("sweep",)

_HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Recipe:
    """A recipe's name, such as `ner/sample`, and its file."""

    name: str
    path: Path

    @property
    def task(self) -> str:
        """The task's name: the folder's."""
        return self.name.split("/")[0]

    @property
    def description(self) -> str:
        """The first comment line of the file."""
        first = self.path.read_text(encoding="utf-8").split("\n", 1)[0]
        return first.lstrip("# ").strip() if first.startswith("#") else ""


def recipes() -> Iterator[Recipe]:
    """All shipped recipes, the default of each task first."""
    files = (path for path in _HERE.glob("*/*.yaml") if path.stem not in _NOT_RECIPES)
    paths = sorted(files, key=lambda p: (p.parent.name, p.stem != DEFAULT, p.stem))
    for path in paths:
        yield Recipe(f"{path.parent.name}/{path.stem}", path)


def find(name: str) -> Recipe:
    """The recipe of a name (`ner`, `ner/wnut17`) or of a YAML file's path.

    Raises:
        ZooError: There is none; lists near names.
    """
    if name.endswith((".yaml", ".yml")):
        path = Path(name).expanduser()
        if not path.is_file():
            raise ZooError(f"There is no file {name}.")
        # A run's own config.yaml is known by the run's folder, not by the file's name.
        return Recipe(path.parent.name if path.stem == "config" else path.stem, path)
    known = {recipe.name: recipe for recipe in recipes()}
    found = known.get(name) or known.get(f"{name}/{DEFAULT}")
    if found is not None:
        return found
    tasks = {recipe.task for recipe in known.values()}
    near = difflib.get_close_matches(name, [*known, *tasks, *VERBS], n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    raise ZooError(f"There is no recipe {name!r}. {hint}`python -m recipes` lists all.")
