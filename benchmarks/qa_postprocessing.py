"""From logits to answers: a loop over features in Python against `zoo.qa.decoding`.

`python -m benchmarks.qa_postprocessing` makes logits like those of a trained reader for windows
of made-up texts, and turns them into answers in several ways, in turns within one run:

- **script**: the procedure of Hugging Face's example script: for each feature, try each of the 20
  best starts with each of the 20 best ends, drop what is no span of the context, keep the rest as
  dictionaries; for each example, sort, cut to 20, cut the texts out and take the softmax. As in
  the script, examples and features are rows of a `datasets.Dataset`, and those of features are
  read three times: to group them, for the offsets, and for the windows of most context (which
  nothing gives here).
- **loop**: the same on examples and features that are lists in memory already.
- **n-best**: `best_spans` and `merge` on batches: for each example the 20 best answers as arrays
  of characters, scores and probabilities, and the best answer's text and score difference.
- **encoded**: the same with the offsets put together from encoded windows, as the data loader does
  it; otherwise those are ready in memory, as for **loop**.
- **texts**: n-best, and of each of the 20 answers a dictionary with its text, as the loop makes;
  of one question after the other, as they are written to a file.
- **held**: the same, but all dictionaries are held until the end, as the script does.
- **spans**: `best_spans` alone: the 20 best spans of each window.

Best answers must be the same in all ways, and the dictionaries those of the script, or the run
fails. The n-best differ in one point: ours has an answer that two windows found once, the script
twice; so the script's are compared without the second, and without probabilities, which depend on
it. Times are of the clock, and the ratio
of processor time stands beside theirs, for machines that others use as well.
"""

import argparse
import gc
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import datasets
import numpy as np
import torch
from torch import Tensor

from zoo.qa.decoding import Best, best_spans, merge
from zoo.qa.windows import offsets_of

K = 20
MAX_ANSWER_LENGTH = 30


class Data(NamedTuple):
    """Windows and the texts they are of."""

    contexts: list[str]
    examples: list[int]
    windows: list[int]
    start: Tensor
    end: Tensor
    context: Tensor
    offsets: Tensor


class Answer(NamedTuple):
    """The best answer's characters and text, and null score minus its score."""

    start: int
    end: int
    text: str
    score_difference: float
    nbest: list[dict[str, Any]]


def make_data(examples: int, windows: int, tokens: int, seed: int) -> Data:
    """Windows of random texts: noise, a few starts and ends that stand out, and the null token."""
    rng = np.random.default_rng(seed)
    of = [i % examples for i in range(windows)]
    of.sort()
    contexts, spans = [], []
    for _ in range(examples):
        lengths = rng.integers(1, 9, size=2 * tokens)
        ends = np.cumsum(lengths + 1) - 1
        letters = "".join(map(chr, rng.integers(97, 123, size=int(ends[-1]))))
        spans.append(np.stack([ends - lengths, ends], axis=1))
        contexts.append(letters)
    start = rng.normal(-4, 1.5, size=(windows, tokens))
    end = rng.normal(-4, 1.5, size=(windows, tokens))
    context = np.zeros((windows, tokens), dtype=bool)
    offsets = np.zeros((windows, tokens, 2), dtype=np.int64)
    number: list[int] = []
    stride = 128
    for row, example in enumerate(of):
        number.append(number[-1] + 1 if row and of[row - 1] == example else 0)
        question = int(rng.integers(8, 30))
        length = tokens - question - 1 - (int(rng.integers(0, 150)) if number[-1] else 0)
        context[row, question : question + length] = True
        first = number[-1] * stride
        offsets[row, question : question + length] = spans[example][first : first + length]
        for _ in range(int(rng.integers(1, 6))):
            at = int(rng.integers(question, question + length - 4))
            height = rng.normal(6, 2)
            start[row, at] += height + rng.normal()
            end[row, at + int(rng.integers(0, 4))] += height + rng.normal()
        start[row, 0] += rng.normal(6, 3)
        end[row, 0] += rng.normal(6, 3)
    as_float = torch.float32
    return Data(
        contexts,
        of,
        number,
        torch.tensor(start, dtype=as_float),
        torch.tensor(end, dtype=as_float),
        torch.tensor(context),
        torch.tensor(offsets),
    )


def make_features(data: Data) -> list[dict[str, Any]]:
    """What the script has of each window: offsets are None where a token is not of the context."""
    tokens = data.start.shape[1]
    return [
        {
            "input_ids": list(range(tokens)),
            "token_type_ids": [int(inside) for inside in marks],
            "attention_mask": [1] * tokens,
            "offset_mapping": [
                pair if yes else None for pair, yes in zip(pairs, marks, strict=True)
            ],
            "example_id": str(example),
        }
        for example, pairs, marks in zip(
            data.examples, data.offsets.tolist(), data.context.tolist(), strict=True
        )
    ]


