"""Text classification: one label for a text or a pair of texts."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from zoo import backbones
from zoo.classification.encoding import LongTexts, Text, encode_texts
from zoo.classification.loss import cross_entropy
from zoo.classification.metrics import classification_scores
from zoo.classification.prediction import (
    ClassificationPrediction,
    ClassificationPredictions,
    ClassifiedText,
)
from zoo.classification.report import report
from zoo.errors import DataError, ZooError
from zoo.tracking.report import TaskReport
from zoo.training.optimization import Schedule
from zoo.training.task import FineTuningTask

#: Texts encoded and predicted together, so that a stream of them is never held whole.
_TEXTS_AT_ONCE = 512


class ClassificationTask(FineTuningTask):
    """Sequence classification with one label a text, for any encoder.

    In a notebook::

        data = ClassificationDataModule("classification-sample")
        task = ClassificationTask("minilm-l6", labels=data.labels)
        Trainer(max_epochs=3).fit(task, data)
        task.predict(["My bin was not emptied."])

    The loss is the mean cross-entropy over texts. The best checkpoint is the one with the highest
    `val/accuracy`; with balanced class weights, where rare labels are to count as much as frequent
    ones, the one with the highest `val/f1_macro`.

    Args:
        backbone: Registered name, Hub id, or folder with a model.
        labels: Labels in the order of their ids (`data.labels`).
        learning_rate: Highest learning rate.
        weight_decay: AdamW's, for matrices only.
        schedule: What follows the warm-up.
        warmup: Share of all steps in which the learning rate rises.
        betas: AdamW's averaging of the gradient and its square.
        class_weights: `balanced` weighs texts so that all labels of train count alike.
        label_smoothing: Share of the target that is spread over all labels, from 0 to below 1.
        max_length: Longest text in tokens in `predict`. If None that of a run's training, where
            the backbone is its folder; else the backbone's own.
        long_texts: What `predict` reads of a longer one. If None as a run's training did, else
            its beginning.
    """

    family = "classification"
    head = "sequence-classification"
    monitor = "val/accuracy"

    def __init__(
        self,
        backbone: str = "minilm-l6",
        *,
        labels: list[str],
        learning_rate: float = 2e-4,
        weight_decay: float = 0.01,
        schedule: Schedule = "linear",
        warmup: float = 0.1,
        betas: tuple[float, float] = (0.9, 0.999),
        class_weights: Literal["none", "balanced"] = "none",
        label_smoothing: float = 0.0,
        max_length: int | None = None,
        long_texts: LongTexts | None = None,
    ):
        super().__init__(
            backbone,
            labels=labels,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            schedule=schedule,
            warmup=warmup,
            betas=betas,
        )
        self.save_hyperparameters()
        if len(set(labels)) < max(len(labels), 2):
            raise ZooError(f"Two labels or more are needed, each once; given were {list(labels)}.")
        if not 0 <= label_smoothing < 1:
            raise ZooError(f"label_smoothing={label_smoothing} must be at least 0 and below 1.")
        self.class_weights = class_weights
        self.label_smoothing = label_smoothing
        self.max_length = max_length
        self.long_texts = long_texts
        self._fitted = False
        if class_weights == "balanced":
            self.monitor = "val/f1_macro"
        count = len(labels)
        self.metrics = torch.nn.ModuleDict(
            {"validate": classification_scores(count), "test": classification_scores(count)}
        )

    def forward(self, batch: Mapping[str, Any]) -> Tensor:
        """Logits, float `[texts, labels]`."""
        names = ["input_ids", "attention_mask", *self._type_names]
        output = self.net(**{name: batch[name] for name in names})
        logits: Tensor = output.logits
        return logits

    @cached_property
    def _type_names(self) -> list[str]:
        """Whether the model tells the texts of a pair apart by token types, as its tokenizer does.

        RoBERTa takes them and knows only one; DistilBERT takes none.
        """
        taken = "token_type_ids" in inspect.signature(self.net.forward).parameters
        given = "token_type_ids" in self.tokenizer.model_input_names
        several = getattr(self.net.config, "type_vocab_size", 0) > 1
        return ["token_type_ids"] if taken and given and several else []

    def training_step(self, batch: Mapping[str, Any], batch_index: int) -> Tensor:
        """Mean cross-entropy over the texts of the batch, weighted and smoothed as asked for."""
        weights = batch["weights"] if self.class_weights == "balanced" else None
        loss = cross_entropy(self(batch), batch["labels"], weights, smoothing=self.label_smoothing)
        self.log_loss(loss)
        return loss

    def validation_step(self, batch: Mapping[str, Any], batch_index: int) -> None:
        """Count the texts of a validation batch."""
        self._evaluate(batch, "validate")

    def test_step(self, batch: Mapping[str, Any], batch_index: int) -> dict[str, Any]:
        """Count the texts of a test batch; `predictions` are its texts with their labels."""
        return {"predictions": self._evaluate(batch, "test")}

    def predict_step(self, batch: Mapping[str, Any], batch_index: int) -> list[ClassifiedText]:
        """The texts of a batch with their labels."""
        likely, best = self._best(self(batch))
        return list(self._classified(batch, likely, best))

    def _evaluate(self, batch: Mapping[str, Any], stage: str) -> list[ClassifiedText]:
        logits, gold = self(batch), batch["labels"]
        if int(gold.max()) >= len(self.labels):
            raise ZooError(
                "The data has labels that the task was not made for. Make it with "
                "ClassificationTask.from_run(FOLDER, labels=data.labels)."
            )
        split = "val" if stage == "validate" else "test"
        self.log(f"{split}/loss", cross_entropy(logits, gold), batch_size=len(gold), sync_dist=True)
        likely, best = self._best(logits)
        metric: Any = self.metrics[stage]
        metric.update(best, gold, confidence=likely)
        return list(self._classified(batch, likely, best))

    @staticmethod
    def _best(logits: Tensor) -> tuple[Tensor, Tensor]:
        likely, best = logits.float().softmax(dim=-1).max(dim=-1)
        return likely, best

    def _classified(
        self, batch: Mapping[str, Any], likely: Tensor, best: Tensor
    ) -> Iterator[ClassifiedText]:
        gold = batch["labels"].tolist() if "labels" in batch else [None] * len(best)
        for example, label, probability, right in zip(
            batch["example"], best.tolist(), likely.tolist(), gold, strict=True
        ):
            name = "" if right is None else self.labels[right]
            yield ClassifiedText(example, self.labels[label], probability, name)

    def on_validation_epoch_end(self) -> None:
        """Log the scores."""
        self._log_scores("validate", "val")

    def on_test_epoch_end(self) -> None:
        """Log the scores."""
        self._log_scores("test", "test")

    def _log_scores(self, stage: str, prefix: str) -> None:
        metric: Any = self.metrics[stage]
        scores = metric.compute()
        metric.reset()
        for name, value in scores.items():
            key = f"{prefix}/{name}"
            self.log(key, value.float(), prog_bar=key == self.monitor, rank_zero_only=True)

    def report(self, predictions: Sequence[ClassifiedText], examples: Any) -> TaskReport:
        """Tables and pictures for the report of a test.

        Args:
            predictions: What `test_step` returned, of all processes, in any order.
            examples: The table of test examples, with `text` and `text2`.
        """
        return report(predictions, examples, labels=self.labels)

    @classmethod
    def input_of(cls, record: Mapping[str, Any]) -> str | tuple[str, str]:
        """The text, or the pair, of an object of a .jsonl file.

        Raises:
            DataError: It holds neither.
        """
        text, text2 = record.get("text"), record.get("text2")
        if isinstance(text, str) and text2 is None:
            return text
        if isinstance(text, str) and isinstance(text2, str):
            return text, text2
        raise DataError(
            'Each object needs "text" (a string), and "text2" where the model reads pairs; this '
            f"one has {', '.join(record) or 'nothing'}."
        )

    @torch.inference_mode()
    def predict(
        self, inputs: str | Sequence[str | Sequence[str]], *, batch_size: int = 32
    ) -> ClassificationPredictions:
        """Labels of texts, or of pairs of texts, in the order of the input.

        Args:
            inputs: Texts, or pairs of them; one text alone is taken as a list of one.
            batch_size: Texts in a batch.

        Raises:
            DataError: There are pairs where the model was trained on single texts, or the reverse.
            RunError: The task has no trained head.
            ValueError: Some are pairs and others single texts.
        """
        inputs = [inputs] if isinstance(inputs, str) else inputs
        found: list[ClassificationPrediction] = []
        with self.evaluating():
            for start in range(0, len(inputs), _TEXTS_AT_ONCE):
                texts = [self._text(one) for one in inputs[start : start + _TEXTS_AT_ONCE]]
                found += self._predict(texts, batch_size)
        return ClassificationPredictions(found)

    @property
    def _trained_with(self) -> dict[str, Any]:
        """How the texts of a run's model were read in training; nothing is known of others."""
        known = {} if self._fitted else backbones.metadata(self.backbone)
        if known.get("family") != self.family:
            return {}
        return {"max_length": known.get("max_length"), **known.get("encoding", {})}

    def on_fit_start(self) -> None:
        """Forget how the backbone's own training read texts: this one may do otherwise."""
        self._fitted = True

    def _text(self, given: str | Sequence[str]) -> Text:
        pair: Text = (given, None) if isinstance(given, str) else (given[0], given[-1])
        if not isinstance(given, str) and len(given) != 2:
            raise DataError(f"A pair is two texts; this one has {len(given)}.")
        trained = self._trained_with.get("pairs")
        if trained is not None and trained != (pair[1] is not None):
            raise DataError(
                "This model was trained on pairs of texts: give two, (TEXT, TEXT2) in Python, "
                '{"text": ..., "text2": ...} a line in a .jsonl file.'
                if trained
                else "This model was trained on single texts; a pair was given."
            )
        return pair

    def _predict(self, texts: Sequence[Text], batch_size: int) -> list[ClassificationPrediction]:
        from zoo.classification.datamodule import collate

        trained = self._trained_with
        encoded = encode_texts(
            texts,
            tokenizer=self.tokenizer,
            max_length=self.max_length
            or trained.get("max_length")
            or backbones.max_length_of(self.backbone),
            long_texts=self.long_texts or trained.get("long_texts", "truncate"),
        )
        rows = [{**one._asdict(), "example": number} for number, one in enumerate(encoded)]
        rows.sort(key=lambda row: -len(row["input_ids"]))
        found: dict[int, ClassificationPrediction] = {}
        for at in range(0, len(rows), batch_size):
            batch = collate(
                rows[at : at + batch_size], pad_token_id=int(self.tokenizer.pad_token_id or 0)
            )
            likely, best = self._best(self(self.on_device(batch)))
            for one in self._classified(batch, likely, best):
                text, text2 = texts[one.example]
                found[one.example] = ClassificationPrediction(
                    text, one.label, one.probability, text2
                )
        return [found[number] for number in range(len(texts))]
