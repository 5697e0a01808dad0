"""The command line of a recipe: Lightning's CLI with a run folder on top."""

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import torch
from jsonargparse import Namespace
from lightning import Callback, Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from recipes import catalog, distilling
from recipes.catalog import Recipe
from recipes.messages import in_one_sentence
from zoo import backbones
from zoo.data.datamodule import TextDataModule
from zoo.distillation import Distillation, DistillationSettings
from zoo.errors import RunError, ZooError, check_at_least
from zoo.tracking.averaging import SHARDED, Average, AveragingCallback
from zoo.tracking.checkpoints import Interval, RunCheckpoints, newest_complete
from zoo.tracking.console import program, shown
from zoo.tracking.guards import FiniteLoss
from zoo.tracking.interrupts import GracefulInterrupt
from zoo.tracking.progress import progress
from zoo.tracking.recorder import Recorder
from zoo.tracking.run_folder import RunFolder, choose_run_folder, existing_run_folder
from zoo.tracking.throughput import Throughput
from zoo.tracking.wandb_logger import RunLogger
from zoo.training.early_stopping import PatientStopping
from zoo.training.random_states import RandomStates
from zoo.training.schedules import schedule_options
from zoo.training.task import FineTuningTask

log = logging.getLogger("zoo")

#: Flags of the command line that say where a run goes on, and so are no part of its settings.
_NOT_SETTINGS = ("config", "run_dir", "resume", "ckpt_path")

#: Flags that follow another one, and the one that they follow.
_LINKED = {
    name: target
    for argument, target in (("backbone", "--model.backbone"), ("seed", "--seed_everything"))
    for name in (f"--data.{argument}", f"--data.init_args.{argument}")
}


class RecipeParser(LightningArgumentParser):
    """Refuses unknown and shortened flags in one sentence, with near names."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise instead of printing the usage: one place prints all errors.

        Raises:
            ZooError: Always.
        """
        options = [option for action in self._actions for option in action.option_strings]
        raise ZooError(in_one_sentence(message, options)) from ex


