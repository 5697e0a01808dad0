"""Training steps on the same batches: the zoo, packed and padded, and transformers' model, padded.

Batches are of examples in random order, padded to their longest, as a plain loader makes them; the
zoo's packed execution takes the padding out of the same batches. Each way trains a model of its own
in one process, in turns on each batch. Before it is timed, the losses without dropout must be the
same; how far the norms of the gradients differ is said. Padded over real tokens is the ceiling:
what a step can gain at most if padding costs nothing. Peak memory is measured in processes of its
own (`memory`).
"""

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch.nn import functional as F

from benchmarks.speed import corpora
from benchmarks.speed.memory import peak_gib
from benchmarks.speed.peers import Batch, Step
from benchmarks.speed.progress import say
from benchmarks.speed.results import Goal, Result
from benchmarks.speed.timing import Spread, ratios, turns
from benchmarks.speed.ways import FIXED, FROZEN, OURS, THEIRS, UNPACKED, Setup
from zoo.tracking.gemm import encoder_work, gemm_peak
from zoo.training.allocator import keep_memory

#: Largest difference of two losses of a batch that pass for the same.
SAME = {"fp32": 1e-5, "bf16": 3e-2}

_GOALS = {"ner": (("fp32", 0.60), ("bf16", 0.36))}
_FIXED_GOALS = {"classification": 4.0, "qa": 2.0}
_OF_CEILING, _WITH_CEILING = 0.88, ("ner", "classification", "qa")


#: Said below the table.
_NOTES = [
    "Not compared: abstractive summarization, whose encoder and decoder are padded both ways.",
    "Summaries and plain text (a document a row) are in batches of a fourth of the rows. The zoo's "
    "head for masked tokens reads these alone, transformers' all of them; the share of the GEMM "
    "peak leaves heads out.",
    "Of long texts (questions, summaries, plain text) a fourth of the batches is measured, at "
    "least one: quartiles are of repetitions, not of texts.",
    "All ways are of processes that keep the memory they free, as recipes do: transformers' model, "
    "too, is faster for it.",
    "Peak memory: a process of its own for each way, what it grows by from before its model is "
    "loaded (on a GPU: allocated tensors), in two steps on the largest batches.",
]


def measure(options: argparse.Namespace) -> Result:
    """Compare the ways of `steps`, for all families and precisions asked for."""
    return _measure("steps", (OURS, UNPACKED, THEIRS), options)


def measure_padding(options: argparse.Namespace) -> Result:
    """Compare with batches that are padded to a fixed length, the example scripts' default."""
    return _measure("padding", (OURS, FIXED), options)


def _measure(name: str, wanted: Sequence[str], options: argparse.Namespace) -> Result:
    settings = {
        key: getattr(options, key) for key in ("backbone", "batches", "batch_size", "rounds")
    }
    keep_memory()
    result = Result(name, settings, notes=_NOTES if name == "steps" else [])
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    for family in options.families:
        if name == "padding" and family not in corpora.FIXED:
            continue
        # Fixed padding is slow, and tells little more in the second precision.
        for precision in options.precisions[: 1 if name == "padding" else None]:
            with result.part(f"{family}, {precision}", options.out):
                say(f"{name}: {family}, {precision}")
                comparison = Comparison(family, precision, device, options)
                comparison.run(_ways(wanted, family, precision), result)
    return result


def _ways(wanted: Sequence[str], family: str, precision: str) -> list[str]:
    """What to measure: padding only in fp32, and freezing only of the first family."""
    ways = [way for way in wanted if way != UNPACKED or precision == "fp32"]
    return [*ways, FROZEN] if family == "ner" and THEIRS in wanted else ways


