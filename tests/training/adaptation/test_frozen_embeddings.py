"""Embeddings may be left as they are, in every family, and nothing else changes."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Trainer

from tests.training.adaptation.conftest import FAMILIES
from zoo.errors import RunError, ZooError
from zoo.tracking.export import export_model

Tiny = Callable[[str], Path]

#: The tables of BERT and BART; a norm behind them is none.
TABLES = r"(.*\.)?(shared|embed_tokens|embed_positions|\w+_embeddings)\.weight$"


@pytest.mark.parametrize("family", FAMILIES)
def test_frozen_embeddings_stay_and_all_else_is_trained_saved_and_exported(
    family: str,
    tiny: Tiny,
    data_of: Callable[..., Any],
    task_of: Callable[..., Any],
    trainer: Callable[..., Trainer],
    tmp_path: Path,
) -> None:
    backbone = str(tiny("bart" if family == "abstractive" else "bert"))
    data = data_of(family, backbone)
    options = {"learning_rate": 1e-2, "warmup": 0.0}
    task = task_of(family, backbone, data, freeze_embeddings=True, **options)
    fit = trainer(max_steps=2, max_epochs=-1, limit_val_batches=0)
    fit.fit(task, data)
    before = dict(task._load(task.labels).named_parameters())
    after = dict(task.net.named_parameters())
    tables = {name for name in after if re.match(TABLES, name)}
    assert len(tables) == 3
    assert {name for name, own in after.items() if not own.requires_grad} == tables
    assert all(torch.equal(before[name], after[name]) for name in tables)
    body = [name for name in after if "encoder.layer" in name and name.endswith("weight")]
    assert body
    assert not any(torch.equal(before[name], after[name]) for name in body)
    stepped = {id(own) for group in fit.optimizers[0].param_groups for own in group["params"]}
    assert stepped == {id(own) for name, own in after.items() if name not in tables}
    found = task(next(iter(data.train_dataloader())))
    torch.cat(found if isinstance(found, tuple) else [found]).sum().backward()
    assert all(after[name].grad is None for name in tables)

    fit.save_checkpoint(tmp_path / "x.ckpt")
    kept = torch.load(tmp_path / "x.ckpt", weights_only=True)
    whole = task_of(family, backbone, data, **options)
    whole.configure_model()
    assert kept["state_dict"].keys() == whole.state_dict().keys()
    assert kept["hyper_parameters"]["freeze_embeddings"] is True
    export_model(task, tmp_path / "run" / "model", metadata={"calibration": task.calibration})
    again = type(task).from_run(tmp_path / "run")
    assert all(own.requires_grad for own in again.net.parameters())
    words = again.net.get_input_embeddings().weight
    assert torch.equal(words, task.net.get_input_embeddings().weight)


def test_gradual_unfreezing_leaves_frozen_embeddings_alone(
    tiny: Tiny,
    data_of: Callable[..., Any],
    task_of: Callable[..., Any],
    trainer: Callable[..., Trainer],
) -> None:
    data = data_of("ner", str(tiny("bert")))
    options = {"adaptation": "gradual", "freeze_embeddings": True}
    task = task_of("ner", str(tiny("bert")), data, **options)
    trainer(max_epochs=2, limit_val_batches=0).fit(task, data)
    frozen = [name for name, own in task.net.named_parameters() if not own.requires_grad]
    assert len(frozen) == 3
    assert all(re.match(TABLES, name) for name in frozen)


def test_a_model_that_was_tested_first_is_fitted_with_frozen_embeddings(
    tiny: Tiny,
    data_of: Callable[..., Any],
    task_of: Callable[..., Any],
    trainer: Callable[..., Trainer],
    tmp_path: Path,
) -> None:
    data = data_of("ner", str(tiny("bert")))
    first = task_of("ner", str(tiny("bert")), data)
    first.configure_model()
    export_model(first, tmp_path / "model", metadata={})
    task = task_of("ner", str(tmp_path / "model"), data, freeze_embeddings=True)
    trainer(limit_test_batches=1).test(task, data, verbose=False)
    words = task.net.get_input_embeddings().weight
    assert words.requires_grad
    trainer(max_steps=1, max_epochs=-1, limit_val_batches=0).fit(task, data)
    assert not words.requires_grad


def test_a_training_goes_on_with_embeddings_frozen_as_before_or_says_so(
    tiny: Tiny,
    data_of: Callable[..., Any],
    task_of: Callable[..., Any],
    trainer: Callable[..., Trainer],
    tmp_path: Path,
) -> None:
    data = data_of("ner", str(tiny("bert")))
    fit = trainer(max_steps=1, max_epochs=-1, limit_val_batches=0)
    fit.fit(task_of("ner", str(tiny("bert")), data, freeze_embeddings=True), data)
    fit.save_checkpoint(tmp_path / "x.ckpt")
    given: dict[str, Any] = {"ckpt_path": tmp_path / "x.ckpt", "weights_only": True}
    other = task_of("ner", str(tiny("bert")), data)
    on = {"max_epochs": -1, "limit_val_batches": 0}
    with pytest.raises(RunError, match=r"trained with --model.freeze_embeddings true"):
        trainer(max_steps=2, **on).fit(other, data, **given)
    trainer(limit_test_batches=1).test(other, data, verbose=False, **given)
    again = task_of("ner", str(tiny("bert")), data, freeze_embeddings=True)
    trainer(max_steps=2, **on).fit(again, data, **given)
    assert again.trainer.global_step == 2


@pytest.mark.parametrize("kind", ["head", "bitfit", "lora", "prompt"])
def test_embeddings_that_an_adaptation_freezes_are_not_frozen_again(
    kind: str, tiny: Tiny, data_of: Callable[..., Any], task_of: Callable[..., Any]
) -> None:
    data = data_of("ner", str(tiny("bert")))
    with pytest.raises(ZooError, match=f"{kind} leaves all of the embeddings as they are"):
        task_of("ner", str(tiny("bert")), data, adaptation=kind, freeze_embeddings=True)


def test_random_embeddings_are_not_frozen(
    tiny: Tiny, data_of: Callable[..., Any], task_of: Callable[..., Any]
) -> None:
    data = data_of("pretraining", str(tiny("bert")))
    with pytest.raises(ZooError, match="from_scratch tiny draws embeddings at random"):
        task_of("pretraining", str(tiny("bert")), data, from_scratch="tiny", freeze_embeddings=True)
