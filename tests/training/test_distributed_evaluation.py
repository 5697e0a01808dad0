"""Tests with one, two and three processes: the same scores and predictions, in input order."""

import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.distributed_runs import evaluate_all, make_data, make_task
from tests.training.workers import together

Tiny = Callable[[str], Path]

pytestmark = pytest.mark.slow

_WORDS = ["ada", "london", "fox", "dog", "bear", "lion", "quick", "lazy", "lived", "worked"]
#: Options of the datamodules; texts longer than these lengths come in several windows.
_OPTIONS: Mapping[str, dict[str, Any]] = {
    "ner": {"max_length": 16, "stride": 4},
    "single_label": {"max_length": 16, "long_texts": "windows"},
    "multi_label": {"mode": "multi_label"},
    "ordinal": {"mode": "ordinal"},
    "regression": {"mode": "regression"},
    "qa": {"max_length": 24, "stride": 6},
    "t5": {"max_length": 64, "max_target_length": 16},
    "bart": {"max_length": 64, "max_target_length": 16},
    "extractive": {"max_length": 24, "overlap": 1},
}
_FAMILIES = {
    **dict.fromkeys(("single_label", "multi_label", "ordinal", "regression"), "classification"),
    **dict.fromkeys(("t5", "bart"), "abstractive"),
}


def _text(chance: random.Random, longest: int = 30) -> str:
    return " ".join(chance.choices(_WORDS, k=chance.randint(3, longest)))


def _records(kind: str, count: int) -> list[dict[str, Any]]:
    """Examples of uneven lengths."""
    chance = random.Random(3)
    records: list[dict[str, Any]] = []
    for number in range(count):
        text = _text(chance)
        words = text.split()
        target: dict[str, Any] = {"text": text}
        if kind == "ner":
            tags = ["B-PER" if word in ("ada", "bear") else "O" for word in words]
            target = {"tokens": words, "tags": tags}
        elif kind in ("single_label", "ordinal"):
            target["label"] = str(number % 3)
        elif kind == "multi_label":
            target["label"] = [["a", "b"], ["a"], [], ["c"]][number % 4]
        elif kind == "regression":
            target["label"] = 1.5 + number * 0.37 % 1
        elif kind in ("t5", "bart"):
            target = {"source": text, "target": " ".join(words[:3])}
        elif kind == "extractive":
            cut = len(words) // 2
            first, second = (" ".join(part) + " ." for part in (words[:cut], words[cut:]))
            target = {"source": [first, second], "target": first}
        records.append(target)
    return records


def _file(folder: Path, kind: str, count: int) -> str:
    if kind != "qa":
        path = folder / f"{kind}-{count}.jsonl"
        lines = [json.dumps(record) + "\n" for record in _records(kind, count)]
        path.write_text("".join(lines), encoding="utf-8")
        return str(path)
    chance = random.Random(3)
    paragraphs = []
    for number in range(count):
        text = _text(chance, 60)
        word = chance.choice(text.split())
        answers = [{"text": word, "answer_start": text.index(word)}] if number % 3 else []
        question = {"id": str(number), "question": "who lived ?", "answers": answers}
        paragraphs.append({"context": text, "qas": [{**question, "is_impossible": not answers}]})
    path = folder / f"qa-{count}.json"
    content = {"version": "v2.0", "data": [{"title": "", "paragraphs": paragraphs}]}
    path.write_text(json.dumps(content), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache of this module's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def jobs(
    cache: None, tiny: Tiny, tmp_path_factory: pytest.TempPathFactory
) -> list[tuple[str, str, Any, Any]]:
    """Name, family, folder with a head and data of each, and of each with two examples alone."""
    made = []
    for kind, own in _OPTIONS.items():
        folder = tmp_path_factory.mktemp(kind)
        family = _FAMILIES.get(kind, kind)
        files = dict.fromkeys(("train", "validation", "test"), _file(folder, kind, 23))
        backbone = str(tiny(kind if kind in ("t5", "bart") else "bert"))
        torch.manual_seed(7)
        data = make_data(family, backbone=backbone, **files, **own)
        task = make_task(family, backbone, data)
        task.configure_model()
        with torch.no_grad():
            for parameter in task.net.parameters():  # random, and far from ties
                parameter.add_(torch.randn_like(parameter) * 0.1)
        model = str(folder / "model")
        task.net.save_pretrained(model)
        task.tokenizer.save_pretrained(model)
        few = {**files, "test": _file(folder, kind, 2), "validation": _file(folder, kind, 2)}
        made.append((kind, family, model, {**files, **own}))
        made.append((f"{kind}, few", family, model, {**few, **own}))
    return made


def _evaluated(
    jobs: Sequence[Any], world: int, strategy: str, batch_size: int, folder: Path
) -> dict[str, Any]:
    options = {"world": world, "strategy": strategy, "batch_size": batch_size}
    found = together(world, evaluate_all, folder, list(jobs), options=options, timeout=900)
    for other in found[1:]:
        for name, one in found[0].items():
            assert other[name]["scores"] == pytest.approx(one["scores"], nan_ok=True), name
    first: dict[str, Any] = found[0]
    return first


@pytest.fixture(scope="module")
def alone(jobs: list[Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What one process finds."""
    return _evaluated(jobs, 1, "ddp", 4, tmp_path_factory.mktemp("alone"))


@pytest.mark.parametrize(
    ("world", "strategy"),
    [(2, "ddp"), (3, "ddp"), (1, "fsdp2"), (2, "fsdp2"), (3, "fsdp2"), (2, "replicated")],
)
def test_any_number_of_processes_finds_what_one_finds(
    world: int,
    strategy: str,
    jobs: list[Any],
    alone: dict[str, Any],
    tmp_path: Path,
) -> None:
    found = _evaluated(jobs, world, strategy, 3, tmp_path / "out")
    for name, one in found.items():
        scores = alone[name]["scores"]
        assert one["scores"].keys() == scores.keys(), name
        for score, value in one["scores"].items():
            # A correlation divides by the predictions' spread, which is small here: rounding shows.
            within = 1e-4 if score.endswith(("pearson", "spearman")) else 1e-6
            close = pytest.approx(scores[score], rel=within, abs=within, nan_ok=True)
            assert value == close, (name, score)
        _alike(one["predictions"], alone[name]["predictions"], name)


def _alike(first: Any, second: Any, name: str) -> None:
    """The same predictions in the same order; numbers within 1e-5."""
    assert type(first) is type(second), name
    if isinstance(first, dict):
        assert first.keys() == second.keys(), name
        for key in first:
            _alike(first[key], second[key], f"{name}/{key}")
    elif isinstance(first, list):
        assert len(first) == len(second), name
        for at, (one, other) in enumerate(zip(first, second, strict=True)):
            _alike(one, other, f"{name}/{at}")
    elif isinstance(first, float):
        assert first == pytest.approx(second, abs=1e-5, nan_ok=True), name
    else:
        assert first == second, name
