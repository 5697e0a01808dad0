"""Extractive question answering: the span of a text that answers a question, or none."""

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from zoo import backbones
from zoo.errors import ZooError, check_at_least
from zoo.qa.answering import (
    Given,
    QuestionInput,
    as_inputs,
    input_of,
    input_of_line,
    inputs_of_squad,
    portions,
    prediction,
)
from zoo.qa.decoding import Spans, best_spans
from zoo.qa.encoding import Layout
from zoo.qa.evaluation import Waiting, answered
from zoo.qa.metrics import AnswerScores, NullThreshold
from zoo.qa.prediction import AnsweredQuestion, QAPrediction, QAPredictions
from zoo.qa.report import report
from zoo.qa.search import search, warn_of_cut
from zoo.qa.windows import USUAL_MAX_LENGTH, layout_of, stride_of
from zoo.tracking.report import TaskReport
from zoo.training.adaptation import Adaptation
from zoo.training.optimization import Schedule
from zoo.training.task import FineTuningTask

if TYPE_CHECKING:
    from transformers import PreTrainedModel

#: Longest answer in tokens, unless told.
USUAL_ANSWER_LENGTH = 30


class QATask(FineTuningTask):
    """Start and end of the answer for any encoder, with "no answer" at the first token.

    In a notebook::

        data = QADataModule("qa-sample")
        task = QATask("minilm-l6")
        Trainer(max_epochs=3).fit(task, data)
        task.predict([("Who sang?", "Ada sang in London.")])

    The loss is the mean of two cross-entropies, of start and end, over the tokens of the text and
    the first token (Devlin et al. 2019, arXiv 1810.04805). A question is answered where the best
    span scores well enough above "no answer": the threshold that makes the best F1 is fitted at
    the end of each validation while fitting, and is kept with the weights. Where training and
    validation data has no unanswerable question, every question is answered.

    Args:
        backbone: Registered name, Hub id, or folder with a model.
        labels: The head's outputs, `start` and `end` (`data.labels`).
        learning_rate: Highest learning rate.
        weight_decay: AdamW's, for matrices only.
        schedule: What follows the warm-up: `linear`, `cosine`, `constant`, `inverse_sqrt`,
            `warmup_stable_decay`, or `plateau`, which is lowered by the validation score.
        warmup: Share of all steps in which the learning rate rises.
        betas: AdamW's averaging of the gradient and its square.
        packed: Whether batches go through the model without their padding, where it can be. None:
            on CPUs; on a GPU it takes longer so far.
        adaptation: What of the model is trained: a kind (`lora`), or one with its settings.
        layer_decay: What the learning rate is multiplied by for each layer below the head.
        schedule_options: Of `warmup_stable_decay`: decay (0.2, share of all steps); of `plateau`:
            factor (0.5), patience (1, validations) and floor (0.01).
        compile: Whether training compiles the model's blocks (`torch.compile`) as it begins.
        freeze_embeddings: Whether the embeddings of words and positions are left as they are.
        max_answer_length: Longest answer in tokens; if None 30, or what an exported model was
            made with.
        n_best: Best answers that are kept of each window and of each question.
        max_length: Longest window in tokens in `predict`; if None 384, or what an exported model
            was trained with.
        stride: Overlap of windows in tokens in `predict`; if None 128, or what an exported model
            was trained with.
    """

    family = "qa"
    head = "question-answering"
    monitor = "val/f1"
    null_threshold: Tensor

    def __init__(
        self,
        backbone: str = "minilm-l6",
        *,
        labels: list[str] | None = None,
        learning_rate: float = 2e-4,
        weight_decay: float = 0.01,
        schedule: Schedule = "linear",
        warmup: float = 0.1,
        betas: tuple[float, float] = (0.9, 0.999),
        packed: bool | None = None,
        adaptation: str | Adaptation = "full",
        layer_decay: float = 1.0,
        schedule_options: dict[str, float] | None = None,
        compile: bool = False,  # noqa: A002  as the flag is called
        freeze_embeddings: bool = False,
        max_answer_length: int | None = None,
        n_best: int = 20,
        max_length: int | None = None,
        stride: int | None = None,
    ):
        labels = ["start", "end"] if labels is None else list(labels)
        super().__init__(
            backbone,
            labels=labels,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            schedule=schedule,
            warmup=warmup,
            betas=betas,
            packed=packed,
            adaptation=adaptation,
            layer_decay=layer_decay,
            schedule_options=schedule_options,
            compile=compile,
            freeze_embeddings=freeze_embeddings,
        )
        self.save_hyperparameters()
        if labels != ["start", "end"]:
            raise ZooError(f"The labels of question answering are start and end, not {labels}.")
        check_at_least("--model.n_best", n_best, 1)
        if max_answer_length is not None:
            check_at_least("--model.max_answer_length", max_answer_length, 1)
        self.n_best = n_best
        self._max_answer_length = max_answer_length
        self.max_length = max_length
        self.stride = stride
        #: A question is answered iff its null score less its best span's is at most this.
        self.register_buffer("null_threshold", torch.zeros(()))
        self.metrics = torch.nn.ModuleDict({"validate": AnswerScores(), "test": AnswerScores()})
        self.thresholds = NullThreshold()
        self._waiting = Waiting()
        self._validated: list[AnsweredQuestion] = []
        self._always_answered = False

    @cached_property
    def max_answer_length(self) -> int:
        """Longest answer in tokens."""
        known = self._exported.get("max_answer_length", USUAL_ANSWER_LENGTH)
        return int(known) if self._max_answer_length is None else self._max_answer_length

    @property
    def _exported(self) -> dict[str, Any]:
        """What an exported model knows beside its weights; nothing is known of others."""
        known = backbones.metadata(self.backbone)
        return dict(known.get("calibration", {})) if known.get("family") == self.family else {}

    @property
    def calibration(self) -> dict[str, Any]:
        """The threshold on "no answer" (None if all questions are answered) and answers' length."""
        threshold = self.null_threshold.item()
        return {
            "null_threshold": threshold if math.isfinite(threshold) else None,
            "max_answer_length": self.max_answer_length,
        }

    def _trained_model(self) -> "PreTrainedModel":
        model = super()._trained_model()
        known = self._exported
        if "null_threshold" in known:
            threshold = known["null_threshold"]
            self.null_threshold.fill_(math.inf if threshold is None else threshold)
        return model

    def forward(self, batch: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        """Logits of start and of end, each float `[windows, longest]`."""
        output = self.outputs({name: batch[name] for name in self.input_names})
        return output.start_logits.float(), output.end_logits.float()

    def training_step(
        self, batch: Mapping[str, Any], batch_index: int
    ) -> Tensor | dict[str, Tensor]:
        """Mean cross-entropy of start and end over the windows of the batch."""
        return self.training_loss(self._loss(self(batch), batch), len(batch["start"]))

    @staticmethod
    def _masked(logits: tuple[Tensor, Tensor], batch: Mapping[str, Any]) -> list[Tensor]:
        """Logits with those of the question and the padding out of the choice."""
        others = ~batch["context_mask"]
        others[:, 0] = False
        return [scores.masked_fill(others, torch.finfo(torch.float).min) for scores in logits]

    @classmethod
    def _loss(cls, logits: tuple[Tensor, Tensor], batch: Mapping[str, Any]) -> Tensor:
        start, end = cls._masked(logits, batch)
        losses = F.cross_entropy(start, batch["start"]), F.cross_entropy(end, batch["end"])
        return torch.stack(losses).mean()

    def validation_step(self, batch: Mapping[str, Any], batch_index: int) -> None:
        """Answer the questions that a validation batch completes."""
        found = self._evaluate(batch, "val")
        self._always_answered = batch["always_answered"]
        self._validated += found
        self.thresholds.update(
            [one.null_difference for one in found],
            [one.if_answered.f1 for one in found],
            [one.if_empty.f1 for one in found],
        )

    def test_step(self, batch: Mapping[str, Any], batch_index: int) -> dict[str, Any]:
        """Answer the questions that a test batch completes; they are its `predictions`."""
        found = self._evaluate(batch, "test")
        self._count(found, "test")
        return {"predictions": found}

    def predict_step(self, batch: Mapping[str, Any], batch_index: int) -> list[AnsweredQuestion]:
        """The questions that a batch completes."""
        found = self._answered(batch, self._spans(self(batch), batch))
        self._decide(found)
        return found

    def _evaluate(
        self, batch: Mapping[str, Any], split: Literal["val", "test"]
    ) -> list[AnsweredQuestion]:
        logits = self(batch)
        loss = self._loss(logits, batch)
        self.count_loss(split, loss, len(logits[0]))
        return self._answered(batch, self._spans(logits, batch))

    def _spans(self, logits: tuple[Tensor, Tensor], batch: Mapping[str, Any]) -> Spans:
        # Tokens outside the text were never trained: they must not come among the best.
        outside = ~batch["context_mask"]
        starts, ends = (scores.masked_fill(outside, -math.inf) for scores in logits)
        spans = best_spans(
            starts,
            ends,
            batch["context_mask"],
            k=self.n_best,
            max_answer_length=self.max_answer_length,
        )
        null = logits[0][:, 0] + logits[1][:, 0]
        return spans._replace(null=null.detach().to(spans.null.device))

    def _answered(self, batch: Mapping[str, Any], spans: Spans) -> list[AnsweredQuestion]:
        return [
            answered(row, best, text, golds, batch["answers_in"])
            for row, best, text, golds in self._waiting.add(batch, spans)
        ]

    def _decide(self, questions: Sequence[AnsweredQuestion]) -> None:
        threshold = self.null_threshold.item()
        for one in questions:
            one.decide(threshold)

    def _count(self, questions: Sequence[AnsweredQuestion], stage: str) -> None:
        self._decide(questions)
        metric: Any = self.metrics[stage]
        metric.update(
            [one.scores.em for one in questions],
            [one.scores.f1 for one in questions],
            [bool(one.golds) for one in questions],
        )

    def on_validation_epoch_start(self) -> None:
        """Forget what an earlier, shortened loop left behind."""
        self._waiting.clear()
        self._validated.clear()
        self.thresholds.reset()

    def on_test_epoch_start(self) -> None:
        """Forget what an earlier, shortened loop left behind."""
        self._waiting.clear()

    on_predict_epoch_start = on_test_epoch_start

    def on_validation_epoch_end(self) -> None:
        """Fit the threshold on "no answer" (while fitting), and log the scores with it."""
        if self.calibrating:
            found = self.thresholds.compute().threshold
            self.null_threshold.fill_(math.inf if self._always_answered else found)
        self._count(self._validated, "validate")
        self._validated.clear()
        self._log_scores("validate", "val")

    def on_test_epoch_end(self) -> None:
        """Log the scores."""
        self._log_scores("test", "test")

    def _log_scores(self, stage: str, split: Literal["val", "test"]) -> None:
        metric: Any = self.metrics[stage]
        scores = metric.compute()
        metric.reset()
        self.log_scores(split, scores)

    def report(self, predictions: Sequence[AnsweredQuestion], examples: Any) -> TaskReport:
        """Tables and pictures for the report of a test.

        Args:
            predictions: What `test_step` returned, of all processes, in any order.
            examples: The table of test examples.
        """
        return report(predictions, examples, threshold=self.null_threshold.item())

    @classmethod
    def input_of(cls, record: Mapping[str, Any]) -> QuestionInput:
        """The question and its texts, of an object of a .jsonl file.

        Raises:
            DataError: It lacks one of them.
        """
        return input_of(record)

    @classmethod
    def input_of_line(cls, line: str) -> QuestionInput | None:
        """The question and its text of a line: a JSON object, or question, tab and text.

        None of a blank line.

        Raises:
            DataError: It is neither.
        """
        return input_of_line(line)

    @classmethod
    def inputs_of_file(cls, path: Path) -> Iterator[QuestionInput] | None:
        """The questions of a file in SQuAD's layout; None of any other."""
        return inputs_of_squad(path)

    @torch.inference_mode()
    def predict(
        self,
        inputs: "Given | Sequence[Given]",
        *,
        batch_size: int = 32,
        answers: int = 5,
    ) -> QAPredictions:
        """Answers to questions, in the order of the input.

        Args:
            inputs: Pairs of a question and a text (or a list of texts, which are searched
                together), or dicts with `question`, `context` or `contexts`, and `id` if you like;
                one alone is taken as a list of one.
            batch_size: Windows in a batch.
            answers: Most answers that are given for each question.

        Returns:
            For each question its best answers with places, scores and probabilities. A text
            longer than the model is windowed, as in training; of a question that takes more than
            half of a window the end is left out, how much of it is said, and a warning is logged.

        Raises:
            DataError: An input is no question on a text.
            RunError: The task has no trained head.
        """
        check_at_least("batch_size", batch_size, 1)
        check_at_least("answers", answers, 1)
        found: list[QAPrediction] = []
        with self.evaluating():
            threshold = self.null_threshold.item()
            layout = self._layout_to_predict
            for questions in portions(as_inputs(inputs)):
                of = search(
                    questions,
                    tokenizer=self.tokenizer,
                    layout=layout,
                    batch_size=batch_size,
                    spans_of=self._spans_to_predict,
                )
                for question, (bests, windows, cut) in zip(questions, of, strict=True):
                    found.append(
                        prediction(
                            question, bests, windows, threshold=threshold, most=answers, cut=cut
                        )
                    )
        warn_of_cut([one.question for one in found if one.cut], layout.longest_question)
        return QAPredictions(found)

    @property
    def _layout_to_predict(self) -> Layout:
        max_length = self.max_length
        if max_length is None:
            max_length = backbones.max_length_of(self.backbone, usual=USUAL_MAX_LENGTH)
        elif max_length > (limit := backbones.longest_input(self.backbone)):
            raise ZooError(
                f"--model.max_length {max_length} is more than {self.backbone} can take "
                f"({limit} tokens)."
            )
        stride = stride_of(self.backbone, max_length) if self.stride is None else self.stride
        return layout_of(self.tokenizer, max_length, stride, of="model")

    def _spans_to_predict(self, batch: Mapping[str, Any]) -> Spans:
        batch = self.on_device(batch)
        return self._spans(self(batch), batch)
