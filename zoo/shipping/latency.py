"""How long models take for one batch, side by side."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from zoo.data.datamodule import TextDataModule
    from zoo.training.task import FineTuningTask

#: Texts in a batch.
BATCH_SIZES = (1, 8)
#: Runs of each model that the median is of: most, least, and the seconds after which it is enough.
MOST, LEAST, ENOUGH = 30, 3, 6.0


@dataclass(frozen=True)
class Latency:
    """Median time of a batch, by model.

    Args:
        batch_size: Texts in the batch.
        length: Tokens of each.
        milliseconds: Median of the runs, by the model's name.
        runs: Runs of each model, one after the other in turn.
    """

    batch_size: int
    length: int
    milliseconds: Mapping[str, float]
    runs: int


@torch.inference_mode()
def measure(tasks: Mapping[str, "FineTuningTask"], data: "TextDataModule") -> list[Latency]:
    """Time models on batches of texts of the data's median length and of the greatest length.

    The models take turns, so that what else the machine does meets all of them alike. Of an
    encoder-decoder the writing of summaries is timed, as in a test.

    Args:
        tasks: Tasks by the names of their models.
        data: Whose test split is read.
    """
    rows = data.features("test")["input_ids"]
    lengths = np.asarray([len(row) for row in rows])
    longest = list(rows[int(lengths.argmax())])
    found = []
    for length in sorted({int(np.median(lengths)), data.max_length}):
        for batch_size in BATCH_SIZES:
            text = _of_length(longest, length)
            ids = torch.tensor([text] * batch_size)
            runs = {name: _run(task, ids) for name, task in tasks.items()}
            found.append(_timed(runs, batch_size, length))
    return found


def _of_length(ids: list[int], length: int) -> list[int]:
    """A text cut or repeated to a length, its first and last token in their places."""
    if length < 3 or len(ids) < 3:
        return (ids * length)[:length]
    inner = ids[1:-1]
    times = -(-(length - 2) // len(inner))
    return [ids[0], *(inner * times)[: length - 2], ids[-1]]


def _run(task: "FineTuningTask", ids: torch.Tensor) -> Callable[[], Any]:
    net: Any = task.net
    net.eval()
    mask = torch.ones_like(ids)
    if task.head == "text-to-text":
        return lambda: net.generate(
            input_ids=ids, attention_mask=mask, generation_config=net.generation_config
        )
    inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}
    given = {name: inputs[name] for name in task.input_names}
    return lambda: net(**given)


def _timed(runs: Mapping[str, Callable[[], Any]], batch_size: int, length: int) -> Latency:
    for run in runs.values():
        run()  # the first is slower: memory is laid out
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    began = time.perf_counter()
    for number in range(MOST):
        if number >= LEAST and time.perf_counter() - began > ENOUGH:
            break
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return Latency(
        batch_size,
        length,
        {name: statistics.median(one) * 1000 for name, one in seconds.items()},
        runs=len(next(iter(seconds.values()))),
    )


__all__: Sequence[str] = ["BATCH_SIZES", "Latency", "measure"]
