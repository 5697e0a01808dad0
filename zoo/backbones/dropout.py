"""Dropout whose random numbers are not what a training step on a CPU waits for."""

from torch import Tensor, compiler, empty, int16, int64, nn


def kept(values: Tensor, dropout: float) -> Tensor:
    """Which values stay, drawn at random: 1 for those, else 0.

    A draw has 16 bits, so that one of torch's random numbers makes four of them; the share that is
    dropped is exact to 1 in 65,536.

    Args:
        values: On the CPU; the draws have their shape and kind.
        dropout: Share of them that is dropped.
    """
    count = values.numel()
    draws = empty(-(-count // 4), dtype=int64).random_(-(2**63), None)
    draws_of_16 = draws.view(int16)[:count].view(values.shape)
    return (draws_of_16 >= round(dropout * 2**16) - 2**15).to(values.dtype)


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
        return input * kept(input, self.p).mul_(1 / (1 - self.p))


def quicken_dropout(model: nn.Module) -> None:
    """Draw a model's dropout quickly, wherever it is a module; its weights and names stay."""
    for parent in list(model.modules()):
        for name, module in parent.named_children():
            if type(module) is nn.Dropout:
                quick = QuickDropout(module.p).train(module.training)
                setattr(parent, name, quick)
