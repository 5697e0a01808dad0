"""What tests of serving share: tiny models of all tasks, and servers for them on loopback."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import zoo
from zoo.training.task import FineTuningTask

_NER = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
_KINDS: dict[str, tuple[str, str, dict[str, Any], dict[str, Any]]] = {
    # Kind: task, architecture, the task's arguments, what the exported model says of itself.
    "ner": ("NERTask", "bert", {"labels": _NER}, {}),
    "classification": ("ClassificationTask", "bert", {"labels": ["bad", "fair", "good"]}, {}),
    "pairs": (
        "ClassificationTask",
        "roberta",
        {"labels": ["no", "yes"]},
        {"encoding": {"pairs": True}},
    ),
    "multi_label": (
        "ClassificationTask",
        "bert",
        {"labels": ["a", "b", "c"], "mode": "multi_label"},
        {"encoding": {"mode": "multi_label", "pairs": False}},
    ),
    "regression": (
        "ClassificationTask",
        "bert",
        {"labels": ["value"], "mode": "regression"},
        {"encoding": {"mode": "regression", "pairs": False}},
    ),
    "qa": ("QATask", "bert", {}, {"max_length": 48, "encoding": {"stride": 8}}),
    "extractive": ("ExtractiveSummarizationTask", "bert", {"max_sentences": 2}, {}),
    "abstractive": ("SummarizationTask", "t5", {"generation": {"max_new_tokens": 8}}, {}),
}
KINDS = tuple(_KINDS)
#: An input of each kind, in the form of a .jsonl file, with an emoji before what is found.
RECORDS: dict[str, dict[str, Any]] = {
    "ner": {"text": "🦊 Ada Lovelace lived in London ."},
    "classification": {"text": "The quick brown fox"},
    "pairs": {"text": "a fox", "text2": "a dog"},
    "multi_label": {"text": "The lazy dog"},
    "regression": {"text": "The lazy dog"},
    "qa": {"id": "q1", "question": "who ?", "context": "🦊 Ada lived in London . A fox ran ."},
    "extractive": {"source": "🦊 Ada lived in London. A fox jumps. It is lazy."},
    "abstractive": {"source": "Ada lived in London. A fox jumps."},
}


@pytest.fixture(scope="session")
def model_of(
    tiny: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """A function from a kind of task to a folder with a tiny model whose weights are random.

    They are far apart, so that what is predicted does not hang on the last digit.
    """
    made: dict[str, Path] = {}

    def make(kind: str) -> Path:
        if kind not in made:
            made[kind] = write_model(kind, tiny, tmp_path_factory.mktemp("served") / kind)
        return made[kind]

    return make


def write_model(kind: str, tiny: Callable[[str], Path], folder: Path) -> Path:
    """Write the model of a kind of task, as a run exports it."""
    from zoo.tracking.export import export_model

    name, architecture, arguments, metadata = _KINDS[kind]
    task: FineTuningTask = getattr(zoo, name)(str(tiny(architecture)), **arguments)
    task.configure_model()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in task.net.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.2)
    known = {"family": task.family, "backbone": "tiny", **metadata}
    if task.calibration:
        known["calibration"] = task.calibration
    export_model(task, folder, metadata=known)
    return folder


@pytest.fixture(scope="session")
def task_of(model_of: Callable[[str], Path]) -> Callable[[str], FineTuningTask]:
    """A function from a kind of task to a tiny one that is ready to predict."""
    from recipes.trained import trained_task

    made: dict[str, FineTuningTask] = {}

    def make(kind: str) -> FineTuningTask:
        if kind not in made:
            made[kind] = trained_task(str(model_of(kind)))
        return made[kind]

    return make


def nearly(value: Any) -> Any:
    """What equals a prediction up to the last digits, which hang on what shares its batch."""
    if isinstance(value, float):
        return pytest.approx(value, abs=2e-4)
    if isinstance(value, dict):
        return {name: nearly(one) for name, one in value.items()}
    return [nearly(one) for one in value] if isinstance(value, list) else value


@contextlib.contextmanager
def listening(app: Any) -> Iterator[str]:
    """The address of a real server in a thread of this process."""
    import uvicorn

    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        try:
            deadline = time.monotonic() + 60
            while not server.started:
                assert time.monotonic() < deadline
                assert thread.is_alive()
                time.sleep(0.01)
            yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
