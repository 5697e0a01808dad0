"""Every adaptation trains what it should in every task family, and predicts the same exported."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from lightning import Trainer
from torch import Tensor

from tests.training.adaptation.conftest import FAMILIES
from zoo.errors import ZooError
from zoo.tracking.export import export_model
from zoo.training.adaptation import Kind
from zoo.training.optimizing import OptimizedTask

Tiny = Callable[[str], Path]
MakeTrainer = Callable[..., Trainer]

KINDS = get_args(Kind)
#: Where the head of each family is in a BERT.
HEADS = {
    "ner": r"classifier\.",
    "classification": r"(classifier|bert\.pooler)\.",
    "qa": r"qa_outputs\.",
    "extractive": r"classifier\.",
    "abstractive": r"$^",
    # The output matrix is the word embeddings', and stays with them.
    "pretraining": r"cls\.(?!predictions\.decoder\.weight)",
}


def _backbone(family: str, tiny: Tiny) -> str:
    return str(tiny("bart" if family == "abstractive" else "bert"))


def _trained(kind: str, family: str, name: str) -> bool:
    """Whether a weight of the model itself may change."""
    if kind in ("full", "gradual") or re.match(HEADS[family], name):
        return True
    return kind == "bitfit" and name.endswith("bias")


def _outputs(task: Any, batch: Any) -> list[Tensor]:
    with torch.no_grad(), task.evaluating():
        found = task(batch)
    return list(found) if isinstance(found, tuple) else [found]


#: One family with all kinds and one kind with all families run always; the rest takes a minute.
CASES = [
    pytest.param(kind, family, marks=() if family == "ner" or kind == "lora" else pytest.mark.slow)
    for kind in KINDS
    for family in FAMILIES
]


@pytest.mark.parametrize(("kind", "family"), CASES)
def test_an_adaptation_trains_its_part_and_nothing_else_and_is_exported_whole(
    kind: str,
    family: str,
    tiny: Tiny,
    data_of: Callable[..., Any],
    task_of: Callable[..., Any],
    trainer: MakeTrainer,
    tmp_path: Path,
) -> None:
    backbone = _backbone(family, tiny)
    data = data_of(family, backbone)
    if (kind, family) == ("prompt", "pretraining"):
        with pytest.raises(ZooError, match="a block of language modelling may hold several"):
            task_of(family, backbone, data, adaptation=kind)
        return
    task = task_of(family, backbone, data, learning_rate=1e-2, adaptation=kind, warmup=0.0)
    writes = family in ("abstractive", "extractive")
    fit = trainer(max_epochs=2, limit_val_batches=0 if writes else 1)
    if (kind, family) == ("head", "abstractive"):
        with pytest.raises(ZooError, match="no new one to train alone"):
            fit.fit(task, data)
        return
    fit.fit(task, data)

    before = dict(task._load(task.labels).named_parameters())
    after = {
        name.replace(".base_layer", ""): own
        for name, own in task.net.named_parameters()
        if not re.search(r"\.(lora_|ia3_|ranknum)|^prompt\.", name)
    }
    assert after.keys() == before.keys()
    # A new head is drawn anew each time that a model is loaded: only the body can be compared.
    body = [name for name in before if not re.match(HEADS[family], name)]
    changed = {name for name in body if not torch.equal(before[name], after[name])}
    assert {name for name in changed if not _trained(kind, family, name)} == set()
    if kind in ("full", "gradual", "bitfit"):
        assert len(changed) > 5
    else:
        assert changed == set()
    new = [own for name, own in task.net.named_parameters() if own.requires_grad]
    new = [own for own in new if not any(own is one for one in after.values())]
    assert bool(new) == (kind in ("lora", "dora", "adalora", "ia3", "prompt"))
    states = fit.optimizers[0].state
    assert all(float(states[own]["step"]) == fit.global_step for own in new)

    fit.save_checkpoint(tmp_path / "x.ckpt")
    kept = torch.load(tmp_path / "x.ckpt", weights_only=True)["state_dict"]
    names = {name.removeprefix("model.") for name in kept if name.startswith("model.")}
    assert all(_trained(kind, family, name) for name in names & before.keys())

    export_model(task, tmp_path / "run" / "model", metadata={"calibration": task.calibration})
    again = type(task).from_run(tmp_path / "run")
    batch = next(iter(data.val_dataloader()))
    for ours, theirs in zip(_outputs(task, batch), _outputs(again, batch), strict=True):
        if family == "classification":  # the exported head gives calibrated logits
            ours = task.objective.calibrated(ours)
        if family in ("ner", "qa", "pretraining"):  # of padding nothing is said
            real = batch["attention_mask"].bool()
            ours, theirs = ours[real], theirs[real]
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    peft = [path.name for path in (tmp_path / "run" / "model").iterdir() if "adapter" in path.name]
    assert bool(peft) == (kind == "prompt")
    if kind == "prompt":
        config = json.loads((tmp_path / "run" / "model" / "adapter_config.json").read_text())
        assert Path(config["base_model_name_or_path"]).samefile(tmp_path / "run" / "model" / "base")


def test_few_new_weights_are_not_trained_on_random_ones(
    tiny: Tiny, data_of: Callable[..., Any], task_of: Callable[..., Any]
) -> None:
    backbone = str(tiny("bert"))
    data = data_of("pretraining", backbone)
    with pytest.raises(ZooError, match="from_scratch tiny draws all weights anew"):
        task_of("pretraining", backbone, data, adaptation="lora", from_scratch="tiny")


@pytest.mark.parametrize("kind", KINDS)
def test_an_adaptation_lets_the_loss_fall(
    kind: str,
    tiny: Tiny,
    data_of: Callable[..., Any],
    task_of: Callable[..., Any],
    trainer: MakeTrainer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = data_of("ner", str(tiny("bert")))
    task = task_of("ner", str(tiny("bert")), data, learning_rate=2e-2, adaptation=kind)
    losses: list[float] = []
    log_loss = OptimizedTask.log_loss

    def noted(self: Any, loss: Tensor) -> None:
        losses.append(float(loss))
        log_loss(self, loss)

    monkeypatch.setattr(OptimizedTask, "log_loss", noted)
    trainer(max_epochs=8, limit_val_batches=0).fit(task, data)
    assert sum(losses[-3:]) < 0.7 * sum(losses[:3])


def _check_same_outputs(task: Any, again: Any, data: Any) -> None:
    batch = next(iter(data.val_dataloader()))
    torch.testing.assert_close(_outputs(task, batch), _outputs(again, batch), atol=1e-5, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "architecture", ["roberta", "deberta-v2", "distilbert", "electra", "albert", "modernbert"]
)
@pytest.mark.parametrize("kind", ["lora", "ia3", "prompt", "head"])
def test_an_adaptation_finds_its_layers_in_every_architecture(
    kind: str,
    architecture: str,
    tiny: Tiny,
    data_of: Callable[..., Any],
    task_of: Callable[..., Any],
    trainer: MakeTrainer,
    tmp_path: Path,
) -> None:
    backbone = str(tiny(architecture))
    data = data_of("classification", backbone)
    task = task_of("classification", backbone, data, learning_rate=1e-2, adaptation=kind)
    trainer(max_steps=3, max_epochs=-1, limit_val_batches=0).fit(task, data)
    export_model(task, tmp_path / "model", metadata={})
    again = type(task).from_run(tmp_path / "model")
    _check_same_outputs(task, again, data)


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["t5", "warm start"])
@pytest.mark.parametrize("kind", ["lora", "dora", "ia3", "prompt"])
def test_what_is_written_with_an_adaptation_is_written_by_its_export_too(
    kind: str,
    backbone: str,
    tiny: Tiny,
    data_of: Callable[..., Any],
    task_of: Callable[..., Any],
    trainer: MakeTrainer,
    tmp_path: Path,
) -> None:
    name = str(tiny("t5")) if backbone == "t5" else f"{tiny('bert')}-2-{tiny('bert')}"
    data = data_of("abstractive", name)
    options = {"generation": {"num_beams": 2, "max_new_tokens": 8}}
    tied = {} if backbone == "t5" else {"tie_weights": True}
    task = task_of(
        "abstractive", name, data, learning_rate=5e-3, adaptation=kind, **options, **tied
    )
    trainer(max_steps=6, max_epochs=-1, limit_val_batches=0).fit(task, data)
    export_model(task, tmp_path / "model", metadata={})
    again = type(task).from_run(tmp_path / "model")
    again.generation = task.generation
    _check_same_outputs(task, again, data)
    text = "ada worked in london . the dog lived ."
    with torch.no_grad(), task.evaluating():
        read = task.tokenizer(text, return_tensors="pt")
        given = {"input_ids": read["input_ids"], "attention_mask": read["attention_mask"]}
        ours = task.net.generate(**given, num_beams=1, do_sample=False, max_new_tokens=6)
        theirs = again.net.generate(**given, num_beams=1, do_sample=False, max_new_tokens=6)
    assert ours.tolist() == theirs.tolist()
