"""How far from its output each parameter of a model lies, in layers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import nn

from zoo.backbones.parts import block_classes, class_name

if TYPE_CHECKING:
    from transformers import PreTrainedModel

#: Part of the body that only the head reads, in BERT and its like.
_POOLER = "pooler"


def parameter_depths(backbone: str, model: nn.Module) -> dict[nn.Parameter, int]:
    """Layers from the top of each parameter: 0 for the head, 1 for the last block, and so on.

    Embeddings lie one below the first block, and so does all else that comes before the blocks;
    norms after the last block go with it. Each half of an encoder-decoder is counted from its own
    top, and a block that is passed through several times (ALBERT) counts once. What is tied is as
    deep as the deepest of its places. Adapters within a block are of its depth, and what wraps the
    model, such as soft prompts, is of the head's.

    Args:
        backbone: What the model is of.
        model: With its head; it may be sharded, or wrapped by peft.
    """
    # A wrapper passes on what it lacks itself, so that only its class tells it from the model.
    inner: Any = next(one for one in model.modules() if hasattr(type(one), "base_model_prefix"))
    body: PreTrainedModel = inner.base_model
    paths = [name for name, _ in body.named_modules()]
    stacks = _stacks(body, set(block_classes(backbone, inner)))
    lowest = 1 + max((len(blocks) for blocks in stacks), default=0)
    depths = {
        block: number for blocks in stacks for number, block in enumerate(reversed(blocks), start=1)
    }
    found = dict.fromkeys(model.parameters(), 0)
    heads = _heads_within(body)
    for name, module in body.named_modules():
        block = next((path for path in _parents(name) if path in depths), None)
        if block is not None:
            depth = depths[block]
        elif module in heads or _POOLER in name.split("."):
            depth = 0
        elif isinstance(module, nn.Embedding) or "embed" in name.lower():
            depth = lowest
        else:
            depth = 1 if _is_after(name, list(depths), paths) else lowest
        for parameter in module.parameters(recurse=False):
            found[parameter] = max(found[parameter], depth)
    return found


def _heads_within(body: nn.Module) -> set[nn.Module]:
    """What is of the head in a model made of two whole ones (a warm start)."""
    found: set[nn.Module] = set()
    for module in body.modules():
        if hasattr(type(module), "base_model_prefix"):
            inner: Any = module
            found |= set(inner.modules()) - {inner} - set(inner.base_model.modules())
    return found


def _stacks(body: nn.Module, names: set[str]) -> list[list[str]]:
    """The paths of the blocks in order, each stack of them by itself."""
    stacks: dict[str, list[str]] = {}
    modules = dict(body.named_modules())
    blocks: set[str] = set()
    for path, module in modules.items():
        if class_name(module) not in names or blocks & set(_parents(path)):
            continue  # blocks within a block are of its depth
        blocks.add(path)
        owner = next(
            one for one in _parents(path)[1:] if not isinstance(modules[one], nn.ModuleList)
        )
        stacks.setdefault(owner, []).append(path)
    return list(stacks.values())


def _parents(path: str) -> list[str]:
    """A path and those of the modules that it lies in, the nearest first; the model's is empty."""
    parts = path.split(".") if path else []
    return [".".join(parts[:length]) for length in range(len(parts), -1, -1)]


def _is_after(path: str, blocks: Sequence[str], order: Sequence[str]) -> bool:
    """Whether a module comes after the blocks of the part that it is in."""
    for parent in _parents(path)[1:]:
        near = [block for block in blocks if not parent or block.startswith(f"{parent}.")]
        if near:
            return order.index(path) > max(order.index(block) for block in near)
    return False


__all__ = ["parameter_depths"]
