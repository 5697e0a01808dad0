"""Long texts in windows: nothing is lost, and logits are the mean of what each window gives."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from zoo import backbones
from zoo.classification.batches import collate
from zoo.classification.datamodule import ClassificationDataModule
from zoo.classification.encoding import encode_texts, in_windows
from zoo.classification.task import ClassificationTask

Tiny = Callable[[str], Path]
Table = Callable[..., str]

_LONG = "Ada Lovelace lived in London and worked for the Analytical Engine Company . " * 4


@given(st.integers(0, 200), st.integers(1, 40))
def test_every_token_is_in_one_window_and_windows_are_few_and_alike(length: int, room: int) -> None:
    tokens = list(range(length))
    windows, read = in_windows([tokens], room)
    assert list(itertools.chain.from_iterable(window[0] for window in windows)) == tokens
    assert read == length
    sizes = [len(window[0]) for window in windows]
    assert max(sizes) <= room
    assert max(sizes) - min(sizes) <= 1
    fewest = next(count for count in range(1, 400) if count * room >= length)
    assert len(windows) == fewest


@given(st.integers(0, 90), st.integers(0, 90), st.integers(2, 40))
def test_each_window_of_a_pair_has_the_shorter_text_beside_it(
    first: int, second: int, room: int
) -> None:
    texts = [list(range(first)), list(range(1000, 1000 + second))]
    windows, read = in_windows(texts, room)
    longer = 0 if first >= second else 1
    beside = texts[1 - longer][: room // 2]
    assert all(list(window[1 - longer]) == beside for window in windows)
    pieces = [window[longer] for window in windows]
    assert list(itertools.chain.from_iterable(pieces)) == texts[longer]
    assert all(sum(map(len, window)) <= room for window in windows)
    sizes = list(map(len, pieces))
    assert max(sizes) - min(sizes) <= 1
    space = room - len(beside)
    assert (len(windows) - 1) * space < max(len(texts[longer]), 1)
    assert read == len(texts[longer]) + len(beside)
    if first + second <= room:
        assert [list(map(list, window)) for window in windows] == [texts]


@pytest.mark.parametrize("architecture", ["bert", "roberta", "modernbert"])
def test_windows_are_framed_as_the_tokenizer_frames_texts(architecture: str, tiny: Tiny) -> None:
    tokenizer: Any = backbones.load_tokenizer(str(tiny(architecture)))
    texts = [("fox", None), (_LONG, None), ("", None)]
    short, long, empty = encode_texts(
        texts, tokenizer=tokenizer, max_length=20, long_texts="windows"
    )
    for one, text in ((short, "fox"), (empty, "")):
        assert one.input_ids == tokenizer.backend_tokenizer.encode(text).ids
        assert one.windows == [len(one.input_ids)]
        assert one.cut == 0
    whole = tokenizer.backend_tokenizer.encode(_LONG)
    inner = [
        token
        for token, special in zip(whole.ids, whole.special_tokens_mask, strict=True)
        if not special
    ]
    ends = [whole.special_tokens_mask.index(0), whole.special_tokens_mask[::-1].index(0)]
    begin, seen = 0, []
    for size in long.windows:
        assert size <= 20
        window = long.input_ids[begin : begin + size]
        assert window[: ends[0]] == whole.ids[: ends[0]]
        assert window[size - ends[1] :] == whole.ids[len(whole.ids) - ends[1] :]
        seen += window[ends[0] : size - ends[1]]
        begin += size
    assert begin == len(long.input_ids) == len(long.token_types)
    assert seen == inner
    assert long.cut == 0


def test_a_pair_says_how_much_of_its_shorter_text_is_not_read(tiny: Tiny) -> None:
    tokenizer: Any = backbones.load_tokenizer(str(tiny("bert")))
    (one,) = encode_texts(
        [("a b c d e f g h", "q r s t u v w x y")],
        tokenizer=tokenizer,
        max_length=9,
        long_texts="windows",
    )
    # Six tokens of room: three for the shorter first text, three for each third of the second.
    assert one.windows == [9, 9, 9]
    assert one.cut == 5
    assert one.token_types == [0, 0, 0, 0, 0, 1, 1, 1, 1] * 3


def _task(backbone: Path, *, pairs: bool = False, **options: Any) -> ClassificationTask:
    task = ClassificationTask(str(backbone), labels=["a", "b", "c"], **options)
    task.configure_model()
    with torch.no_grad():
        for parameter in task.net.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    task.net.eval()
    return task


def _batch(task: ClassificationTask, texts: list[Any], length: int) -> dict[str, Any]:
    encoded = encode_texts(texts, tokenizer=task.tokenizer, max_length=length, long_texts="windows")
    rows = [{**one._asdict(), "example": number} for number, one in enumerate(encoded)]
    return collate(rows, pad_token_id=int(task.tokenizer.pad_token_id or 0))


@pytest.mark.parametrize("architecture", ["bert", "xlm-roberta", "distilbert", "modernbert"])
@pytest.mark.parametrize("second", [None, "the quick brown fox"])
def test_logits_of_a_long_text_are_the_mean_of_its_windows_whatever_else_is_in_the_batch(
    architecture: str, second: str | None, tiny: Tiny
) -> None:
    task = _task(tiny(architecture))
    texts = [(text, second) for text in (_LONG, "fox", _LONG * 2, "", "isn't it ?")]
    with torch.inference_mode():
        together = task(_batch(task, texts, 28))
        for number, text in enumerate(texts):
            (encoded,) = encode_texts(
                [text], tokenizer=task.tokenizer, max_length=28, long_texts="windows"
            )
            logits, begin = [], 0
            for size in encoded.windows:  # one by one through plain transformers
                ids = torch.tensor([encoded.input_ids[begin : begin + size]])
                kinds = torch.tensor([encoded.token_types[begin : begin + size]])
                types = {"token_type_ids": kinds} if task.input_names[2:] else {}
                logits.append(task.net(input_ids=ids, **types).logits[0])
                begin += size
            assert (len(logits) > 1) == (len(text[0]) > 100)
            expected = torch.stack(logits).mean(0)
            torch.testing.assert_close(together[number], expected, atol=2e-6, rtol=1e-5)
            alone = task(_batch(task, [text], 28))[0]
            torch.testing.assert_close(alone, expected, atol=2e-6, rtol=1e-5)


def test_more_windows_than_go_through_the_model_at_once_change_nothing(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = _task(tiny("bert"))
    batch = _batch(task, [(_LONG * 3, None), ("fox", None)], 16)
    with torch.inference_mode():
        expected = task(batch)
        monkeypatch.setattr("zoo.classification.task._WINDOWS_AT_ONCE", 3)
        torch.testing.assert_close(task(batch), expected, atol=1e-6, rtol=1e-5)


def test_gradients_of_windows_reach_the_model(tiny: Tiny) -> None:
    task = _task(tiny("bert"))
    batch = {**_batch(task, [(_LONG, None), ("fox", None)], 24), "labels": torch.tensor([0, 1])}
    task.train()
    cast("torch.Tensor", task.training_step(batch, 0)).backward()
    embedding: Any = task.net.get_input_embeddings()
    gradient = embedding.weight.grad
    assert gradient is not None
    read = batch["input_ids"][batch["attention_mask"] > 0].unique()
    assert bool((gradient[read].abs().sum(1) > 0).all())


def test_under_bfloat16_windows_are_averaged_in_float32(tiny: Tiny) -> None:
    task = _task(tiny("bert"))
    batch = _batch(task, [(_LONG * 3, None), ("fox", None)], 16)
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        logits = task(batch)
    assert logits.dtype == torch.float32


@pytest.mark.parametrize("architecture", ["bert", "roberta"])
def test_data_and_predict_read_windows_alike(
    architecture: str, tiny: Tiny, table: Table, trainer: Callable[..., Any]
) -> None:
    rows = [(_LONG, "a"), ("fox", "b"), (_LONG + "x", "b"), ("", "a"), ("y z", "c")]
    path = table("all", rows)
    data = ClassificationDataModule(
        train=path,
        validation=path,
        test=path,
        backbone=str(tiny(architecture)),
        batch_size=2,
        max_length=24,
        long_texts="windows",
    )
    assert sum(data.features("test")["cut"]) == 0
    assert not [note for note in data.notes if "longer" in note]
    task = ClassificationTask(
        data.backbone, labels=data.labels, max_length=24, long_texts="windows"
    )
    runner = trainer(max_epochs=2)
    runner.fit(task, data)
    of_data = {one.example: one for batch in runner.predict(task, data) for one in batch}
    for number, one in enumerate(task.predict([text for text, _ in rows], batch_size=3)):
        assert one.label == of_data[number].label
        assert one.probability == pytest.approx(of_data[number].probability, abs=1e-5)
