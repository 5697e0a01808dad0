"""The command line of a recipe: Lightning's CLI with a run folder on top."""

import difflib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import torch
from lightning import Callback, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from recipes import catalog
from recipes.catalog import Recipe
from zoo import backbones
from zoo.data.datamodule import TextDataModule
from zoo.errors import RunError, ZooError
from zoo.tracking.console import progress
from zoo.tracking.interrupts import GracefulInterrupt
from zoo.tracking.recorder import Recorder
from zoo.tracking.run_folder import RunFolder, choose_run_folder, existing_run_folder
from zoo.tracking.throughput import Throughput
from zoo.tracking.wandb_logger import RunLogger
from zoo.training.task import FineTuningTask

#: Flags of the command line that say where a run goes on, and so are no part of its settings.
_NOT_SETTINGS = ("config", "run_dir", "resume", "ckpt_path")


class RecipeParser(LightningArgumentParser):
    """Refuses unknown and shortened flags in one sentence, with near names."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise instead of printing the usage: one place prints all errors.

        Raises:
            ZooError: Always.
        """
        lines = [line.strip() for line in message.strip().splitlines() if line.strip()]
        text = " ".join(dict.fromkeys(lines)).rstrip(".") + "."
        raise ZooError(text + self._near(text)) from ex

    def _near(self, message: str) -> str:
        known = [option for action in self._actions for option in action.option_strings]
        wrong = [
            word.split("=")[0].rstrip(".") for word in message.split() if word.startswith("--")
        ]
        near = [name for word in wrong for name in difflib.get_close_matches(word, known, n=2)]
        return f" Did you mean {' or '.join(dict.fromkeys(near))}?" if near else ""


class RecipeCLI(LightningCLI):
    """A recipe's parts, built from its YAML and the flags: `.model`, `.datamodule`, `.trainer`.

    Args:
        recipe: The recipe.
        arguments: Flags of the command line.
        subcommand: `fit`, `validate`, `test` or `predict`; None is fit, test and report.
    """

    model: FineTuningTask
    datamodule: TextDataModule
    trainer: Trainer

    def __init__(self, recipe: Recipe, arguments: Sequence[str], *, subcommand: str | None):
        self.recipe = recipe
        self.phase = subcommand
        self.folder: RunFolder
        self.checkpoint: str | None = None
        self.recorder: Recorder
        self.throughput = Throughput()
        self.run_logger: RunLogger | None = None
        super().__init__(
            FineTuningTask,
            TextDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            run=False,
            args=list(arguments),
            parser_class=RecipeParser,
            parser_kwargs={
                "prog": f"python -m recipes {recipe.name}",
                "description": recipe.description,
                "allow_abbrev": False,
            },
            seed_everything_default=42,
            save_config_callback=None,
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
        )

    @classmethod
    def build(cls, name: str, overrides: Sequence[str], *, subcommand: str | None) -> "RecipeCLI":
        """Parts of the recipe of a name (or of a YAML file), with overrides."""
        recipe = catalog.find(name)
        return cls(recipe, _with_config(recipe, overrides), subcommand=subcommand)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add what a run needs beside model, data and trainer, and link what belongs together."""
        parser.add_argument("--run_dir", type=str | None, help="Folder of this run.")
        parser.add_argument("--resume", type=str | None, help="Go on with the run in this folder.")
        parser.add_argument(
            "--ckpt_path", type=str | None, help="Checkpoint file with the weights to evaluate."
        )
        parser.add_argument(
            "--early_stopping",
            type=int | None,
            help="Stop after so many validations without a better score.",
        )
        parser.link_arguments("model.init_args.backbone", "data.init_args.backbone")
        parser.link_arguments(
            "seed_everything", "data.init_args.seed", compute_fn=lambda seed: int(seed or 0)
        )
        parser.link_arguments("data.labels", "model.init_args.labels", apply_on="instantiate")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse, without Lightning's warning that arguments came from Python."""
        self.config = parser.parse_args(args)

    def before_instantiate_classes(self) -> None:
        """Choose the run's folder, and take the labels from the weights where there are some."""
        backbones.resolve(self.config.model.init_args.backbone)  # a wrong name shows at once
        if self.phase in ("validate", "test", "predict"):
            self._use_weights()
        elif self.config.ckpt_path is not None:
            raise ZooError(
                "--ckpt_path is for validate, test and predict; --resume goes on fitting."
            )
        if self.config.resume is not None:
            self.folder = existing_run_folder(self.config.resume, option="--resume")
            if self.config.run_dir is not None:
                raise ZooError("--resume goes on in its own folder: leave --run_dir out.")
            if not self.folder.last_checkpoint.is_file():
                raise RunError(
                    f"--resume {self.config.resume}: there is no checkpoints/last.ckpt in it, so "
                    "nothing to go on from. Begin anew."
                )
            self.checkpoint = str(self.folder.last_checkpoint)
        else:
            task = _family(self.config.model.class_path)
            recipe = self.recipe.name.removeprefix(f"{task}/")
            recipe = f"{recipe}-{self.phase}" if self.phase not in (None, "fit") else recipe
            self.folder = choose_run_folder(task=task, recipe=recipe, chosen=self.config.run_dir)

    def _use_weights(self) -> None:
        model, data = self.config.model.init_args, self.config.data.init_args
        if self.config.ckpt_path is not None:
            parameters = _checkpoint_parameters(Path(self.config.ckpt_path))
            model.backbone = data.backbone = parameters["backbone"]
            data.labels = list(parameters["labels"])
            self.checkpoint = self.config.ckpt_path
            return
        head = _task_class(self.config.model.class_path).head
        labels = backbones.head_labels(model.backbone, head)
        if labels is None:
            raise RunError(
                f"`{self.phase}` needs trained weights, and {model.backbone} has no trained head. "
                "Give --model.backbone RUN/model or --ckpt_path RUN/checkpoints/best.ckpt."
            )
        data.labels = labels

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """The trainer, with the callbacks of every run."""
        trainer = self.config.trainer
        monitor, mode = self.model.monitor, self.model.monitor_mode
        self.recorder = Recorder(self.folder)
        callbacks: list[Callback] = [self.recorder, self.throughput]
        evaluating = self.phase in ("validate", "test", "predict")
        if not evaluating:
            callbacks.append(GracefulInterrupt(self.folder))
        if evaluating:
            kwargs["enable_checkpointing"] = False
        elif trainer.enable_checkpointing is not False and not trainer.fast_dev_run:
            callbacks.append(
                ModelCheckpoint(
                    dirpath=self.folder.checkpoints,
                    filename="best",
                    monitor=monitor,
                    mode=mode,
                    save_last=True,
                    enable_version_counter=False,
                )
            )
        if self.config.early_stopping is not None:
            callbacks.append(EarlyStopping(monitor, mode=mode, patience=self.config.early_stopping))
        if trainer.enable_progress_bar is not False:
            callbacks += progress(monitor)
        kwargs.setdefault(
            "enable_progress_bar", sys.stdout.isatty() and trainer.enable_progress_bar is not False
        )
        self.trainer_defaults = {"callbacks": callbacks}
        if trainer.logger is None:
            self.run_logger = RunLogger(
                self.folder.path,
                name=self.folder.id,
                group=self.recipe.name,
                job_type=self.phase or "fit",
                tags=[self.model.family, _short_name(self.model.backbone), "full"],
            )
            kwargs["logger"] = self.run_logger
        return super().instantiate_trainer(**kwargs)

    def settings(self) -> str:
        """All settings as YAML; running it again gives the same run."""
        config = self.config.clone()
        for key in _NOT_SETTINGS:
            config.pop(key, None)
        text: str = self.parser.dump(config, skip_none=False, skip_validation=True)
        return text


