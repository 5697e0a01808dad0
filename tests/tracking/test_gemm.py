"""The work of an encoder and the speed of matrix multiplications."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForTokenClassification

from zoo import backbones
from zoo.tracking.gemm import compute_dtype, encoder_work, gemm_peak


def _model(architecture: str, **sizes: Any) -> Any:
    config = AutoConfig.for_model(architecture, vocab_size=50, **sizes)
    return AutoModelForTokenClassification.from_config(config)


def _bert() -> Any:
    return _model(
        "bert",
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=64,
    )


def test_the_work_of_bert_is_that_of_the_formula() -> None:
    work = encoder_work(_bert())
    assert work is not None
    h, layers = 16, 3
    lengths = (5, 9)
    wanted = sum(3 * (24 * h**2 * layers * s + 4 * s**2 * h * layers) for s in lengths)
    assert work.of(torch.tensor(lengths)).item() == wanted
    assert set(work.shapes) == {(h, h), (h, 4 * h), (4 * h, h)}


@pytest.mark.parametrize("architecture", ["roberta", "xlm-roberta", "electra", "distilbert"])
def test_encoders_of_the_same_sizes_have_the_same_work(
    architecture: str, tiny: Callable[[str], Path]
) -> None:
    found = []
    for name in ("bert", architecture):
        model = backbones.load_model(str(tiny(name)), "token-classification", labels=["O", "B-X"])
        work = encoder_work(model)
        assert work is not None
        found.append(work.of(torch.tensor([7, 20])).item())
    assert found[0] == found[1]


def test_albert_goes_through_its_one_block_as_often_as_it_has_layers(
    tiny: Callable[[str], Path],
) -> None:
    work = {
        name: encoder_work(
            backbones.load_model(str(tiny(name)), "token-classification", labels=["O", "B-X"])
        )
        for name in ("bert", "albert")
    }
    assert work["albert"] is not None
    assert work["bert"] is not None
    assert work["albert"].per_token == work["bert"].per_token


def test_a_local_layer_sees_no_further_than_its_window() -> None:
    model = _model(
        "modernbert",
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        local_attention=8,
        layer_types=["full_attention", "sliding_attention"],
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        cls_token_id=1,
        sep_token_id=2,
    )
    work = encoder_work(model)
    assert work is not None
    # Wi makes both halves of the gated layer, 2 x 32 wide; QKV, output, Wi and Wo in each layer.
    linear = 2 * 2 * (16 * 48 + 16 * 16 + 16 * 64 + 32 * 16)
    attention = 4 * 16 * (20 * 20 + 20 * 8)
    assert work.of(torch.tensor([20])).item() == 3 * (linear * 20 + attention)


def test_work_is_left_open_where_it_cannot_be_said(tiny: Callable[[str], Path]) -> None:
    model = _bert()
    model.bert.encoder.layer[0].output.dense.weight.requires_grad_(False)
    assert encoder_work(model) is None
    assert encoder_work(torch.nn.Linear(2, 2)) is None
    t5 = _t5()
    assert encoder_work(t5) is None


def _t5() -> Any:
    from transformers import T5Config, T5ForConditionalGeneration

    return T5ForConditionalGeneration(
        T5Config(vocab_size=50, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_peak_is_measured_without_touching_random_numbers(dtype: torch.dtype) -> None:
    state = torch.random.get_rng_state()
    peak = gemm_peak(((8, 8), (8, 32)), dtype=dtype, device=torch.device("cpu"), rows=16)
    assert peak > 0
    assert torch.equal(torch.random.get_rng_state(), state)


def test_matrices_have_the_type_that_the_precision_says() -> None:
    names = ("32-true", "bf16-mixed", "bf16-true", "16-mixed", "32")
    kinds = [compute_dtype(name) for name in names]
    full, half, brain = torch.float32, torch.float16, torch.bfloat16
    assert kinds == [full, brain, brain, half, full]
