"""A plain PyTorch loop around Hugging Face's model for questions, on the very splits of `zoo`.

`python -m benchmarks.qa_plain_loop dev-v2.0.json --epochs 2 --learning_rate 1e-4` is what one
writes without this project: `AutoModelForQuestionAnswering` with the loss that it comes with,
windows from the tokenizer (`return_overflowing_tokens`), every window of the training questions,
batches padded to their longest, AdamW, and the defaults of transformers' `Trainer` for the rest
(a learning rate that falls to 0 from the first step on, no weight decay, gradients clipped at 1).

Train, validation and test questions are those of `QADataModule`; the best spans, the threshold on
"no answer" fitted on validation, exact match and F1 are those of `QATask` as well, so that only
training differs. Of a budget of real tokens (padding not counted) or minutes the learning rate
knows: it is 0 where the budget ends.
"""

import argparse
import json
import math
import resource
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.metrics import roc_auc_score  # type: ignore[import-untyped]
from torch import Tensor
from transformers import AutoModelForQuestionAnswering, AutoTokenizer, set_seed

from zoo import QADataModule, backbones
from zoo.qa.decoding import Best, best_spans, merge
from zoo.qa.evaluation import answered
from zoo.qa.metrics import AnswerScores, best_f1_threshold
from zoo.qa.prediction import AnsweredQuestion

#: What a model takes.
INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class Budget(NamedTuple):
    """What ends training, whichever comes first."""

    steps: int
    tokens: float
    seconds: float

    def used(self, steps: int, tokens: int, seconds: float) -> float:
        """Share of it that is used, from 0 to 1."""
        return min(
            1.0, max(steps / self.steps, tokens / self.tokens, seconds / max(self.seconds, 1e-9))
        )


class Windows(NamedTuple):
    """Windows of some questions.

    Attributes:
        inputs: For each window its `input_ids`, `attention_mask` and `token_type_ids`.
        offsets: For each window characters of its tokens, `[tokens, 2]`.
        inside: For each window which tokens are of the text, bool `[tokens]`.
        example: Row of each window's question.
        number: Number of each window within its question.
        spans: First and last token of each window's answer; both 0 where it holds none.
    """

    inputs: list[dict[str, list[int]]]
    offsets: list[Any]
    inside: list[Any]
    example: list[int]
    number: list[int]
    spans: list[tuple[int, int]]


def make_windows(tokenizer: Any, examples: Any, max_length: int, stride: int) -> Windows:
    """All windows of all questions; an answer counts in those that hold the first one whole."""
    columns = {name: examples[name][:] for name in examples.column_names}
    encoded = tokenizer(
        columns["question"],
        columns["context"],
        truncation="only_second",
        max_length=max_length,
        stride=stride,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        return_token_type_ids=True,
    )
    made = Windows([], [], [], encoded["overflow_to_sample_mapping"], [], [])
    for at, example in enumerate(made.example):
        made.inputs.append({name: encoded[name][at] for name in INPUTS})
        made.offsets.append(np.array(encoded["offset_mapping"][at], dtype=np.int64))
        made.inside.append(np.array([of == 1 for of in encoded.sequence_ids(at)]))
        again = at > 0 and made.example[at - 1] == example
        made.number.append(made.number[-1] + 1 if again else 0)
        texts, starts = columns["answers"][example], columns["answer_starts"][example]
        characters = (starts[0], starts[0] + len(texts[0])) if texts else None
        made.spans.append(answer_span(made.offsets[-1], made.inside[-1], characters))
    return made


def answer_span(offsets: Any, inside: Any, characters: tuple[int, int] | None) -> tuple[int, int]:
    """First and last token of the text that hold an answer's characters; (0, 0) if not all do."""
    if characters is None or not inside.any():
        return 0, 0
    begin, end = characters
    tokens = np.flatnonzero(inside)
    if offsets[tokens[0], 0] > begin or offsets[tokens[-1], 1] < end:
        return 0, 0
    first = tokens[np.searchsorted(offsets[tokens, 0], begin, side="right") - 1]
    last = tokens[np.searchsorted(offsets[tokens, 1], end)]
    return int(first), int(last)


def batches(
    tokenizer: Any, windows: Windows, order: Sequence[int], size: int
) -> Iterator[tuple[Sequence[int], dict[str, Tensor]]]:
    """Rows, and their windows padded to the longest of them."""
    for at in range(0, len(order), size):
        rows = order[at : at + size]
        padded = tokenizer.pad([windows.inputs[row] for row in rows], return_tensors="pt")
        yield rows, dict(padded)


