"""Training with two processes: sharded and replicated weights go the same way."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import without_dropout
from tests.training.distributed_runs import refused, train
from tests.training.workers import together

Tiny = Callable[[str], Path]

pytestmark = pytest.mark.slow

STEPS = 20


@pytest.fixture
def calm(tiny: Tiny, tmp_path: Path) -> Callable[[str], str]:
    """A function from an architecture to a tiny model of it without dropout."""

    def make(architecture: str) -> str:
        folder = tmp_path / architecture
        if not folder.exists():
            shutil.copytree(tiny(architecture), folder)
            without_dropout(folder)
        return str(folder)

    return make


def _ner(corpus: Path) -> dict[str, Any]:
    same = dict.fromkeys(("train", "validation", "test"), str(corpus))
    return {**same, "batch_size": 4, "max_length": 64, "stride": 8}


@pytest.fixture
def summaries(tmp_path: Path) -> dict[str, Any]:
    file = tmp_path / "texts.jsonl"
    words = ["ada", "london", "fox", "dog", "bear", "lion", "quick", "lazy"]
    rows = [
        {
            "source": " ".join(words[: 2 + number % 7]) + f" . The {words[number % 8]} jumps .",
            "target": " ".join(words[number % 8 : number % 8 + 1 + number % 4]),
        }
        for number in range(24)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    same = dict.fromkeys(("train", "validation", "test"), str(file))
    return {**same, "batch_size": 3, "max_length": 64, "max_target_length": 16}


def _fit(**options: Any) -> dict[str, Any]:
    return {
        "max_steps": STEPS,
        "max_epochs": -1,
        "limit_val_batches": 0,
        "gradient_clip_val": 0.5,
        **options,
    }


def _both(
    folder: Path, world: int, family: str, backbone: str, data: dict[str, Any], **options: Any
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    strategies = options.pop("strategies", ("ddp", "fsdp2"))
    first, second = (
        together(
            world,
            train,
            folder / name,
            family,
            backbone,
            data,
            options={"world": world, "strategy": name, "fit": _fit(), **options},
        )
        for name in strategies
    )
    return first, second


def _same(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> None:
    for ours, theirs in zip(first, second, strict=True):
        assert len(ours["losses"]) == STEPS
        assert ours["losses"] == pytest.approx(theirs["losses"], abs=1e-5)
        assert ours["norms"] == pytest.approx(theirs["norms"], abs=1e-5)
        assert ours["clipped"] == pytest.approx(theirs["clipped"], abs=1e-5)
        for norm, clipped in zip(ours["norms"], ours["clipped"], strict=False):
            assert clipped == pytest.approx(min(norm, 0.5), abs=1e-5)
        assert ours["weights"].keys() == theirs["weights"].keys()
        for name, weight in ours["weights"].items():
            torch.testing.assert_close(weight, theirs["weights"][name], atol=2e-5, rtol=1e-4)


def test_an_encoder_learns_the_same_sharded_and_replicated(
    calm: Callable[[str], str], corpus: Path, tmp_path: Path
) -> None:
    ddp, fsdp2 = _both(tmp_path / "out", 2, "ner", calm("bert"), _ner(corpus))
    _same(ddp, fsdp2)
    assert any(norm > 0.5 for norm in ddp[0]["norms"]), "clipping was never needed"
    assert [one["groups"] for one in fsdp2] == [3, 3]  # two blocks, and what is around them
    for one in fsdp2:
        assert one["parameters"] <= 0.55
        assert one["state"] <= 0.55
    assert [one["parameters"] for one in ddp] == [1.0, 1.0]


def test_lower_layers_learn_as_much_slower_sharded_and_replicated(
    calm: Callable[[str], str], corpus: Path, tmp_path: Path
) -> None:
    # Named and grouped otherwise, the same weights would have other rates.
    task = {"layer_decay": 0.3, "learning_rate": 5e-3, "schedule": "warmup_stable_decay"}
    ddp, fsdp2 = _both(tmp_path / "out", 2, "ner", calm("bert"), _ner(corpus), task=task)
    _same(ddp, fsdp2)


@pytest.mark.parametrize(("architecture", "groups"), [("t5", 5), ("bart", 5)])
def test_an_encoder_decoder_learns_the_same_sharded_and_replicated(
    architecture: str,
    groups: int,
    calm: Callable[[str], str],
    summaries: dict[str, Any],
    tmp_path: Path,
) -> None:
    ddp, fsdp2 = _both(tmp_path / "out", 2, "abstractive", calm(architecture), summaries)
    _same(ddp, fsdp2)
    assert [one["groups"] for one in fsdp2] == [groups, groups]
    for one in fsdp2:
        assert one["parameters"] <= 0.55
        assert one["state"] <= 0.55


def test_halves_that_share_their_weights_learn_the_same_sharded_and_replicated(
    calm: Callable[[str], str], summaries: dict[str, Any], tmp_path: Path
) -> None:
    backbone = f"{calm('bert')}-2-{calm('bert')}"
    tied = {"task": {"tie_weights": True}}
    ddp, fsdp2 = _both(tmp_path / "out", 2, "abstractive", backbone, summaries, **tied)
    _same(ddp, fsdp2)
    assert all(one["parameters"] <= 0.55 for one in fsdp2)


def test_masked_words_are_learned_the_same_sharded_and_replicated(
    calm: Callable[[str], str], tmp_path: Path
) -> None:
    words = ["ada", "london", "fox", "dog", "quick", "lazy", "brown"]
    texts = [" ".join(words[: 2 + number % 6]) + " jumps ." for number in range(40)]
    file = tmp_path / "texts.txt"
    file.write_text("\n\n".join(texts), encoding="utf-8")
    same = dict.fromkeys(("train", "validation", "test"), str(file))
    data = {**same, "batch_size": 3, "max_length": 16, "pack": False}
    ddp, fsdp2 = _both(tmp_path / "out", 2, "pretraining", calm("bert"), data)
    _same(ddp, fsdp2)
    assert all(one["parameters"] <= 0.55 for one in fsdp2)


def test_accumulating_in_two_processes_equals_the_whole_batch_in_one(
    calm: Callable[[str], str], tmp_path: Path
) -> None:
    # 32 ragged sentences: 2 processes x 4 batches of 4 are an epoch, and so is one batch of 32.
    corpus = tmp_path / "ragged.txt"
    sentences = [
        ["ada B-PER", *["lazy O"] * (number * 7 % 11), "london B-PER"] for number in range(32)
    ]
    corpus.write_text("\n\n".join("\n".join(one) for one in sentences) + "\n")

    def run(world: int, size: int, window: int) -> dict[str, Any]:
        fit = _fit(max_steps=5, accumulate_grad_batches=window, gradient_clip_val=1.0)
        options = {"world": world, "strategy": "ddp", "fit": fit}
        data = {**_ner(corpus), "batch_size": size}
        folder = tmp_path / f"{world}"
        found = together(world, train, folder, "ner", calm("bert"), data, options=options)
        return found[0]  # type: ignore[no-any-return]

    whole, cut = run(1, 32, 1), run(2, 4, 4)
    assert whole["step"] == cut["step"] == 5
    assert cut["norms"] == pytest.approx(whole["norms"], abs=1e-5)
    for name, weight in whole["weights"].items():
        torch.testing.assert_close(cut["weights"][name], weight, atol=2e-5, rtol=1e-4)


def test_three_processes_whose_shares_are_uneven_or_empty_learn_the_same(
    calm: Callable[[str], str], corpus: Path, tmp_path: Path
) -> None:
    _same(*_both(tmp_path / "out", 3, "ner", calm("bert"), _ner(corpus)))


@pytest.mark.parametrize("strategy", ["recomputing", "replicated"])
def test_options_of_sharding_do_not_change_what_is_learned(
    strategy: str, calm: Callable[[str], str], corpus: Path, tmp_path: Path
) -> None:
    strategies = ("fsdp2", strategy)
    _same(*_both(tmp_path / "out", 2, "ner", calm("bert"), _ner(corpus), strategies=strategies))


@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
def test_all_processes_begin_with_the_head_that_the_first_one_drew(
    strategy: str, calm: Callable[[str], str], corpus: Path, tmp_path: Path
) -> None:
    from zoo.backbones import load_model

    options = {
        "world": 2,
        "strategy": strategy,
        "seeds": (11, 22),
        "task": {"learning_rate": 0.0, "weight_decay": 0.0},
        "fit": _fit(max_steps=1),
    }
    found = together(2, train, tmp_path / "out", "ner", calm("bert"), _ner(corpus), options=options)
    torch.manual_seed(11)
    drawn = load_model(calm("bert"), "token-classification", labels=["O", "B-PER", "I-PER"])
    head = drawn.state_dict()["classifier.weight"]
    for one in found:
        assert torch.equal(one["weights"]["classifier.weight"], head)


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true"])
def test_sharded_training_in_bf16_follows_training_in_fp32(
    precision: str, calm: Callable[[str], str], corpus: Path, tmp_path: Path
) -> None:
    options = {"world": 2, "strategy": "fsdp2", "fit": _fit(precision=precision)}
    arguments = ("ner", calm("bert"), _ner(corpus))
    half = together(2, train, tmp_path / "half", *arguments, options=options)
    full = together(2, train, tmp_path / "full", *arguments, options={**options, "fit": _fit()})
    for ours, theirs in zip(half, full, strict=True):
        assert ours["losses"] == pytest.approx(theirs["losses"], rel=0.05)
        assert ours["losses"] != theirs["losses"]
        stored = torch.bfloat16 if precision == "bf16-true" else torch.float32
        assert {weight.dtype for weight in ours["weights"].values()} == {stored}


def test_float16_is_refused_in_a_sentence(
    calm: Callable[[str], str], corpus: Path, tmp_path: Path
) -> None:
    arguments = ("ner", calm("bert"), _ner(corpus))
    said = together(
        1, refused, tmp_path / "out", *arguments, options={"world": 1, "precision": "16-true"}
    )
    assert said == [
        "ZooError: --trainer.precision 16-true does not work with --trainer.strategy fsdp2: give "
        "bf16-mixed, bf16-true or 32-true."
    ]
