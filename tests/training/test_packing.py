"""Tasks give their batches to the model without padding, unless told otherwise."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from zoo import NERDataModule, NERTask
from zoo.backbones import packed, packed_layout

LABELS = ["O", "B-PER", "I-PER"]


@pytest.fixture
def layouts(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The layouts that are made from here on."""
    made: list[Any] = []
    layout_of = packed_layout.layout_of

    def watched(mask: torch.Tensor, **options: Any) -> Any:
        made.append(layout_of(mask, **options))
        return made[-1]

    monkeypatch.setattr(packed, "layout_of", watched)
    return made


def fitted(bert: str, data: NERDataModule, trainer: Callable[..., Any], **options: Any) -> Any:
    torch.manual_seed(5)
    task = NERTask(bert, labels=LABELS, learning_rate=1e-3, **options)
    task.configure_model()
    for module in task.net.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    trainer(max_epochs=2).fit(task, data)
    return task


def test_batches_are_packed_on_cpus_and_elsewhere_where_they_are_told_to(bert: str) -> None:
    for asked, there in ((None, False), (True, True), (False, False)):
        task = NERTask(bert, labels=LABELS, packed=asked)
        task.configure_model()
        assert task.packs == (asked is not False)
        torch.nn.Module.to(task.net, "meta")
        assert task.packs == there


def test_training_packed_or_padded_ends_in_the_same_weights(
    bert: str, data: NERDataModule, trainer: Callable[..., Any], layouts: list[Any]
) -> None:
    by_default = fitted(bert, data, trainer)
    assert any(one is not None for one in layouts)
    assert by_default.packs
    layouts.clear()
    padded = fitted(bert, data, trainer, packed=False)
    assert not layouts
    assert padded.hparams["packed"] is False
    before = NERTask(bert, labels=LABELS)
    before.configure_model()
    moved = close = 0.0
    others = zip(by_default.parameters(), padded.parameters(), before.parameters(), strict=True)
    for one, other, start in others:
        moved += float((one - start).abs().sum())
        close += float((one - other).abs().sum())
    assert close < 0.01 * moved
