"""Gold tags -> features -> perfect logits -> tags: nothing is lost on the way."""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from seqeval.metrics import f1_score
from seqeval.scheme import IOB2
from torch import Tensor

from tests.conftest import ARCHITECTURES
from zoo.ner.datamodule import NERDataModule
from zoo.ner.encoding import IGNORED
from zoo.ner.prediction import TaggedDocument
from zoo.ner.reading.schemes import Scheme, from_iob2
from zoo.ner.task import NERTask

_TYPES = ("PER", "art-work", "地")
_WORDS = [
    *("Ada", "Lovelace", "lived", "in", "London", ",", "isn't", "0123456789", "fox", "U.S.A."),
    *("同样", "的", "力", "Löwe", "Käse", "🎉", "\ufe0f", "e\u0301te", "شهر", "॥"),
    "x" * 90,  # longer than a window
]
_LENGTHS = [1, 1, 2, 3, 4, 6, 9, 14, 20, 30, 45, 70, 110]


class PerfectTask(NERTask):
    """Knows the answers: the right label at each labelled position, and noise everywhere else."""

    def forward(self, batch: Mapping[str, Any]) -> Tensor:
        labels = batch["labels"]
        noise = torch.randn(*labels.shape, len(self.labels)) * 10
        right = torch.nn.functional.one_hot(labels.clamp(min=0), len(self.labels)).float()
        return torch.where((labels == IGNORED)[..., None], noise, right)


def _tags(length: int, chance: random.Random, *, neighbours: bool) -> list[str]:
    """Random IOB2 tags; `neighbours` allows two entities of one type side by side."""
    tags: list[str] = []
    while len(tags) < length:
        before = tags[-1][2:] if tags else ""
        name = chance.choice(("", *_TYPES))
        if not name or (name == before and not neighbours):
            tags.append("O")
        else:
            tags += [f"B-{name}", *[f"I-{name}"] * chance.choice((0, 0, 1, 2, 12))]
    return tags[:length]


def _documents(scheme: Scheme, lengths: Iterable[int]) -> list[tuple[list[str], list[str]]]:
    chance = random.Random(7)
    # The first says what kind of file it is, and so that every type is there.
    known = ["B-PER", "I-PER", "B-PER", "B-art-work", "B-地", "I-地"]
    if scheme is Scheme.IO:
        known[2] = "O"
    documents = [(_WORDS[: len(known)], known)]
    for length in lengths:
        tokens = [chance.choice(_WORDS) for _ in range(length)]
        documents.append((tokens, _tags(length, chance, neighbours=scheme is not Scheme.IO)))
    return documents


def _shuffled_batches(data: NERDataModule) -> Iterator[dict[str, Any]]:
    rows = list(data.features("test"))
    random.Random(3).shuffle(rows)
    for at in range(0, len(rows), 4):
        yield data.collate(rows[at : at + 4])


@pytest.mark.parametrize("scheme", list(Scheme))
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_perfect_logits_give_back_every_tag(
    architecture: str,
    scheme: Scheme,
    tiny: Callable[[str], Path],
    conll: Callable[..., str],
) -> None:
    gold = _documents(scheme, _LENGTHS)
    file = conll("all", [(tokens, from_iob2(tags, scheme)) for tokens, tags in gold])
    backbone = str(tiny(architecture))
    data = NERDataModule(
        train=file, validation=file, test=file, backbone=backbone, max_length=32, stride=9
    )
    assert data.known["schemes"]["test"] == scheme
    windows = data.features("test")["windows"]
    assert min(windows) == 1
    assert max(windows) >= 10

    task = PerfectTask(backbone, labels=data.labels)
    task.configure_model()
    found: list[TaggedDocument] = []
    for number, batch in enumerate(_shuffled_batches(data)):
        found += task.test_step(batch, number)["predictions"]

    by_row = {one.example: one for one in found}
    assert len(found) == len(by_row) == len(gold)
    predicted = [by_row[row].tags for row in range(len(gold))]
    assert predicted == [tags for _, tags in gold]
    assert [by_row[row].gold for row in range(len(gold))] == predicted
    assert f1_score([tags for _, tags in gold], predicted, mode="strict", scheme=IOB2) == 1.0
    assert task.metrics["test"].compute()["f1"] == 1.0  # type: ignore[operator]


@pytest.mark.parametrize("length", range(1, 60, 3))
def test_perfect_logits_give_back_every_tag_at_every_length(
    length: int, tiny: Callable[[str], Path], conll: Callable[..., str]
) -> None:
    gold = _documents(Scheme.IOB2, [length])
    file = conll("all", gold)
    backbone = str(tiny("bert"))
    data = NERDataModule(
        train=file, validation=file, test=file, backbone=backbone, max_length=16, stride=5
    )
    task = PerfectTask(backbone, labels=data.labels)
    task.configure_model()
    found = [
        one
        for number, batch in enumerate(_shuffled_batches(data))
        for one in task.test_step(batch, number)["predictions"]
    ]
    assert {one.example: one.tags for one in found} == {
        row: tags for row, (_, tags) in enumerate(gold)
    }


def test_a_single_wrong_word_is_noticed(
    tiny: Callable[[str], Path], conll: Callable[..., str]
) -> None:
    """The property above can fail: one flipped logit costs exactly one entity."""
    gold = [(["Ada", "ran"], ["B-PER", "O"]), (["Bo", "ran"], ["B-PER", "O"])]
    file = conll("all", gold)
    backbone = str(tiny("bert"))
    data = NERDataModule(train=file, validation=file, test=file, backbone=backbone)

    class AlmostPerfect(PerfectTask):
        def forward(self, batch: Mapping[str, Any]) -> Tensor:
            logits = super().forward(batch).clone()
            row = batch["example"].index(1)
            logits[row, batch["word_mask"][row].nonzero()[0]] = torch.tensor([9.0, 0.0, 0.0])
            return logits

    task = AlmostPerfect(backbone, labels=data.labels)
    task.configure_model()
    for number, batch in enumerate(_shuffled_batches(data)):
        task.test_step(batch, number)
    scores = task.metrics["test"].compute()  # type: ignore[operator]
    assert scores["recall"] == 0.5
    assert scores["precision"] == 1.0
