"""The linear layers of an ONNX graph in 8-bit integers, scaled anew for each input."""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from zoo.shipping.extra import require

#: Products of an input with weights; those of two inputs, as in attention, stay as they are.
_PRODUCTS = ("MatMul", "Gemm")


def quantize(source: Path, target: Path, *, keep_head: bool = True) -> int:
    """Write a graph with int8 weights, a scale for each output channel (W8A8, dynamic).

    Activations are scaled by their own range when the graph runs, so that no data is needed to
    calibrate. Weights keep to 7 bits: processors without VNNI add pairs of products in 16 bits,
    which full 8-bit weights overflow.

    Args:
        source: An ONNX file in float32.
        target: The file to write.
        keep_head: Whether the last linear layer stays in float32.

    Returns:
        How many linear layers were quantized.

    Raises:
        ZooError: The extra `export` is not installed.
    """
    require()
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with _quiet(), tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(
            str(source), str(prepared), skip_symbolic_shape=True, skip_optimization=True
        )
        graph = onnx.load(prepared).graph
        linear = linear_layers(graph)
        chosen = linear[:-1] if keep_head else linear
        quantize_dynamic(
            prepared,
            target,
            op_types_to_quantize=list(_PRODUCTS),
            nodes_to_quantize=chosen,
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
            extra_options={"MatMulConstBOnly": True},
        )
    return len(chosen)


def linear_layers(graph: Any) -> list[str]:
    """Names of the products with weights, in the order in which they are computed."""
    weights = {one.name for one in graph.initializer}
    return [
        node.name for node in graph.node if node.op_type in _PRODUCTS and node.input[1] in weights
    ]


@contextmanager
def _quiet() -> Iterator[None]:
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


__all__ = ["linear_layers", "quantize"]
