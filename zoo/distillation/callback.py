"""The callback with which any task learns from a teacher."""

import logging
from collections.abc import Mapping
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.strategies import FSDPStrategy
from torch import Tensor

from zoo.distillation.cache import SoftTargets, bytes_of, soft_targets_of
from zoo.distillation.checks import check_inside, check_lengths, check_match
from zoo.distillation.inside import Watch
from zoo.distillation.matching import Matching
from zoo.distillation.settings import DistillationSettings
from zoo.distillation.signals import Signal, signal_of, soft_loss
from zoo.distillation.unlabelled import Unlabelled
from zoo.errors import ZooError
from zoo.training.adaptation.kept import fingerprint
from zoo.training.task import FineTuningTask

log = logging.getLogger(__name__)

_GIB = 2**30


class Distillation(Callback):
    """Adds to the loss of a task what a teacher says.

    In a notebook::

        teacher = NERTask.from_run("runs/ner/RUN")
        folder = student_of(teacher, layers=3, folder="student")
        student = NERTask(str(folder), labels=data.labels)
        Trainer(callbacks=[Distillation(teacher)]).fit(student, data)

    What the teacher says of the training data is computed once and kept in the cache, by its
    weights and the data: later epochs and runs do no pass of it. Where that would take more than
    `cache_gib` (each token of a summary has as many logits as there are words), and where its
    inside is matched, it is asked in each step instead.

    The teacher is never changed, and is no part of the student's checkpoints.

    Args:
        teacher: A trained task of the student's family, with the same tokenizer.
        settings: What is learned from it.

    Raises:
        ZooError: The settings are out of their range; when fitting begins also: teacher and student
            do not match.
    """

    def __init__(self, teacher: FineTuningTask, settings: DistillationSettings | None = None):
        self.teacher = teacher
        self.settings = settings or DistillationSettings()
        self.settings.check()
        #: Passes of the teacher so far, to fill the cache and in training steps.
        self.passes = 0
        self._order: list[int] | None = None
        self._kept: SoftTargets | None = None
        self._unlabelled: Unlabelled | None = None
        self._kept_unlabelled: SoftTargets | None = None
        self._matching: Matching | None = None
        self._optimizer: torch.optim.Optimizer | None = None
        self._watches: tuple[Watch, Watch] | None = None
        self._hook: Any = None
        self._seen: tuple[Mapping[str, Any], Any] | None = None
        self._task: FineTuningTask
        self._pending: dict[str, Any] = {}
        self._thawed: list[torch.nn.Parameter] = []
        self._packed: dict[FineTuningTask, bool] = {}

    # Before and after.

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse what cannot be done, before anything is computed."""
        if stage != "fit":
            return
        if isinstance(trainer.strategy, FSDPStrategy):
            raise ZooError(
                "--trainer.strategy fsdp does not distil: use ddp, or fsdp2, which shards too."
            )
        self._order = check_match(pl_module, self.teacher)
        data: Any = getattr(trainer, "datamodule", None)
        if data is not None:
            check_lengths(data.max_length, self.teacher)
        if self.settings.uses_unlabelled and data is None:
            raise ZooError("Texts without labels need a datamodule: give one to Trainer.fit.")

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Ask the teacher for everything that is not known yet, and begin to listen."""
        assert isinstance(pl_module, FineTuningTask)
        self._task = pl_module
        self._freeze(pl_module.device)
        if self.settings.looks_inside:
            self._look_inside(pl_module)
        data: Any = getattr(trainer, "datamodule", None)
        if data is not None:
            self._fill(data)
        self._hook = pl_module.register_forward_hook(self._keep)
        pl_module.teaching = self._mixed

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave both as if nothing had been."""
        self._close(pl_module)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Leave both as if nothing had been."""
        self._close(pl_module)

    def _close(self, task: Any) -> None:
        if self._hook is not None:
            self._hook.remove()
            self._hook = None
        task.teaching = None
        self._seen = None
        for watch in self._watches or ():
            watch.close()
        self._watches = None
        for parameter in self._thawed:
            parameter.requires_grad_(True)
        self._thawed = []
        for one, packed in self._packed.items():
            one.packed = packed
        self._packed = {}

    def _freeze(self, device: torch.device) -> None:
        self.teacher.net  # noqa: B018  built now, so that it moves with the rest
        self.teacher.to(device)
        self.teacher.eval()
        self._thawed = [one for one in self.teacher.parameters() if one.requires_grad]
        for parameter in self._thawed:
            parameter.requires_grad_(False)

    def _look_inside(self, student: FineTuningTask) -> None:
        check_inside(student, self.teacher)
        for task in (student, self.teacher):
            if getattr(task, "packed", False):
                # Packed rows have no tokens by row that could be laid beside each other.
                self._packed[task] = True
                task.packed = False
        settings = self.settings
        self._matching = Matching(settings, student.net, self.teacher.net).to(student.device)
        kinds = {
            "hidden": settings.hidden > 0,
            "attention": settings.attention > 0 or settings.minilm > 0,
        }
        self._watches = (Watch(student.net, **kinds), Watch(self.teacher.net, **kinds))
        if self._matching.projections is not None:
            self._optimizer = torch.optim.AdamW(
                self._matching.parameters(), lr=student.learning_rate, weight_decay=0.0
            )
        self._restore()

    def _fill(self, data: Any) -> None:
        key = {
            "teacher": fingerprint(self.teacher.net.state_dict().items()),
            "order": self._order,
            "calibration": self.teacher.calibration,
            "labels": self.teacher.known_labels,
        }
        if self.settings.uses_unlabelled:
            assert self.settings.unlabelled is not None
            self._unlabelled = Unlabelled(data, self._task, self.settings.unlabelled)
            self._kept_unlabelled = self._asked(
                self._unlabelled.table, self._unlabelled.collate, key
            )
        # Where its inside is matched, the teacher's outputs come along in each step.
        if self.settings.alpha and not self.settings.looks_inside:
            self._kept = self._asked(data.features("train"), data.collate_of("train"), key)

    def _asked(self, table: Any, collate: Any, key: dict[str, Any]) -> SoftTargets | None:
        net: Any = self.teacher.net
        if self.teacher.head == "text-to-text":
            decoder = getattr(net.config, "decoder", net.config)
            size = bytes_of(table, width=int(decoder.vocab_size), column="labels")
        elif self.teacher.family == "classification":
            size = len(table) * 4 * len(self.teacher.labels)
        else:
            width = len(self.teacher.labels)
            size = bytes_of(table, width=width, column="input_ids")
        if size > self.settings.cache_gib * _GIB:
            log.info(
                "The teacher's outputs would take %.1f GiB, more than --distill.cache_gib %g: they "
                "are computed anew in each step.",
                size / _GIB,
                self.settings.cache_gib,
            )
            return None
        return soft_targets_of(
            table, collate, lambda batch: self._say(self.teacher.on_device(batch)), key=key
        )

    # In a training step.

    def _keep(self, module: Any, args: Any, output: Any) -> None:
        # Strategies call the task with what a step takes; a pass takes the batch alone.
        if module.training and torch.is_grad_enabled() and len(args) == 1:
            self._seen = (args[0], output)

    def _say(self, batch: Mapping[str, Any]) -> Signal:
        """What the teacher says of a batch, in the order of the student's labels."""
        self.passes += 1
        # Frozen, so no graph is kept; but tasks cut up what is too much for an evaluation.
        with torch.enable_grad():
            said = signal_of(self.teacher, self.teacher(batch), batch)
        if self._order is None:
            return said
        return Signal(said.values[..., self._order], said.places, said.kind, said.rest, said.scale)

    def _mixed(self, hard: Tensor) -> Tensor:
        """The loss to learn from, given that of the gold labels."""
        assert self._seen is not None
        (batch, output), self._seen = self._seen, None
        settings = self.settings
        own = signal_of(self._task, output, batch)
        loss = (1 - settings.alpha) * hard
        parts = {"hard": hard.detach()}
        said: Signal | None = None
        if self._matching is not None and self._watches is not None:
            student = self._watches[0].seen
            said = self._say(batch)
            for name, part in self._matching(student, self._watches[1].seen, batch).items():
                loss = loss + getattr(settings, name) * part
                parts[name] = part.detach()
        if settings.alpha:
            said = said or self._said(own, batch, self._kept)
            soft = soft_loss(own, said, temperature=settings.temperature)
            loss = loss + settings.alpha * soft
            parts["soft"] = soft.detach()
        if self._unlabelled is not None:
            extra = self._of_unlabelled()
            loss = loss + settings.unlabelled_weight * extra
            parts["unlabelled"] = extra.detach()
        self._task.log_dict(
            {f"train/{name}_loss": part for name, part in parts.items()}, batch_size=1
        )
        return loss

    def _said(self, own: Signal, batch: Mapping[str, Any], kept: SoftTargets | None) -> Signal:
        if kept is None or "rows" not in batch:
            return self._say(batch)
        return own.filled(kept.of(batch["rows"]).to(own.values.device))

    def _of_unlabelled(self) -> Tensor:
        assert self._unlabelled is not None
        # Below 0 before the first batch, where steps are tried for their memory.
        number = max(0, self._task.trainer.fit_loop.epoch_loop.total_batch_idx)
        batch = self._task.on_device(self._unlabelled.batch(number))
        own = signal_of(self._task, self._task(batch), batch)
        self._seen = None
        said = self._said(own, batch, self._kept_unlabelled)
        return soft_loss(own, said, temperature=self.settings.temperature)

    # The projections, which are no part of the student.

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Move the projections too, at the student's learning rate."""
        if self._optimizer is None or self._matching is None:
            return
        gradients = [one.grad for one in self._matching.parameters() if one.grad is not None]
        for gradient in gradients if trainer.world_size > 1 else ():
            torch.distributed.all_reduce(gradient)
        if all(bool(gradient.isfinite().all()) for gradient in gradients):
            for group in self._optimizer.param_groups:
                group["lr"] = max(float(one["lr"]) for one in optimizer.param_groups)
            self._optimizer.step()
        self._optimizer.zero_grad()

    def state_dict(self) -> dict[str, Any]:
        """The projections, for a checkpoint; without any, nothing."""
        if self._optimizer is None or self._matching is None:
            return {}
        return {
            "projections": self._matching.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the projections of a checkpoint."""
        self._pending = state_dict
        self._restore()

    def _restore(self) -> None:
        if self._pending and self._optimizer is not None and self._matching is not None:
            self._matching.load_state_dict(self._pending["projections"])
            self._optimizer.load_state_dict(self._pending["optimizer"])
            self._pending = {}


__all__ = ["Distillation"]