class RecipeCLI(LightningCLI):
    """A recipe's parts, built from its YAML and the flags: `.model`, `.datamodule`, `.trainer`.

    Args:
        recipe: The recipe.
        arguments: Flags of the command line.
        subcommand: `fit`, `validate`, `test` or `predict`; None is fit, test and report.
        typed: The recipe's name or path as the user typed it.
    """

    model: FineTuningTask
    datamodule: TextDataModule
    trainer: Trainer

    def __init__(
        self, recipe: Recipe, arguments: Sequence[str], *, subcommand: str | None, typed: str
    ):
        self.recipe = recipe
        self.phase = subcommand
        self.folder: RunFolder
        self.checkpoint: str | None = None
        self.recorder: Recorder
        self.throughput = Throughput()
        self.run_logger: RunLogger | None = None
        self.interrupt: GracefulInterrupt | None = None
        self.checkpoints: RunCheckpoints | None = None
        self.average: AveragingCallback | None = None
        self.typed = typed
        self.distilling: DistillationSettings | None = None
        self.teacher: FineTuningTask | None = None
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
        return cls(recipe, _with_config(recipe, overrides), subcommand=subcommand, typed=name)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add what a run needs beside model, data and trainer, and link what belongs together."""
        parser.add_argument(
            "--recipe", type=str | None, help="Name that groups runs; the recipe's own by default."
        )
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
        parser.add_argument(
            "--average",
            type=str,
            default="none",
            help="Also average weights: swa, ema or best:K; kept where validation is better.",
        )
        parser.add_argument(
            "--log_model",
            type=bool,
            default=False,
            help="Upload the trained model to W&B; else W&B knows its scores and where it lies.",
        )
        parser.add_argument(
            "--checkpoint_every",
            type=int | str,
            default="auto",
            help="Checkpoints between validations: steps (50), a time (10m), 0 for none, or auto.",
        )
        parser.add_argument(
            "--distill",
            type=DistillationSettings | None,
            help="Learn from a trained run: --distill.teacher RUN, and how.",
        )
        parser.add_argument(
            "--auto_batch",
            type=bool,
            default=False,
            help="Find the tokens a batch may hold (--data.max_tokens) by trial steps, and keep "
            "them in the run's config.yaml.",
        )
        parser.link_arguments("model.init_args.backbone", "data.init_args.backbone")
        parser.link_arguments(
            "seed_everything", "data.init_args.seed", compute_fn=lambda seed: int(seed or 0)
        )
        parser.link_arguments("data.labels", "model.init_args.labels", apply_on="instantiate")
        parser.link_arguments("data.mode", "model.init_args.mode", apply_on="instantiate")
        parser.link_arguments(
            "data.tokenizer_folder", "model.init_args.tokenizer_folder", apply_on="instantiate"
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse, without Lightning's warning that arguments came from Python."""
        self.config = parser.parse_args(args)

    def before_instantiate_classes(self) -> None:
        """Choose the run's folder, and take the labels from the weights where there are some."""
        config = self.config
        self.distilling = None if self.evaluating else distilling.settings_of(config)
        if self.distilling is None or self.distilling.layers is None:
            backbones.resolve(config.model.init_args.backbone)  # a wrong name shows at once
        config.recipe = config.recipe or self.recipe.name
        if config.early_stopping is not None:
            check_at_least("--early_stopping", config.early_stopping, 1)
            _check_patience(config.early_stopping, config.model.init_args)
        Average.parse(config.average)
        self.interval = Interval.parse(config.checkpoint_every)
        if self.evaluating:
            if config.auto_batch:
                raise ZooError(f"--auto_batch is for fitting, and `{self.phase}` fits nothing.")
            if config.resume is not None:
                raise ZooError("--resume goes on fitting; to evaluate, give --model.backbone.")
            self._use_weights()
        elif config.ckpt_path is not None:
            raise ZooError(
                "--ckpt_path is for validate, test and predict; --resume goes on fitting."
            )
        if config.resume is None:
            task = self.family
            recipe = config.recipe.removeprefix(f"{task}/")
            recipe = f"{recipe}-{self.phase}" if self.evaluating else recipe
            self.folder = choose_run_folder(task=task, recipe=recipe, chosen=config.run_dir)
            self._find_teacher()
            return
        if config.run_dir is not None:
            raise ZooError("--resume goes on in its own folder: leave --run_dir out.")
        self.folder = existing_run_folder(config.resume, option="--resume")
        self._find_teacher()
        self._find_checkpoint()
        if config.auto_batch and self.checkpoint is not None:
            raise ZooError(
                "--auto_batch is for runs that begin: going on with other batches, give "
                "--data.max_tokens."
            )

    def _find_teacher(self) -> None:
        if self.distilling is not None:
            self.teacher = distilling.teacher_of(self, self.distilling)

    def _find_checkpoint(self) -> None:
        found = newest_complete(self.folder)
        if found is not None:
            _checkpoint_parameters(found.path)
            self.checkpoint = str(found.path)
        if int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0"))):
            return  # one process speaks
        for sentence in found.damaged if found is not None else ():
            log.warning(sentence)
        if found is None:
            log.warning("The run stopped before its first checkpoint: it begins anew.")
        else:
            log.info("Going on from step %d (%s).", found.step, shown(found.path))

    @property
    def family(self) -> str:
        """The family of the recipe's task."""
        return _task_class(self.config.model.class_path).family

    @property
    def evaluating(self) -> bool:
        """Whether this run evaluates weights that were trained before."""
        return self.phase in ("validate", "test", "predict")

    def _use_weights(self) -> None:
        model, data = self.config.model.init_args, self.config.data.init_args
        if self.config.ckpt_path is not None:
            parameters = _checkpoint_parameters(Path(self.config.ckpt_path))
            model.backbone = data.backbone = parameters["backbone"]
            data.labels = list(parameters["labels"])
            if hasattr(model, "adaptation"):
                model.adaptation = _as_settings(parameters.get("adaptation", "full"))
            if "mode" in parameters:
                data.mode = parameters["mode"]
            if parameters.get("tokenizer_folder") is not None:
                data.new_tokenizer = parameters["tokenizer_folder"]
                model.from_scratch = parameters["from_scratch"]
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
        if trainer.strategy == "fsdp":
            _check_fsdp(phase=self.phase, accelerator=str(trainer.accelerator))
        monitor, mode = self.model.monitor, self.model.monitor_mode
        self.recorder = Recorder(self.folder)
        callbacks: list[Callback] = [self.recorder, self.throughput, RandomStates()]
        if self.evaluating:
            kwargs["enable_checkpointing"] = False
        else:
            callbacks.append(FiniteLoss(self.folder, resume=self.resume_command))
            if trainer.enable_checkpointing is not False and not trainer.fast_dev_run:
                self.checkpoints = RunCheckpoints(
                    self.folder, monitor=monitor, mode=mode, every=self.interval
                )
                callbacks.append(self.checkpoints)
            callbacks += self._averaging(monitor, mode)
        if self.config.early_stopping is not None:
            patience = self.config.early_stopping
            callbacks.append(PatientStopping(monitor, mode=mode, patience=patience))
        if self.teacher is not None:
            callbacks.append(Distillation(self.teacher, self.distilling))
        if trainer.enable_progress_bar is not False:
            callbacks += progress(monitor)
        if not self.evaluating:
            # Last: what it saves is then a state after all others have seen the batch.
            self.interrupt = GracefulInterrupt(self.checkpoints)
            callbacks.append(self.interrupt)
        kwargs["enable_progress_bar"] = (
            sys.stdout.isatty() and trainer.enable_progress_bar is not False
        )
        self.trainer_defaults = {"callbacks": callbacks}
        if trainer.logger is None:
            self.run_logger = RunLogger(
                self.folder.path,
                # W&B's own variables, by which several seeds lie together.
                name=os.environ.get("WANDB_NAME") or self.folder.id,
                group=os.environ.get("WANDB_RUN_GROUP") or self.config.recipe,
                job_type=self.phase or "fit",
                tags=[
                    self.model.family,
                    _short_name(self.model.backbone),
                    self.model.adaptation.kind,
                ],
                monitor=monitor,
                monitor_mode=mode,
                resume=self.config.resume is not None,
                log_model=self.config.log_model,
            )
            kwargs["logger"] = self.run_logger
        return super().instantiate_trainer(**kwargs)

    def _averaging(self, monitor: str, mode: str) -> list[Callback]:
        chosen = Average.parse(self.config.average)
        if chosen is None:
            return []
        if self.checkpoints is None:
            raise ZooError("--average needs checkpoints: leave --trainer.enable_checkpointing out.")
        strategy = self.config.trainer.strategy
        strategy = getattr(strategy, "class_path", strategy)
        if any(name in str(strategy).lower() for name in ("fsdp", "modelparallel")):
            raise ZooError(SHARDED)
        self.average = chosen.callback(self.folder.checkpoints, monitor=monitor, mode=mode)
        return [self.average]

    def command(self, *words: str) -> str:
        """A command that a person can paste, for this recipe as it was typed.

        Args:
            words: What follows the recipe's name.
        """
        phase = [self.phase] if self.phase == "fit" else []
        return " ".join([program("python"), "-m", "recipes", self.typed, *phase, *words])

    @property
    def resume_command(self) -> str:
        """The command that goes on with this run."""
        return self.command("--resume", shown(self.folder.path))

    def settings(self) -> str:
        """All settings as YAML; running it again gives the same run."""
        config = self.config.clone()
        for key in _NOT_SETTINGS:
            config.pop(key, None)
        text: str = self.parser.dump(config, skip_none=False, skip_validation=True)
        return text


