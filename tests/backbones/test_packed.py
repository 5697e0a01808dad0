"""A batch without its padding gives what the padded batch gives."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import ARCHITECTURES
from zoo import backbones
from zoo.backbones import packed, packed_layout
from zoo.training.adaptation import prompts

TINY = Callable[[str], Path]
PACKED = tuple(one for one in ARCHITECTURES if one != "deberta-v2")
HEADS = ("token-classification", "sequence-classification", "question-answering", "masked-lm")
LENGTHS = {
    "ragged": [9, 3, 1, 14, 14, 2, 7],
    "one short": [6, 6, 6, 5],
    "one alone": [1, 30, 1],
    "like lengths": [10, 9, 11, 10, 8],
}


def model_of(tiny: TINY, architecture: str, head: backbones.Head, **changes: Any) -> Any:
    """A tiny model without dropout, with weights large enough for attention to matter."""
    labels = {"question-answering": ["start", "end"], "masked-lm": ["token"]}
    model = backbones.load_model(
        str(tiny(architecture)), head, labels=labels.get(head, ["a", "b", "c"])
    )
    torch.manual_seed(0)
    with torch.no_grad():
        for own in model.parameters():
            if own.dim() > 1:
                own.normal_(std=0.3)
    for name, value in changes.items():
        setattr(model.config, name, value)
    return model.double().eval()  # ModernBERT turns its positions in float32 all the same


def batch_of(lengths: list[int], model: Any) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    longest = max(*lengths, 1)
    mask = (torch.arange(longest) < torch.tensor(lengths)[:, None]).long()
    ids = torch.randint(5, model.config.vocab_size, mask.shape, generator=generator) * mask
    ids = ids.masked_fill(mask == 0, int(model.config.pad_token_id or 0))
    inputs = {"input_ids": ids, "attention_mask": mask}
    if model.config.model_type in ("bert", "electra", "albert"):
        inputs["token_type_ids"] = torch.randint(0, 2, mask.shape, generator=generator) * mask
    return inputs


def found(output: Any, mask: torch.Tensor) -> list[torch.Tensor]:
    """All outputs, without those of padding."""
    return [
        one if one.shape[:2] != mask.shape else one[mask.bool()]
        for one in output.values()
        if isinstance(one, torch.Tensor)
    ]


def trained_without_dropout(model: Any) -> Any:
    """The model as it is while it is trained, but for dropout."""
    for module in model.modules():
        for name, value in vars(module).items():
            if isinstance(value, float) and (name == "p" or "dropout" in name):
                setattr(module, name, 0.0)
    return model.train()


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("architecture", PACKED)
def test_outputs_and_gradients_are_those_of_the_padded_batch(
    tiny: TINY, architecture: str, head: backbones.Head, trained: bool
) -> None:
    plain = model_of(tiny, architecture, head)
    if trained:  # then some batches have spare tokens
        plain = trained_without_dropout(plain)
    model = deepcopy(plain)
    for lengths in LENGTHS.values():
        inputs = batch_of(lengths, model)
        mask = inputs["attention_mask"]
        right, mine = plain(**inputs), packed.packed_forward(model, inputs)
        assert type(mine) is type(right)
        assert list(mine) == list(right)
        for one, other in zip(found(mine, mask), found(right, mask), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
        for net, output in ((plain, right), (model, mine)):
            net.zero_grad()
            weights = torch.Generator().manual_seed(2)
            shown = [
                (one * torch.rand(one.shape, generator=weights)).sum()
                for one in found(output, mask)
            ]
            torch.stack(shown).sum().backward()
        for (name, one), other in zip(model.named_parameters(), plain.parameters(), strict=True):
            assert (one.grad is None) == (other.grad is None), name
            if one.grad is not None:
                torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-5, msg=name)
    assert model.state_dict().keys() == plain.state_dict().keys()


@pytest.mark.parametrize("architecture", PACKED)
def test_a_neighbour_changes_nothing(tiny: TINY, architecture: str) -> None:
    model = model_of(tiny, architecture, "token-classification")
    inputs = batch_of([9, 3, 14, 13, 2], model)
    before = packed.packed_forward(model, inputs).logits
    changed = {**inputs, "input_ids": inputs["input_ids"].clone()}
    changed["input_ids"][2, :14] = torch.randint(5, model.config.vocab_size, (14,))
    after = packed.packed_forward(model, changed).logits
    others = [0, 1, 3, 4]
    torch.testing.assert_close(after[others], before[others], rtol=0, atol=1e-9)
    assert (after[2] - before[2]).abs().max() > 1e-3


@pytest.mark.parametrize("head", ["token-classification", "sequence-classification"])
def test_a_row_of_padding_alone_is_nothing_to_the_others(tiny: TINY, head: backbones.Head) -> None:
    model = model_of(tiny, "bert", head)
    with_filler = packed.packed_forward(model, batch_of([5, 0, 3], model)).logits
    inputs = {name: one[[0, 2]] for name, one in batch_of([5, 0, 3], model).items()}
    torch.testing.assert_close(with_filler[[0, 2]], packed.packed_forward(model, inputs).logits)
    assert with_filler.isfinite().all()
    if head == "token-classification":
        assert (with_filler[1] == 0).all()
        assert (with_filler[2, 3:] == 0).all()


@pytest.mark.parametrize(
    "mask",
    [[[1, 1, 1], [1, 1, 1]], [[0, 1, 1], [1, 1, 1]], [[1, 0, 1], [1, 1, 0]], [[0, 0, 0]], [[1]]],
)
def test_a_batch_that_cannot_or_need_not_be_packed_goes_through_as_it_is(
    tiny: TINY, mask: list[list[int]]
) -> None:
    model = model_of(tiny, "roberta", "token-classification")
    there = torch.tensor(mask)
    ids = torch.arange(10, 10 + there.numel()).reshape(there.shape)
    inputs = {"input_ids": ids, "attention_mask": there}
    assert packed_layout.layout_of(there) is None
    right = model(**inputs).logits
    assert torch.equal(packed.packed_forward(model, inputs).logits, right)


def test_layers_with_a_sliding_window_see_as_far_as_in_the_padded_batch(tiny: TINY) -> None:
    model = model_of(tiny, "modernbert", "token-classification")
    inputs = batch_of([30, 3, 29, 25, 1, 30, 12], model)
    mask = inputs["attention_mask"].bool()
    wide = packed.packed_forward(model, inputs).logits
    model.config.sliding_window = 4
    for layer in model.model.layers:
        layer.attn.sliding_window = 5
        layer.attention_type = "sliding_attention"
    narrow = packed.packed_forward(model, inputs).logits
    assert (narrow - wide).abs().max() > 1e-3
    torch.testing.assert_close(narrow[mask], model(**inputs).logits[mask], rtol=1e-5, atol=1e-6)


def test_means_over_tokens_leave_the_padding_out(tiny: TINY) -> None:
    model = model_of(tiny, "modernbert", "sequence-classification", classifier_pooling="mean")
    inputs = batch_of([9, 3, 14, 1], model)
    right = model(**inputs).logits
    torch.testing.assert_close(
        packed.packed_forward(model, inputs).logits, right, rtol=1e-5, atol=1e-6
    )


def test_blocks_computed_again_in_the_backward_pass_are_packed_again(tiny: TINY) -> None:
    plain = model_of(tiny, "bert", "token-classification")
    model = deepcopy(plain)
    model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    model.gradient_checkpointing_enable({"use_reentrant": False})
    inputs = batch_of([9, 3, 14, 13], model)
    mask = inputs["attention_mask"].bool()
    for net in (plain, model):
        packed.packed_forward(net, inputs).logits[mask].square().sum().backward()
    for one, other in zip(model.parameters(), plain.parameters(), strict=True):
        if other.grad is not None:
            torch.testing.assert_close(one.grad, other.grad)


def test_half_precision_gives_what_it_gives_padded(tiny: TINY) -> None:
    model = model_of(tiny, "bert", "token-classification").float()
    inputs = batch_of([9, 3, 14, 13], model)
    mask = inputs["attention_mask"].bool()
    exact = model(**inputs).logits[mask]
    with torch.autocast("cpu", torch.bfloat16):
        right = model(**inputs).logits[mask].float()
        mine = packed.packed_forward(model, inputs).logits[mask].float()
    mine.sum().backward()
    error = (right - exact).norm()
    assert (mine - exact).norm() < 2 * error < 0.1 * exact.norm()


def test_a_packed_model_is_saved_as_any_other(tiny: TINY, tmp_path: Path) -> None:
    model = model_of(tiny, "bert", "token-classification")
    model.save_pretrained(tmp_path / "before")
    inputs = batch_of([9, 3], model)
    packed.packed_forward(model, inputs)
    model.save_pretrained(tmp_path / "after")
    files = [
        sorted((one.name, one.read_bytes()) for one in (tmp_path / when).iterdir())
        for when in ("before", "after")
    ]
    assert files[0] == files[1]


def test_a_model_that_was_packed_gives_the_same_as_ever_without(tiny: TINY) -> None:
    for architecture in ("bert", "modernbert"):
        model = model_of(tiny, architecture, "token-classification")
        inputs = batch_of([9, 3, 14], model)
        before = model(**inputs).logits
        packed.packed_forward(model, inputs)
        assert torch.equal(model(**inputs).logits, before)


def test_what_cannot_be_packed_is_padded_and_the_log_says_so_once(
    tiny: TINY, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed, "_told", set())
    model = model_of(tiny, "deberta-v2", "token-classification").float()
    inputs = batch_of([9, 3], model)
    for _ in range(2):
        found = packed.packed_forward(model, inputs).logits
    assert torch.equal(found, model(**inputs).logits)
    lines = [one.getMessage() for one in caplog.records if one.name == "zoo.backbones.packed"]
    assert lines == ["Models of the kind deberta-v2 cannot be packed: their batches are padded."]


def test_a_model_with_a_prompt_is_padded(tiny: TINY) -> None:
    model = model_of(tiny, "bert", "token-classification")
    prompts.insert(model, 3)
    inputs = batch_of([9, 3, 14], model)
    right = model(**inputs).logits
    assert right.shape[:2] == (3, 14)
    assert torch.equal(packed.packed_forward(model, inputs).logits, right)


@pytest.mark.parametrize("architecture", ["bert", "modernbert"])
def test_hooks_on_the_body_can_see_the_padded_batch(tiny: TINY, architecture: str) -> None:
    model = model_of(tiny, architecture, "masked-lm")
    inputs = batch_of([9, 3, 14], model)
    right = model(**inputs).logits
    asked = inputs["attention_mask"].bool() & (torch.arange(14) % 3 == 0)
    assert asked.sum() == 9

    def choose(module: Any, args: Any, output: Any) -> Any:
        output.last_hidden_state = output.last_hidden_state[asked][None]
        return output

    model.base_model.register_forward_hook(choose)
    found = packed.packed_forward(model, inputs, repad_body=True).logits[0]
    torch.testing.assert_close(found, right[asked], rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_a_compiled_model_is_packed_too(tiny: TINY) -> None:
    for head in ("token-classification", "sequence-classification"):
        model = model_of(tiny, "bert", head)
        compiled: Any = torch.compile(model, backend="eager", dynamic=True)
        for lengths in ([9, 3, 14], [4, 3, 8, 8]):
            inputs = batch_of(lengths, model)
            right = packed.packed_forward(model, inputs).logits
            torch.testing.assert_close(packed.packed_forward(compiled, inputs).logits, right)
