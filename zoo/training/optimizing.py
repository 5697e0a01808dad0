"""What a task does to learn: optimizer and schedule, the loss, the clipping of gradients."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from lightning.pytorch.plugins.precision import MixedPrecision, Precision
from lightning.pytorch.strategies import FSDPStrategy, SingleDeviceStrategy
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import GradClipAlgorithmType

from zoo import backbones
from zoo.errors import ZooError, check_at_least
from zoo.training.accumulation import StepMean
from zoo.training.clipping import clip_in_step, scales_gradients
from zoo.training.distributed import DistributedTask
from zoo.training.optimization import Schedule, adamw, parameter_groups, scheduler
from zoo.training.schedules import PlateauLR
from zoo.training.schedules import schedule_options as known_options
from zoo.training.sharding import clip_gradients


class OptimizedTask(DistributedTask):
    """A task that is trained with AdamW; the base of all tasks builds on it.

    Args:
        learning_rate: Highest learning rate, reached after the warm-up.
        weight_decay: AdamW's, for matrices only; norms and biases have none.
        schedule: What follows the warm-up: `linear`, `cosine`, `constant`, `inverse_sqrt`,
            `warmup_stable_decay`, or `plateau`, which is lowered by the validation score.
        warmup: Share of all steps in which the learning rate rises from 0.
        betas: AdamW's averaging of the gradient and its square.
        layer_decay: What the learning rate is multiplied by for each layer below the head.
        schedule_options: Of `warmup_stable_decay`: decay; of `plateau`: factor, patience, floor
            (`zoo.training.schedules.schedule_options`).

    Raises:
        ZooError: One of them is out of its range.
    """

    #: The score that chooses the best checkpoint, and whether `max` or `min` of it is best.
    monitor: str
    monitor_mode: ClassVar[str] = "max"

    def __init__(
        self,
        *,
        learning_rate: float,
        weight_decay: float,
        schedule: Schedule,
        warmup: float,
        betas: tuple[float, float],
        layer_decay: float,
        schedule_options: Mapping[str, float] | None,
    ):
        super().__init__()
        for name, value in (("learning_rate", learning_rate), ("weight_decay", weight_decay)):
            check_at_least(f"--model.{name}", value, 0)
        if not 0 <= warmup <= 1:
            raise ZooError(f"--model.warmup {warmup} is a share of all steps: from 0 to 1.")
        if not all(0 <= beta < 1 for beta in betas):
            raise ZooError(f"--model.betas {list(betas)} must both be from 0 to below 1.")
        if not 0 < layer_decay <= 1:
            raise ZooError(f"--model.layer_decay {layer_decay} must be above 0 and at most 1.")
        self.layer_decay = layer_decay
        self.schedule_options = known_options(schedule, schedule_options)
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.schedule: Schedule = schedule
        self.warmup = warmup
        self.betas = betas
        self.step_mean = StepMean()
        #: Whether Lightning is to log the loss of each step, for callbacks that look for it. That
        #: costs as much as a layer of a small model: recipes log what steps return now and then.
        self.logs_steps = True
        #: Makes the loss of a training batch one that also learns from a teacher.
        self.teaching: Callable[[torch.Tensor], torch.Tensor] | None = None

    def configure_optimizers(self) -> Any:
        """AdamW with warm-up and schedule, slower in lower layers if asked for."""
        # A training that was stopped within a step's batches left counts behind.
        self.step_mean = StepMean()
        decays = self.layer_decay != 1.0
        groups = parameter_groups(
            self.net,
            weight_decay=self.weight_decay,
            learning_rate=self.learning_rate,
            layer_decay=self.layer_decay,
            depths=backbones.parameter_depths(self.backbone, self.net) if decays else None,
        )
        plugin = self.trainer.precision_plugin
        optimizer = adamw(
            groups,
            learning_rate=self.learning_rate,
            betas=self.betas,
            # Scaled gradients are unscaled inside a fused step, which is too late to clip them.
            fused=getattr(plugin, "scaler", None) is None,
        )
        schedule = scheduler(
            optimizer,
            schedule=self.schedule,
            warmup=self.warmup,
            total_steps=lambda: self.trainer.estimated_stepping_batches,
            options=self.schedule_options,
            mode=self.monitor_mode,
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip as asked for, under bf16 and FSDP1 too.

        Lightning refuses to clip for a fused optimizer under any mixed precision, though only
        float16 scales the gradients, and to clip by the norm under FSDP1, whose own model can.
        """
        plugin, strategy = self.trainer.precision_plugin, self.trainer.strategy
        by_norm = (gradient_clip_algorithm or "norm") == "norm"
        if by_norm and isinstance(strategy, SingleDeviceStrategy) and scales_gradients(optimizer):
            clip_in_step(optimizer, gradient_clip_val)
        elif self.in_step and by_norm:
            if gradient_clip_val:
                # The optimizer's: what the modules hold may be gathered for a forward pass.
                groups = optimizer.param_groups
                clip_gradients([p for group in groups for p in group["params"]], gradient_clip_val)
        elif isinstance(strategy, FSDPStrategy) and by_norm:
            whole: Any = strategy.model
            if gradient_clip_val:
                whole.clip_grad_norm_(gradient_clip_val)
        elif isinstance(plugin, MixedPrecision) and plugin.scaler is None:
            algorithm = GradClipAlgorithmType(gradient_clip_algorithm or "norm")
            Precision.clip_gradients(plugin, optimizer, gradient_clip_val or 0.0, algorithm)
        else:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def training_loss(
        self, loss: torch.Tensor, count: torch.Tensor | int
    ) -> torch.Tensor | dict[str, torch.Tensor]:
        """Log the loss of a training batch; what `training_step` returns.

        Args:
            loss: Mean over the batch's examples, or words, or whatever is counted.
            count: How many there are, or the sum of their weights.
        """
        if self.teaching is not None:
            loss = self.teaching(loss)
        loss = self.penalized(loss)
        self.log_loss(loss)
        weighed = self.step_mean.weighed(loss, count, self._trainer)
        return loss if weighed is loss else {"loss": weighed, "mean": loss.detach()}

    def penalized(self, loss: torch.Tensor) -> torch.Tensor:
        """The loss with what the weights themselves cost, whoever it is learned from."""
        return loss

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Make the loss of the step a mean over all that was counted for it."""
        self.step_mean.finish(optimizer, self.trainer)

    def log_loss(self, loss: torch.Tensor) -> None:
        """Log the loss of a training step, and its learning rate where a logger takes it."""
        if not self.logs_steps:
            return
        self.log("train/loss", loss, prog_bar=True, batch_size=1)
        trainer, every = self._trainer, getattr(self._trainer, "log_every_n_steps", 0)
        # Nothing reads the rate in between.
        if trainer and every and (trainer.global_step + 1) % every == 0 and trainer.optimizers:
            rates = [group["lr"] for group in trainer.optimizers[0].param_groups]
            self.log("train/lr", max(rates), batch_size=1)

    def observe(self, scores: Mapping[str, Any]) -> None:
        """Let a schedule that goes by the validation score see it; all processes call this.

        Args:
            scores: By their logged names, the same in all processes.
        """
        trainer = self._trainer
        if trainer is None or trainer.state.fn != TrainerFn.FITTING or trainer.sanity_checking:
            return
        for config in trainer.lr_scheduler_configs:
            if isinstance(config.scheduler, PlateauLR) and self.monitor in scores:
                config.scheduler.observe(float(scores[self.monitor]))
