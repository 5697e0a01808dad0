"""What a checkpoint holds of a task that trains a part of its model, and who may load it."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from lightning.pytorch.trainer.states import TrainerFn
from torch import nn

from zoo.errors import RunError
from zoo.training.adaptation.kept import BASE, check_base, check_kept
from zoo.training.adaptation.ranks import Ranks
from zoo.training.adaptation.settings import Adaptation
from zoo.training.optimizing import OptimizedTask

#: The key under which a checkpoint keeps what AdaLoRA knows beside weights.
_RANKS = "zoo_adalora"


@dataclass
class Adapted:
    """What was done to a task's model.

    Args:
        frozen: Names in the model's state that are not trained.
        base: Fingerprint of these weights; None where they are all trained.
        tuner: peft's, where it put in new weights.
        ranks: AdaLoRA's bookkeeping.
        still: Parts that have no dropout.
        stages: Parameters in the order in which `gradual` begins to train them.
    """

    frozen: frozenset[str] = frozenset()
    base: str | None = None
    tuner: Any = None
    ranks: Ranks | None = None
    still: list[nn.Module] = field(default_factory=list)
    stages: list[list[nn.Parameter]] = field(default_factory=list)


class AdaptedCheckpoints(OptimizedTask):
    """The checkpoints of a task: without what stays the backbone's."""

    adaptation: Adaptation
    freeze_embeddings: bool = False
    _adapted: Adapted | None = None

    def save_hyperparameters(
        self, *arguments: Any, frame: FrameType | None = None, **options: Any
    ) -> None:
        """Save the constructor's arguments, as plain data."""
        if frame is None:
            here = inspect.currentframe()
            frame = here.f_back if here is not None else None
        super().save_hyperparameters(*arguments, frame=frame, **options)
        both: Any = (self._hparams, self._hparams_initial)
        for kept in both:
            kept["adaptation"] = self.adaptation.plain()

    @property
    def strict_loading(self) -> bool:
        """Whether a checkpoint must hold all weights; what is missing is checked here otherwise."""
        return not self.adaptation.is_partial

    @strict_loading.setter
    def strict_loading(self, strict: bool) -> None:
        """Lightning's own switch, which has no say here."""

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave out what stays the backbone's."""
        super().on_save_checkpoint(checkpoint)
        adapted = self._adapted
        if adapted is None or not self.adaptation.is_partial:
            return
        frozen = self._frozen_names()
        checkpoint["state_dict"] = {
            name: tensor for name, tensor in checkpoint["state_dict"].items() if name not in frozen
        }
        checkpoint[BASE] = adapted.base
        if adapted.ranks is not None:
            checkpoint[_RANKS] = adapted.ranks.state_dict()

    def _frozen_names(self) -> set[str]:
        return {f"model.{name}" for name in self._adapted.frozen} if self._adapted else set()

    def restore_adaptation(self, checkpoint: Mapping[str, Any]) -> None:
        """Check that a checkpoint is of this adaptation and base, and take what it knows beside.

        Raises:
            RunError: It is of another.
        """
        saved = Adaptation.of(checkpoint["hyper_parameters"].get("adaptation", "full"))
        if saved.is_partial != self.adaptation.is_partial or (
            saved.is_partial and saved != self.adaptation
        ):
            raise RunError(
                f"The checkpoint is of --model.adaptation {saved.plain()}, but the task has "
                f"{self.adaptation.plain()}. Give the task that of the checkpoint."
            )
        self._check_embeddings(checkpoint)
        if self._adapted is None or not saved.is_partial:
            return
        check_base(checkpoint, expected=self._adapted.base, backbone=self.backbone)
        self.check_state(checkpoint["state_dict"])
        if self._adapted.ranks is not None and _RANKS in checkpoint:
            self._adapted.ranks.load_state_dict(checkpoint[_RANKS])

    def _check_embeddings(self, checkpoint: Mapping[str, Any]) -> None:
        frozen = bool(checkpoint["hyper_parameters"].get("freeze_embeddings", False))
        fitting = self._trainer is not None and self._trainer.state.fn == TrainerFn.FITTING
        if fitting and frozen != self.freeze_embeddings:
            raise RunError(
                f"The checkpoint was trained with --model.freeze_embeddings {str(frozen).lower()}, "
                "and its optimizer knows those weights alone: give that of the checkpoint."
            )

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Take weights; what stays the backbone's may be left out."""
        if self._adapted is None or not self.adaptation.is_partial:
            return super().load_state_dict(state_dict, strict=strict, assign=assign)
        self.check_state(state_dict)
        return super().load_state_dict(state_dict, strict=False, assign=assign)

    def check_state(self, state: Mapping[str, Any]) -> None:
        """Refuse weights that are not of this adaptation.

        Raises:
            RunError: Some are missing, or belong to something else.
        """
        check_kept(
            state,
            names=self.state_dict(),
            frozen=self._frozen_names(),
            kind=self.adaptation.kind,
        )


__all__ = ["Adapted", "AdaptedCheckpoints"]