def train(
    model: Any, tokenizer: Any, windows: Windows, budget: Budget, args: argparse.Namespace
) -> dict[str, float]:
    """Fine-tune, and tell what it took."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.learning_rate, weight_decay=0.0)
    steps = tokens = 0
    used = 0.0
    begin, begin_processor = time.perf_counter(), time.process_time()
    recent: list[float] = []
    model.train()
    while used < 1:
        order = torch.randperm(len(windows.inputs)).tolist()
        for rows, batch in batches(tokenizer, windows, order, args.batch):
            spans = torch.tensor([windows.spans[row] for row in rows])
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=not args.fp32):
                output = model(**batch, start_positions=spans[:, 0], end_positions=spans[:, 1])
            output.loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            steps += 1
            tokens += int(batch["attention_mask"].sum())
            used = budget.used(steps, tokens, time.perf_counter() - begin)
            for group in optimizer.param_groups:
                group["lr"] = args.learning_rate * (1 - used)
            recent = [*recent[-49:], output.loss.item()]
            if steps % 50 == 0 or used == 1:
                done = f"step {steps} of at most {budget.steps}, {tokens:,} tokens"
                print(f"{done}: loss {sum(recent) / len(recent):.3f}", flush=True)
            if used == 1:
                break
    seconds = time.perf_counter() - begin
    return {
        "steps": steps,
        "tokens_read": tokens,
        "seconds": seconds,
        "processor_seconds": time.process_time() - begin_processor,
        "tokens_per_second": tokens / seconds,
        "train_loss": sum(recent) / len(recent),
    }


@torch.inference_mode()
def answer_all(
    model: Any, tokenizer: Any, data: QADataModule, split: Any, args: argparse.Namespace
) -> list[AnsweredQuestion]:
    """The best span of each question of a split, and how it scores."""
    model.eval()
    examples = data.examples(split)
    windows = make_windows(tokenizer, examples, args.max_length, args.stride)
    found: dict[int, Best] = {}
    order = sorted(range(len(windows.inputs)), key=lambda row: len(windows.inside[row]))
    for rows, batch in batches(tokenizer, windows, order, 2 * args.batch):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=not args.fp32):
            output = model(**batch)
        shape = batch["input_ids"].shape
        inside = torch.zeros(shape, dtype=torch.bool)
        offsets = torch.zeros(*shape, 2, dtype=torch.long)
        for at, row in enumerate(rows):
            length = len(windows.inside[row])
            inside[at, :length] = torch.from_numpy(windows.inside[row])
            offsets[at, :length] = torch.from_numpy(windows.offsets[row])
        start, end = output.start_logits.float(), output.end_logits.float()
        null = start[:, 0] + end[:, 0]
        start, end = (scores.masked_fill(~inside, -math.inf) for scores in (start, end))
        spans = best_spans(start, end, inside, k=20, max_answer_length=30)._replace(null=null)
        numbers = [windows.number[row] for row in rows]
        merge(found, spans, offsets, [windows.example[row] for row in rows], numbers)
    return [
        answered(row, found[row], one["context"], one["answers"], data.answers_in)
        for row, one in enumerate(examples)
    ]


def scores(questions: Sequence[AnsweredQuestion], threshold: float, split: str) -> dict[str, float]:
    """Exact match and F1 with a threshold on "no answer", and what lies behind them.

    Returns:
        The scores of `AnswerScores`; `always_answered_f1`, of the questions that have an answer if
        every question is answered; `null_auc`, the area under the curve of telling questions
        without an answer from the others by their null scores, 0.5 by chance; and the F1 of never
        answering.
    """
    for one in questions:
        one.decide(threshold)
    readable = [one.if_answered.f1 for one in questions if one.golds]
    metric = AnswerScores()
    metric.update(
        [one.scores.em for one in questions],
        [one.scores.f1 for one in questions],
        [bool(one.golds) for one in questions],
    )
    null = sum(one.if_empty.f1 for one in questions) / len(questions)
    found = {f"{split}/{name}": float(value) for name, value in metric.compute().items()}
    found[f"{split}/always_answered_f1"] = sum(readable) / max(1, len(readable))
    if 0 < len(readable) < len(questions):
        found[f"{split}/null_auc"] = float(
            roc_auc_score(
                [not one.golds for one in questions], [one.null_difference for one in questions]
            )
        )
    return {**found, f"baseline/null/{split}_f1": null}


def main() -> None:
    """Fine-tune, evaluate, print the figures as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0], allow_abbrev=False)
    parser.add_argument("data", help="questions as QADataModule reads them; parts are held out")
    parser.add_argument("--backbone", default="minilm-l6")
    parser.add_argument("--epochs", type=float, default=1)
    parser.add_argument("--learning_rate", type=float, default=5e-5, help="that of Trainer")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--max_length", type=int, default=384)
    parser.add_argument("--stride", type=int, default=128)
    parser.add_argument("--tokens", type=float, default=math.inf, help="most real tokens to read")
    parser.add_argument("--minutes", type=float, default=math.inf, help="most minutes to train")
    parser.add_argument("--fp32", action="store_true", help="without bf16 autocast")
    parser.add_argument("--out", type=Path, help="a file for the figures")
    args = parser.parse_args()
    set_seed(args.seed)

    data = QADataModule(train=args.data, backbone=args.backbone)
    folder = backbones.resolve(args.backbone).location
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForQuestionAnswering.from_pretrained(folder, dtype=torch.float32)
    windows = make_windows(tokenizer, data.examples("train"), args.max_length, args.stride)
    steps = max(1, round(args.epochs * math.ceil(len(windows.inputs) / args.batch)))
    budget = Budget(steps, args.tokens, 60 * args.minutes)
    figures: dict[str, Any] = {
        **{name: value for name, value in vars(args).items() if value not in (math.inf, args.out)},
        "threads": torch.get_num_threads(),
        "train_windows": len(windows.inputs),
        "empty_windows": sum(span == (0, 0) for span in windows.spans),
        **train(model, tokenizer, windows, budget, args),
    }
    validated = answer_all(model, tokenizer, data, "validation", args)
    threshold, _ = best_f1_threshold(
        [one.null_difference for one in validated],
        [one.if_answered.f1 for one in validated],
        [one.if_empty.f1 for one in validated],
    )
    threshold = math.inf if data.always_answered else threshold
    figures |= {"threshold": threshold, **scores(validated, threshold, "val")}
    tested = answer_all(model, tokenizer, data, "test", args)
    figures |= scores(tested, threshold, "test")
    figures["peak_memory_gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    text = json.dumps(figures, indent=2, default=str)
    print(text)
    if args.out:
        args.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
