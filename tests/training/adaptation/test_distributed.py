"""Adaptations with two processes: as with one, or refused before anything is trained."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.distributed_runs import train
from tests.training.workers import together
from zoo.training.sharding import read_checkpoint

pytestmark = pytest.mark.slow

Tiny = Callable[[str], Path]


def _data(corpus: Path) -> dict[str, Any]:
    same = dict.fromkeys(("train", "validation", "test"), str(corpus))
    return {**same, "batch_size": 4, "max_length": 64, "stride": 8}


def _run(
    strategy: str, world: int, kind: str, tiny: Tiny, corpus: Path, folder: Path, **options: Any
) -> list[dict[str, Any]]:
    found = together(
        world,
        train,
        folder / f"{kind}-{strategy}-{world}-{len(options)}",
        "ner",
        str(tiny("bert")),
        _data(corpus),
        options={
            "world": world,
            "strategy": strategy,
            "task": {"adaptation": kind, "learning_rate": 1e-2},
            "fit": {"max_steps": 6, "max_epochs": -1, "limit_val_batches": 0},
            **options,
        },
    )
    for name, weight in found[0]["weights"].items():
        assert torch.equal(weight, found[-1]["weights"][name]), name
    return found


@pytest.mark.parametrize("kind", ["lora", "head", "bitfit"])
def test_shards_of_an_adapted_model_are_trained_where_they_should_be(
    kind: str, tiny: Tiny, corpus: Path, tmp_path: Path
) -> None:
    path = tmp_path / "x.ckpt"
    first, _ = _run("fsdp2", 2, kind, tiny, corpus, tmp_path, save=str(path))
    content = read_checkpoint(path)
    kept = {name.removeprefix("model.") for name in content["state_dict"]}
    weights = first["weights"]
    frozen = weights.keys() - kept
    assert len(frozen) >= 20  # matrices at least, and the scales of norms
    from zoo import backbones

    plain = backbones.load_model(str(tiny("bert")), "token-classification", labels=["O", "B", "I"])
    base = dict(plain.named_parameters())
    for name in frozen:
        assert torch.equal(weights[name], base[name.replace(".base_layer", "")]), name
    assert len(first["optimizer"]) == len([name for name in weights if name in kept])
    assert content["zoo_base"] is not None
    # What two processes shared out goes on in one, on the same base.
    fit = {"max_steps": 8, "max_epochs": -1, "limit_val_batches": 0}
    (again,) = _run("ddp", 1, kind, tiny, corpus, tmp_path, resume=str(path), fit=fit)
    assert again["step"] == 8


@pytest.mark.parametrize("kind", ["lora", "gradual"])
def test_two_processes_keep_the_same_adapted_weights(
    kind: str, tiny: Tiny, corpus: Path, tmp_path: Path
) -> None:
    path = tmp_path / "x.ckpt"
    first, _ = _run("ddp", 2, kind, tiny, corpus, tmp_path, save=str(path))
    kept = read_checkpoint(path)["state_dict"]
    whole = kind == "gradual"
    assert (len(kept) < len(first["weights"])) == (not whole)
    assert len(first["optimizer"]) > 0


@pytest.mark.parametrize("kind", ["adalora"])
def test_what_needs_whole_weights_is_refused_before_training(
    kind: str, tiny: Tiny, corpus: Path, tmp_path: Path
) -> None:
    said = together(
        2,
        refuse,
        tmp_path / "out",
        str(tiny("bert")),
        _data(corpus),
        kind,
    )
    for sentence in said:
        assert f"--model.adaptation {kind} needs whole weights in each process" in sentence
        assert "use --trainer.strategy ddp" in sentence


def refuse(backbone: str, data: dict[str, Any], kind: str) -> str:
    """What a training with two processes says that should not begin."""
    from tests.training.distributed_runs import make_data, make_task, make_trainer

    module = make_data("ner", backbone=backbone, **data)
    task = make_task("ner", backbone, module, adaptation=kind)
    try:
        make_trainer(2, "fsdp2", max_steps=1).fit(task, module)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""
