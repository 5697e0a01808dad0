"""The classifier over a row's first token that tells true pairs of segments from false ones."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from zoo import backbones

if TYPE_CHECKING:
    from transformers import PreTrainedModel

#: The name of the head in a model, and of its file in the folder of one.
HEAD = "sentence_head"
FILE = f"{HEAD}.safetensors"


class SentenceHead(nn.Module):
    """BERT's: a layer with tanh as wide as the model, then one of two outputs.

    Args:
        width: The model's.
        spread: Standard deviation of the new weights.
    """

    def __init__(self, width: int, spread: float):
        super().__init__()
        self.dense = nn.Linear(width, width)
        self.output = nn.Linear(width, 2)
        for layer in (self.dense, self.output):
            nn.init.normal_(layer.weight, std=spread)
            nn.init.zeros_(layer.bias)

    def forward(self, states: Tensor) -> Tensor:
        """Logits of true and false, float `[pairs, 2]`, of first tokens `[pairs, width]`."""
        found: Tensor = self.output(self.dense(states).tanh())
        return found


def insert(model: "PreTrainedModel") -> None:
    """Give a model a new head; in place.

    As a part of the model it is trained, adapted, sharded and checkpointed with it.
    """
    config: Any = model.config
    head = SentenceHead(config.hidden_size, getattr(config, "initializer_range", 0.02))
    model.add_module(HEAD, head.to(model.dtype))


def objective_of(backbone: str) -> str | None:
    """The objective whose head lies in a model's folder; None where there is none."""
    path = _file(backbone)
    if path is None:
        return None
    with safe_open(path, framework="pt") as content:
        return str((content.metadata() or {}).get("objective"))


def read(model: "PreTrainedModel", backbone: str) -> None:
    """Take the head's weights from the folder of the model."""
    path = _file(backbone)
    head = model.get_submodule(HEAD)
    if path is not None and not next(head.parameters()).is_meta:
        head.load_state_dict(load_file(path))


def write(head: nn.Module, folder: Path, *, objective: str) -> None:
    """Write the head beside the model that it belongs to, which is whole without it."""
    state = {name: one.detach().cpu().clone() for name, one in head.state_dict().items()}
    save_file(state, folder / FILE, metadata={"format": "pt", "objective": objective})


def _file(backbone: str) -> Path | None:
    folder = backbones.resolve(backbone).folder
    path = None if folder is None else folder / FILE
    return path if path is not None and path.is_file() else None


def take_out(model: "PreTrainedModel") -> nn.Module | None:
    """Take the head out of a model; in place."""
    return model._modules.pop(HEAD, None)


def judge(model: "PreTrainedModel", states: Tensor) -> Tensor:
    """What the head says of first tokens, float `[pairs, 2]`."""
    found: Tensor = model.get_submodule(HEAD)(states)
    return found


__all__ = ["FILE", "HEAD", "SentenceHead", "insert", "judge", "objective_of", "read", "take_out"]
