"""The ways to train that `steps` compares, each by its name."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.speed.peers import Step, make_peer, make_task, peer_loss, task_loss
from zoo.training.task import FineTuningTask

OURS, UNPACKED, FROZEN = "zoo", "zoo, not packed", "zoo, frozen embeddings"
THEIRS, FIXED = "transformers", "transformers, fixed"


@dataclass(frozen=True)
class Setup:
    """What all ways of a comparison have in common.

    Attributes:
        kind: The family's task.
        labels: Its labels.
        backbone: What is trained.
        names: What a model reads of a batch.
        precision: `fp32` or `bf16`.
        device: Where to train.
    """

    kind: type[FineTuningTask]
    labels: list[str]
    backbone: str
    names: list[str]
    precision: str
    device: torch.device

    def task(self, **options: Any) -> FineTuningTask:
        """A task of the zoo, with its model."""
        return make_task(self.kind, backbone=self.backbone, labels=self.labels, **options)

    def step(self, way: str, weights: Mapping[str, Tensor] | None = None) -> Step:
        """A training step of a way, with a model of its own.

        Args:
            way: Its name.
            weights: Those of a transformers model; if None a head of its own.
        """
        options: dict[str, Any] = {"precision": self.precision, "device": self.device}
        if way in (THEIRS, FIXED):
            family = self.kind.family
            model = make_peer(family, self.backbone, labels=len(self.labels), weights=weights)
            loss = partial(peer_loss, family, model, self.names)
            return Step(model, loss, groups=False, **options)
        # Told to, on a GPU too, where the default is to pad.
        frozen = {"freeze_embeddings": True} if way == FROZEN else {}
        task = self.task(packed=way != UNPACKED, **frozen)
        return Step(task, task_loss(task), groups=True, **options)
