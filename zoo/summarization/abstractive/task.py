"""Writing a summary of a text, with any encoder-decoder."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from zoo import backbones
from zoo.data.batching import padded
from zoo.errors import RunError, ZooError, check_at_least
from zoo.summarization.abstractive.encoding import encode_sources
from zoo.summarization.abstractive.generation import check_settings, configure, write
from zoo.summarization.abstractive.prediction import SummaryPrediction, SummaryPredictions
from zoo.summarization.evaluation import ScoredSummary, scored
from zoo.summarization.inputs import (
    Given,
    as_inputs,
    portions,
)
from zoo.summarization.metrics import SummaryScores
from zoo.summarization.task import SummaryTask
from zoo.training.adaptation import Adaptation
from zoo.training.optimization import Schedule

if TYPE_CHECKING:
    from transformers import PreTrainedModel


#: Target tokens of this id are no targets.
_IGNORED = -100


class SummarizationTask(SummaryTask):
    """Summaries written by any encoder-decoder, or by an encoder warm-started into one.

    In a notebook::

        data = SummarizationDataModule("summarization-sample")
        task = SummarizationTask("minilm-l6-2-minilm-l6")
        Trainer(max_epochs=3).fit(task, data)
        task.predict(["A long text. It has many sentences."])

    It learns each token of the summary from the text and the tokens before it (teacher forcing):
    the loss is the cross-entropy, a mean over all target tokens of a batch, with smoothed labels
    (Szegedy et al. 2016, arXiv 1512.00567) in training and without in evaluation. While validating
    summaries are written greedily, in tests and predictions with beams.

    Args:
        backbone: Registered name, Hub id, folder with a model, or `A-2-B`: encoder A and decoder
            B, such as `minilm-l6-2-minilm-l6`.
        labels: The head's output, `summary` (`data.labels`).
        learning_rate: Highest learning rate.
        weight_decay: AdamW's, for matrices only.
        schedule: What follows the warm-up: `linear`, `cosine`, `constant`, `inverse_sqrt`,
            `warmup_stable_decay`, or `plateau`, which is lowered by the validation score.
        warmup: Share of all steps in which the learning rate rises.
        betas: AdamW's averaging of the gradient and its square.
        adaptation: What of the model is trained: a kind (`lora`), or one with its settings.
        layer_decay: What the learning rate is multiplied by for each layer below the head.
        schedule_options: Of `warmup_stable_decay`: decay (0.2, share of all steps); of `plateau`:
            factor (0.5), patience (1, validations) and floor (0.01).
        freeze_embeddings: Whether the embeddings of words and positions are left as they are.
        label_smoothing: Share of each target's probability that is spread over all tokens.
        generation: Settings for writing that go before the backbone's own, such as
            `{num_beams: 4, max_new_tokens: 64}`; all are in
            `zoo.summarization.abstractive.generation.SETTINGS`.
        tie_weights: Encoder and decoder share what they have in common (for `A-2-A`).
        max_length: Longest input in tokens in `predict`; if None the backbone's own, or what an
            exported model was trained with.
        prefix: What the model reads before each text in `predict`; if None the backbone's own, or
            what an exported model was trained with.
    """

    head = "text-to-text"

    def __init__(
        self,
        backbone: str = "minilm-l6-2-minilm-l6",
        *,
        labels: list[str] | None = None,
        learning_rate: float = 5e-4,
        weight_decay: float = 0.01,
        schedule: Schedule = "linear",
        warmup: float = 0.1,
        betas: tuple[float, float] = (0.9, 0.999),
        adaptation: str | Adaptation = "full",
        layer_decay: float = 1.0,
        schedule_options: dict[str, float] | None = None,
        freeze_embeddings: bool = False,
        label_smoothing: float = 0.1,
        generation: dict[str, Any] | None = None,
        tie_weights: bool = False,
        max_length: int | None = None,
        prefix: str | None = None,
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
            packed=False,  # encoder-decoders are not
            adaptation=adaptation,
            layer_decay=layer_decay,
            schedule_options=schedule_options,
            freeze_embeddings=freeze_embeddings,
        )
        self.save_hyperparameters()
        if labels != ["summary"]:
            raise ZooError(f"The label of summarization is summary, not {labels}.")
        if not 0 <= label_smoothing < 1:
            raise ZooError(f"--model.label_smoothing {label_smoothing} must be from 0 to below 1.")
        self.generation = dict(generation or {})
        check_settings(self.generation)
        self.label_smoothing = label_smoothing
        self.tie_weights = tie_weights
        self.max_length = max_length
        self._prefix = prefix
        self.metrics = torch.nn.ModuleDict({"val": SummaryScores(), "test": SummaryScores()})

    def _load(self, labels: Sequence[str], *, weights: bool = True) -> "PreTrainedModel":
        model = backbones.load_model(
            self.backbone, self.head, labels=labels, weights=weights, tie_weights=self.tie_weights
        )
        configure(model, usual=self._text_to_text.generation, asked=self.generation)
        return model

    @cached_property
    def _text_to_text(self) -> backbones.TextToText:
        return backbones.text_to_text(self.backbone)

    @property
    def prefix(self) -> str:
        """What the model reads before each text."""
        return self._text_to_text.prefix if self._prefix is None else self._prefix

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint of a model that cannot write."""
        super().on_load_checkpoint(checkpoint)
        if self.adaptation.is_partial:
            return  # what was trained may lie elsewhere; it was checked name by name
        if not any(".decoder." in name for name in checkpoint.get("state_dict", {})):
            raise RunError(
                "The checkpoint is of a model that is no encoder-decoder "
                f"({checkpoint['hyper_parameters']['backbone']}), so it cannot write summaries."
            )

    @contextmanager
    def exported(self) -> Iterator["PreTrainedModel"]:
        """The model as others should see it: where halves share weights, with copies of them."""
        yield backbones.untied(self.net)

    def forward(self, batch: Mapping[str, Any]) -> Tensor:
        """Logits of each target token, float `[texts, longest summary, vocabulary]`."""
        before: Any = self.net.prepare_decoder_input_ids_from_labels
        output = self.net(
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            decoder_input_ids=before(batch["labels"]),
        )
        logits: Tensor = output.logits
        return logits.float()

    def training_step(
        self, batch: Mapping[str, Any], batch_index: int
    ) -> Tensor | dict[str, Tensor]:
        """Mean cross-entropy over the target tokens of the batch, with smoothed labels."""
        return self.training_loss(*self._loss(batch, self.label_smoothing))

    def _loss(self, batch: Mapping[str, Any], label_smoothing: float) -> tuple[Tensor, int]:
        """The loss, and the number of tokens that it is a mean of."""
        labels = batch["labels"]
        count = int((labels != _IGNORED).sum())
        total = F.cross_entropy(
            self(batch).flatten(0, 1),
            labels.flatten(),
            ignore_index=_IGNORED,
            label_smoothing=label_smoothing,
            reduction="sum",
        )
        return total / max(1, count), count

    def validation_step(self, batch: Mapping[str, Any], batch_index: int) -> None:
        """Summarize a validation batch greedily."""
        self._evaluate(batch, "val")

    def test_step(self, batch: Mapping[str, Any], batch_index: int) -> dict[str, Any]:
        """Summarize a test batch with beams; the summaries are its `predictions`."""
        return {"predictions": self._evaluate(batch, "test")}

    def predict_step(self, batch: Mapping[str, Any], batch_index: int) -> list[str]:
        """Summaries of a batch, written with beams."""
        return self._written(batch, beams=True)

    def keep_in_step(
        self, batch: Mapping[str, Any], split: Literal["val", "test", "predict"]
    ) -> None:
        """Read and write as the other processes do, and count nothing."""
        if split != "predict":
            self(batch)
        self._written(batch, beams=split != "val")

    def _evaluate(
        self, batch: Mapping[str, Any], split: Literal["val", "test"]
    ) -> list[ScoredSummary]:
        self._rouge_in = batch["rouge_in"]
        self.count_loss(split, *self._loss(batch, 0.0))
        found = [
            scored(
                example,
                summary,
                references,
                rouge_in=batch["rouge_in"],
                language=batch["language"],
            )
            for example, summary, references in zip(
                batch["example"],
                self._written(batch, beams=split == "test"),
                batch["references"],
                strict=True,
            )
        ]
        metric: Any = self.metrics[split]
        metric.update(found)
        return found

    def _written(self, batch: Mapping[str, Any], *, beams: bool) -> list[str]:
        """A summary for each text; the empty one where there is nothing to read."""
        ids = write(self.net, batch, beams=beams, in_step=self.in_step)
        texts = self.tokenizer.batch_decode(ids, skip_special_tokens=True)
        # A model writes something even of nothing.
        return [
            "" if is_blank else text.strip()
            for text, is_blank in zip(texts, batch["blank"], strict=True)
        ]

    def _encoded(self, sources: Sequence[str]) -> list[tuple[list[int], int]]:
        """Token ids of texts, and how many tokens of each were cut off."""
        found = encode_sources(
            sources,
            tokenizer=self.tokenizer,
            prefix=self.prefix,
            max_length=self.max_length or backbones.max_length_of(self.backbone),
        )
        return [(one.ids, one.cut) for one in found]

    @torch.inference_mode()
    def predict(
        self, inputs: Given | Iterable[Given], *, batch_size: int = 32
    ) -> SummaryPredictions:
        """Summaries of texts, written with beams, in the order of the input.

        Args:
            inputs: Texts, or dicts with `source` (a text, or a list of sentences) and `id` if you
                like; one alone is taken as a list of one.
            batch_size: Texts in a batch; those of near-equal length go together.

        Returns:
            For each text its summary; of a text that is longer than the model can read, the end
            is left out, and how much of it is said. An empty text has an empty summary.

        Raises:
            DataError: An input is no text.
            RunError: The task has no trained head.
        """
        check_at_least("batch_size", batch_size, 1)
        found: list[SummaryPrediction] = []
        with self.evaluating():
            for documents in portions(as_inputs(inputs)):
                encoded = self._encoded([one.source for one in documents])
                rows = [ids for ids, _ in encoded]
                blank = [not one.source.strip() for one in documents]
                summaries = self._summaries(rows, blank, batch_size)
                found += [
                    SummaryPrediction(one.source, summary, cut, one.id)
                    for one, summary, (_, cut) in zip(documents, summaries, encoded, strict=True)
                ]
        return SummaryPredictions(found)

    def _summaries(
        self, rows: Sequence[list[int]], blank: Sequence[bool], batch_size: int
    ) -> Iterator[str]:
        order = sorted(range(len(rows)), key=lambda number: -len(rows[number]))
        found: dict[int, str] = {}
        for at in range(0, len(order), batch_size):
            numbers = order[at : at + batch_size]
            batch = self.on_device(self._batch([rows[number] for number in numbers]))
            batch["blank"] = [blank[number] for number in numbers]
            found.update(zip(numbers, self._written(batch, beams=True), strict=True))
        return (found[number] for number in range(len(rows)))

    def _batch(self, rows: Sequence[list[int]]) -> dict[str, Tensor]:
        lengths = torch.tensor([len(row) for row in rows])
        input_ids = padded(list(rows), fill=int(self.tokenizer.pad_token_id or 0))
        mask = (torch.arange(input_ids.shape[1]) < lengths[:, None]).long()
        return {"input_ids": input_ids, "attention_mask": mask}
