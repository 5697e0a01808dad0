"""Adaptations with two processes: as with one, or refused before anything is trained."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from lightning import Callback, Trainer

from tests.training.adaptation.conftest import FAMILIES
from tests.training.adaptation.test_families import HEADS
from tests.training.distributed_runs import make_data, make_task, make_trainer, train, whole
from tests.training.workers import together
from zoo.errors import ZooError
from zoo.training.adaptation import Kind
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


#: Every kind with one family and one kind with every family under both strategies; the others,
#: which take as long again, under one of them.
JOBS = {
    strategy: [
        (kind, family)
        for number, kind in enumerate(get_args(Kind))
        for place, family in enumerate(FAMILIES)
        if kind == "lora" or family == "ner" or (number + place) % 2 == remainder
    ]
    for remainder, strategy in enumerate(("ddp", "fsdp2"))
}
#: What is refused under any strategy, and what where weights are shared out, with what is said.
NEVER = {
    ("prompt", "pretraining"): "a block of language modelling may hold several",
    ("head", "abstractive"): "no new one to train alone",
}
NOT_SHARED = {
    (kind, family): f"--model.adaptation {kind} needs whole weights in each process"
    for kind in ("gradual", "adalora")
    for family in FAMILIES
}


@pytest.mark.parametrize("strategy", JOBS)
def test_kinds_and_families_are_trained_by_two_processes_or_refused_before(
    strategy: str, tiny: Tiny, options_of: Callable[[str], dict[str, Any]], tmp_path: Path
) -> None:
    backbones = {
        family: str(tiny("bart" if family == "abstractive" else "bert")) for family in FAMILIES
    }
    files = {family: {**options_of(family), "batch_size": 2} for family in FAMILIES}
    jobs = JOBS[strategy]
    given = (strategy, jobs, backbones, files)
    first, second = together(2, adapt_all, tmp_path / "out", *given, timeout=480)
    refused = NEVER | (NOT_SHARED if strategy == "fsdp2" else {})
    assert [job for job in jobs if isinstance(first[job], str)] == [
        job for job in jobs if job in refused
    ]
    for job in jobs:
        found, other = first[job], second[job]
        if job in refused:
            assert refused[job] in found
            assert refused[job] in other
            continue
        kind, family = job
        assert found["step"] == 2
        # Both have the same weights, and these have learned where they should.
        assert found["sums"] == other["sums"]
        changed = {
            name for name, before in found["before"].items() if before != found["sums"][name]
        }
        assert changed
        if kind not in ("full", "gradual", "bitfit"):
            own = re.compile(rf"{HEADS[family]}|.*(lora_|ia3_|prompt\.)")
            assert {name for name in changed if not own.match(name)} == set()


def adapt_all(
    strategy: str,
    jobs: list[tuple[str, str]],
    backbones: dict[str, str],
    files: dict[str, dict[str, Any]],
) -> dict[tuple[str, str], Any]:
    """What two steps of each job did to the weights in this process, or why it did not begin."""
    data = {
        family: make_data(family, backbone=backbones[family], **own)
        for family, own in files.items()
    }
    return {
        (kind, family): _adapt(strategy, kind, family, backbones[family], data[family])
        for kind, family in jobs
    }


class _Before(Callback):
    """Sums of all weights before and after the training."""

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self.before = _sums(pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        self.after = _sums(pl_module)


def _sums(task: Any) -> dict[str, float]:
    return {
        name: float(whole(own).detach().double().abs().sum())
        for name, own in task.net.named_parameters()
    }


def _adapt(strategy: str, kind: str, family: str, backbone: str, data: Any) -> Any:
    torch.manual_seed(0)
    watch = _Before()
    try:
        task = make_task(family, backbone, data, adaptation=kind, learning_rate=1e-2, warmup=0.0)
        fit = {"max_steps": 2, "max_epochs": -1, "limit_val_batches": 0}
        trainer = make_trainer(2, strategy, watch, **fit)
        trainer.fit(task, data)
    except ZooError as error:
        return str(error)
    assert trainer.global_step, (kind, family)
    return {"before": watch.before, "sums": watch.after, "step": trainer.global_step}


def refuse(backbone: str, data: dict[str, Any], kind: str) -> str:
    """What a training with two processes says that should not begin."""
    module = make_data("ner", backbone=backbone, **data)
    task = make_task("ner", backbone, module, adaptation=kind)
    try:
        make_trainer(2, "fsdp2", max_steps=1).fit(task, module)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""
