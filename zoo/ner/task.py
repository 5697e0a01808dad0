"""Named entity recognition: a label for every word, entities out."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from zoo import backbones
from zoo.data.words import split_words
from zoo.errors import DataError, ZooError, check_at_least
from zoo.ner.encoding import (
    IGNORED,
    BioDecoder,
    bio_labels,
    encode_documents,
    entities_of,
    types_of,
)
from zoo.ner.metrics import EntityF1
from zoo.ner.prediction import (
    NERPrediction,
    NERPredictions,
    PredictedEntity,
    TaggedDocument,
)
from zoo.ner.report import report
from zoo.tracking.report import TaskReport
from zoo.training.adaptation import Adaptation
from zoo.training.optimization import Schedule
from zoo.training.task import FineTuningTask

#: Texts encoded and predicted together, so that a stream of them is never held whole.
_TEXTS_AT_ONCE = 512


class NERTask(FineTuningTask):
    """Token classification with entity F1, for any encoder.

    In a notebook::

        data = NERDataModule("ner-sample")
        task = NERTask("minilm-l6", labels=data.labels)
        Trainer(max_epochs=3).fit(task, data)
        task.predict(["Ada Lovelace lived in London."])

    The loss is the mean cross-entropy over words. Predicted tags are the most probable valid BIO
    sequence, so what is scored is what is shown.

    Args:
        backbone: Registered name, Hub id, or folder with a model.
        labels: BIO labels in the order of their ids (`data.labels`).
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
        max_length: Longest window in tokens in `predict`; if None the backbone's own (at most
            512), or what an exported model was trained with.
        stride: Overlap of windows in tokens in `predict`; if None 64, or what an exported model
            was trained with.
    """

    family = "ner"
    head = "token-classification"
    monitor = "val/f1"

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
        packed: bool | None = None,
        adaptation: str | Adaptation = "full",
        layer_decay: float = 1.0,
        schedule_options: dict[str, float] | None = None,
        compile: bool = False,  # noqa: A002  as the flag is called
        freeze_embeddings: bool = False,
        max_length: int | None = None,
        stride: int | None = None,
    ):
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
        _check_labels(labels)
        self.max_length = max_length
        self.stride = stride
        self.metrics = torch.nn.ModuleDict({"validate": EntityF1(labels), "test": EntityF1(labels)})
        self._windows = _WindowMerger()

    def forward(self, batch: Mapping[str, Any]) -> Tensor:
        """Logits, float `[windows, longest, labels]`."""
        logits: Tensor = self.outputs(
            {name: batch[name] for name in ("input_ids", "attention_mask")}
        ).logits
        return logits

    def training_step(
        self, batch: Mapping[str, Any], batch_index: int
    ) -> Tensor | dict[str, Tensor]:
        """Mean cross-entropy over the words of the batch."""
        return self.training_loss(*self._loss(self(batch), batch["labels"]))

    def _loss(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The loss, and the number of words that it is a mean of."""
        size = logits.shape[-1]
        # Labels that only the data has cannot be learned from: the model has no output for them.
        targets = labels.masked_fill(labels >= size, IGNORED)
        total = F.cross_entropy(
            logits.reshape(-1, size).float(),
            targets.reshape(-1),
            ignore_index=IGNORED,
            reduction="sum",
        )
        count = (targets != IGNORED).sum()
        return total / count.clamp(min=1), count

    def validation_step(self, batch: Mapping[str, Any], batch_index: int) -> None:
        """Count the entities of a validation batch."""
        self._evaluate(batch, "validate")

    def test_step(self, batch: Mapping[str, Any], batch_index: int) -> dict[str, Any]:
        """Count the entities of a test batch; `predictions` are the documents that it completes."""
        return {"predictions": self._evaluate(batch, "test")}

    def predict_step(self, batch: Mapping[str, Any], batch_index: int) -> list[TaggedDocument]:
        """The documents that a batch completes, with their predicted tags."""
        return list(self._decode(batch, self(batch)))

    def _evaluate(self, batch: Mapping[str, Any], stage: str) -> list[TaggedDocument]:
        logits = self(batch)
        metric: Any = self.metrics[stage]
        if int(batch["labels"].max()) >= len(self.labels):
            raise ZooError(
                "The data has labels that the task was not made for. Make it with "
                "NERTask.from_run(FOLDER, labels=data.labels)."
            )
        words = int((batch["labels"] != IGNORED).sum())
        loss, _ = self._loss(logits, batch["labels"])
        self.count_loss("val" if stage == "validate" else "test", loss, words)
        documents = list(self._decode(batch, logits))
        ids = {label: index for index, label in enumerate(self.labels)}
        device = logits.device
        metric.update(
            torch.tensor(
                [ids[tag] for one in documents for tag in one.tags], dtype=torch.long, device=device
            ),
            torch.tensor(
                [ids[tag] for one in documents for tag in one.gold], dtype=torch.long, device=device
            ),
            torch.tensor([len(one.tags) for one in documents], dtype=torch.long, device=device),
        )
        return documents

    def _decode(self, batch: Mapping[str, Any], logits: Tensor) -> Iterator[TaggedDocument]:
        known = self.known_labels
        done = self._windows.add(batch, logits)
        probabilities = [torch.softmax(scores, dim=-1) for _, scores, _ in done]
        tags = BioDecoder(known)([scores for _, scores, _ in done])
        for (example, _, gold), likely, ids in zip(done, probabilities, tags, strict=True):
            yield TaggedDocument(
                example,
                [known[i] for i in ids.tolist()],
                likely.gather(1, ids[:, None]).squeeze(1).tolist(),
                [self.labels[i] for i in gold.tolist() if i != IGNORED],
            )

    def on_validation_epoch_start(self) -> None:
        """Forget windows of documents that an earlier, shortened loop left incomplete."""
        self._windows.clear()

    on_test_epoch_start = on_validation_epoch_start
    on_predict_epoch_start = on_validation_epoch_start

    def on_validation_epoch_end(self) -> None:
        """Log precision, recall and F1 over all entities."""
        self._log_scores("validate", "val")

    def on_test_epoch_end(self) -> None:
        """Log precision, recall and F1, over all entities and for each type."""
        self._log_scores("test", "test")

    def _log_scores(self, stage: str, split: Literal["val", "test"]) -> None:
        metric: Any = self.metrics[stage]
        scores = metric.compute()
        metric.reset()
        shown = {
            name: value for name, value in scores.items() if split == "test" or "/" not in name
        }
        self.log_scores(split, shown)

    def report(self, predictions: Sequence[TaggedDocument], examples: Any) -> TaskReport:
        """Tables and pictures for the report of a test.

        Args:
            predictions: What `test_step` returned, of all processes, in any order.
            examples: The table of test examples, with `tokens`.
        """
        return report(predictions, examples, types=types_of(self.labels))

    @torch.inference_mode()
    def predict(
        self, texts: str | Sequence[str] | Sequence[Sequence[str]], *, batch_size: int = 32
    ) -> NERPredictions:
        """Entities of texts, in the order of the input.

        Args:
            texts: Running texts, or lists of words; one text alone is taken as a list of one.
            batch_size: Windows in a batch.

        Returns:
            For each text its entities with type, text, character offsets and score. A text longer
            than the model is windowed, as in training.

        Raises:
            RunError: The task has no trained head.
        """
        check_at_least("batch_size", batch_size, 1)
        if isinstance(texts, str):
            texts = [texts]
        found: list[NERPrediction] = []
        with self.evaluating():
            for start in range(0, len(texts), _TEXTS_AT_ONCE):
                found += self._predict(texts[start : start + _TEXTS_AT_ONCE], batch_size)
        return NERPredictions(found)

    @classmethod
    def input_of(cls, record: Mapping[str, Any]) -> str | list[str]:
        """The text, or the words, of an object of a .jsonl file.

        Raises:
            DataError: It holds neither.
        """
        text, tokens = record.get("text"), record.get("tokens")
        if isinstance(text, str):
            return text
        if isinstance(tokens, list) and all(isinstance(token, str) for token in tokens):
            return tokens
        raise DataError(
            'Each object needs "text" (a string) or "tokens" (a list of strings); this one has '
            f"{', '.join(record) or 'nothing'}."
        )

    def _predict(
        self, texts: Sequence[str | Sequence[str]], batch_size: int
    ) -> list[NERPrediction]:
        from zoo.ner.datamodule import collate, stride_of

        splits = [_located_words(text) for text in texts]
        documents = encode_documents(
            [[word for word, _, _ in words] for words in splits],
            tokenizer=self.tokenizer,
            max_length=self.max_length or backbones.max_length_of(self.backbone),
            stride=stride_of(self.backbone) if self.stride is None else self.stride,
        )
        rows = [
            {**window._asdict(), "example": example, "window": number, "windows": len(windows)}
            for example, windows in enumerate(documents)
            for number, window in enumerate(windows)
        ]
        rows.sort(key=lambda row: -len(row["input_ids"]))
        merger = self._windows
        self._windows = _WindowMerger()
        tagged: dict[int, TaggedDocument] = {}
        try:
            for at in range(0, len(rows), batch_size):
                batch = collate(
                    rows[at : at + batch_size], pad_token_id=int(self.tokenizer.pad_token_id or 0)
                )
                moved = self.on_device(batch)
                tagged |= {one.example: one for one in self._decode(moved, self(moved))}
        finally:
            self._windows = merger
        return [
            _prediction(text, words, tagged.get(example))
            for example, (text, words) in enumerate(zip(texts, splits, strict=True))
        ]


