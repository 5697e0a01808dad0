"""How near an exported model is to the one it was made of: its logits, and its test score."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from zoo.shipping.graph import OUTPUTS

if TYPE_CHECKING:
    from zoo.data.datamodule import TextDataModule
    from zoo.training.task import FineTuningTask

#: Largest difference of a logit from torch's at which a float32 graph counts as the same model.
TOLERANCE = 1e-4
#: A logit beyond this, as a regression's may be, may differ by more in proportion: float32 holds
#: seven digits.
_LARGE = 100.0
#: Test examples whose logits are compared; the scores are of all.
EXAMPLES = 1000


@dataclass(frozen=True)
class LogitDifference:
    """How far logits are from torch's.

    Args:
        largest: The largest absolute difference of all.
        mean: The mean absolute difference.
        examples: How many test examples the logits are of.
        logits: How many logits there are.
        scaled: The largest difference, where those of logits beyond 100 count in proportion.
    """

    largest: float
    mean: float
    examples: int
    logits: int
    scaled: float

    @property
    def passed(self) -> bool:
        """Whether it is small enough for the same model in float32."""
        return self.scaled <= TOLERANCE


@dataclass(frozen=True)
class TestResult:
    """What a test of the whole test split gave.

    Args:
        scores: Scores of the whole split, by name (`test/f1`).
        predictions: A plain record for each example, in order.
    """

    #: No test case, whatever its name begins with.
    __test__ = False

    scores: Mapping[str, float]
    predictions: Sequence[Mapping[str, Any]]


class _Outputs(Callback):
    """Keeps what `test_step` returns."""

    def __init__(self) -> None:
        self.found: list[Any] = []

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self.found += outputs["predictions"]


def tested(task: "FineTuningTask", data: "TextDataModule") -> TestResult:
    """Test a task as a run does: the same decoding, calibration and metrics, whatever its model.

    Args:
        task: Its model may be a graph.
        data: Whose test split is read.
    """
    outputs = _Outputs()
    trainer = Trainer(
        accelerator="cpu",
        devices=1,
        logger=False,
        callbacks=[outputs],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.test(task, data, verbose=False)
    scores = {
        name: float(value)
        for name, value in trainer.callback_metrics.items()
        if name.startswith("test/")
    }
    report = task.report(outputs.found, data.examples("test"))
    return TestResult(scores, list(report.predictions))


def same_predictions(first: TestResult, second: TestResult) -> int:
    """How many examples have the same prediction, whatever its probability."""
    pairs = zip(first.predictions, second.predictions, strict=True)
    return sum(_without_floats(one) == _without_floats(other) for one, other in pairs)


def _without_floats(value: Any) -> Any:
    if isinstance(value, Mapping):
        kept = {name: _without_floats(one) for name, one in value.items()}
        return {name: one for name, one in kept.items() if one is not None}
    if isinstance(value, list | tuple):
        return [_without_floats(one) for one in value]
    return None if isinstance(value, float) else value


@torch.inference_mode()
def logit_difference(
    task: "FineTuningTask",
    others: Sequence["FineTuningTask"],
    data: "TextDataModule",
    *,
    examples: int = EXAMPLES,
) -> list[LogitDifference]:
    """How far the logits of other tasks are from a task's, on the batches of the test split.

    Args:
        task: With the torch model.
        others: Of the same data, with other models.
        data: Whose test split is read.
        examples: Most examples that are compared; where there are more, batches of all lengths
            are chosen evenly.

    Returns:
        For each of the others its difference; what a model says of padding does not count.
    """
    tallies = [_Tally() for _ in others]
    with task.evaluating():
        for batch in _chosen(data, examples):
            read = _logits_of(task, batch)
            expected = read(task)
            for other, tally in zip(others, tallies, strict=True):
                tally.add(expected, read(other), batch["example"])
    return [tally.result() for tally in tallies]


class _Tally:
    def __init__(self) -> None:
        self.largest, self.scaled, self.total, self.logits = 0.0, 0.0, 0.0, 0
        self.examples: set[int] = set()

    def add(self, expected: Tensor, found: Tensor, examples: Sequence[int]) -> None:
        # NaN in one alone, or another shape, must not pass for a small difference.
        difference = (found.double() - expected.double()).abs().nan_to_num(nan=float("inf"))
        if len(difference):
            self.largest = max(self.largest, difference.max().item())
            scale = (expected.double().abs() / _LARGE).clamp(min=1)
            self.scaled = max(self.scaled, (difference / scale).max().item())
        self.total += difference.sum().item()
        self.logits += difference.numel()
        self.examples |= set(examples)

    def result(self) -> LogitDifference:
        mean = self.total / max(1, self.logits)
        return LogitDifference(self.largest, mean, len(self.examples), self.logits, self.scaled)


def _chosen(data: "TextDataModule", examples: int) -> Iterator[Mapping[str, Any]]:
    loader = data.test_dataloader()
    total = len(data.examples("test"))
    batches = len(loader)
    # Batches go from long to short texts.
    every = max(1.0, total / examples)
    wanted = {int(number * every) for number in range(batches)}
    yield from (batch for number, batch in enumerate(loader) if number in wanted)


def _logits_of(
    task: "FineTuningTask", batch: Mapping[str, Any]
) -> Callable[["FineTuningTask"], Tensor]:
    """A function that reads a model's logits of a batch, one behind the other."""
    if task.head == "text-to-text":
        there = batch["labels"] >= 0
        return lambda one: one(batch)[there].reshape(-1)
    outputs = OUTPUTS[task.head]
    inputs = {
        name: batch.get(name, torch.zeros_like(batch["input_ids"])) for name in task.input_names
    }
    there = batch["attention_mask"].bool()

    def read(one: "FineTuningTask") -> Tensor:
        found = one.net(**inputs)
        values = [getattr(found, name) for name in outputs.names]
        kept = [value[there] if outputs.per_token else value for value in values]
        return torch.cat([value.reshape(-1) for value in kept])

    return read


__all__ = [
    "EXAMPLES",
    "TOLERANCE",
    "LogitDifference",
    "TestResult",
    "logit_difference",
    "same_predictions",
    "tested",
]
