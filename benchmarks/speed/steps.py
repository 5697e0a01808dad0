"""Training steps on the same batches: the zoo, packed and padded, and transformers' model, padded.

Batches are of examples in random order, padded to their longest, as a plain loader makes them; the
zoo's packed execution takes the padding out of the same batches. Each way trains a model of its own
in one process, in turns on each batch. Before it is timed, the losses without dropout (and the
norms of the gradients) must be the same. Padded over real tokens is the ceiling: what a step can
gain at most if padding costs nothing.
"""

import argparse
import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.nn import functional as F

from benchmarks.speed import corpora
from benchmarks.speed.peers import Batch, Step, make_peer, make_task, peer_loss, task_loss
from benchmarks.speed.results import Goal, Result
from benchmarks.speed.timing import Spread, ratios, turns
from zoo.tracking.gemm import encoder_work, gemm_peak

OURS, UNPACKED, THEIRS, FIXED = "zoo", "zoo, not packed", "transformers", "transformers, fixed"

#: Largest difference of two losses of a batch that pass for the same.
SAME = {"fp32": 1e-5, "bf16": 3e-2}

_GOALS = {"ner": (("fp32", 0.60), ("bf16", 0.36))}
_FIXED_GOALS = {"classification": 4.0, "qa": 2.0}
_OF_CEILING = 0.88


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
    result = Result(name, settings)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    for family in options.families:
        if name == "padding" and family not in corpora.FIXED:
            continue
        corpus = corpora.load(family, backbone=options.backbone, sample=options.sample)
        # Windows of questions are ten times as long as the sentences of other tasks.
        number = max(1, options.batches // 3) if family == "qa" else options.batches
        given = corpora.batches(corpus, number=number, size=options.batch_size)
        for precision in options.precisions:
            Comparison(corpus, given, precision, device, options).run(wanted, result)
    return result


class Comparison:
    """A family in one precision.

    Args:
        corpus: The family's data.
        given: Padded batches.
        precision: `fp32` or `bf16`.
        device: Where to train.
        options: `backbone`, `rounds`.
    """

    def __init__(
        self,
        corpus: corpora.Corpus,
        given: list[dict[str, Any]],
        precision: str,
        device: torch.device,
        options: argparse.Namespace,
    ):
        self.corpus, self.precision, self.device, self.options = corpus, precision, device, options
        self.family = corpus.task.family
        self.batches = [_on(batch, device) for batch in given]
        pad = int(corpus.data.tokenizer.pad_token_id or 0)
        most = corpora.FIXED.get(self.family)
        self.fixed = [_widened(batch, most, pad) for batch in self.batches] if most else []
        self.real = sum(int(batch["tokens"]) for batch in given)

    def run(self, wanted: Sequence[str], result: Result) -> None:
        """Check, then time; adds rows, goals and checks."""
        steps = self._steps(wanted)
        work = encoder_work(steps[FIXED if FIXED in steps else THEIRS].model)
        if work is None:
            raise SystemExit(f"{self.options.backbone} is no encoder.")
        lengths = [batch["attention_mask"].sum(dim=1) for batch in self.batches]
        flop = sum(float(work.of(one)) for one in lengths)
        dtype = torch.bfloat16 if self.precision == "bf16" else torch.float32
        result.checks |= self._check(steps)
        # Warm-up: each way once with its largest batch.
        for name, step in steps.items():
            step(max(self._given(name), key=lambda batch: batch["input_ids"].numel()))
        peaks = [gemm_peak(work.shapes, dtype=dtype, device=self.device)]
        seconds = self._time(steps)
        peaks.append(gemm_peak(work.shapes, dtype=dtype, device=self.device))
        shares = {
            name: Spread.of([flop / one / max(peaks) for one in times])
            for name, times in seconds.items()
        }
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
            )
        result.goals += self._goals(seconds, shares)

    def _steps(self, wanted: Sequence[str]) -> dict[str, Step]:
        """The ways, each with a model of its own of the same weights."""
        data, kind, backbone = self.corpus.data, self.corpus.task, self.options.backbone
        steps: dict[str, Step] = {}
        options: dict[str, Any] = {"precision": self.precision, "device": self.device}
        packed = make_task(kind, backbone=backbone, labels=data.labels, packed=True)
        unpacked = make_task(kind, backbone=backbone, labels=data.labels, packed=False)
        if unpacked is None:
            raise RuntimeError("every task runs padded")
        for name in wanted:
            if name in (THEIRS, FIXED):
                model = make_peer(unpacked, backbone)
                names = list(unpacked.input_names)
                steps[name] = Step(model, self._peer(model, names), groups=False, **options)
            elif name == UNPACKED and packed is not None:
                steps[name] = Step(unpacked, task_loss(unpacked), groups=True, **options)
            elif name == OURS:
                task = packed or unpacked
                steps[name] = Step(task, task_loss(task), groups=True, **options)
        return steps

    def _peer(self, model: torch.nn.Module, names: list[str]) -> Any:
        return lambda batch: peer_loss(self.family, model, names, batch)

    def _given(self, name: str) -> list[dict[str, Any]]:
        return self.fixed if name == FIXED else self.batches

    def _ceiling(self, seconds: Mapping[str, Any]) -> float:
        """Padded over real tokens of what transformers' model computes."""
        given = self._given(FIXED if FIXED in seconds else THEIRS)
        return sum(batch["input_ids"].numel() for batch in given) / self.real

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
            pairs = list(
                zip(said, [step.judge(batch) for batch in self._given(name)], strict=True)
            )
            off = max(abs(a - b) for (a, _), (b, _) in pairs)
            norms = max(abs(a - b) / max(b, 1e-9) for (_, a), (_, b) in pairs)
            key = f"{self.corpus.name}, {self.precision}, {name}"
            found |= {f"{key}: loss": off, f"{key}: gradient norm": norms}
            if not off <= SAME[self.precision]:
                raise SystemExit(f"{key}: a loss differs by {off:.3g} from that of the zoo.")
        return found

    def _time(self, steps: Mapping[str, Step]) -> dict[str, list[float]]:
        """Seconds of all batches in each round; the ways take turns at each batch."""
        seconds: dict[str, list[float]] = {name: [] for name in steps}
        for number in range(self.options.rounds):
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
        if self.precision == "fp32":
            of_ceiling = Spread(*(value / ceiling for value in faster))
            goals.append(
                Goal(f"{name}: of the ceiling {ceiling:.2f}", of_ceiling, _OF_CEILING, "at least")
            )
        for precision, least in _GOALS.get(self.family, ()):
            if precision == self.precision:
                goals.append(Goal(f"{name}: share of GEMM peak", shares[OURS], least, "at least"))
        return goals


def _on(batch: Batch, device: torch.device) -> dict[str, Any]:
    return {
        name: value.to(device) if isinstance(value, torch.Tensor) else value
        for name, value in batch.items()
    }


def _widened(batch: Batch, width: int, pad: int) -> dict[str, Any]:
    """A batch with all its rows filled up to a fixed length."""
    shape = batch["input_ids"].shape
    fill = {"input_ids": pad, "labels": -100}
    return {
        name: F.pad(value, (0, width - shape[1]), value=fill.get(name, 0))
        if isinstance(value, torch.Tensor) and value.shape == shape
        else value
        for name, value in batch.items()
    }
