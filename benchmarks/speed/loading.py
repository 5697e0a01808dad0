"""What worker processes gain that make batches beside the one that trains.

Each way trains from a loader of its own, begun anew in each round, on the same batches in the same
order. The first batches are not counted: a loader fills its queue with them. `ms to make a batch`
is a loader without workers by itself, and so the most that workers can save of a step.
"""

import argparse
import time
from itertools import islice
from typing import Any

import torch

from benchmarks.speed import corpora
from benchmarks.speed.peers import Step, make_task, task_loss
from benchmarks.speed.progress import say
from benchmarks.speed.results import Result
from benchmarks.speed.steps import moved
from benchmarks.speed.timing import Spread, ratios, turns

#: Batches of a round that are not counted: more than two workers make ahead.
WARM_UP = 5


def measure(options: argparse.Namespace) -> Result:
    """Train with each number of workers, family by family."""
    names = ("backbone", "families", "workers", "steps", "batch_size", "rounds")
    result = Result("loading", {name: getattr(options, name) for name in names})
    for family in options.families:
        with result.part(family, options.out):
            loading = Loading(family, options)
            for number in range(options.rounds):
                say(f"loading: {family}, round {number + 1} of {options.rounds}")
                loading.round(number)
            result.rows += loading.rows()
    return result


class Loading:
    """A family's training from loaders with more and fewer workers.

    Args:
        family: The family.
        options: `backbone`, `sample`, `workers`, `steps`, `batch_size`; of long texts batches of a
            fourth and half the steps.
    """

    def __init__(self, family: str, options: argparse.Namespace):
        self.corpus = corpora.load(family, backbone=options.backbone, sample=options.sample)
        self.workers: dict[str, int] = {str(number): number for number in options.workers}
        long = family in corpora.LONG
        self.steps = max(1, options.steps // 2) if long else int(options.steps)
        self.data = self.corpus.data
        self.data.batch_size = max(1, options.batch_size // 4) if long else options.batch_size
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        task = make_task(self.corpus.task, backbone=options.backbone, labels=self.data.labels)
        loss = task_loss(task)
        self.step = Step(task, loss, precision="fp32", device=self.device, groups=True)
        self.started: dict[str, list[float]] = {name: [] for name in self.workers}
        self.trained: dict[str, list[float]] = {name: [] for name in self.workers}
        self.made: list[float] = []
        # The first step of a process takes longer, whoever makes its batch.
        self._take(0, train=True, most=1 + WARM_UP)

    def round(self, number: int) -> None:
        """Train with each number of workers, then only make the batches."""
        for name in turns(list(self.workers), number):
            start, seconds = self._take(self.workers[name], train=True)
            self.started[name].append(start)
            self.trained[name].append(seconds)
        self.made.append(self._take(0, train=False)[1])

    def _take(self, workers: int, *, train: bool, most: int | None = None) -> tuple[float, float]:
        """Seconds to the end of the first batch, and of each batch after the warm-up.

        Raises:
            SystemExit: There are too few batches.
        """
        self.data.num_workers = workers
        ends = [time.perf_counter()]
        for batch in islice(self.data.train_dataloader(), most or WARM_UP + self.steps):
            if train:
                self.step(moved(batch, self.device))
            ends.append(time.perf_counter())
        counted = len(ends) - 1 - WARM_UP
        if counted < 1:
            raise SystemExit(f"{self.corpus.name} has {len(ends) - 1} batches: too few.")
        return ends[1] - ends[0], (ends[-1] - ends[WARM_UP]) / counted

    def rows(self) -> list[dict[str, Any]]:
        """A row for each number of workers; the first is what the others are compared with."""
        first = next(iter(self.trained.values()))
        return [
            {
                "corpus": self.corpus.name,
                "workers": self.workers[name],
                "ms a step": Spread.of([1000 * one for one in seconds]),
                "times as fast": ratios(first, seconds),
                "seconds to the first step's end": Spread.of(self.started[name]),
                "ms to make a batch": Spread.of([1000 * one for one in self.made]),
            }
            for name, seconds in self.trained.items()
        ]