class _WindowMerger:
    """Holds the windows of documents that are not complete yet: the words of each, in order."""

    def __init__(self) -> None:
        self._waiting: dict[int, dict[int, tuple[Tensor, Tensor]]] = {}

    def clear(self) -> None:
        self._waiting.clear()

    def add(self, batch: Mapping[str, Any], logits: Tensor) -> list[tuple[int, Tensor, Tensor]]:
        """Documents that this batch completes: row, logits `[words, labels]`, ids `[words]`."""
        mask = batch["word_mask"]
        # One transfer a batch; the words of all windows behind each other.
        scores = logits[mask].float().cpu()
        gold = batch["labels"][mask].cpu()
        counts: list[int] = mask.sum(dim=1).tolist()
        done = []
        for example, window, windows, own_scores, own_gold in zip(
            batch["example"],
            batch["window"],
            batch["windows"],
            scores.split(counts),
            gold.split(counts),
            strict=True,
        ):
            parts = self._waiting.setdefault(example, {})
            parts[window] = (own_scores, own_gold)
            if len(parts) == windows:
                ordered = [parts[number] for number in range(windows)]
                del self._waiting[example]
                done.append(
                    (
                        example,
                        torch.cat([part for part, _ in ordered]),
                        torch.cat([part for _, part in ordered]),
                    )
                )
        return done


