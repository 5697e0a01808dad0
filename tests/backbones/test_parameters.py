"""The numbers of parameters in the registry, counted on the published shapes without weights."""

from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModel

from zoo.backbones import get


def _sizes(layers: int, width: int, inner: int, heads: int) -> dict[str, int]:
    return {
        "num_hidden_layers": layers,
        "hidden_size": width,
        "intermediate_size": inner,
        "num_attention_heads": heads,
    }


_BASE, _LARGE = _sizes(12, 768, 3072, 12), _sizes(24, 1024, 4096, 16)
_ROBERTA = {"vocab_size": 50265, "max_position_embeddings": 514, "type_vocab_size": 1}
_XLM_ROBERTA = {**_ROBERTA, "vocab_size": 250002}

#: What each model's own config.json says of its shape: names, then the architecture, then sizes.
SHAPES: list[tuple[str, str, dict[str, int]]] = [
    ("minilm-l6", "bert", _sizes(6, 384, 1536, 12)),
    ("minilm-l12", "bert", _sizes(12, 384, 1536, 12)),
    ("bert-base-uncased", "bert", _BASE),
    ("bert-base-cased", "bert", {**_BASE, "vocab_size": 28996}),
    ("bert-large-uncased", "bert", _LARGE),
    ("bert-large-cased", "bert", {**_LARGE, "vocab_size": 28996}),
    ("bert-base-multilingual-cased", "bert", {**_BASE, "vocab_size": 119547}),
    ("bert-base-chinese", "bert", {**_BASE, "vocab_size": 21128}),
    ("distilbert-base-uncased", "distilbert", {}),
    ("distilbert-base-cased", "distilbert", {"vocab_size": 28996}),
    ("distilbert-base-multilingual-cased", "distilbert", {"vocab_size": 119547}),
    ("distilroberta-base", "roberta", {**_ROBERTA, **_sizes(6, 768, 3072, 12)}),
    ("roberta-base", "roberta", {**_ROBERTA, **_BASE}),
    ("roberta-large", "roberta", {**_ROBERTA, **_LARGE}),
    ("xlm-roberta-base", "xlm-roberta", {**_XLM_ROBERTA, **_BASE}),
    ("xlm-roberta-large", "xlm-roberta", {**_XLM_ROBERTA, **_LARGE}),
    ("electra-small", "electra", {**_sizes(12, 256, 1024, 4), "embedding_size": 128}),
    ("electra-base", "electra", {**_BASE, "embedding_size": 768}),
    ("electra-large", "electra", {**_LARGE, "embedding_size": 1024}),
    ("albert-base-v2", "albert", _BASE),
    ("albert-large-v2", "albert", _LARGE),
    ("albert-xxlarge-v2", "albert", _sizes(12, 4096, 16384, 64)),
    ("modernbert-base", "modernbert", {}),
    ("modernbert-large", "modernbert", _sizes(28, 1024, 2624, 16)),
]


@pytest.mark.parametrize(("name", "architecture", "sizes"), SHAPES, ids=[one[0] for one in SHAPES])
def test_an_entry_counts_the_parameters_of_the_model_of_its_shape(
    name: str, architecture: str, sizes: dict[str, Any]
) -> None:
    with torch.device("meta"):
        model = AutoModel.from_config(AutoConfig.for_model(architecture, **sizes))
    assert sum(one.numel() for one in model.parameters()) == get(name).parameters
