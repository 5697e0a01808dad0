"""What a checkpoint holds where most weights stay those of the backbone, and which those are."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from zoo.errors import RunError

#: The key under which a checkpoint says of which base its weights are the change.
BASE = "zoo_base"


def frozen_names(module: nn.Module, *, own: Iterable[int]) -> frozenset[str]:
    """Names in a module's state that are not trained and were there before it was adapted.

    Args:
        module: The adapted module.
        own: `id` of each tensor that it had before.
    """
    before = set(own)
    return frozenset(
        name
        for name, tensor in module.state_dict(keep_vars=True).items()
        if id(tensor) in before and not tensor.requires_grad
    )


def fingerprint(tensors: Iterable[tuple[str, Tensor]]) -> str | None:
    """SHA-256 of names and values; None on the meta device, where there are none."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors):
        if tensor.is_meta:
            return None
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        plain = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(plain.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def check_kept(
    state: Mapping[str, Any], *, names: Iterable[str], frozen: Iterable[str], kind: str
) -> None:
    """Refuse weights that are not those of an adaptation.

    Args:
        state: The weights of a checkpoint.
        names: Names of all weights of the task.
        frozen: Those that may be missing.
        kind: The adaptation's.

    Raises:
        RunError: Some are missing, or belong to something else.
    """
    names, there = set(names), set(state)
    missing = sorted(names - set(frozen) - there)
    others = sorted(there - names)
    if missing or others:
        what = f"it lacks {missing[0]}" if missing else f"it has {others[0]}"
        raise RunError(
            f"The checkpoint is not of --model.adaptation {kind} with these settings: {what}. Give "
            "the settings that it was trained with."
        )


def check_base(checkpoint: Mapping[str, Any], *, expected: str | None, backbone: str) -> None:
    """Refuse a change of weights that was learned on others.

    Raises:
        RunError: The base is not the same.
    """
    found = checkpoint.get(BASE)
    if found is not None and expected is not None and found != expected:
        raise RunError(
            f"The checkpoint holds only what was trained, on other weights than {backbone} has "
            f"here (their fingerprint is {found[:12]}, here {expected[:12]}). Give the backbone "
            "that it was trained on, unchanged."
        )


__all__ = ["BASE", "check_base", "check_kept", "fingerprint", "frozen_names"]
