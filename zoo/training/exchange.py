"""What processes that each hold the whole model tell each other of their gradients, and how."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from zoo.training.shared_memory import SharedMemory

#: Word embeddings have more rows than this; those of positions, whose rows are all used, fewer.
_FEWEST_ROWS = 8192


class RowExchange:
    """Averages gradients of embeddings over processes by the rows that a batch touched.

    A batch has a few hundred different words, so most of the gradient of word embeddings, which
    are half of a small model, is zero in all processes. Each tells the others which of its rows
    are not, and what is in them; where they are too many, the whole gradient is summed instead.
    Afterwards it is the same to the bit in all processes, and for two the same as that of
    `DistributedDataParallel`.

    Args:
        parameters: Weights of embeddings, each `[rows, width]`, in an order that is the same in
            all processes.
        memory: What a whole gradient goes through, where they share some.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], memory: SharedMemory | None = None):
        self.parameters = list(parameters)
        self.memory = memory

    def begin(self) -> None:
        """Take the weights of the first process; all must call it."""
        for parameter in self.parameters:
            dist.broadcast(parameter.detach(), 0)

    def average(self) -> None:
        """Make each gradient the mean over all processes; all must call it."""
        world = dist.get_world_size()
        if world == 1:
            return
        touched = [_touched(one.grad) for one in self.parameters]
        counts = [-1 if rows is None else len(rows) for rows in touched]
        # All go by the same numbers, so that all take the same way.
        all_counts = _gather(torch.tensor(counts, device=self.parameters[0].device), world)
        by_process = [one.tolist() for one in all_counts]
        for parameter, rows, found in zip(
            self.parameters, touched, zip(*by_process, strict=True), strict=True
        ):
            most = max(found)
            if most < 0:  # no process used it: it has no gradient
                continue
            if parameter.grad is None or rows is None:
                parameter.grad = torch.zeros_like(parameter)
                rows = torch.empty(0, dtype=torch.int64, device=parameter.device)
            if 2 * world * most > len(parameter):
                self._average_whole(parameter.grad, world)
            elif most > 0:
                # Scaled as `DistributedDataParallel` scales, before the sum.
                _sum_rows(parameter.grad, rows, found, 1.0 / world)

    def _average_whole(self, gradient: Tensor, world: int) -> None:
        if self.memory is not None:
            self.memory.average(gradient)
        else:
            gradient.mul_(1.0 / world)
            dist.all_reduce(gradient)


def _touched(gradient: Tensor | None) -> Tensor | None:
    """Numbers of the rows that are not zero, ascending; None if there is no gradient."""
    if gradient is None:
        return None
    # Of bytes the greatest is above 0 if any bit is set, that of a number that is none too; it is
    # found five times as fast as whether any number is not 0.
    return gradient.contiguous().view(torch.uint8).amax(1).nonzero().flatten()


def _gather(own: Tensor, world: int) -> list[Tensor]:
    everyone = [torch.empty_like(own) for _ in range(world)]
    dist.all_gather(everyone, own)
    return everyone


def _sum_rows(gradient: Tensor, rows: Tensor, counts: Sequence[int], scale: float) -> None:
    """Put the scaled sum of everyone's rows in place of one's own.

    Args:
        gradient: `[rows, width]`, zero but for `rows`.
        rows: Numbers of this process's rows.
        counts: How many rows each process has.
        scale: What they are multiplied by.
    """
    # Of one length in all processes, as NCCL needs it.
    numbers = rows.new_zeros(max(counts))
    values = gradient.new_zeros(max(counts), gradient.shape[1])
    numbers[: len(rows)] = rows
    torch.index_select(gradient, 0, rows, out=values[: len(rows)])
    values.mul_(scale)
    all_numbers, all_values = (_gather(one, len(counts)) for one in (numbers, values))
    gradient.index_fill_(0, rows, 0.0)
    # In the order of the processes, so that all round alike; no row is twice in one of them.
    for count, their_numbers, their_values in zip(counts, all_numbers, all_values, strict=True):
        if count > 0:
            gradient.index_add_(0, their_numbers[:count], their_values[:count])


