"""Which strategies an adaptation goes with, said before anything is trained."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from lightning import Trainer
from lightning.pytorch.strategies import FSDPStrategy

from zoo import NERTask
from zoo.errors import ZooError
from zoo.training.adaptation import Kind


@pytest.mark.parametrize("kind", get_args(Kind))
def test_fsdp1_is_refused_for_all_but_full(
    kind: str, tiny: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    task: Any = NERTask(str(tiny("bert")), labels=["O", "B-X", "I-X"], adaptation=kind)
    # Lightning refuses it where there is no GPU: the trainer is another's, but for its strategy.
    trainer: Any = Trainer(accelerator="cpu", devices=1, logger=False, enable_checkpointing=False)
    monkeypatch.setattr(type(trainer), "strategy", property(lambda self: FSDPStrategy()))
    task._trainer = trainer
    if kind == "full":
        task.check_strategy()
        return
    with pytest.raises(ZooError, match=f"{kind} does not go with --trainer.strategy fsdp .*fsdp2"):
        task.configure_model()
    assert task.model is None