def make_examples(data: Data) -> list[dict[str, Any]]:
    """What the script has of each example: a row of SQuAD."""
    return [
        {
            "id": str(number),
            "title": f"article {number // 20}",
            "context": text,
            "question": "where is it that the answer to this question stands ?",
            "answers": {"text": [text[:20]], "answer_start": [0]},
        }
        for number, text in enumerate(data.contexts)
    ]


def make_windows(data: Data) -> list[dict[str, Any]]:
    """What `zoo` has of the offsets of each window before they are put together in a batch."""
    rows = []
    for marks, pairs in zip(data.context.numpy(), data.offsets.numpy(), strict=True):
        begin, length = int(marks.argmax()), int(marks.sum())
        starts, ends = pairs[begin : begin + length].T.copy()
        rows.append({"begin": begin, "stop": begin + length, "starts": starts, "ends": ends})
    return rows


def loop(data: Data, examples: Any, rows: Any) -> list[Answer]:
    """Feature by feature, pair by pair; both are rows of a list or of a `Dataset`."""
    all_starts, all_ends = data.start.numpy(), data.end.numpy()
    features: dict[str, list[int]] = {}
    for number, feature in enumerate(rows):
        features.setdefault(feature["example_id"], []).append(number)
    answers = []
    for example in examples:
        text = example["context"]
        found: list[dict[str, Any]] = []
        null = None
        for row in features[example["id"]]:
            starts, ends = all_starts[row], all_ends[row]
            where = rows[row]["offset_mapping"]
            most_context = rows[row].get("token_is_max_context")
            score = starts[0] + ends[0]
            if null is None or score < null:
                null = score
            best_ends = np.argsort(ends)[: -K - 1 : -1].tolist()
            for first in np.argsort(starts)[: -K - 1 : -1].tolist():
                for last in best_ends:
                    if first >= len(where) or last >= len(where):
                        continue
                    if where[first] is None or len(where[first]) < 2:
                        continue
                    if where[last] is None or len(where[last]) < 2:
                        continue
                    if last < first or last - first + 1 > MAX_ANSWER_LENGTH:
                        continue
                    if most_context is not None and not most_context.get(str(first), False):
                        continue
                    found.append(
                        {
                            "start": where[first][0],
                            "end": where[last][1],
                            "score": starts[first] + ends[last],
                            "start_logit": starts[first],
                            "end_logit": ends[last],
                        }
                    )
        found = sorted(found, key=lambda one: one["score"], reverse=True)[:K]
        for one in found:
            one["text"] = text[one["start"] : one["end"]]
        scores = np.array([*(one["score"] for one in found), null])
        weights = np.exp(scores - np.max(scores))
        weights = weights / weights.sum()
        for one, weight in zip(found, weights, strict=False):
            one["probability"] = weight
        # As they go into a JSON file.
        nbest = [
            {
                key: float(value) if isinstance(value, np.floating) else value
                for key, value in one.items()
            }
            for one in found
        ]
        top = found[0]
        difference = float(null - top["score"])
        answers.append(Answer(top["start"], top["end"], top["text"], difference, nbest))
    return answers


def decode(
    data: Data, batch: int, windows: list[dict[str, Any]] | None = None
) -> Mapping[int, Best]:
    """All windows, batch by batch, as a validation loop has them."""
    found: dict[int, Best] = {}
    tokens = data.start.shape[1]
    for a in range(0, len(data.examples), batch):
        part = slice(a, a + batch)
        offsets = offsets_of(windows[part], tokens) if windows else data.offsets[part]
        spans = best_spans(
            data.start[part],
            data.end[part],
            data.context[part],
            k=K,
            max_answer_length=MAX_ANSWER_LENGTH,
        )
        merge(found, spans, offsets, data.examples[part], data.windows[part])
    return found


def ours(data: Data, batch: int, windows: list[dict[str, Any]] | None = None) -> list[Answer]:
    """The best answers; the other 19 and the probabilities stay in arrays."""
    found = decode(data, batch, windows)
    answers = []
    for example, text in enumerate(data.contexts):
        answer = found[example]
        best = answer.best
        assert best is not None
        span = text[best.start : best.end]
        answers.append(Answer(best.start, best.end, span, answer.score_difference, []))
    return answers


def ours_texts(data: Data, batch: int, *, hold: bool = False) -> list[Answer]:
    """The 20 best answers as dictionaries with their texts and probabilities."""
    found = decode(data, batch)
    answers = []
    for example, text in enumerate(data.contexts):
        answer = found[example]
        nbest = answer.n_best(text)
        top = nbest[0]
        difference = answer.score_difference
        held = nbest if hold else []
        answers.append(Answer(top["start"], top["end"], top["text"], difference, held))
    return answers