def _as_settings(given: Any) -> Any:
    """What a checkpoint says of an argument, as the parser has it."""
    return Namespace(given) if isinstance(given, dict) else given


def _short_name(backbone: str) -> str:
    """A backbone's name as a tag: of a folder the model it came from, or the folder's own name."""
    path = Path(backbone)
    if path.is_dir():
        backbone = str(backbones.metadata(backbone).get("backbone", path.resolve().name))
    return backbone


def _with_config(recipe: Recipe, overrides: Sequence[str]) -> list[str]:
    """The recipe's file (or the resumed run's), other files, then flags: later ones win."""
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


def _check_patience(early_stopping: int, task: Any) -> None:
    if task.get("schedule") != "plateau":
        return
    patience = schedule_options("plateau", task.get("schedule_options"))["patience"]
    if early_stopping <= patience:
        raise ZooError(
            f"--early_stopping {early_stopping} stops the run before --model.schedule plateau has "
            f"lowered the rate, after {patience:g} validations without a better score: give more "
            f"than {patience:g}, best several times as many."
        )


def _check_fsdp(*, phase: str | None, accelerator: str) -> None:
    if accelerator == "cpu" or not torch.cuda.is_available():
        raise ZooError("--trainer.strategy fsdp needs GPUs; fsdp2 shards on CPUs too.")
    if phase != "fit":
        raise ZooError(
            "--trainer.strategy fsdp only fits: use `fit`, then `python -m recipes consolidate RUN`"
            "; fsdp2 also tests and predicts."
        )


def _task_class(class_path: str) -> type[FineTuningTask]:
    from importlib import import_module

    module, _, name = class_path.rpartition(".")
    found: type[FineTuningTask] = getattr(import_module(module), name)
    return found


def _checkpoint_parameters(path: Path) -> dict[str, Any]:
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
