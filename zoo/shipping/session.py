"""An ONNX graph in the place of a transformers model: same inputs, same outputs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from zoo.errors import RunError
from zoo.shipping.extra import require

if TYPE_CHECKING:
    from transformers import PreTrainedConfig


class Graph:
    """An ONNX file in onnxruntime, on the CPU.

    Args:
        path: The file.
        threads: Threads that it computes with; if None as many as torch.

    Raises:
        RunError: The file is damaged, or none of ONNX.
        ZooError: The extra `export` is not installed.
    """

    def __init__(self, path: Path, *, threads: int | None = None):
        require("onnxruntime")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or torch.get_num_threads()
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        if not path.is_file():
            raise RunError(f"{path} is missing. Export the run again.")
        try:
            self.session = onnxruntime.InferenceSession(
                path, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            first = str(error).strip().split("\n")[0]
            raise RunError(f"{path} is damaged ({first}). Copy or export it again.") from error
        self.inputs = tuple(one.name for one in self.session.get_inputs())
        self.outputs = tuple(one.name for one in self.session.get_outputs())

    def __call__(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The outputs by name, of inputs by name; those that the graph does not take are left."""
        given = {name: tensors[name].contiguous().numpy() for name in self.inputs}
        found = self.session.run(list(self.outputs), given)
        return {name: torch.from_numpy(one) for name, one in zip(self.outputs, found, strict=True)}


class OnnxEncoder(nn.Module):
    """A graph of an encoder with a head, called as the model that it was made of.

    Args:
        path: The ONNX file.
        config: The model's configuration.
        threads: Threads that it computes with; if None as many as torch.
    """

    def __init__(self, path: Path, config: "PreTrainedConfig", *, threads: int | None = None):
        super().__init__()
        self.config = config
        self.graph = Graph(path, threads=threads)

    @property
    def device(self) -> torch.device:
        """The CPU."""
        return torch.device("cpu")

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> Any:
        """The outputs of the head, as attributes.

        Args:
            input_ids: int64 `[batch, length]`.
            attention_mask: The same shape; 0 where there is padding.
            token_type_ids: The same shape; if None all tokens are of the first text.
        """
        types = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids
        given = {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "token_type_ids": types,
        }
        return SimpleNamespace(**self.graph(given))


__all__: Sequence[str] = ["Graph", "OnnxEncoder"]
