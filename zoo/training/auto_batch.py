"""Real training steps with growing batches, to find the token budget that memory holds.

They are done by a task and a trainer of their own, made like those that train afterwards, so that
nothing of them is left: no weights, no optimizer's state, no place in the data.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer

from zoo.errors import ZooError
from zoo.training.budget_search import Budget, NothingFitsError, Trial, find_budget
from zoo.training.memory import Meter, meter_of
from zoo.training.optimizing import OptimizedTask

MakeBatches = Callable[[int], Sequence[Mapping[str, Any]]]


class BudgetSearch(Callback):
    """Searches when training would begin, and ends it then; `budget` is what was found.

    Args:
        batches: The batches of a budget that need the most memory.
        smallest: The first budget: one example of the longest.
        largest: No more than this is of use.
        ran_out: Tells errors that mean want of memory from others.
        make_meter: Measures memory; by default that of the trainer's device.
    """

    def __init__(
        self,
        batches: MakeBatches,
        *,
        smallest: int,
        largest: int,
        ran_out: Callable[[BaseException], bool],
        make_meter: Callable[[torch.device, int], Meter] | None = None,
    ):
        self.batches = batches
        self.smallest = smallest
        self.largest = max(smallest, largest)
        self.ran_out = ran_out
        self.make_meter = make_meter
        self.budget: Budget | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Search.

        Raises:
            ZooError: Not even one example fits.
        """
        trainer.should_stop = True
        # Nothing is logged of a step that never was.
        pl_module.log = lambda *_, **__: None  # type: ignore[method-assign]
        if isinstance(pl_module, OptimizedTask):
            # A process that has no memory left in its forward pass would not answer the others.
            pl_module.step_mean.at_once = False
        device = trainer.strategy.root_device
        make = self.make_meter or (lambda device, count: meter_of(device, processes=count))
        meter = make(device, trainer.num_devices)
        steps = _Steps(trainer, meter, self.ran_out)
        # The first step makes the optimizer's state, and whatever else stays.
        first = steps.attempt(self.batches(self.smallest), self.smallest)
        meter.reset()
        idle = max(_of_all(trainer, meter.peak() / max(1, meter.limit)))
        try:
            if not first.fits:
                raise NothingFitsError
            self.budget = find_budget(
                lambda budget: steps.attempt(self.batches(budget), budget),
                smallest=self.smallest,
                largest=self.largest,
                idle=idle,
                # A process that fails within a sharded pass would leave the others waiting.
                catchable=meter.catchable and not getattr(pl_module, "in_step", False),
                while_faster=not meter.catchable,
            )
        except NothingFitsError:
            raise ZooError(
                f"Not even one training example of {self.smallest} tokens fits into memory. Try a "
                f"smaller --data.max_length, "
                + ("--trainer.precision bf16-mixed, " if device.type == "cuda" else "")
                + "--trainer.strategy fsdp2 on several devices, or a smaller --model.backbone."
            ) from None


class _Steps:
    """Training steps as the trainer does them, outside of its loops."""

    def __init__(self, trainer: Trainer, meter: Meter, ran_out: Callable[[BaseException], bool]):
        self.trainer = trainer
        self.ran_out = ran_out
        self.meter = meter

    def attempt(self, batches: Sequence[Mapping[str, Any]], budget: int) -> Trial:
        """Each batch twice: the first time makes buffers, the second is timed."""
        self.meter.reset()
        seconds = tokens = 0.0
        for batch in batches:
            for timed in (False, True):
                began = time.perf_counter()
                if not self._step(batch):
                    return Trial(budget, math.inf, 0.0)
                self._wait()
                if timed:
                    seconds += time.perf_counter() - began
                    tokens += batch["input_ids"].numel()
        used = max(_of_all(self.trainer, self.meter.peak() / max(1, self.meter.limit)))
        return Trial(budget, used, tokens / max(_of_all(self.trainer, seconds)))

    def _step(self, batch: Mapping[str, Any]) -> bool:
        """A whole step, of all processes; whether memory was enough in each."""
        strategy, (optimizer,) = self.trainer.strategy, self.trainer.optimizers
        enough, loss = True, None
        try:
            # Without waiting for the others: one of them may not get through.
            hold = getattr(strategy, "block_backward_sync", nullcontext)
            with hold():
                loss = self._pass(batch, optimizer)
        except Exception as error:
            if not self.ran_out(error):
                raise
            enough = False
        if not all(_of_all(self.trainer, enough)):
            optimizer.zero_grad(set_to_none=True)
            return False
        strategy.optimizer_step(optimizer, lambda: loss)
        optimizer.zero_grad(set_to_none=True)
        return True

    def _pass(self, batch: Mapping[str, Any], optimizer: Any) -> Any:
        strategy = self.trainer.strategy
        given = strategy.batch_to_device(dict(batch))
        output: Any = strategy.training_step(given, 0)
        loss = output["loss"] if isinstance(output, Mapping) else output
        strategy.backward(loss, optimizer)
        return loss.detach()

    def _wait(self) -> None:
        device = self.trainer.strategy.root_device
        if device.type == "cuda":
            torch.cuda.synchronize(device)


def _of_all(trainer: Trainer, value: Any) -> list[Any]:
    """What each process gives, the same list in all of them."""
    found: list[Any] = [value]
    if trainer.world_size > 1:
        found = [None] * trainer.world_size
        torch.distributed.all_gather_object(found, value)
    return found