def same_nbest(script: Answer, own: Answer) -> bool:
    """Whether dictionaries agree, up to answers that the script found in two windows."""
    distinct: dict[tuple[int, int], dict[str, Any]] = {}
    for one in script.nbest:
        distinct.setdefault((one["start"], one["end"]), one)
    return len(own.nbest) >= len(distinct) and all(
        theirs["text"] == ours["text"]
        and (theirs["start"], theirs["end"]) == (ours["start"], ours["end"])
        and abs(theirs["score"] - ours["score"]) < 1e-5
        for theirs, ours in zip(distinct.values(), own.nbest, strict=False)
    )


def ours_spans(data: Data, batch: int) -> list[Answer]:
    """The spans of each window, without answers."""
    for a in range(0, len(data.examples), batch):
        part = slice(a, a + batch)
        best_spans(
            data.start[part],
            data.end[part],
            data.context[part],
            k=K,
            max_answer_length=MAX_ANSWER_LENGTH,
        )
    return []


def processor() -> str:
    """The processor's name, as far as the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123
            return next(line.split(":")[1].strip() for line in lines if line.startswith("model n"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0], allow_abbrev=False)
    parser.add_argument("--examples", type=int, default=1500)
    parser.add_argument("--windows", type=int, default=2000)
    parser.add_argument("--tokens", type=int, default=384)
    parser.add_argument("--batch", type=int, default=128, help="windows per batch of ours")
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if args.windows < args.examples or args.tokens < 200:
        parser.error("every example needs a window, and a window 200 tokens")

    data = make_data(args.examples, args.windows, args.tokens, args.seed)
    lists, windows = make_features(data), make_windows(data)
    examples = make_examples(data)
    features, table = datasets.Dataset.from_list(lists), datasets.Dataset.from_list(examples)
    ways: dict[str, Callable[[], list[Answer]]] = {
        "script": lambda: loop(data, table, features),
        "loop": lambda: loop(data, examples, lists),
        "n-best": lambda: ours(data, args.batch),
        "encoded": lambda: ours(data, args.batch, windows),
        "texts": lambda: ours_texts(data, args.batch),
        "held": lambda: ours_texts(data, args.batch, hold=True),
        "spans": lambda: ours_spans(data, args.batch),
    }
    answers = {name: way() for name, way in ways.items()}  # warms up, too
    dictionaries = zip(answers["script"], answers["held"], strict=True)
    if others := sum(not same_nbest(*pair) for pair in dictionaries):
        sys.exit(f"The dictionaries of {others} questions are not the script's.")
    answers = {name: [one._replace(nbest=[]) for one in found] for name, found in answers.items()}
    # The data of this benchmark are no garbage to look through, in any of the ways.
    gc.collect()
    gc.freeze()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    processor_seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(args.repetitions):
        for name, way in ways.items():
            begin, begin_processor = time.perf_counter(), time.process_time()
            way()
            seconds[name].append(time.perf_counter() - begin)
            processor_seconds[name].append(time.process_time() - begin_processor)

    print(
        f"{args.windows:,} windows of {args.tokens} tokens, {args.examples:,} examples, "
        f"n-best {K}, answers of up to {MAX_ANSWER_LENGTH} tokens, {args.batch} windows a batch"
    )
    print(
        f"{processor()}, {os.cpu_count()} processors, {torch.get_num_threads()} threads of torch "
        f"(numpy sorts on one), load {', '.join(f'{load:.1f}' for load in os.getloadavg())}\n"
        f"Python {sys.version.split()[0]}, torch {torch.__version__}, numpy {np.__version__}, "
        f"datasets {datasets.__version__}"
    )
    print(f"median (lowest to highest) of {args.repetitions} repetitions, in turns\n")
    print(
        f"{'':8}{'':22}{'':12}{'times as fast as loop':^38}{'times as fast as script':^38}\n"
        f"{'way':8}{'seconds':>22}{'examples/s':>12}"
        + f"{'by the clock':>19}{'in processor time':>19}" * 2
        + f"{'same':>8}"
    )
    different = 0
    for name, times in seconds.items():
        pairs = list(zip(answers["script"], answers[name], strict=False))
        same = sum(a[:3] == b[:3] for a, b in pairs)
        # One difference is rounded to single precision, the other is not.
        gaps = [abs(a.score_difference - b.score_difference) for a, b in pairs]
        different += len(pairs) - same + sum(gap > 1e-5 for gap in gaps)
        ratios = "".join(
            f"{_ratios(measured, base, name):>19}"
            for base in ("loop", "script")
            for measured in (seconds, processor_seconds)
        )
        print(
            f"{name:8}{_spread(times, 3):>22}{args.examples / statistics.median(times):>12,.0f}"
            f"{ratios}{f'{same:,}' if pairs else '-':>8}"
        )
    if different:
        sys.exit(f"{different} best answers or score differences are not the script's.")


def _ratios(seconds: dict[str, list[float]], base: str, name: str) -> str:
    return _spread([a / b for a, b in zip(seconds[base], seconds[name], strict=True)], 1)


def _spread(values: list[float], digits: int) -> str:
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


if __name__ == "__main__":
    main()