def row_embeddings(model: nn.Module, *, fewest_rows: int = _FEWEST_ROWS) -> list[nn.Parameter]:
    """Weights of the large embeddings of which a batch leaves most rows as they are.

    Those that are an output layer's too are left out: its gradient has no row that is zero.

    Args:
        model: The model that is trained.
        fewest_rows: How many rows make an embedding large.
    """
    large: dict[nn.Parameter, None] = {}
    others: set[nn.Parameter] = set()
    for module in model.modules():
        own = list(module.parameters(recurse=False))
        if isinstance(module, nn.Embedding) and not module.sparse:
            large |= dict.fromkeys(
                one for one in own if one.requires_grad and len(one) >= fewest_rows
            )
        else:
            others.update(own)
    found = [one for one in large if one not in others]
    # Something must be left for `DistributedDataParallel`, which refuses a model without.
    whole = sum(one.requires_grad for one in model.parameters())
    return found if len(found) < whole else []


class RowwiseDDPStrategy(DDPStrategy):
    """Lightning's `ddp`, in which large embeddings exchange only the rows that a batch touched.

    Results are those of Lightning's `ddp`, which differs in time alone: see `RowExchange`. The name
    `ddp` means this strategy once `zoo` is imported. Its options need its own::

        --trainer.strategy zoo.training.exchange.RowwiseDDPStrategy
        --trainer.strategy.exchange_rows false
        --trainer.strategy.share_memory false

    Args:
        exchange_rows: Whether rows are exchanged; if None on CPUs only, as the numbers of the rows
            have to be waited for, which between GPUs of a machine takes longer than sending all.
        fewest_rows: How many rows make an embedding large.
        share_memory: Whether processes on the CPUs of one machine exchange gradients through
            memory that they share, where there is some.
        options: Lightning's. With a `ddp_comm_hook` all is exchanged by that.
    """

    def __init__(
        self,
        *,
        exchange_rows: bool | None = None,
        fewest_rows: int = _FEWEST_ROWS,
        share_memory: bool = True,
        **options: Any,
    ):
        super().__init__(**options)
        self.exchange_rows = exchange_rows
        self.fewest_rows = fewest_rows
        self.share_memory = share_memory
        self._exchange: RowExchange | None = None

    def _setup_model(self, model: nn.Module) -> DistributedDataParallel:
        """Wrap the model, but for what this strategy exchanges itself."""
        self._exchange = None
        if self._ddp_comm_hook is not None:
            return super()._setup_model(model)
        on_cpu = self.root_device.type == "cpu"
        by_rows = on_cpu if self.exchange_rows is None else self.exchange_rows
        parameters = row_embeddings(model, fewest_rows=self.fewest_rows) if by_rows else []
        wrapped = self._wrap_without(model, parameters)
        memory = SharedMemory.of_all() if on_cpu and self.share_memory else None
        if memory is not None:
            wrapped.register_comm_hook(memory, SharedMemory.average_bucket)
        if parameters:
            self._exchange = RowExchange(parameters, memory)
            self._exchange.begin()
        return wrapped

    def _wrap_without(
        self, model: nn.Module, parameters: Sequence[nn.Parameter]
    ) -> DistributedDataParallel:
        names = {
            f"{name}.{own}"
            for name, module in model.named_modules(remove_duplicate=False)
            for own, one in module.named_parameters(recurse=False)
            if any(one is other for other in parameters)
        }
        # It is read as the model is wrapped; left there, another strategy would read it too.
        module: Any = model
        module._ddp_params_and_buffers_to_ignore = names
        try:
            return super()._setup_model(model)
        finally:
            del module._ddp_params_and_buffers_to_ignore

    def post_backward(self, closure_loss: Tensor) -> None:
        """Exchange rows after the backward pass of a step, not while gradients accumulate.

        It follows the hooks `on_after_backward`, which see the rows of their own process.
        """
        super().post_backward(closure_loss)
        wrapped = self.model
        if (
            self._exchange is not None
            and isinstance(wrapped, DistributedDataParallel)
            and wrapped.require_backward_grad_sync
        ):
            self._exchange.average()

    def teardown(self) -> None:
        """Let go of the embeddings."""
        self._exchange = None
        super().teardown()
