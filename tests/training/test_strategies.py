"""What sharding needs to know of models and launchers, without any other process."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from lightning import Trainer
from lightning.pytorch.strategies import StrategyRegistry
from torch import nn

from recipes.__main__ import lost
from zoo import backbones
from zoo.errors import RunError, ZooError
from zoo.tracking.run_folder import choose_run_folder
from zoo.training.sharding import blocks_of
from zoo.training.strategies import FSDP2Strategy

Tiny = Callable[[str], Path]


@pytest.mark.parametrize(
    ("architecture", "head", "expected", "count"),
    [
        ("bert", "token-classification", ("BertLayer",), 2),
        ("roberta", "token-classification", ("RobertaLayer",), 2),
        ("deberta-v2", "token-classification", ("DebertaV2Layer",), 2),
        ("distilbert", "token-classification", ("TransformerBlock",), 2),
        ("electra", "token-classification", ("ElectraLayer",), 2),
        ("modernbert", "token-classification", ("ModernBertEncoderLayer",), 2),
        ("t5", "text-to-text", ("T5Block",), 4),
        ("bart", "text-to-text", ("BartDecoderLayer", "BartEncoderLayer"), 4),
    ],
)
def test_the_blocks_of_a_model_that_the_registry_does_not_know_are_found(
    architecture: str, head: backbones.Head, expected: tuple[str, ...], count: int, tiny: Tiny
) -> None:
    folder = str(tiny(architecture))
    labels = ["summary"] if head == "text-to-text" else ["a", "b"]
    model = backbones.load_model(folder, head, labels=labels, weights=False)
    names = backbones.block_classes(folder, model)
    assert names == expected
    assert len(blocks_of(model, names)) == count


def test_the_registry_says_which_class_is_a_block() -> None:
    model = backbones.load_model(
        "minilm-l6", "token-classification", labels=["a", "b"], weights=False
    )
    assert backbones.block_classes("minilm-l6", model) == ("BertLayer",)
    assert len(blocks_of(model, ["BertLayer"])) == 6


def test_blocks_that_share_a_weight_are_not_sharded_one_by_one() -> None:
    layers = [nn.Linear(3, 3) for _ in range(3)]
    layers[2].weight = layers[0].weight
    model = nn.Sequential(*layers)
    assert blocks_of(model, ["Linear"]) == [layers[1]]


def test_a_name_chooses_the_strategy() -> None:
    assert "fsdp2" in StrategyRegistry
    trainer = Trainer(strategy="fsdp2", accelerator="cpu", devices=1, logger=False)
    assert isinstance(trainer.strategy, FSDP2Strategy)
    with pytest.raises(ZooError, match=r"--trainer\.strategy\.replicas 0 is too small"):
        FSDP2Strategy(replicas=0)


def test_processes_that_torchrun_started_agree_on_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "first try")
    found = []
    for rank in ("0", "1"):  # each on a node of its own, so that both are their node's first
        monkeypatch.setenv("RANK", rank)
        monkeypatch.setenv("LOCAL_RANK", "0")
        monkeypatch.setenv("ZOO_RUN_DIR", "")
        found.append(choose_run_folder(task="ner", recipe="sample", chosen=None).path)
        found[-1].mkdir(parents=True, exist_ok=True)
    assert found == [Path("runs/ner/sample-first-try")] * 2
    # What the first process has written by then does not trouble the others.
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/config.yaml").touch()
    monkeypatch.setenv("ZOO_RUN_DIR", "")
    assert choose_run_folder(task="ner", recipe="x", chosen="mine").path == Path("mine")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(RunError, match="another RUN_ID"):
        choose_run_folder(task="ner", recipe="sample", chosen=None)


def test_a_lost_connection_is_told_from_other_errors() -> None:
    gloo = "[../third_party/gloo/gloo/transport/tcp/pair.cc:534] Connection closed by peer"
    assert lost(RuntimeError(gloo))
    assert lost(RuntimeError("[gloo/transport/tcp/unbound_buffer.cc] Timed out waiting 1800000ms"))
    assert lost(torch.distributed.DistBackendError("NCCL communicator was aborted"))
    assert not lost(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not lost(ValueError(gloo))
