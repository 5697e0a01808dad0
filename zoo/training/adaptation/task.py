"""A task of whose model only a part is trained."""

from abc import abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch.strategies import FSDPStrategy
from torch import Tensor, nn
from torch.optim import Optimizer

from zoo import backbones
from zoo.errors import ZooError
from zoo.training.adaptation import adapters, freezing, prompts
from zoo.training.adaptation.checkpoints import Adapted, AdaptedCheckpoints
from zoo.training.adaptation.kept import (
    fingerprint,
    frozen_names,
)
from zoo.training.adaptation.ranks import Ranks
from zoo.training.adaptation.saving import read_prompt, write_adapter, write_model
from zoo.training.adaptation.settings import ADAPTERS
from zoo.training.sharding import is_sharded

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class AdaptedTask(AdaptedCheckpoints):
    """A task that may train less than all of its model; the base of all tasks builds on it."""

    _base: str | None = None

    # The model.

    def _made(
        self, labels: Sequence[str], *, weights: bool = True, adapt: bool = True
    ) -> "PreTrainedModel":
        """The whole model, on the CPU, adapted unless told otherwise."""
        partial = adapt and self.adaptation.is_partial
        self._adapted = None
        # A checkpoint fills in only what was trained.
        on_meta = torch.get_default_device().type == "meta"
        model = self._load(labels, weights=weights or (partial and not on_meta))
        read_prompt(self.backbone, model)
        return self._adapt(model) if adapt else model

    def _built(
        self, labels: Sequence[str], *, weights: bool = True, adapt: bool = True
    ) -> "PreTrainedModel":
        """The model, adapted unless told otherwise, or this process's share of it."""
        model = super()._built(labels, weights=weights, adapt=adapt)
        if self.in_step and self._adapted is not None:
            # Only the first process has seen the weights.
            self._base = self._adapted.base = self.trainer.strategy.broadcast(self._base)
            for part in self.still_parts:
                part.eval()
        return model

    @property
    def is_adapted(self) -> bool:
        """Whether the model is as the adaptation says; always, where all of it is trained."""
        return self._adapted is not None or not self.adaptation.is_partial

    def adapt_again(self) -> None:
        """Adapt a model that was built to be evaluated, before it is trained.

        Raises:
            ZooError: It is shared out among processes.
        """
        whole = self.adaptation.kind == "full" and not self.freeze_embeddings
        if self._adapted is not None or whole or self.model is None:
            return
        if is_sharded(self.model):
            raise ZooError(
                f"{self._asked_for} cannot begin on a model that was "
                "evaluated under --trainer.strategy fsdp2: make the task anew to fit it."
            )
        self.model = self._adapt(self.model)

    @property
    def _asked_for(self) -> str:
        kind = self.adaptation.kind
        return "--model.freeze_embeddings" if kind == "full" else f"--model.adaptation {kind}"

    def check_frozen(self) -> None:
        """Refuse to freeze embeddings where nothing else would.

        Raises:
            ZooError: The adaptation freezes them already.
        """
        if self.freeze_embeddings and self.adaptation.is_partial:
            raise ZooError(
                "--model.freeze_embeddings is for --model.adaptation full or gradual: "
                f"{self.adaptation.kind} leaves all of the embeddings as they are. Leave it out."
            )

    def _adapt(self, model: "PreTrainedModel") -> "PreTrainedModel":
        """Freeze, and put in, what the adaptation says; the model is changed in place."""
        kind = self.adaptation.kind
        own = [id(tensor) for tensor in model.state_dict(keep_vars=True).values()]
        named = dict(model.named_parameters())
        done = Adapted()
        if self.freeze_embeddings:
            freezing.freeze_embeddings(model, backbone=self.backbone)
        if kind == "gradual":
            done.stages = freezing.stages(model, backbone=self.backbone)
        elif kind != "full":
            chosen = self._chosen(model)
            trained = {id(one) for one in chosen}
            base = [(name, one) for name, one in named.items() if id(one) not in trained]
            # Under a strategy that shards, only one model has numbers.
            self._base = done.base = fingerprint(base) or self._base
            if kind in ADAPTERS:
                done.tuner = adapters.insert(model, self.adaptation, backbone=self.backbone)
                for parameter in chosen:
                    parameter.requires_grad_(True)
                done.ranks = Ranks(done.tuner) if kind == "adalora" else None
            else:
                freezing.train_only(model, chosen)
            if kind == "prompt":
                if prompts.has_prompt(model):
                    raise ZooError(
                        f"{self.backbone} has a prompt already: train it on with --model.adaptation"
                        " full or head, or give another backbone."
                    )
                prompts.insert(model, self.adaptation.virtual_tokens)
            if kind == "head":
                done.still = freezing.body_parts(model)
                for part in done.still:
                    part.eval()
            done.frozen = frozen_names(model, own=own)
        self._adapted = done
        return model

    def _chosen(self, model: "PreTrainedModel") -> list[nn.Parameter]:
        """The model's own parameters that are trained."""
        if self.adaptation.kind == "head":
            return freezing.head_of(model, backbone=self.backbone)
        head = [one for one in backbones.head_parameters(model) if one.requires_grad]
        if self.adaptation.kind != "bitfit":
            return head
        biases = freezing.biases_of(model, backbone=self.backbone)
        return list({id(one): one for one in [*head, *biases]}.values())

    def save_adapter(self, folder: Path) -> bool:
        """Write adapter and head alone, in peft's format; False where all is in the model itself.

        Args:
            folder: Where they go, beside the run's `model/`; what was there is replaced.
        """
        tuner = None if self._adapted is None else self._adapted.tuner
        with self.exported() as model:
            return write_adapter(model, tuner, folder, backbone=self.backbone)

    def write_model(
        self, model: "PreTrainedModel", folder: Path, *, home: Path | None = None
    ) -> None:
        """Write what `exported` gave, with its adapters merged into its weights.

        Args:
            model: The model.
            folder: Where it is written.
            home: Where the folder will lie, if elsewhere.
        """
        write_model(model, folder, home=home)

    @abstractmethod
    def exported(self) -> AbstractContextManager["PreTrainedModel"]:
        """The model as others should see it, for the time of saving it."""

    @property
    def trained_size(self) -> dict[str, float]:
        """How much is trained: parameters, their share of all, and megabytes of the weights."""
        parameters = list(self.net.parameters())
        stages = self._adapted.stages if self._adapted is not None else []
        staged = {id(one) for stage in stages for one in stage}
        own = [one for one in parameters if one.requires_grad or id(one) in staged]
        count = sum(one.numel() for one in own)
        return {
            "trained_parameters": float(count),
            "trained_share": count / max(1, sum(one.numel() for one in parameters)),
            "trained_mb": sum(one.numel() * one.element_size() for one in own) / 1e6,
        }

    @property
    def still_parts(self) -> list[nn.Module]:
        """Parts of the model that are frozen and have no dropout."""
        return [] if self._adapted is None else self._adapted.still

    # Training.

    def check_strategy(self) -> None:
        """Refuse, before anything is trained, what would not be right.

        Raises:
            ZooError: The strategy does not go with the adaptation; says which does.
        """
        kind = self.adaptation.kind
        if kind == "full" or self._trainer is None:
            return
        strategy: Any = self.trainer.strategy
        if isinstance(strategy, FSDPStrategy):
            raise ZooError(
                f"--model.adaptation {kind} does not go with --trainer.strategy fsdp (FSDP1), "
                "which shards what is trained together with what is not: use --trainer.strategy "
                "fsdp2, or ddp."
            )
        if not self.in_step:
            return
        if kind in ("gradual", "adalora"):
            raise ZooError(
                f"--model.adaptation {kind} needs whole weights in each process, which "
                "--trainer.strategy fsdp2 does not keep: use --trainer.strategy ddp, or "
                "--model.adaptation lora."
            )
        if getattr(strategy, "_save_distributed_checkpoint", False):
            raise ZooError(
                f"--trainer.strategy.sharded_checkpoints is for checkpoints of whole models; those "
                f"of --model.adaptation {kind} are megabytes: leave it out."
            )

    def configure_optimizers(self) -> Any:
        """The optimizer; before it, the first thing that fitting alone asks for, a check."""
        self.check_room()
        return super().configure_optimizers()

    def check_room(self) -> None:
        """Refuse, before anything is trained, texts that leave a prompt no room.

        Raises:
            ZooError: One does; says what to give.
        """
        room = prompts.room(self.net)
        data: Any = getattr(self._trainer, "datamodule", None)
        # A notebook may bring batches of its own: those are looked at one by one.
        if room is None or not hasattr(data, "longest") or data.max_length <= room:
            return
        for split in data.splits():
            longest = data.longest(split)
            if longest > room:
                raise ZooError(
                    f"The longest input of the {split} data has {longest} tokens, and the model's "
                    f"positions leave {room} beside its prompt: give --data.max_length {room}, or "
                    "fewer --model.adaptation.virtual_tokens."
                )

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Let `gradual` train what is due."""
        stages = [] if self._adapted is None else self._adapted.stages
        if self.trainer.world_size > 1:
            return  # DDP cannot learn of it later: gradients are dropped instead
        due = self._stages_due()
        for number, stage in enumerate(stages):
            for parameter in stage:
                parameter.requires_grad_(number < due)

    def _stages_due(self) -> int:
        stages = [] if self._adapted is None else self._adapted.stages
        if not stages:
            return 0
        # Asked for after the first step only: see `zoo.training.optimization.scheduler`.
        step = self.trainer.global_step
        total = float(self.trainer.estimated_stepping_batches) if step else 1.0
        return freezing.stages_open(
            step, stages=len(stages), total=total, by=self.adaptation.unfreeze_by
        )

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Drop the gradients of what `gradual` does not train yet."""
        super().on_before_optimizer_step(optimizer)
        if self._adapted is not None and self._adapted.stages and self.trainer.world_size > 1:
            for stage in self._adapted.stages[self._stages_due() :]:
                for parameter in stage:
                    parameter.grad = None

    def on_train_end(self) -> None:
        """Leave all that `gradual` was to train trainable, however early the training ended."""
        super().on_train_end()
        for stage in [] if self._adapted is None else self._adapted.stages:
            for parameter in stage:
                parameter.requires_grad_(True)

    def optimizer_step(self, *arguments: Any, **options: Any) -> None:
        """Step, and let AdaLoRA judge the gradient."""
        super().optimizer_step(*arguments, **options)
        if self._adapted is not None and self._adapted.ranks is not None:
            total = int(self.trainer.estimated_stepping_batches)
            self._adapted.ranks.step(self.trainer.global_step + 1, total=total)

    def penalized(self, loss: Tensor) -> Tensor:
        """The loss, AdaLoRA's with its penalty."""
        if self._adapted is not None and self._adapted.ranks is not None:
            loss = loss + self._adapted.ranks.penalty()
        return loss


__all__ = ["Adapted", "AdaptedTask"]