def _short_name(backbone: str) -> str:
    """A backbone's name as a tag: of a folder the model it came from, or the folder's own name."""
    path = Path(backbone)
    if path.is_dir():
        backbone = str(backbones.metadata(backbone).get("backbone", path.resolve().name))
    return backbone


def _with_config(recipe: Recipe, overrides: Sequence[str]) -> list[str]:
    """The recipe's file, or the resumed run's, before the overrides."""
    overrides = list(overrides)
    config = recipe.path
    for index, word in enumerate(overrides):
        resumed = None
        if word == "--resume" and index + 1 < len(overrides):
            resumed = overrides[index + 1]
        elif word.startswith("--resume="):
            resumed = word.partition("=")[2]
        if resumed is not None:
            config = existing_run_folder(resumed, option="--resume").config
    return ["--config", str(config), *overrides]


def _task_class(class_path: str) -> type[FineTuningTask]:
    from importlib import import_module

    module, _, name = class_path.rpartition(".")
    found: type[FineTuningTask] = getattr(import_module(module), name)
    return found


def _family(class_path: str) -> str:
    return _task_class(class_path).family


def _checkpoint_parameters(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise RunError(f"--ckpt_path {path}: there is no such file.")
    try:
        content = torch.load(path, weights_only=True, map_location="cpu", mmap=True)
        parameters: dict[str, Any] = content["hyper_parameters"]
        parameters["labels"], parameters["backbone"]
    except Exception as error:
        raise RunError(
            f"--ckpt_path {path} is damaged or no checkpoint of a zoo task "
            f"({type(error).__name__}). Give another, such as the run's model/ folder by "
            "--model.backbone."
        ) from error
    return parameters
