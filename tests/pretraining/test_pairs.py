"""Pairs of segments: where they are cut, which are true, and who stands in for the second."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.pretraining.masked_data import paired_data
from zoo.data.frames import Frame
from zoo.errors import DataError, ZooError
from zoo.pretraining.causal_datamodule import CausalLMDataModule
from zoo.pretraining.datamodule import MaskedLMDataModule
from zoo.pretraining.encoding import NO_WORD, Document
from zoo.pretraining.pairs import FALSE, TRUE, EpochRows, cut, joined, segments, types_of

Tiny = Callable[[str], Path]

_NAMES = ["ada", "bob", "cleo", "fox", "dog", "bear", "lion", "cat"]
_FRAME = Frame(((1,), (2, 3), (2,)), ((0,), (0, 0), (1,)), (0, 1))


def _text(number: int) -> str:
    """A document whose tokens tell it from all others: words of its own letters."""
    own = f"{chr(97 + number % 26)}{chr(97 + number // 26)}"
    return " ".join(f"{own} {_NAMES[at % 8]}" for at in range(6 + number % 9))


@pytest.fixture
def corpus(tmp_path: Path) -> str:
    path = tmp_path / "corpus.txt"
    path.write_text("\n".join(_text(at) for at in range(120)), encoding="utf-8")
    return str(path)


def _drawn(data: MaskedLMDataModule, epoch: int) -> list[dict[str, Any]]:
    rows: Any = data.rows("train")
    found: list[dict[str, Any]] = rows.drawn(range(len(rows)), epoch)
    return found


def _words(*sizes: int) -> Document:
    """A document of words of so many tokens each."""
    words = [number for number, size in enumerate(sizes) for _ in range(size)]
    return Document(list(range(10, 10 + len(words))), words, [1] * len(words))


def test_documents_are_cut_evenly_between_words() -> None:
    assert list(cut(_words(*[1] * 10), 10)) == [(0, 5, 10)]
    # 12 tokens of which 5 fit: three pairs of four.
    assert list(cut(_words(*[1] * 12), 5)) == [(0, 2, 4), (4, 6, 8), (8, 10, 12)]
    # The fourth token is within a word: the pair ends before it, and so does its first segment.
    assert list(cut(_words(1, 2, 2, 3), 5)) == [(0, 1, 3), (3, 5, 8)]
    # Words that are alone are cut within.
    assert list(cut(_words(6), 4)) == [(0, 1, 3), (3, 4, 6)]
    assert list(cut(_words(1), 4)) == list(cut(_words(), 4)) == []


def test_segments_are_joined_and_parted_with_their_words_counted_on() -> None:
    first, second = Document([11, 12], [4, 4], [2, 3]), Document([21, 22], [7, 8], [5, 6])
    row = joined(first, second, _FRAME)
    assert row == {
        "input_ids": [1, 11, 12, 2, 3, 21, 22, 2],
        "words": [-1, 0, 0, -1, -1, 1, 2, -1],
        "sizes": [0, 2, 3, 0, 0, 5, 6, 0],
        "pieces": [5, 3],
    }
    assert [one.ids for one in segments(row, _FRAME)] == [first.ids, second.ids]
    assert [one.sizes for one in segments(row, _FRAME)] == [first.sizes, second.sizes]
    assert types_of(row, _FRAME) == [0, 0, 0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("architecture", ["bert", "roberta", "xlm-roberta"])
@pytest.mark.parametrize("max_length", [16, 32, 64])
def test_true_pairs_hold_every_token_of_their_document_once_and_in_order(
    architecture: str, max_length: int, corpus: str, tiny: Tiny
) -> None:
    data = paired_data(corpus, tiny(architecture), max_length=max_length)
    found: dict[int, list[int]] = {}
    frame = data.find_frame()
    for row in data.features("train"):
        first, second = segments(row, frame)
        assert first.ids
        assert second.ids
        assert len(row["input_ids"]) <= max_length
        found.setdefault(row["example"], []).extend([*first.ids, *second.ids])
    tokenizer = data.tokenizer
    for number, ids in found.items():
        text = data.examples("train")[number]["text"]
        assert ids == tokenizer(text, add_special_tokens=False)["input_ids"]
    assert sorted(found) == list(range(120))


@pytest.mark.parametrize("architecture", ["bert", "roberta"])
@pytest.mark.parametrize("objective", ["next", "order"])
def test_half_of_thousands_of_pairs_are_false_ones_of_the_right_kind(
    objective: Any, architecture: str, corpus: str, tiny: Tiny
) -> None:
    data = paired_data(corpus, tiny(architecture), sentence_pairs=objective)
    table, frame = data.features("train"), data.find_frame()
    stored = [table[at] for at in range(len(table))]
    parts = [segments(row, frame) for row in stored]
    seconds: dict[int, list[list[int]]] = {}
    for row, (_, second) in zip(stored, parts, strict=True):
        seconds.setdefault(row["example"], []).append(second.ids)
    count, labels = 0, Counter[int]()
    epochs = -(-3000 // len(stored))
    for epoch in range(epochs):
        for row, own, (first, second) in zip(_drawn(data, epoch), stored, parts, strict=True):
            count += 1
            labels[row["sentence_label"]] += 1
            there, follows = segments(row, frame)
            if row["sentence_label"] == TRUE:
                assert {name: row[name] for name in own} == own
            elif objective == "order":
                assert (there, follows.ids) == (
                    there._replace(ids=second.ids, sizes=second.sizes),
                    first.ids,
                )
            else:
                assert there == first
                assert len(follows.ids) <= len(second.ids)
                # The end of a second segment of another document, and of none of its own.
                owners = {
                    number
                    for number, ends in seconds.items()
                    if any(end[-len(follows.ids) :] == follows.ids for end in ends)
                }
                assert owners - {own["example"]}
            special = [at for at, word in enumerate(row["words"]) if word == NO_WORD]
            assert len(special) == frame.size
            assert len({len(row[name]) for name in ("input_ids", "words", "sizes")}) == 1
            assert len(row["input_ids"]) == sum(row["pieces"]) <= len(own["input_ids"])
    # Five standard deviations.
    assert labels[FALSE] / count == pytest.approx(0.5, abs=5 * (0.25 / count) ** 0.5)


def test_partners_are_never_of_the_same_document_and_come_from_all_others(
    corpus: str, tiny: Tiny
) -> None:
    rows: Any = paired_data(corpus, tiny("bert")).rows("train")
    documents = np.asarray(rows.table["example"])
    chance = np.random.default_rng(3)
    seen: Counter[int] = Counter()
    for row in range(0, len(rows), 3):
        for _ in range(30):
            partner = rows._partner(row, chance)
            assert documents[partner] != documents[row]
            seen[int(documents[partner])] += 1
    assert len(seen) > 100


def test_pairs_depend_on_seed_epoch_and_row_alone(corpus: str, tiny: Tiny) -> None:
    data = paired_data(corpus, tiny("bert"))
    rows: Any = data.rows("train")
    alone = [rows.drawn([at], 3)[0] for at in (5, 2, 17)]
    assert rows.drawn([5, 2, 17], 3) == alone
    assert _drawn(data, 0) == _drawn(paired_data(corpus, tiny("bert"), batch_size=3), 0)
    assert _drawn(data, 0) != _drawn(data, 1)
    assert _drawn(data, 0) != _drawn(paired_data(corpus, tiny("bert"), seed=7), 0)
    # In batches they are of the epoch that the sampler has come to.
    sampler = data.training_sampler(None)
    for epoch in (0, 2):
        sampler.set_epoch(epoch)
        batch: Any = next(iter(sampler))
        assert isinstance(batch, EpochRows)
        labels = [row["sentence_label"] for row in rows.drawn(batch, epoch)]
        assert rows[batch]["sentence_labels"].tolist() == labels


def test_evaluation_asks_the_same_whatever_the_batches_and_the_seed(
    corpus: str, tiny: Tiny
) -> None:
    def asked(**options: Any) -> dict[tuple[int, int], Any]:
        data = paired_data(corpus, tiny("bert"), **options)
        return {
            (example, part): (label, [one for one in ids if one], [one for one in right if one > 0])
            for batch in data.val_dataloader()
            for example, part, label, ids, right in zip(
                batch["example"],
                batch["part"],
                batch["sentence_labels"].tolist(),
                batch["input_ids"].tolist(),
                batch["labels"].tolist(),
                strict=True,
            )
        }

    found = asked()
    assert asked(seed=7, batch_size=3) == found
    data = paired_data(corpus, tiny("bert"))
    batches = list(data.asked("test"))
    tokens = sum(len(right) for _, _, right in found.values())
    assert sum(len(ids) for ids, _ in batches) == tokens
    # Masks are where they were: 15% of what is no special token, of both segments.
    words = sum((batch["words"] != NO_WORD).sum().item() for batch in data.val_dataloader())
    assert tokens / words == pytest.approx(0.15, abs=5 * (0.1275 / words) ** 0.5)


@pytest.mark.parametrize("architecture", ["bert", "distilbert", "roberta"])
def test_a_batch_has_the_types_of_the_tokenizer_and_is_of_one_piece(
    architecture: str, corpus: str, tiny: Tiny
) -> None:
    data = paired_data(corpus, tiny(architecture), sentence_pairs="order")
    batch: Any = next(iter(data.train_dataloader()))
    assert torch.equal(batch["pieces"], batch["attention_mask"])
    tokenizer = data.tokenizer
    separators = (batch["input_ids"] == tokenizer.sep_token_id).sum(1)
    assert (separators == (3 if architecture == "roberta" else 2)).all()
    assert (batch["input_ids"][:, 0] == tokenizer.cls_token_id).all()
    types = batch["token_type_ids"]
    for ids, own, there in zip(batch["input_ids"], types, batch["attention_mask"], strict=True):
        at = (ids == tokenizer.sep_token_id).nonzero()[0].item()
        second = own[int(at) + 1 : int(there.sum())]
        assert (own[: int(at) + 1] == 0).all()
        assert (second == (0 if architecture == "roberta" else 1)).all()


def test_what_cannot_work_is_refused_in_a_sentence(corpus: str, tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(ZooError, match="is for masked language models, whose first token"):
        CausalLMDataModule(corpus, sentence_pairs="next")
    one = tmp_path / "one.txt"
    one.write_text("ada lived in london .\nthe dog .\n\n", encoding="utf-8")
    for options in ({"train": str(one)}, {"validation": str(one)}):
        (split,) = options
        with pytest.raises(DataError, match=f"all of the {split} data is of one. In a text file"):
            paired_data(corpus, tiny("bert"), **options).train_dataloader()
    alone = paired_data(corpus, tiny("bert"), test=str(one))
    with pytest.raises(DataError, match="all of the test data is of one"):
        alone.test_dataloader()
    paired_data(str(one), tiny("bert"), sentence_pairs="order").train_dataloader()
    with pytest.raises(DataError, match="4 tokens leave no room beside 3 special ones"):
        paired_data(corpus, tiny("bert"), max_length=4).train_dataloader()


@pytest.mark.slow
def test_processes_that_prepare_batches_know_the_epoch(corpus: str, tiny: Tiny) -> None:
    found = []
    for workers in (0, 2):
        loader: Any = paired_data(corpus, tiny("bert"), num_workers=workers).train_dataloader()
        loader.sampler.set_epoch(2)
        found.append([batch["input_ids"].tolist() for batch in loader])
    assert found[0] == found[1]
    fresh: Any = paired_data(corpus, tiny("bert")).train_dataloader()
    assert [batch["input_ids"].tolist() for batch in fresh] != found[0]
