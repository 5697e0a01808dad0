"""What a task does so that its model can be spread over processes."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from lightning import LightningModule

from zoo import backbones
from zoo.errors import RunError, ZooError
from zoo.training.compiling import compile_blocks
from zoo.training.sharding import (
    is_sharded,
    load_shards,
    load_whole_state,
    read_checkpoint,
    whole_state,
)
from zoo.training.strategies import FSDP2Strategy

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class DistributedTask(LightningModule):
    """A task whose model a strategy may share out; the base of all tasks builds on it."""

    #: Every step of an evaluation, and what the others may do while it is left out.
    _STEPS: ClassVar[Mapping[str, Literal["val", "test", "predict"]]] = {
        "validation_step": "val",
        "test_step": "test",
        "predict_step": "predict",
    }

    backbone: str
    labels: list[str]
    model: "PreTrainedModel | None"
    #: Whether training compiles the model.
    compiles: bool = False

    def __init_subclass__(cls, **options: Any):
        """Leave out the steps of batches that count for nothing, under any strategy."""
        super().__init_subclass__(**options)
        for name, split in cls._STEPS.items():
            if name in vars(cls):
                setattr(cls, name, _without_fillers(vars(cls)[name], split))

    @property
    @abstractmethod
    def net(self) -> "PreTrainedModel":
        """The transformers model."""

    @abstractmethod
    def _load(self, labels: Sequence[str], *, weights: bool = True) -> "PreTrainedModel":
        """The whole model, on the CPU; without weights only its shape matters."""

    @abstractmethod
    def _made(
        self, labels: Sequence[str], *, weights: bool = True, adapt: bool = True
    ) -> "PreTrainedModel":
        """The whole model with what the task's adaptation adds and freezes, unless told not to."""

    def _built(
        self, labels: Sequence[str], *, weights: bool = True, adapt: bool = True
    ) -> "PreTrainedModel":
        """The model, or under a strategy that shards it this process's share of it."""
        strategy = self._trainer.strategy if self._trainer is not None else None
        if not isinstance(strategy, FSDP2Strategy):
            return self._made(labels, weights=weights, adapt=adapt)
        return strategy.build(
            lambda weights: self._made(labels, weights=weights, adapt=adapt),
            weights=weights,
            blocks=lambda model: backbones.block_classes(self.backbone, model),
        )

    def compile_model(self) -> None:
        """Compile the model that is to be trained, if asked to; before a strategy wraps it.

        Raises:
            ZooError: It cannot be, here or under this strategy.
        """
        if not self.compiles or self.model is None:
            return
        if self.in_step:
            raise ZooError(
                "--model.compile is not for --trainer.strategy fsdp2: leave it out, or use "
                "--trainer.strategy ddp."
            )
        strategy = self._trainer.strategy if self._trainer is not None else None
        compile_blocks(
            self.model,
            backbones.block_classes(self.backbone, self.model),
            gpu=strategy is not None and strategy.root_device.type == "cuda",
        )

    @classmethod
    def of_checkpoint(cls, checkpoint: dict[str, Any]) -> Self:
        """The task of a checkpoint's content, with its weights.

        Raises:
            RunError: It is no checkpoint of a zoo task.
        """
        parameters = checkpoint.get("hyper_parameters", {})
        if "labels" not in parameters or "backbone" not in parameters:
            raise RunError("This is no checkpoint of a zoo task: it does not say its labels.")
        task = cls(**parameters)
        task.model = task._made(task.labels, weights=False)
        task.on_load_checkpoint(checkpoint)
        task.load_state_dict(checkpoint["state_dict"])
        return task

    def whole(self) -> Self | None:
        """The task itself, or a copy with all weights where a strategy shares them out.

        All processes must call it; the copy is on the CPU of the first, the others get None.
        """
        if self.model is None or not is_sharded(self.model):
            return self
        state = whole_state(self)
        if not self.trainer.is_global_zero:
            return None
        parameters = dict(self.hparams)
        return self.of_checkpoint({"hyper_parameters": parameters, "state_dict": state})

    def load_weights(self, path: Path) -> None:
        """Take the weights of a checkpoint (file or folder); all processes must call it.

        Raises:
            RunError: It is damaged.
        """
        if self.model is None or not is_sharded(self.model):
            self.load_state_dict(read_checkpoint(path)["state_dict"])
        elif path.is_dir():
            load_shards(self, path)
        else:
            state = read_checkpoint(path)["state_dict"]
            load_whole_state(self, state, strict=self.strict_loading)

    @property
    def in_step(self) -> bool:
        """Whether all processes must now do as many forward passes: each is one of all of them."""
        return self._trainer is not None and isinstance(self._trainer.strategy, FSDP2Strategy)

    def keep_in_step(
        self, batch: Mapping[str, Any], split: Literal["val", "test", "predict"]
    ) -> None:
        """Do the forward passes of an evaluation step, and nothing else.

        Under a strategy that shards the model, a process whose batches are done helps the others
        so. A family whose step does more than one pass says which.

        Args:
            batch: A batch that counts for nothing.
            split: Which kind of step the others may do.
        """
        self(batch)


def _without_fillers(
    step: Callable[..., Any], split: Literal["val", "test", "predict"]
) -> Callable[..., Any]:
    @wraps(step)
    def counted(task: DistributedTask, batch: Any, *arguments: Any) -> Any:
        # `zoo.data` marks what is there only for the processes to take as many steps.
        if not (isinstance(batch, dict) and batch.get("filler", False)):
            return step(task, batch, *arguments)
        if task.in_step:
            task.keep_in_step(batch, split)
        return {"val": None, "test": {"predictions": []}, "predict": []}[split]

    return counted
