"""Which parameters are trained together: with weight decay or without, and how fast."""

from collections.abc import Mapping

from torch import nn


def parameter_groups(
    model: nn.Module,
    *,
    weight_decay: float,
    learning_rate: float | None = None,
    layer_decay: float = 1.0,
    depths: Mapping[nn.Parameter, int] | None = None,
) -> list[dict[str, object]]:
    """Trainable parameters in groups: weight decay for matrices, none for norms and biases.

    Norms and biases are told by their shape: vectors and scalars, whatever their names. So are
    scales that are kept as one row or one column, such as those of (IA)3, which begin as 1. With a
    `layer_decay` below 1 each depth has groups of its own, the fastest first (discriminative
    fine-tuning: Howard & Ruder 2018, arXiv 1801.06146; as layer-wise decay: Clark et al. 2020,
    arXiv 2003.10555, appendix B).

    Args:
        model: Whose parameters.
        weight_decay: Of matrices.
        learning_rate: The highest one, that of the head; needed with `layer_decay`.
        layer_decay: What the rate is multiplied by for each layer further from the top.
        depths: Layers from the top of each parameter, the head's being 0
            (`zoo.backbones.parameter_depths`); needed with `layer_decay`.
    """
    found: dict[tuple[int, bool], list[nn.Parameter]] = {}
    for parameter in model.parameters():
        if parameter.requires_grad:
            depth = depths[parameter] if layer_decay != 1.0 and depths is not None else 0
            found.setdefault((depth, _is_vector(parameter)), []).append(parameter)
    groups: list[dict[str, object]] = []
    for (depth, plain), parameters in sorted(found.items(), key=lambda item: item[0]):
        group: dict[str, object] = {
            "params": parameters,
            "weight_decay": 0.0 if plain else weight_decay,
        }
        if layer_decay != 1.0 and learning_rate is not None:
            group["lr"] = learning_rate * layer_decay**depth
        groups.append(group)
    return groups


def _is_vector(parameter: nn.Parameter) -> bool:
    return parameter.ndim < 2 or min(parameter.shape) == 1


__all__ = ["parameter_groups"]
