"""Several tasks on one encoder."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import torch

from zoo import backbones
from zoo.errors import RunError, ZooError
from zoo.training.adaptation.task import AdaptedTask

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class EncoderSharingTask(AdaptedTask):
    """A task that can share its encoder with others; the base of all tasks builds on it."""

    labels: list[str]
    compiles: bool
    model: "PreTrainedModel | None"
    _no_weights: RunError | None
    #: Parts of the model that other tasks have too; a module's own list would copy them.
    _shared: list[torch.nn.Module]

    def use_encoder(self, encoder: "PreTrainedModel", *, copy: bool = False) -> Self:
        """Build the model on an encoder that is in memory already, with a new head.

        Several tasks on one encoder hold its weights once. As training one must not change what
        the others predict, the shared encoder is frozen and has no dropout; each task trains its
        head. With `copy` a task takes a copy of its own instead, all of which is trained: one
        reading from disk then does for several fine-tunings, and memory holds each.

        Exported models are whole, whatever is shared while they are made, and so are checkpoints
        but those of an adaptation, which hold what was trained.

        Args:
            encoder: What `zoo.backbones.load_encoder` gave for this task's backbone.
            copy: Train a copy of it.

        Raises:
            BackboneError: It is of another backbone or kind.
            ZooError: The task's adaptation, or its compilation, would change what others predict.
        """
        if not copy and self.adaptation.kind not in ("full", "head"):
            raise ZooError(
                f"--model.adaptation {self.adaptation.kind} changes the encoder, which tasks that "
                "share it cannot have: use head, or use_encoder(..., copy=True)."
            )
        if not copy and self.compiles:
            raise ZooError(
                "--model.compile compiles the encoder in place, which tasks that share it cannot "
                "have: leave it out, or use_encoder(..., copy=True)."
            )
        with torch.device("meta"):
            model = self._load(self.labels, weights=False)
        self._shared = backbones.put_on_encoder(model, encoder, backbone=self.backbone, copy=copy)
        self.model, self._no_weights, self._adapted = model, None, None
        self.adapt_again()
        return self

    def _require_shared(self, state: Mapping[str, Any]) -> None:
        """Refuse weights that would change the encoder under other tasks."""
        shared = {id(own) for part in self._shared for own in part.parameters()}
        for name, own in self.named_parameters():
            if id(own) in shared and not torch.equal(own.cpu(), state.get(name, own).cpu()):
                raise RunError(
                    "The checkpoint has another encoder than the one that this task shares with "
                    "others. Load it into a task of its own."
                )