def _located_words(text: str | Sequence[str]) -> list[tuple[str, int, int]]:
    if isinstance(text, str):
        return split_words(text)
    if not all(isinstance(word, str) for word in text or ()) or text is None:
        raise ZooError(f"A text is a string or a list of strings, but this was given: {text!r}")
    words, at = [], 0
    for word in text:
        words.append((word, at, at + len(word)))
        at += len(word) + 1
    return words


def _prediction(
    given: str | Sequence[str],
    words: list[tuple[str, int, int]],
    document: TaggedDocument | None,
) -> NERPrediction:
    text = given if isinstance(given, str) else " ".join(given)
    tags = document.tags if document else []
    scores = document.scores if document else []
    entities = []
    for name, first, end in entities_of(tags):
        start, stop = words[first][1], words[end - 1][2]
        score = sum(scores[first:end]) / (end - first)
        entities.append(PredictedEntity(name, text[start:stop], start, stop, score))
    if isinstance(given, str):
        return NERPrediction(text, entities)
    return NERPrediction(text, entities, list(given), tags)


def _check_labels(labels: Sequence[str]) -> None:
    missing = [
        f"{prefix}-{name}"
        for name in types_of(labels)
        for prefix in ("B", "I")
        if f"{prefix}-{name}" not in labels
    ]
    if "O" not in labels or missing:
        raise ZooError(
            f"Labels must be O, B-TYPE, I-TYPE, ... (such as {bio_labels(['PER'])}); "
            f"{', '.join(['O'] if 'O' not in labels else missing)} is missing in {list(labels)}."
        )
