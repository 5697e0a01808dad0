"""A prompt before texts of any length."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from zoo import NERDataModule, NERTask
from zoo.backbones import load_model, positions_of
from zoo.errors import ZooError
from zoo.training.adaptation import Adaptation
from zoo.training.adaptation.prompts import insert


@pytest.mark.parametrize("architecture", ["bert", "roberta", "distilbert"])
def test_a_text_that_leaves_its_prompt_no_room_is_refused_with_what_to_give(
    architecture: str, tiny: Callable[[str], Path]
) -> None:
    model = load_model(str(tiny(architecture)), "token-classification", labels=["O", "B-X"]).eval()
    limit = positions_of(model.config)
    assert limit is not None
    insert(model, 5)
    ids = torch.full((1, limit - 5), 7)
    with torch.no_grad():
        found = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    assert found.shape == (1, limit - 5, 2)
    assert found.isfinite().all()
    longer = torch.full((1, limit - 4), 7)
    with pytest.raises(ZooError, match=f"give --data.max_length {limit - 5}"):
        model(input_ids=longer, attention_mask=torch.ones_like(longer))


def _sentences(folder: Path, longest: int) -> str:
    """Tagged sentences, one of which has so many one-letter words."""
    rows = [["a O"] * 5, ["b B-X", "c O"], ["a O"] * longest]
    path = folder / "x.conll"
    path.write_text("\n\n".join("\n".join(row) for row in rows) + "\n", encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("where", ["train", "test"])
def test_texts_that_leave_a_prompt_no_room_are_refused_before_training(
    where: str, tiny: Callable[[str], Path], tmp_path: Path, trainer: Callable[..., Any]
) -> None:
    (tmp_path / "short").mkdir()
    short, long = _sentences(tmp_path / "short", 5), _sentences(tmp_path, 115)
    given: Any = {**dict.fromkeys(("train", "validation", "test"), short), where: long}
    backbone = str(tiny("bert"))  # of 128 positions

    def fit(max_length: int, tokens: int, **files: Any) -> Any:
        options: Any = {**given, **files, "max_length": max_length, "stride": 8}
        data = NERDataModule(backbone=backbone, **options)
        adaptation = Adaptation(kind="prompt", virtual_tokens=tokens)
        task = NERTask(backbone, labels=data.labels, adaptation=adaptation)
        run = trainer(max_steps=1, max_epochs=-1, limit_val_batches=0)
        run.fit(task, data)
        return run.global_step

    # 115 words, one before and one behind: 117 tokens.
    with pytest.raises(
        ZooError, match=f"the {where} data has 117 tokens.*give --data.max_length 1"
    ):
        fit(128, 20)
    assert fit(128, 11) == 1
    assert fit(108, 20) == 1
    assert fit(128, 20, **{where: short}) == 1
    with pytest.raises(ZooError, match="leave 8 beside its prompt"):
        fit(128, 120)
