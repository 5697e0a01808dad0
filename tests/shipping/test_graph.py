"""Graphs give the logits of the models that they were made of, for any batch and any length."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

from tests.conftest import ARCHITECTURES, make_tiny
from zoo import backbones
from zoo.errors import RunError
from zoo.shipping.graph import write_encoder, write_graph
from zoo.shipping.quantize import linear_layers, quantize
from zoo.shipping.session import OnnxEncoder

Tiny = Callable[[str], Path]

#: Batch and length: single tokens, single texts, and the longest that the tiny models take.
SHAPES = ((1, 1), (2, 1), (1, 2), (1, 128), (5, 128), (4, 33))


def trained(folder: Path, head: backbones.Head = "token-classification") -> Any:
    """Weights that are nobody's initial ones, so that the logits are far from 0."""
    labels = ["start", "end"] if head == "question-answering" else ["a", "b", "c"]
    net = backbones.load_model(str(folder), head, labels=labels)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return net.eval()


def batch(texts: int, length: int) -> dict[str, Tensor]:
    """Random texts of all lengths from the whole one down to one token, padded on the right."""
    ids = torch.randint(5, 90, (texts, length))
    lengths = torch.linspace(length, 1, texts).long()
    mask = (torch.arange(length) < lengths[:, None]).long()
    types = (torch.arange(length) >= lengths[:, None] // 2).long() * mask
    return {"input_ids": ids * mask, "attention_mask": mask, "token_type_ids": types}


@torch.inference_mode()
def agree(net: Any, graph: OnnxEncoder, names: list[str], outputs: tuple[str, ...]) -> None:
    for texts, length in SHAPES:
        given = {name: tensor for name, tensor in batch(texts, length).items() if name in names}
        expected, found = net(**given), graph(**given)
        for output in outputs:
            one, other = getattr(expected, output), getattr(found, output)
            if one.shape[:2] == (texts, length):
                there = given["attention_mask"].bool()
                one, other = one[there], other[there]
            assert one.abs().max() > 0.1
            torch.testing.assert_close(other, one, atol=2e-5, rtol=0)


@pytest.mark.parametrize(
    "architecture",
    ["bert", *(pytest.param(name, marks=pytest.mark.slow) for name in ARCHITECTURES[1:])],
)
def test_a_graph_gives_the_logits_of_the_model_for_any_batch_and_length(
    architecture: str, tiny: Tiny, tmp_path: Path
) -> None:
    net = trained(tiny(architecture))
    names = ["input_ids", "attention_mask"]
    write_encoder(net, tmp_path / "model.onnx", head="token-classification", inputs=names)
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]  # the weights are inside
    graph = OnnxEncoder(tmp_path / "model.onnx", net.config)
    assert graph.graph.inputs == tuple(names)
    agree(net, graph, names, ("logits",))


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["bert", "modernbert"])
def test_a_model_that_ran_packed_is_exported_as_it_is(
    architecture: str, tiny: Tiny, tmp_path: Path
) -> None:
    net = trained(tiny(architecture))
    names = ["input_ids", "attention_mask"]
    backbones.packed_forward(net, {name: batch(4, 33)[name] for name in names})
    write_encoder(net, tmp_path / "model.onnx", head="token-classification", inputs=names)
    agree(net, OnnxEncoder(tmp_path / "model.onnx", net.config), names, ("logits",))


@pytest.mark.slow
@pytest.mark.parametrize("version", ["deberta", "deberta-v2"])
def test_relative_positions_of_deberta_are_right_at_every_length(
    version: str, tmp_path: Path
) -> None:
    make_tiny("deberta-v2", tmp_path)
    own: dict[str, Any] = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"]}
    if version == "deberta-v2":
        own |= {"position_buckets": 16, "norm_rel_ebd": "layer_norm", "share_att_key": True}
    config = AutoConfig.for_model(
        version,
        vocab_size=300,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=128,
        position_biased_input=False,
        type_vocab_size=0,
        pad_token_id=1,
        **own,
    )
    AutoModel.from_config(config).save_pretrained(tmp_path)
    net = trained(tmp_path)
    names = ["input_ids", "attention_mask"]
    write_encoder(net, tmp_path / "model.onnx", head="token-classification", inputs=names)
    agree(net, OnnxEncoder(tmp_path / "model.onnx", net.config), names, ("logits",))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("head", "outputs"),
    [
        ("sequence-classification", ("logits",)),
        ("question-answering", ("start_logits", "end_logits")),
    ],
)
def test_other_heads_and_two_texts_are_told_apart(
    head: backbones.Head, outputs: tuple[str, ...], tiny: Tiny, tmp_path: Path
) -> None:
    net = trained(tiny("bert"), head)
    names = ["input_ids", "attention_mask", "token_type_ids"]
    write_encoder(net, tmp_path / "model.onnx", head=head, inputs=names)
    graph = OnnxEncoder(tmp_path / "model.onnx", net.config)
    agree(net, graph, names, outputs)
    given = batch(2, 9)
    other = {**given, "token_type_ids": 1 - given["token_type_ids"]}
    first, second = graph(**given), graph(**other)
    assert (getattr(first, outputs[0]) - getattr(second, outputs[0])).abs().max() > 1e-3


class _Undecided(nn.Module):
    """What it computes depends on what it reads, which no graph can say."""

    def forward(self, one: Tensor) -> tuple[Tensor]:
        return (one + 1,) if bool(one.sum() > 3) else (one - 1,)


def test_what_cannot_be_a_graph_is_a_sentence_and_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"architecture odd cannot be exported.*--format hf"):
        write_graph(
            _Undecided(),
            tmp_path / "model.onnx",
            inputs={"one": torch.ones(3, 7)},
            outputs=["two"],
            axes={"one": {0: "batch"}},
            model_type="odd",
        )
    assert not list(tmp_path.iterdir())


def test_a_damaged_file_is_a_sentence(tiny: Tiny, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    config = backbones.load_config(str(tiny("bert")))
    with pytest.raises(RunError, match="missing"):
        OnnxEncoder(path, config)
    path.write_bytes(b"no graph")
    with pytest.raises(RunError, match="damaged"):
        OnnxEncoder(path, config)


def test_all_linear_layers_but_the_head_are_quantized(tiny: Tiny, tmp_path: Path) -> None:
    import onnx

    net = trained(tiny("bert"))
    names = ["input_ids", "attention_mask"]
    source, target = tmp_path / "model.onnx", tmp_path / "int8.onnx"
    write_encoder(net, source, head="token-classification", inputs=names)
    linear = [
        module for module in net.modules() if isinstance(module, nn.Linear) and module.in_features
    ]
    assert len(linear_layers(onnx.load(source).graph)) == len(linear)
    assert quantize(source, target) == len(linear) - 1
    kinds = [node.op_type for node in onnx.load(target).graph.node]
    assert kinds.count("MatMulInteger") == len(linear) - 1
    assert target.stat().st_size < source.stat().st_size
    given = {name: batch(4, 33)[name] for name in names}
    there = given["attention_mask"].bool()
    with torch.inference_mode():
        expected = net(**given).logits[there]
    difference = OnnxEncoder(target, net.config)(**given).logits[there] - expected
    assert 0 < difference.abs().mean() < 0.05 * expected.std()
    assert quantize(source, target, keep_head=False) == len(linear)
