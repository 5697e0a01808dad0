"""A new head that begins with what the frequencies of train's tokens tell."""

import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from zoo.errors import ZooError
from zoo.pretraining.datamodule import MaskedLMDataModule
from zoo.pretraining.task import MaskedLMTask
from zoo.pretraining.unigrams import begin_with_unigrams


def test_a_bias_alone_predicts_the_unigrams_with_one_added_to_each() -> None:
    layer = nn.Linear(4, 5)
    nn.init.zeros_(layer.weight)
    begin_with_unigrams(layer, torch.tensor([7, 0, 2, 3]))
    found = layer(torch.randn(3, 4)).softmax(-1)
    # 8, 1, 3 and 4 of 16; the fifth output is of no token, and gets 1 / 16 before the softmax.
    expected = torch.tensor([8, 1, 3, 4, 1]) / 17
    torch.testing.assert_close(found, expected.expand(3, 5))


def test_an_output_without_a_bias_is_refused() -> None:
    with pytest.raises(ZooError, match="no bias, so it cannot begin with unigrams"):
        begin_with_unigrams(nn.Linear(4, 5, bias=False), torch.tensor([1, 2]))


def test_an_untrained_model_predicts_the_unigrams_of_train(
    tiny: Callable[[str], Path], tmp_path: Path, trainer: Callable[..., Any]
) -> None:
    lines = ["the dog", "the dog", "the fox and the dog", "the bear ."] * 8
    path = tmp_path / "corpus.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    same: Any = dict.fromkeys(("train", "validation", "test"), str(path))
    data = MaskedLMDataModule(**same, backbone=str(tiny("bert")), max_length=32, batch_size=8)
    tokenizer = data.tokenizer
    counts = Counter(
        token for line in lines for token in tokenizer(line, add_special_tokens=False)["input_ids"]
    )
    size = len(tokenizer)
    total = sum(counts.values()) + size
    tasks = []
    for first in (True, False):
        torch.manual_seed(0)
        task = MaskedLMTask(data.backbone, begin_with_unigrams=first, learning_rate=0.0)
        trainer(max_steps=1, max_epochs=-1, limit_val_batches=0).fit(task, data)
        tasks.append(task)
    batch: Any = next(iter(data.val_dataloader()))
    with torch.no_grad(), tasks[0].evaluating(), tasks[1].evaluating():
        found, other = (one(batch)[batch["attention_mask"] == 1] for one in tasks)
    expected = torch.tensor([math.log((counts[token] + 1) / total) for token in range(size)])
    # What the random head adds is in both: its bias is 0 where it does not begin with unigrams.
    torch.testing.assert_close(found - other, expected.expand_as(found), atol=1e-4, rtol=1e-4)
    # It is small, so that a token is predicted about as often as it stands in train.
    shares = found.softmax(-1).mean(0)
    for token, count in counts.most_common(3):
        assert shares[token].item() == pytest.approx((count + 1) / total, rel=0.35)
