"""A model whose weights, gradients and optimizer state are shared out among processes (FSDP2)."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load as load_parts
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import (
    FSDPModule,
    MixedPrecisionPolicy,
    fully_shard,
    register_fsdp_forward_method,
)
from torch.distributed.tensor import DTensor, distribute_tensor

from zoo.errors import RunError, ZooError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

#: Names in Lightning's checkpoints: the weights, and what a folder of shards says beside tensors.
_WEIGHTS, _SETTINGS = "state_dict", "meta.pt"

Load = Callable[[bool], "PreTrainedModel"]


def is_sharded(module: nn.Module) -> bool:
    """Whether a process holds only a part of the weights."""
    return any(isinstance(parameter, DTensor) for parameter in module.parameters())


def blocks_of(model: nn.Module, names: Sequence[str]) -> list[nn.Module]:
    """The blocks of a model that can be sharded one by one, in order.

    A block that shares a parameter with anything outside it stays with the rest of the model: two
    groups cannot own one weight.

    Args:
        model: The model.
        names: Class names of its blocks.
    """
    owners: dict[int, int] = {}
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            owners[id(parameter)] = owners.get(id(parameter), 0) + 1
    found = [module for module in model.modules() if type(module).__name__ in names]
    return [block for block in found if not _shares(block, owners)]


def _shares(block: nn.Module, owners: Mapping[int, int]) -> bool:
    own: dict[int, int] = {}
    for module in block.modules():
        for parameter in module.parameters(recurse=False):
            own[id(parameter)] = own.get(id(parameter), 0) + 1
    return any(owners[key] != count for key, count in own.items())


def build_sharded(
    load: Load,
    *,
    weights: bool,
    blocks: Callable[["PreTrainedModel"], Sequence[str]],
    mesh: DeviceMesh,
    device: torch.device,
    policy: MixedPrecisionPolicy,
    dtype: torch.dtype | None = None,
    checkpoint_activations: bool = False,
) -> "PreTrainedModel":
    """A model of which this process holds its share, with the same weights whatever the number.

    The first process reads the weights, and draws those of a new head. All others build on the
    meta device, which holds no numbers, and get their shares one parameter after the other, so
    that only one machine ever holds the whole model.

    Args:
        load: Makes the model; told whether with weights or only in shape.
        weights: Whether the first process loads weights.
        blocks: Gives the class names of the blocks that are sharded one by one.
        mesh: Who shares: one dimension, or two, to replicate and to shard.
        device: Where this process computes.
        policy: The precision to compute and to reduce gradients in.
        dtype: The precision of the shares, if another than the model's.
        checkpoint_activations: Compute activations within blocks again in the backward pass.

    Raises:
        ZooError: A process could not build its model; all processes raise.
    """
    whole: PreTrainedModel | None = None
    empty: PreTrainedModel | None = None
    error: Exception | None = None
    try:
        whole = load(weights) if dist.get_rank() == 0 else None
        with torch.device("meta"):
            empty = load(False)
    except Exception as raised:
        error = raised
    _raise_together(error)
    assert empty is not None
    if dtype is not None:
        nn.Module.to(empty, dtype)
    if checkpoint_activations:
        _checkpoint_activations(empty)
    for block in blocks_of(empty, blocks(empty)):
        fully_shard(block, mesh=mesh, mp_policy=policy, reshard_after_forward=True)
    # What lies outside the blocks is needed at both ends of a pass: it stays whole in between.
    fully_shard(empty, mesh=mesh, mp_policy=policy, reshard_after_forward=False)
    if hasattr(empty, "generate"):  # it calls the halves of the model, past the whole's `forward`
        register_fsdp_forward_method(empty, "generate")
    empty.to_empty(device=device)
    _fill(empty, whole, device)
    empty.train()
    return empty


def _raise_together(error: Exception | None) -> None:
    said: list[str | None] = [None] * dist.get_world_size()
    dist.all_gather_object(said, None if error is None else str(error))
    if error is not None:
        raise error
    others = [text for text in said if text is not None]
    if others:
        raise ZooError(others[0])


def _checkpoint_activations(model: "PreTrainedModel") -> None:
    if not model.supports_gradient_checkpointing:
        raise ZooError(
            f"{type(model).__name__} cannot compute its activations again: leave "
            "checkpoint_activations out."
        )
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})


@torch.no_grad()
def _fill(model: nn.Module, whole: nn.Module | None, device: torch.device) -> None:
    """Give each process its share of the first process's tensors, one after the other."""
    given = dict(_tensors(whole)) if whole is not None else {}
    for name, own in _tensors(model):
        if whole is not None:
            full = given[name].detach().to(device=device, dtype=own.dtype).contiguous()
        else:
            full = torch.empty(own.shape, dtype=own.dtype, device=device)
        dist.broadcast(full, 0)
        if isinstance(own, DTensor):
            # Everybody has all of it: each takes its part, and nothing is sent again.
            share = distribute_tensor(full, own.device_mesh, own.placements, src_data_rank=None)
            own.copy_(share)
        else:
            own.copy_(full)


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters and buffers, those too that no checkpoint holds; what is shared comes once."""
    yield from module.named_parameters()
    yield from module.named_buffers()


def clip_gradients(parameters: Iterable[Tensor], largest: float) -> Tensor:
    """Scale gradients down to a norm of at most `largest`; the norm before, of all processes.

    The norm is that of the whole gradient, as if one process held all of it: squares are summed
    over shards, and a weight that every process has counts once.

    Args:
        parameters: Parameters whose gradients are shards, or whole and the same everywhere.
        largest: The largest norm.
    """
    gradients = [one.grad for one in parameters if one.grad is not None]
    if not gradients:
        return torch.zeros(())
    squares = torch.stack([_own_square(gradient) for gradient in gradients]).sum()
    dist.all_reduce(squares)
    total = squares.sqrt().float()
    factor = (largest / (total + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        local = gradient.to_local() if isinstance(gradient, DTensor) else gradient
        local.mul_(factor.to(local.dtype))
    return total


def _own_square(gradient: Tensor) -> Tensor:
    """This process's part of the square of a gradient's norm; over all processes it adds up."""
    if not isinstance(gradient, DTensor):
        return gradient.float().square().sum() / dist.get_world_size()
    mesh = gradient.device_mesh
    copies = 1
    for dimension, placement in enumerate(gradient.placements):
        if placement.is_replicate():
            copies *= mesh.size(dimension)
    return gradient.to_local().float().square().sum() / copies


def whole_state(module: nn.Module) -> dict[str, Any]:
    """All weights on the CPU, in the first process; empty in the others. All must call it."""
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    return get_model_state_dict(module, options=options)


def load_whole_state(module: nn.Module, state: Mapping[str, Any], *, strict: bool = True) -> None:
    """Take this process's share of weights that every process can read.

    Raises:
        RuntimeError: Names or sizes differ.
    """
    from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict

    options = StateDictOptions(full_state_dict=True, strict=strict)
    set_model_state_dict(module, dict(state), options=options)


def load_shards(module: nn.Module, folder: Path) -> None:
    """Take this process's share of the weights in a sharded checkpoint; all must call it.

    The checkpoint may be of another number of processes.
    """
    from torch.distributed.checkpoint.state_dict import get_model_state_dict, set_model_state_dict

    state = {_WEIGHTS: get_model_state_dict(module)}
    load_parts(state, checkpoint_id=folder)
    set_model_state_dict(module, state[_WEIGHTS])


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What a checkpoint holds; of a folder of shards all but the optimizer's state.

    Raises:
        RunError: It is missing, damaged, or no checkpoint.
    """
    try:
        if path.is_file():
            found: dict[str, Any] = torch.load(
                path, weights_only=True, map_location="cpu", mmap=True
            )
            return found
        found = torch.load(path / _SETTINGS, weights_only=True, map_location="cpu")
        prefix = f"{_WEIGHTS}."
        stored = FileSystemReader(path).read_metadata().state_dict_metadata
        weights = {
            name.removeprefix(prefix): torch.empty(one.size, dtype=one.properties.dtype)
            for name, one in stored.items()
            if name.startswith(prefix) and isinstance(one, TensorStorageMetadata)
        }
        load_parts({_WEIGHTS: weights}, checkpoint_id=path, no_dist=True)
    except FileNotFoundError as error:
        raise RunError(f"{path} is no checkpoint: {error.filename} is missing.") from error
    except Exception as error:  # whatever reading a broken file may raise
        raise RunError(f"The checkpoint {path} is damaged ({type(error).__name__}).") from error
    return {**found, _WEIGHTS: weights}


def most_of_all(number: int, device: torch.device) -> int:
    """The largest of the numbers that all processes give."""
    found = torch.tensor(number, device=device)
    dist.all_reduce(found, dist.ReduceOp.MAX)
    return int(found)


def reshard(module: nn.Module) -> None:
    """Give back what evaluation gathered and left whole."""
    for one in module.modules():
        if isinstance(one, FSDPModule):
            one.reshard()


__all__ = [
    "Load",
    "blocks_of",
    "build_sharded",
    "clip_gradients",
    "is_sharded",
    "load_shards",
    "load_whole_state",
    "most_of_all",
    "read_checkpoint",
    "reshard",
    "whole_state",
]
