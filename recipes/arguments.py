"""What the words of a command line stand for, and the files that they name."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from jsonargparse import dict_to_namespace

from recipes.catalog import Recipe
from zoo import backbones
from zoo.errors import RunError, ZooError
from zoo.tracking.run_folder import existing_run_folder
from zoo.training.task import FineTuningTask

#: Flags that follow another one, and the one that they follow.
_LINKED = {
    name: target
    for argument, target in (("backbone", "--model.backbone"), ("seed", "--seed_everything"))
    for name in (f"--data.{argument}", f"--data.init_args.{argument}")
} | {f"--model.{name}sentence_pairs": "--data.sentence_pairs" for name in ("", "init_args.")}


def with_config(recipe: Recipe, overrides: Sequence[str]) -> list[str]:
    """The recipe's file (or the resumed run's), other files, then flags: later ones win.

    Raises:
        ZooError: A flag is given that follows another one.
    """
    words = iter(overrides)
    files, flags = [], []
    config = recipe.path
    for word in words:
        name, equals, value = word.partition("=")
        if name in _LINKED:
            raise ZooError(f"{name} follows {_LINKED[name]}: set that.")
        if name in ("--config", "-c", "--resume"):
            value = value if equals else next(words, "")
            if name != "--resume":
                files += ["--config", value]
                continue
            config = existing_run_folder(value, option="--resume").config
            word = f"--resume={value}"
        flags.append(word)
    return ["--config", str(config), *files, *flags]


def as_settings(given: Any) -> Any:
    """What a checkpoint says of an argument, as the parser has it."""
    return dict_to_namespace(given) if isinstance(given, dict) else given


def short_name(backbone: str) -> str:
    """A backbone's name as a tag: of a folder the model it came from, or the folder's own name."""
    path = Path(backbone)
    if path.is_dir():
        backbone = str(backbones.metadata(backbone).get("backbone", path.resolve().name))
    return backbone


def check_fsdp(*, phase: str | None, accelerator: str) -> None:
    """Refuse Lightning's older sharding where it cannot do what is asked.

    Raises:
        ZooError: There is no GPU, or more is asked for than fitting.
    """
    if accelerator == "cpu" or not torch.cuda.is_available():
        raise ZooError("--trainer.strategy fsdp needs GPUs; fsdp2 shards on CPUs too.")
    if phase != "fit":
        raise ZooError(
            "--trainer.strategy fsdp only fits: use `fit`, then `python -m recipes consolidate RUN`"
            "; fsdp2 also tests and predicts."
        )


def task_class(class_path: str) -> type[FineTuningTask]:
    """The class of a task, by its full name."""
    module, _, name = class_path.rpartition(".")
    found: type[FineTuningTask] = getattr(import_module(module), name)
    return found


def checkpoint_parameters(path: Path) -> dict[str, Any]:
    """The arguments of the task that a checkpoint is of.

    Raises:
        RunError: There is none, it is damaged, or it is of something else.
    """
    # A sharded checkpoint is a folder, whose settings lie beside the shards.
    file = path / "meta.pt" if path.is_dir() else path
    if not file.is_file():
        raise RunError(f"--ckpt_path {path}: there is no such file.")
    try:
        content = torch.load(file, weights_only=True, map_location="cpu", mmap=True)
        parameters: dict[str, Any] = content["hyper_parameters"]
        parameters["labels"], parameters["backbone"]
    except Exception as error:
        raise RunError(
            f"{path} is damaged or no checkpoint of a zoo task ({type(error).__name__}). "
            "checkpoints/ holds another, and a run that was fitted has its weights in model/ "
            "(--model.backbone)."
        ) from error
    return parameters


__all__ = [
    "as_settings",
    "check_fsdp",
    "checkpoint_parameters",
    "short_name",
    "task_class",
    "with_config",
]
