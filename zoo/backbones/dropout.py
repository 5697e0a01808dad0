"""Dropout whose random numbers are not what a training step on a CPU waits for."""

import numpy as np
import torch
from torch import Tensor, compiler, nn


def kept(values: Tensor, dropout: float, scale: float = 1.0) -> Tensor:
    """Which values stay, drawn at random: `scale` for those, else 0.

    A draw has 16 bits, a quarter of a random number; the share that is dropped is exact to 1 in
    65,536. Numbers are those of SFC64 (Doty-Humphrey, PractRand), which takes half the time of
    torch's own generator; that one gives the seed, so that its state fixes all draws.

    Args:
        values: On the CPU; the draws have their shape and kind.
        dropout: Share of them that is dropped.
        scale: What to multiply values with that stay; rounded to their kind.
    """
    count = values.numel()
    seed = int(torch.empty((), dtype=torch.int64).random_())
    numbers = np.random.SFC64(seed).random_raw(-(-count // 4))
    draws = torch.from_numpy(numbers.view(np.int16))[:count].view(values.shape)
    # Compared in place: torch has vector instructions for that, but none for a result of bools.
    stay = draws.ge_(round(dropout * 2**16) - 2**15)
    if values.element_size() == 2:  # the number's own bits, in place of a conversion
        return stay.mul_(int(values.new_tensor(scale).view(torch.int16))).view(values.dtype)
    stay = stay.to(values.dtype)
    return stay if scale == 1 else stay.mul_(scale)


class QuickDropout(nn.Dropout):
    """Torch's dropout, drawn by `kept` while a model is trained on a CPU.

    Torch draws a number for each value there, one after the other: a twentieth of a training step
    of MiniLM on a batch of short texts.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  torch's name
        """The values that stay, scaled up by what is dropped on average."""
        quick = self.training and 0 < self.p < 1 and input.device.type == "cpu"
        if not quick or compiler.is_compiling():
            return super().forward(input)
        return input * kept(input, self.p, 1 / (1 - self.p))


def quicken_dropout(model: nn.Module) -> None:
    """Draw a model's dropout quickly, wherever it is a module; its weights and names stay."""
    for parent in list(model.modules()):
        for name, module in parent.named_children():
            if type(module) is nn.Dropout:
                quick = QuickDropout(module.p).train(module.training)
                setattr(parent, name, quick)
