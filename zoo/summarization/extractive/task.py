"""Choosing the sentences of a text that summarize it, with any encoder."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from zoo import backbones
from zoo.errors import ZooError, check_at_least
from zoo.summarization.evaluation import ScoredSummary, scored
from zoo.summarization.extractive.dropout import without_attention_dropout
from zoo.summarization.extractive.encoding import encode_documents
from zoo.summarization.extractive.prediction import (
    SummaryPrediction,
    SummaryPredictions,
    SummarySentence,
)
from zoo.summarization.extractive.selection import joined, select
from zoo.summarization.extractive.targets import listwise_loss
from zoo.summarization.extractive.windows import (
    Waiting,
    collate,
    layout_of,
    overlap_of,
    window_row,
)
from zoo.summarization.inputs import (
    DocumentInput,
    Given,
    as_inputs,
    portions,
    texts,
)
from zoo.summarization.metrics import SummaryScores
from zoo.summarization.task import SummaryTask
from zoo.training.adaptation import Adaptation
from zoo.training.optimization import Schedule

if TYPE_CHECKING:
    from transformers import PreTrainedModel

#: What `predict` needs of a task beside its weights; an exported model carries it.
_SELECTION = ("max_sentences", "max_words", "block_trigrams")


class ExtractiveSummarizationTask(SummaryTask):
    """Summaries made of a text's own sentences, which an encoder scores in their context.

    In a notebook::

        data = ExtractiveSummarizationDataModule("summarization-sample")
        task = ExtractiveSummarizationTask("minilm-l6", max_sentences=1)
        Trainer(max_epochs=3).fit(task, data)
        task.predict(["A long text. It has many sentences."])

    The input is BertSum's (Liu & Lapata 2019, arXiv 1908.08345): the opening token before each
    sentence and the closing token after it. A sentence's score is the mean logit of its tokens, not
    that of its opening token alone: few thousand texts do not teach a model to tell the opening
    tokens apart. It learns how likely each sentence is the best summary of all, from its ROUGE
    against the reference. A summary is made of the best sentences, in the order of the text.

    Args:
        backbone: Registered name, Hub id, or folder with a model.
        labels: The head's output, `summary` (`data.labels`).
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
        max_sentences: Most sentences of a summary.
        max_words: Most words of a summary, if limited; a sentence that goes beyond is passed over.
        block_trigrams: Whether a sentence is passed over that shares three words in a row with one
            that was taken before.
        max_length: Longest window in tokens in `predict`; if None the backbone's own, or what an
            exported model was trained with.
        overlap: Sentences that windows share in `predict`; if None 4, or what an exported model
            was trained with.
    """

    head = "token-classification"

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
        max_sentences: int = 3,
        max_words: int | None = None,
        block_trigrams: bool = True,
        max_length: int | None = None,
        overlap: int | None = None,
    ):
        labels = ["summary"] if labels is None else list(labels)
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
        if labels != ["summary"]:
            raise ZooError(f"The label of extractive summarization is summary, not {labels}.")
        check_at_least("--model.max_sentences", max_sentences, 1)
        if max_words is not None:
            check_at_least("--model.max_words", max_words, 1)
        self.max_sentences = max_sentences
        self.max_words = max_words
        self.block_trigrams = block_trigrams
        self.max_length = max_length
        self.overlap = overlap
        self.metrics = torch.nn.ModuleDict({"val": SummaryScores(), "test": SummaryScores()})
        self._waiting = Waiting()

    @property
    def calibration(self) -> dict[str, Any]:
        """How sentences are selected, for an exported model's `zoo.json`."""
        return {name: getattr(self, name) for name in _SELECTION}

    @classmethod
    def options_of(cls, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """How an exported model selects sentences."""
        known = metadata.get("calibration", {})
        return {name: known[name] for name in _SELECTION if name in known}

    def _load(self, labels: Sequence[str], *, weights: bool = True) -> "PreTrainedModel":
        model = super()._load(labels, weights=weights)
        without_attention_dropout(model)
        return model

    def forward(self, batch: Mapping[str, Any]) -> Tensor:
        """Scores of the sentences, float `[windows, most]`; of no meaning where there is none."""
        logits = self.outputs({name: batch[name] for name in self.input_names}).logits
        logits, sentence_of = logits[..., 0].float(), batch["sentence_of"]
        windows, most = batch["sentence_mask"].shape
        sums, counts = logits.new_zeros(2, windows, most + 1).unbind()
        sums = sums.scatter_add(1, sentence_of, logits)
        counts = counts.scatter_add(1, sentence_of, torch.ones_like(logits))
        scores: Tensor = (sums / counts.clamp(min=1))[:, :most]
        return scores

    def training_step(
        self, batch: Mapping[str, Any], batch_index: int
    ) -> Tensor | dict[str, Tensor]:
        """Cross-entropy over the sentences of each window."""
        return self.training_loss(*listwise_loss(self(batch), batch))

    def validation_step(self, batch: Mapping[str, Any], batch_index: int) -> None:
        """Summarize the documents that a validation batch completes."""
        self._evaluate(batch, "val")

    def test_step(self, batch: Mapping[str, Any], batch_index: int) -> dict[str, Any]:
        """Summarize the documents that a test batch completes; they are its `predictions`."""
        return {"predictions": self._evaluate(batch, "test")}

    def predict_step(self, batch: Mapping[str, Any], batch_index: int) -> list[SummaryPrediction]:
        """Summaries of the documents that a batch completes."""
        return [
            self._prediction(DocumentInput(batch["source"][place]), batch["spans"][place], scores)
            for place, scores in self._waiting.add(batch, self(batch))
        ]

    def _evaluate(
        self, batch: Mapping[str, Any], split: Literal["val", "test"]
    ) -> list[ScoredSummary]:
        self._rouge_in = batch["rouge_in"]
        scores = self(batch)
        self.count_loss(split, *listwise_loss(scores, batch))
        found = [
            self._scored(batch, place, of_sentences)
            for place, of_sentences in self._waiting.add(batch, scores)
        ]
        metric: Any = self.metrics[split]
        metric.update(found)
        return found

    def _scored(
        self, batch: Mapping[str, Any], place: int, scores: Sequence[float]
    ) -> ScoredSummary:
        sentences = texts(batch["source"][place], batch["spans"][place])
        chosen = self._select(scores, sentences)
        return scored(
            batch["example"][place],
            joined([sentences[number] for number in chosen]),
            batch["references"][place],
            rouge_in=batch["rouge_in"],
            language=batch["language"],
            selected=chosen,
        )

    def _select(self, scores: Sequence[float], sentences: Sequence[str]) -> list[int]:
        return select(
            scores,
            sentences,
            max_sentences=self.max_sentences,
            max_words=self.max_words,
            block_trigrams=self.block_trigrams,
        )

    def on_validation_epoch_start(self) -> None:
        """Forget what an earlier, shortened loop left behind."""
        self._waiting.clear()

    on_test_epoch_start = on_validation_epoch_start
    on_predict_epoch_start = on_validation_epoch_start

    @torch.inference_mode()
    def predict(
        self, inputs: Given | Iterable[Given], *, batch_size: int = 32
    ) -> SummaryPredictions:
        """Summaries of texts, in the order of the input.

        Args:
            inputs: Texts, or dicts with `source` (a text, or a list of sentences) and `id` if you
                like; one alone is taken as a list of one.
            batch_size: Windows in a batch.

        Returns:
            For each text its summary with the sentences that it is made of. A text longer than
            the model is windowed, as in training; one without a sentence has an empty summary.

        Raises:
            DataError: An input is no text.
            RunError: The task has no trained head.
        """
        check_at_least("batch_size", batch_size, 1)
        language = backbones.metadata(self.backbone).get("encoding", {}).get("language")
        found: list[SummaryPrediction] = []
        with self.evaluating():
            for documents in portions(as_inputs(inputs)):
                spans = [one.sentences(language) for one in documents]
                sentences = [
                    texts(one.source, its) for one, its in zip(documents, spans, strict=True)
                ]
                scores = self._scores(sentences, batch_size)
                found += map(self._prediction, documents, spans, scores)
        return SummaryPredictions(found)

    def _scores(
        self, documents: Sequence[Sequence[str]], batch_size: int
    ) -> Iterator[Sequence[float]]:
        """Scores of the sentences of each document."""
        max_length = self.max_length or backbones.max_length_of(self.backbone)
        overlap = overlap_of(self.backbone) if self.overlap is None else self.overlap
        layout = layout_of(self.tokenizer, max_length, overlap)
        rows: list[dict[str, Any]] = []
        for number, one in enumerate(
            encode_documents(documents, tokenizer=self.tokenizer, layout=layout)
        ):
            rows += [
                {**window_row(window, at, len(one.windows)), "example": number}
                for at, window in enumerate(one.windows)
            ]
        rows.sort(key=lambda row: -len(row["input_ids"]))
        waiting = Waiting()
        found: dict[int, list[float]] = {}
        pad = int(self.tokenizer.pad_token_id or 0)
        for at in range(0, len(rows), batch_size):
            batch = self.on_device(collate(rows[at : at + batch_size], pad_token_id=pad))
            for place, scores in waiting.add(batch, self(batch)):
                found[batch["example"][place]] = scores
        return (found[number] for number in range(len(documents)))

    def _prediction(
        self, document: DocumentInput, spans: Sequence[tuple[int, int]], scores: Sequence[float]
    ) -> SummaryPrediction:
        chosen = self._select(scores, texts(document.source, spans))
        sentences = [SummarySentence(number, *spans[number], scores[number]) for number in chosen]
        return SummaryPrediction(document.source, sentences, document.id)
