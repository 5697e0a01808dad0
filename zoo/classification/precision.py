"""How exactly sums over many texts are kept."""

import torch


def precise() -> torch.dtype:
    """float64; float32 where Apple's GPUs may be used, which have no float64."""
    return torch.float32 if torch.backends.mps.is_available() else torch.float64