class Comparison:
    """A family in one precision.

    Args:
        family: The family.
        precision: `fp32` or `bf16`.
        device: Where to train.
        options: `backbone`, `sample`, `batches`, `batch_size`, `rounds`, `memory`.
    """

    def __init__(
        self, family: str, precision: str, device: torch.device, options: argparse.Namespace
    ):
        self.corpus = corpora.load(family, backbone=options.backbone, sample=options.sample)
        self.family, self.precision = family, precision
        number, size, self.rounds = options.batches, options.batch_size, options.rounds
        if family in corpora.LONG:
            number, self.rounds = max(1, number // 4), max(1, self.rounds * 4 // 5)
        if family in ("summarization", "pretraining"):
            size = max(1, size // 4)
        self.given = corpora.batches(self.corpus, number=number, size=size)
        self.batches = [moved(batch, device) for batch in self.given]
        pad = int(self.corpus.data.tokenizer.pad_token_id or 0)
        most = corpora.FIXED.get(family)
        self.fixed = [widened(batch, most, pad) for batch in self.batches] if most else []
        self.real = sum(int(batch["attention_mask"].sum()) for batch in self.given)
        # Of long texts each step takes seconds.
        self.memory = options.memory and (precision == "fp32" or family not in corpora.LONG)
        self.setup = Setup(
            self.corpus.task, self.corpus.data.labels, options.backbone, [], precision, device
        )

    def run(self, wanted: Sequence[str], result: Result) -> None:
        """Check, then time; adds rows, goals and checks."""
        steps = self._steps(wanted)
        work = encoder_work(steps[FIXED if FIXED in steps else THEIRS].model)
        if work is None:
            raise SystemExit(f"{self.setup.backbone} is no encoder.")
        lengths = [batch["attention_mask"].sum(dim=1) for batch in self.batches]
        flop = sum(float(work.of(one)) for one in lengths)
        dtype = torch.bfloat16 if self.precision == "bf16" else torch.float32
        result.checks |= self._check(steps)
        # Warm-up: each way once with its largest batch.
        for name, step in steps.items():
            step(max(self._given(name), key=lambda batch: batch["input_ids"].numel()))
        peaks = [gemm_peak(work.shapes, dtype=dtype, device=self.setup.device)]
        say("  timing")
        seconds = self._time(steps)
        peaks.append(gemm_peak(work.shapes, dtype=dtype, device=self.setup.device))
        shares = {
            name: Spread.of([flop / one / max(peaks) for one in times])
            for name, times in seconds.items()
        }
        del steps
        memory = self._memory(list(seconds)) if THEIRS in wanted else {}
        for name, times in seconds.items():
            result.rows.append(
                {
                    "corpus": self.corpus.name,
                    "precision": self.precision,
                    "way": name,
                    "real tokens/s": Spread.of([self.real / one for one in times]),
                    "ms a step": Spread.of([1000 * one / len(self.batches) for one in times]),
                    "times as fast": ratios(self._base(seconds), times),
                    "ceiling": self._ceiling(seconds),
                    "share of GEMM peak": shares[name],
                    "GEMM peak before, GFLOP/s": peaks[0] / 1e9,
                    "after": peaks[1] / 1e9,
                }
                | ({"peak memory, GiB": memory[name]} if name in memory else {})
            )
        result.goals += self._goals(seconds, shares)

    def _steps(self, wanted: Sequence[str]) -> dict[str, Step]:
        """The ways, each with a model of its own of the same weights."""
        first = self.setup.task(packed=False)
        self.setup = replace(self.setup, names=list(first.input_names))
        weights = first.net.state_dict()
        return {name: self.setup.step(name, weights) for name in wanted}

    def _memory(self, ways: Sequence[str]) -> dict[str, float]:
        """GiB of each way's peak; empty where it is not asked for."""
        if not self.memory:
            return {}
        say("  memory")
        found = {}
        for way in ways:
            batches = [moved(batch, torch.device("cpu")) for batch in self._given(way)]
            found[way] = peak_gib(self.setup, way, batches)
        return found

    def _given(self, name: str) -> list[dict[str, Any]]:
        return self.fixed if name == FIXED else self.batches

    def _ceiling(self, seconds: Mapping[str, Any]) -> float:
        """Padded over real tokens of what transformers' model computes."""
        given = self._given(FIXED if FIXED in seconds else THEIRS)
        positions: int = sum(batch["input_ids"].numel() for batch in given)
        return positions / self.real

    @staticmethod
    def _base(seconds: Mapping[str, list[float]]) -> list[float]:
        return seconds[FIXED] if FIXED in seconds else seconds[THEIRS]

    def _check(self, steps: Mapping[str, Step]) -> dict[str, float]:
        """Largest differences of losses and norms of gradients; no way may have learned yet.

        Raises:
            SystemExit: The losses are not the same.
        """
        (_, first), *others = steps.items()
        said = [first.judge(batch) for batch in self.batches]
        found: dict[str, float] = {}
        for name, step in others:
            pairs = list(zip(said, [step.judge(batch) for batch in self._given(name)], strict=True))
            off = max(abs(a - b) for (a, _), (b, _) in pairs)
            norms = max(abs(a - b) / max(b, 1e-9) for (_, a), (_, b) in pairs)
            key = f"{self.corpus.name}, {self.precision}, {name}"
            found[f"{key}: loss"] = off
            if name != FROZEN:  # whose gradient is a part of the others'
                found[f"{key}: gradient norm"] = norms
            if not off <= SAME[self.precision]:
                raise SystemExit(f"{key}: a loss differs by {off:.3g} from that of the zoo.")
        return found

    def _time(self, steps: Mapping[str, Step]) -> dict[str, list[float]]:
        """Seconds of all batches in each round; the ways take turns at each batch."""
        seconds: dict[str, list[float]] = {name: [] for name in steps}
        for number in range(self.rounds):
            total = dict.fromkeys(steps, 0.0)
            for at in range(len(self.batches)):
                for name in turns(list(steps), number + at):
                    batch = self._given(name)[at]
                    began = time.perf_counter()
                    steps[name](batch)
                    total[name] += time.perf_counter() - began
            for name, spent in total.items():
                seconds[name].append(spent)
        return seconds

    def _goals(
        self, seconds: Mapping[str, list[float]], shares: Mapping[str, Spread]
    ) -> list[Goal]:
        name = f"{self.corpus.name}, {self.precision}"
        faster = ratios(self._base(seconds), seconds[OURS])
        if FIXED in seconds:
            goal = Goal(
                f"{name}: times as fast as padding to {corpora.FIXED[self.family]}",
                faster,
                _FIXED_GOALS[self.family],
                "at least",
            )
            return [goal] if self.precision == "fp32" else []
        goals = []
        ceiling = self._ceiling(seconds)
        if self.precision == "fp32" and self.family in _WITH_CEILING:
            of_ceiling = Spread(*(value / ceiling for value in faster))
            goals.append(
                Goal(f"{name}: of the ceiling {ceiling:.2f}", of_ceiling, _OF_CEILING, "at least")
            )
        for precision, least in _GOALS.get(self.family, ()):
            if precision == self.precision:
                goals.append(Goal(f"{name}: share of GEMM peak", shares[OURS], least, "at least"))
        return goals


def moved(batch: Batch, device: torch.device) -> dict[str, Any]:
    """A batch with its tensors on a device."""
    return {
        name: value.to(device) if isinstance(value, torch.Tensor) else value
        for name, value in batch.items()
    }


def widened(batch: Batch, width: int, pad: int) -> dict[str, Any]:
    """A batch with all its rows filled up to a fixed length."""
    shape = batch["input_ids"].shape
    fill = {"input_ids": pad, "labels": -100}
    return {
        name: F.pad(value, (0, width - shape[1]), value=fill.get(name, 0))
        if isinstance(value, torch.Tensor) and value.shape == shape
        else value
        for name, value in batch.items()
    }
