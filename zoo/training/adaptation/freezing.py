"""Which of a model's own weights are trained: all, the head, biases, or more and more of them."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from torch import nn

from zoo import backbones
from zoo.errors import ZooError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def train_only(model: nn.Module, chosen: Iterable[nn.Parameter]) -> None:
    """Freeze all parameters but the chosen ones."""
    model.requires_grad_(False)
    for parameter in chosen:
        parameter.requires_grad_(True)


def body_parts(model: "PreTrainedModel") -> list[nn.Module]:
    """The parts of a model that are not of its head, as large as they come.

    What has no weights, such as the dropout before a head, belongs to neither.
    """
    heads = backbones.head_modules(model)
    found: list[nn.Module] = []

    def walk(module: nn.Module, prefix: str) -> None:
        for name, child in module.named_children():
            path = f"{prefix}{name}"
            if path in heads or not any(True for _ in child.parameters()):
                continue
            if any(head.startswith(f"{path}.") for head in heads):
                walk(child, f"{path}.")
            else:
                found.append(child)

    walk(model, "")
    return found


def head_of(model: "PreTrainedModel", *, backbone: str) -> list[nn.Parameter]:
    """Parameters of a model's head.

    Raises:
        ZooError: It has none of its own.
    """
    found = backbones.head_parameters(model)
    if not found:
        raise ZooError(
            f"{backbone} was pretrained whole, its head included: there is no new one to train "
            "alone. Use --model.adaptation lora, bitfit, gradual or full."
        )
    return found


def freeze_embeddings(model: "PreTrainedModel", *, backbone: str) -> None:
    """Freeze the tables that a model looks tokens, positions and types up in.

    Those inside of blocks, such as T5's of distances, are trained; so is a norm behind a table. A
    head that shares the table of words is frozen with it.
    """
    classes = backbones.block_classes(backbone, model)
    inside = {
        id(part)
        for block in model.modules()
        if type(block).__name__ in classes
        for part in block.modules()
    }
    for module in model.modules():
        if isinstance(module, nn.Embedding) and id(module) not in inside:
            module.requires_grad_(False)


def biases_of(model: "PreTrainedModel", *, backbone: str) -> list[nn.Parameter]:
    """The bias vectors of a model, those of norms among them.

    Raises:
        ZooError: Its body has none.
    """
    found = [
        own
        for name, own in model.named_parameters()
        if own.ndim == 1 and name.endswith("bias") and own.requires_grad
    ]
    head = {id(own) for own in backbones.head_parameters(model)}
    if all(id(own) in head for own in found):
        raise ZooError(
            f"--model.adaptation bitfit trains biases, and {backbone} has none. Use lora or ia3."
        )
    return found


def stages(model: "PreTrainedModel", *, backbone: str) -> list[list[nn.Parameter]]:
    """A model's trainable parameters in the order in which `gradual` begins to train them.

    First the head, or where there is none the last block; then block by block towards the input;
    embeddings and what else there is last.
    """
    classes = backbones.block_classes(backbone, model)
    blocks = [module for module in model.modules() if type(module).__name__ in classes]
    seen: set[int] = set()
    found: list[list[nn.Parameter]] = []
    for stage in (
        backbones.head_parameters(model),
        *(list(block.parameters()) for block in reversed(blocks)),
        list(model.parameters()),
    ):
        new = [own for own in stage if own.requires_grad and id(own) not in seen]
        seen |= {id(own) for own in new}
        if new:
            found.append(new)
    return found


def stages_open(step: int, *, stages: int, total: float, by: float) -> int:
    """How many stages are trained in an optimizer step: one at first, all after a share `by`.

    Args:
        step: Optimizer steps that were done before.
        stages: How many there are.
        total: Optimizer steps of the whole training.
        by: Share of them after which all are trained; the others begin at equal distances.
    """
    if stages == 1:
        return 1
    done = step / max(1.0, by * total)
    return min(stages, 1 + int(done * (stages - 1) + 1e-9))


__all__ = [
    "biases_of",
    "body_parts",
    "freeze_embeddings",
    "head_of",
    "stages",
    "stages_open",
    "train_only",
]
