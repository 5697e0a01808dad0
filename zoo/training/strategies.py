"""How a training is spread over processes: the strategies of `--trainer.strategy`.

`ddp` is Lightning's, with a cheaper exchange of the gradients of embeddings: every process holds
the whole model. `fsdp2` is made here: processes share out weights, gradients and optimizer state,
on GPUs (NCCL) and on CPUs (gloo) alike. `fsdp` is Lightning's older kind of sharding (FSDP1), for
GPUs alone.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch.strategies import ModelParallelStrategy, StrategyRegistry
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy
from torch.optim import Optimizer

from zoo.errors import ZooError, check_at_least
from zoo.training.exchange import RowwiseDDPStrategy
from zoo.training.sharding import Load, build_sharded, load_whole_state, reshard, whole_state

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class FSDP2Strategy(ModelParallelStrategy):
    """Weights, gradients and optimizer state shared out among all processes (FSDP2).

    `--trainer.strategy fsdp2` takes it as it is. Its options need its name::

        --trainer.strategy zoo.training.strategies.FSDP2Strategy
        --trainer.strategy.checkpoint_activations true

    Losses and scores are those of `ddp`, and so is the norm by which gradients are clipped.
    Checkpoints are single files as with other strategies, so that a run goes on under any of them
    with any number of processes.

    Args:
        replicas: Groups of processes that each hold the whole model among them: within a group it
            is sharded, between groups gradients are averaged. Best one group a node, where the
            network between nodes is slow.
        checkpoint_activations: Keep only what enters each block and compute the rest again in the
            backward pass: slower, with much less memory.
        sharded_checkpoints: Every process writes its own share into a folder, without gathering
            the model in the first; `python -m recipes consolidate` makes one model of them.
        timeout_minutes: How long a process waits for the others before the run ends.
        process_group_backend: `nccl` or `gloo`; if None by the device.
    """

    def __init__(
        self,
        *,
        replicas: int = 1,
        checkpoint_activations: bool = False,
        sharded_checkpoints: bool = False,
        timeout_minutes: float = 30.0,
        process_group_backend: str | None = None,
    ):
        check_at_least("--trainer.strategy.replicas", replicas, 1)
        super().__init__(
            # Lightning's own sizes would mean tensor parallelism; set when the world is known.
            data_parallel_size=1,
            tensor_parallel_size=1,
            save_distributed_checkpoint=sharded_checkpoints,
            process_group_backend=process_group_backend,
            timeout=timedelta(minutes=timeout_minutes),
        )
        self.replicas = replicas
        self.checkpoint_activations = checkpoint_activations
        self._shard_mesh: DeviceMesh | None = None

    def setup_environment(self) -> None:
        """Start the process group and lay out who shares with whom.

        Raises:
            ZooError: The processes cannot be shared out so, or not in this precision.
        """
        self._check_precision()
        world = self.num_nodes * self.num_processes
        if world % self.replicas:
            raise ZooError(
                f"--trainer.strategy.replicas {self.replicas} does not divide the {world} "
                "processes of this run."
            )
        self._data_parallel_size = world
        super().setup_environment()
        if self._shard_mesh is None:
            shape = (self.replicas, world // self.replicas)
            names = ("replicate", "shard")
            mesh = init_device_mesh(self.root_device.type, shape, mesh_dim_names=names)
            self._shard_mesh = mesh if self.replicas > 1 else mesh["shard"]
        trainer = self._module.trainer
        for loop in (
            trainer.fit_loop.epoch_loop.val_loop,
            trainer.validate_loop,
            trainer.test_loop,
            trainer.predict_loop,
        ):
            # What is gathered in inference mode could not be trained on afterwards.
            loop.inference_mode = False

    @property
    def _module(self) -> Any:
        assert self.lightning_module is not None
        return self.lightning_module

    def _check_precision(self) -> None:
        # Lightning checks this of a strategy that is given as an object, not as a name.
        precision = str(self.precision_plugin.precision)
        if precision not in ("32-true", "bf16-mixed", "bf16-true", "64-true"):
            raise ZooError(
                f"--trainer.precision {precision} does not work with --trainer.strategy fsdp2: "
                "give bf16-mixed, bf16-true or 32-true."
            )

    def build(
        self,
        load: Load,
        *,
        weights: bool,
        blocks: Callable[["PreTrainedModel"], Sequence[str]],
    ) -> "PreTrainedModel":
        """A model of which this process holds its share.

        Args:
            load: Makes the model; told whether with weights or only in shape.
            weights: Whether there are weights to load.
            blocks: Gives the class names of the blocks that are sharded one by one.
        """
        assert self._shard_mesh is not None
        precision = self.precision_plugin.precision
        half = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
        return build_sharded(
            load,
            weights=weights,
            blocks=blocks,
            mesh=self._shard_mesh,
            device=self.root_device,
            policy=half if precision in ("bf16-mixed", "bf16-true") else MixedPrecisionPolicy(),
            dtype=torch.bfloat16 if precision == "bf16-true" else None,
            checkpoint_activations=self.checkpoint_activations,
        )

    def on_validation_end(self) -> None:
        """Give back what was gathered."""
        reshard(self._module)

    on_test_end = on_validation_end
    on_predict_end = on_validation_end

    # Checkpoints: single files are read and written as those of other strategies.

    @property
    def lightning_restore_optimizer(self) -> bool:
        """Whether Lightning hands over the optimizer's state: that of a single file."""
        return self._from_file

    _from_file = False

    def load_checkpoint(
        self, checkpoint_path: Any, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint; the weights of a file are taken once its hooks have seen them."""
        path = Path(self.broadcast(checkpoint_path))
        self._from_file = path.is_file()
        if not self._from_file:
            return super().load_checkpoint(path, weights_only=weights_only)
        checkpoint: dict[str, Any] = torch.load(
            path, map_location="cpu", mmap=True, weights_only=weights_only
        )
        return checkpoint

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        """Take this process's share of a file's weights."""
        if self._from_file:
            load_whole_state(self._module, checkpoint["state_dict"], strict=strict)

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """Take this process's share of a file's optimizer state."""
        if self._from_file:
            for optimizer, state in zip(
                self.optimizers, checkpoint["optimizer_states"], strict=True
            ):
                self._load_optimizer(optimizer, state)

    def _load_optimizer(self, optimizer: Optimizer, state: Mapping[str, Any]) -> None:
        from torch.distributed.checkpoint.state_dict import (
            StateDictOptions,
            set_optimizer_state_dict,
        )

        # A file numbers parameters by the optimizer's groups, in its own order or, if it is of a
        # sharded run, in the model's: as in torch's own loading, only their place in the groups
        # tells which is which.
        names = {id(own): name for name, own in self._module.named_parameters()}
        numbers: dict[Any, str] = {}
        groups = []
        for saved, own in zip(state["param_groups"], optimizer.param_groups, strict=True):
            named = [names[id(one)] for one in own["params"]]
            numbers |= dict(zip(saved["params"], named, strict=True))
            groups.append({**saved, "params": named})
        values = {numbers[number]: value for number, value in state["state"].items()}
        set_optimizer_state_dict(
            self._module,
            optimizer,
            optim_state_dict={"state": values, "param_groups": groups},
            options=StateDictOptions(full_state_dict=True),
        )

    def whole_state(self) -> dict[str, Any]:
        """All weights on the CPU, in the first process; empty in the others. All must call it."""
        return whole_state(self._module)


if "fsdp2" not in StrategyRegistry:
    StrategyRegistry.register(
        "fsdp2",
        FSDP2Strategy,
        description="Weights, gradients and optimizer state shared out (FSDP2), on GPUs and CPUs.",
    )
# It gives what Lightning's own gives, so that any other module may have it under this name too.
StrategyRegistry.register(
    "ddp",
    RowwiseDDPStrategy,
    description="The whole model in each process; of word embeddings the rows that were touched.",
    override=True,
    start_method="popen",
)

__all__ = ["FSDP2Strategy", "RowwiseDDPStrategy"]
