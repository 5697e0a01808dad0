"""The report of an export: logits, scores, speed and size beside the torch model's."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch

from zoo.shipping.latency import Latency, measure
from zoo.shipping.parity import (
    TOLERANCE,
    LogitDifference,
    TestResult,
    logit_difference,
    same_predictions,
    tested,
)
from zoo.tracking.report import Table

if TYPE_CHECKING:
    from zoo.data.datamodule import TextDataModule
    from zoo.training.task import FineTuningTask

#: The torch model, which all others are compared with.
TORCH = "torch"


@dataclass(frozen=True)
class Comparison:
    """An exported model beside the torch model, on the test split of its run.

    Args:
        head: Name of the score that counts (`test/f1`).
        data: The data's name.
        fingerprint: The data's fingerprint.
        tests: Scores and predictions, by the model's name.
        differences: Of the logits, by the model's name; none for torch itself.
        latencies: Times of batches.
        sizes: Bytes of the weights, by the model's name.
        threads: Threads that all computed with.
    """

    head: str
    data: str
    fingerprint: str
    tests: Mapping[str, TestResult]
    differences: Mapping[str, LogitDifference]
    latencies: list[Latency]
    sizes: Mapping[str, int]
    threads: int

    @property
    def passed(self) -> bool:
        """Whether the float32 graph gives torch's logits."""
        found = self.differences.get("onnx")
        return found is not None and found.passed

    @cached_property
    def examples(self) -> int:
        """Examples of the test split."""
        return len(self.tests[TORCH].predictions)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as `parity.json` has it."""
        return {
            "passed": self.passed,
            "tolerance": TOLERANCE,
            "data": {"name": self.data, "fingerprint": self.fingerprint, "split": "test"},
            "examples": self.examples,
            "models": {name: self._model(name) for name in self.tests},
            "latency": [
                {
                    "batch_size": one.batch_size,
                    "length": one.length,
                    "runs": one.runs,
                    "median_milliseconds": {
                        name: round(value, 3) for name, value in one.milliseconds.items()
                    },
                }
                for one in self.latencies
            ],
            "threads": self.threads,
            "machine": platform.machine(),
            "versions": {
                name: version(name) for name in ("torch", "transformers", "onnx", "onnxruntime")
            },
        }

    def _model(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = {"bytes": self.sizes[name], "scores": self.tests[name].scores}
        if name == TORCH:
            return found
        difference = self.differences[name]
        return {
            **found,
            "logits": {
                "largest_difference": difference.largest,
                "mean_difference": difference.mean,
                "examples": difference.examples,
                "compared": difference.logits,
            },
            "same_predictions": same_predictions(self.tests[TORCH], self.tests[name]),
            "loss_of_score": self._loss(name),
        }

    def _loss(self, name: str) -> float:
        return self.tests[TORCH].scores[self.head] - self.tests[name].scores[self.head]

    def tables(self) -> list[Table]:
        """For the terminal and the card: what is near, and what is fast."""
        models = Table(
            f"On {self.examples:,} test examples of {self.data}",
            (
                "model",
                "largest logit difference",
                self.head,
                "difference of score",
                "same predictions",
                "MB",
            ),
            [self._row(name) for name in self.tests],
        )
        names = list(self.tests)
        times = Table(
            f"Milliseconds for a batch (median, {self.threads} thread"
            f"{'s' if self.threads > 1 else ''}, {platform.machine()})",
            (
                "batch",
                "tokens",
                *names,
                *(f"torch / {name}" for name in names if name != TORCH),
                "runs",
            ),
            [self._times(one, names) for one in self.latencies],
        )
        return [models, times]

    def _row(self, name: str) -> tuple[Any, ...]:
        score, size = self.tests[name].scores[self.head], f"{self.sizes[name] / 1e6:.1f}"
        if name == TORCH:
            return (name, "", f"{score:.4f}", "", "", size)
        same = same_predictions(self.tests[TORCH], self.tests[name])
        return (
            name,
            f"{self.differences[name].largest:.1e}",
            f"{score:.4f}",
            f"{round(-self._loss(name), 4) + 0.0:+.4f}",
            f"{same:,} of {self.examples:,}",
            size,
        )

    @staticmethod
    def _times(one: Latency, names: list[str]) -> tuple[Any, ...]:
        ratios = [
            f"{one.milliseconds[TORCH] / one.milliseconds[name]:.2f}"
            for name in names
            if name != TORCH
        ]
        times = [f"{one.milliseconds[name]:.2f}" for name in names]
        return (str(one.batch_size), str(one.length), *times, *ratios, str(one.runs))


def compare(
    tasks: Mapping[str, "FineTuningTask"], data: "TextDataModule", *, sizes: Mapping[str, int]
) -> Comparison:
    """Compare models with the torch model, on the test split.

    Args:
        tasks: Tasks by the names of their models; `torch` must be among them.
        data: Whose test split is read.
        sizes: Bytes of the weights, by the same names.
    """
    task = tasks[TORCH]
    others = {name: one for name, one in tasks.items() if name != TORCH}
    differences = logit_difference(task, list(others.values()), data)
    return Comparison(
        head=task.monitor.replace("val/", "test/", 1),
        data=data.sources.name,
        fingerprint=data.fingerprint,
        tests={name: tested(one, data) for name, one in tasks.items()},
        differences=dict(zip(others, differences, strict=True)),
        latencies=measure(tasks, data),
        sizes=sizes,
        threads=torch.get_num_threads(),
    )


__all__ = ["TORCH", "Comparison", "compare"]
