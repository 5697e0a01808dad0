"""The command line of a recipe: Lightning's CLI with a run folder on top."""

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from lightning import Callback, Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from recipes import catalog, distilling
from recipes.arguments import (
    as_settings,
    check_fsdp,
    checkpoint_parameters,
    short_name,
    task_class,
    with_config,
)
from recipes.averaged import check_can_average
from recipes.catalog import Recipe
from recipes.messages import in_one_sentence
from zoo import backbones
from zoo.data.datamodule import TextDataModule
from zoo.distillation import Distillation, DistillationSettings
from zoo.errors import RunError, ZooError, check_at_least
from zoo.tracking.averaging import Average, AveragingCallback
from zoo.tracking.checkpoints import Interval, RunCheckpoints, newest_complete
from zoo.tracking.console import program, shown
from zoo.tracking.guards import FiniteLoss
from zoo.tracking.interrupts import GracefulInterrupt
from zoo.tracking.progress import progress
from zoo.tracking.recorder import Recorder
from zoo.tracking.run_folder import RunFolder, choose_run_folder, existing_run_folder
from zoo.tracking.throughput import Throughput
from zoo.tracking.unprofiled import NoProfiler
from zoo.tracking.wandb_logger import RunLogger
from zoo.training.early_stopping import PatientStopping, check_patience
from zoo.training.random_states import RandomStates
from zoo.training.task import FineTuningTask

log = logging.getLogger("zoo")

#: Flags of the command line that say where a run goes on, and so are no part of its settings.
_NOT_SETTINGS = ("config", "run_dir", "resume", "ckpt_path")


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
        return cls(recipe, with_config(recipe, overrides), subcommand=subcommand, typed=name)

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
        parser.link_arguments(
            "data.sentence_pairs", "model.init_args.sentence_pairs", apply_on="instantiate"
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
            check_patience(config.early_stopping, config.model.init_args)
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
            checkpoint_parameters(found.path)
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
        return task_class(self.config.model.class_path).family

    @property
    def evaluating(self) -> bool:
        """Whether this run evaluates weights that were trained before."""
        return self.phase in ("validate", "test", "predict")

    def _use_weights(self) -> None:
        model, data = self.config.model.init_args, self.config.data.init_args
        if self.config.ckpt_path is not None:
            parameters = checkpoint_parameters(Path(self.config.ckpt_path))
            model.backbone = data.backbone = parameters["backbone"]
            data.labels = list(parameters["labels"])
            if hasattr(model, "adaptation"):
                model.adaptation = as_settings(parameters.get("adaptation", "full"))
            if "mode" in parameters:
                data.mode = parameters["mode"]
            if parameters.get("sentence_pairs") is not None:
                data.sentence_pairs = parameters["sentence_pairs"]
            if parameters.get("tokenizer_folder") is not None:
                data.new_tokenizer = parameters["tokenizer_folder"]
                model.from_scratch = parameters["from_scratch"]
            self.checkpoint = self.config.ckpt_path
            return
        head = task_class(self.config.model.class_path).head
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
            check_fsdp(phase=self.phase, accelerator=str(trainer.accelerator))
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
            if (chosen := Average.parse(self.config.average)) is not None:
                check_can_average(trainer, checkpoints=self.checkpoints is not None)
                self.average = chosen.callback(self.folder.checkpoints, monitor=monitor, mode=mode)
                callbacks.append(self.average)
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
        if trainer.profiler is None and not trainer.barebones:
            kwargs["profiler"] = NoProfiler()
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
                    short_name(self.model.backbone),
                    self.model.adaptation.kind,
                ],
                monitor=monitor,
                monitor_mode=mode,
                resume=self.config.resume is not None,
                log_model=self.config.log_model,
            )
            kwargs["logger"] = self.run_logger
        return super().instantiate_trainer(**kwargs)

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
