"""A loss that is a mean over all that an optimizer step learns from, however it is cut up."""

from typing import Any

import torch
from lightning import Trainer
from torch import Tensor

#: A power of two, so that scaling by it loses no bit: keeps scaled float16 losses in range.
_UNIT = 256.0
#: Below any count or sum of weights.
_LEAST = 1e-30


class StepMean:
    """Weighs micro-batches by what they count, over the batches of a step and all processes.

    Lightning divides by the number of micro-batches, and strategies average over processes: a
    batch with few words would weigh as much as one with many. Here each loss is multiplied by its
    count, and divided by the sum of counts: at once where a step is one batch of each process, else
    in the gradients before they are clipped, as nobody knows the counts of batches to come. It is
    right for the last, shorter window of an epoch.
    """

    def __init__(self) -> None:
        self._count: Tensor | None = None
        #: Whether processes may tell each other their counts in the forward pass.
        self.at_once = True

    def weighed(self, loss: Tensor, count: Tensor | int, trainer: Trainer | None) -> Tensor:
        """What to differentiate for a micro-batch.

        Args:
            loss: Its mean.
            count: Over how many words, texts or windows (or their weights) the mean is.
            trainer: The trainer; without accumulation and other processes the loss stays as it is.
        """
        if trainer is None or not _cut_up(trainer):
            return loss
        count = torch.as_tensor(count, dtype=torch.float32, device=loss.device).detach()
        if self.at_once and trainer.accumulate_grad_batches == 1:
            total = count.clone()
            torch.distributed.all_reduce(total)
            # Undoes the strategy's division by the processes; where nothing at all was counted, all
            # losses are zero.
            return loss * (count * trainer.world_size / total.clamp(min=_LEAST))
        self._count = count if self._count is None else self._count + count
        return loss * (count / _UNIT)

    def finish(self, optimizer: torch.optim.Optimizer, trainer: Trainer) -> None:
        """Turn the gradients of the weighed sum into those of the mean, before an optimizer step.

        Where nothing at all was counted they are left as they are: zero.
        """
        if self._count is None:
            return
        total, self._count = self._count, None
        if trainer.world_size > 1:
            torch.distributed.all_reduce(total)
        count = float(total)
        gradients: list[Any] = [
            parameter.grad
            for group in optimizer.param_groups
            for parameter in group["params"]
            if parameter.grad is not None
        ]
        if count > 0 and gradients:
            # Undoes Lightning's division by the micro-batches and the strategy's by the processes.
            factor = trainer.accumulate_grad_batches * trainer.world_size * _UNIT / count
            torch._foreach_mul_(gradients, factor)


def _cut_up(trainer: Trainer) -> bool:
    return trainer.accumulate_grad_batches > 1 or trainer.world_size > 1
