"""Masked language modelling: which token stands behind a mask."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from zoo import backbones
from zoo.data.batching import padded
from zoo.data.frames import Frame, whole_backend
from zoo.errors import DataError, RunError, ZooError, check_at_least
from zoo.pretraining.blocks import logits_at, logits_of
from zoo.pretraining.encoding import IGNORED, choose, corrupt, ordinary_ids, seeded
from zoo.pretraining.metrics import MaskedLMScores
from zoo.pretraining.prediction import (
    Fill,
    FilledText,
    FilledTexts,
    MaskedBlock,
    best_tokens,
    window,
)
from zoo.pretraining.report import report
from zoo.pretraining.spans import NO_SPAN, choose_spans
from zoo.pretraining.unigrams import begin_with_unigrams
from zoo.tracking.report import TaskReport
from zoo.training.optimization import Schedule
from zoo.training.task import FineTuningTask

if TYPE_CHECKING:
    from transformers import PreTrainedModel
    from transformers.tokenization_utils_tokenizers import TokenizersBackend

#: What people write for a mask, whatever the tokenizer calls it.
_MASKS = ("[MASK]", "<mask>")


class MaskedLMTask(FineTuningTask):
    """A masked language model for any encoder, gone on with or from scratch.

    In a notebook::

        data = MaskedLMDataModule("pretraining-sample", max_length=128)
        task = MaskedLMTask("minilm-l6")
        Trainer(max_epochs=1).fit(task, data)
        task.predict(["They met in [MASK]."])

    In training tokens are chosen anew in each step and 80% of them masked, 10% replaced, 10% kept
    (Devlin et al. 2019, arXiv 1810.04805). The choice depends on the data's seed, the epoch, the
    batch and the process, so a training that is resumed goes on with the same masks. Validation and
    test ask for the same tokens every time. The loss is the mean cross-entropy over chosen tokens,
    in nats.

    Args:
        backbone: Registered name, Hub id, or folder with a model. Its masked-LM head is kept where
            it has one, and new where it has none.
        labels: The one label that there is, `["token"]` (`data.labels`).
        from_scratch: Random weights in place of the backbone's, with its tokenizer: of its own
            shape (`same`), or a BERT that is `tiny`, `mini` or `small`. None goes on from it.
        learning_rate: Highest learning rate.
        weight_decay: AdamW's, for matrices only.
        schedule: What follows the warm-up.
        warmup: Share of all steps in which the learning rate rises.
        betas: AdamW's averaging of the gradient and its square.
        mask_share: Share of tokens (or words) that training asks for, above 0 and below 1.
        whole_words: Whether all tokens of a word are chosen together in training.
        spans: Whether training chooses spans of 1 to 10 whole words, each of which is masked,
            replaced or kept as one (SpanBERT).
        tokenizer_folder: Folder of a tokenizer that takes the place of the backbone's, from scratch
            (`data.tokenizer_folder`).
        begin_with_unigrams: Whether the output's bias begins as the log-probability of train's
            tokens; for a head that is new.
    """

    family = "pretraining"
    head = "masked-lm"
    monitor = "val/loss"
    monitor_mode = "min"

    def __init__(
        self,
        backbone: str = "minilm-l6",
        *,
        labels: list[str] | None = None,
        from_scratch: backbones.Size | None = None,
        learning_rate: float = 5e-4,
        weight_decay: float = 0.01,
        schedule: Schedule = "linear",
        warmup: float = 0.1,
        betas: tuple[float, float] = (0.9, 0.98),
        mask_share: float = 0.15,
        whole_words: bool = False,
        spans: bool = False,
        begin_with_unigrams: bool = False,
        tokenizer_folder: str | None = None,
    ):
        labels = ["token"] if labels is None else list(labels)
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
        if labels != ["token"]:
            raise ZooError(f"The labels of masked language modelling are ['token'], not {labels}.")
        if not 0 < mask_share < 1:
            raise ZooError(f"--model.mask_share {mask_share} must be above 0 and below 1.")
        if whole_words and spans:
            raise ZooError(
                "Spans are of whole words already: give --model.spans or --model.whole_words."
            )
        if tokenizer_folder is not None and from_scratch is None:
            raise ZooError(
                "The backbone's weights belong to its own tokenizer: give --model.from_scratch "
                "(tiny, mini, small or same) beside --data.new_tokenizer."
            )
        self.tokenizer_folder = tokenizer_folder
        self.from_scratch = from_scratch
        self.mask_share = mask_share
        self.whole_words = whole_words
        self.spans = spans
        self.begin_with_unigrams = begin_with_unigrams
        self.metrics = torch.nn.ModuleDict({"val": MaskedLMScores(), "test": MaskedLMScores()})

    def _load(self, labels: Sequence[str], *, weights: bool = True) -> "PreTrainedModel":
        if self.from_scratch is not None:
            own = None if self.tokenizer_folder is None else self.tokenizer
            return backbones.new_masked_lm(
                self.backbone, self.from_scratch, labels=labels, tokenizer=own
            )
        return super()._load(labels, weights=weights)

    def _trained_model(self) -> "PreTrainedModel":
        if self.from_scratch is not None:
            raise RunError(
                f"--model.from_scratch {self.from_scratch} gives random weights, so there is "
                "nothing to evaluate. Leave it out with trained weights (--model.backbone "
                "RUN/model), or give --ckpt_path RUN/checkpoints/FILE."
            )
        return super()._trained_model()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Give the model the shape that it had when the checkpoint was saved."""
        super().on_load_checkpoint(checkpoint)
        saved = checkpoint["hyper_parameters"].get("from_scratch")
        if saved != self.from_scratch:
            self.from_scratch = saved
            self.model = self._built(self.labels, weights=False)

    @cached_property
    def tokenizer(self) -> "TokenizersBackend":
        """The backbone's tokenizer, or the one that takes its place."""
        return backbones.load_tokenizer(self.tokenizer_folder or self.backbone)

    def on_fit_start(self) -> None:
        """Begin with unigrams, where asked to; a training that is resumed has begun."""
        if self.begin_with_unigrams and not self.trainer.ckpt_path:
            counts = self.trainer.datamodule.token_counts()  # type: ignore[attr-defined]
            begin_with_unigrams(self.net.get_output_embeddings(), counts)

    @cached_property
    def _mask(self) -> int:
        return int(self.tokenizer.mask_token_id or 0)

    @cached_property
    def _ordinary(self) -> Tensor:
        return ordinary_ids(self.tokenizer)

    def forward(self, batch: Mapping[str, Any]) -> Tensor:
        """Logits, float `[blocks, longest, vocabulary]`."""
        return logits_of(self.net, batch)

    def training_step(
        self, batch: Mapping[str, Any], batch_index: int
    ) -> Tensor | dict[str, Tensor]:
        """Mean cross-entropy over the tokens that this step asks for."""
        generator = seeded(batch["seed"], self.current_epoch, batch_index, self.global_rank)
        read, right, chosen = self._masked(batch, generator)
        logits = logits_at(self.net, {**batch, "input_ids": read}, chosen)
        nats = F.cross_entropy(logits.float(), right[chosen], reduction="sum")
        count = chosen.sum()
        return self.training_loss(nats / count.clamp(min=1), count)

    def _masked(
        self, batch: Mapping[str, Any], generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What training reads, what is right, and which tokens it asks for."""
        words, together = batch["words"], None
        if self.spans:
            together = choose_spans(words, share=self.mask_share, generator=generator)
            chosen = together != NO_SPAN
        else:
            chosen = choose(
                words, share=self.mask_share, whole_words=self.whole_words, generator=generator
            )
        read, right = corrupt(
            batch["input_ids"],
            chosen,
            mask=self._mask,
            ordinary=self._ordinary,
            generator=generator,
            together=together,
        )
        return read, right, chosen

    def validation_step(self, batch: Mapping[str, Any], batch_index: int) -> None:
        """Count the masked tokens of a validation batch."""
        self._evaluate(batch, "val")

    def test_step(self, batch: Mapping[str, Any], batch_index: int) -> dict[str, Any]:
        """Count the masked tokens of a test batch; its blocks are the `predictions`."""
        return {"predictions": self._evaluate(batch, "test")}

    def predict_step(self, batch: Mapping[str, Any], batch_index: int) -> list[MaskedBlock]:
        """The blocks of a batch, with what is predicted at their masks."""
        return self._blocks(batch)[0]

    def _evaluate(
        self, batch: Mapping[str, Any], split: Literal["val", "test"]
    ) -> list[MaskedBlock]:
        blocks, nats, right, sizes = self._blocks(batch)
        metric: Any = self.metrics[split]
        metric.update(nats, right, sizes)
        if len(nats):
            self.count_loss(split, nats.mean(), len(nats))
        return blocks

    def _blocks(self, batch: Mapping[str, Any]) -> tuple[list[MaskedBlock], Tensor, Tensor, Tensor]:
        labels = batch["labels"]
        asked = labels != IGNORED
        logits = logits_at(self.net, batch, asked).float()
        nats = F.cross_entropy(logits, labels[asked], reduction="none")
        scores, predicted = logits.softmax(-1).max(-1)
        whole = torch.where(asked, labels, batch["input_ids"])
        counts: list[int] = asked.sum(dim=1).tolist()
        sizes = batch["sizes"][asked]
        found = zip(
            batch["example"],
            batch["part"],
            whole.tolist(),
            batch["attention_mask"].sum(dim=1).tolist(),
            asked,
            *(one.detach().cpu().split(counts) for one in (predicted, scores, nats, sizes)),
            strict=True,
        )
        blocks = [
            MaskedBlock(
                example,
                part,
                ids[:length],
                where.nonzero().squeeze(1).tolist(),
                own_predicted.tolist(),
                own_scores.tolist(),
                own_nats.tolist(),
                own_sizes.tolist(),
            )
            for (
                example,
                part,
                ids,
                length,
                where,
                own_predicted,
                own_scores,
                own_nats,
                own_sizes,
            ) in found
        ]
        return blocks, nats.detach(), predicted == labels[asked], sizes

    def on_validation_epoch_end(self) -> None:
        """Log the scores."""
        self._log_scores("val")

    def on_test_epoch_end(self) -> None:
        """Log the scores."""
        self._log_scores("test")

    def _log_scores(self, split: Literal["val", "test"]) -> None:
        metric: Any = self.metrics[split]
        scores = metric.compute()
        metric.reset()
        # The loss is counted there as well, in double precision.
        self.log_scores(split, scores)

    def report(self, predictions: Sequence[MaskedBlock], examples: Any) -> TaskReport:
        """Tables for the report of a test.

        Args:
            predictions: What `test_step` returned, of all processes, in any order.
            examples: The table of test documents.
        """
        return report(predictions, tokenizer=self.tokenizer)

    @classmethod
    def input_of(cls, record: Mapping[str, Any]) -> str:
        """The text of an object of a .jsonl file.

        Raises:
            DataError: It has none.
        """
        text = record.get("text")
        if isinstance(text, str):
            return text
        raise DataError(
            f'Each object needs "text" (a string with a mask in it); this one has '
            f"{', '.join(record) or 'nothing'}."
        )

    @classmethod
    def input_of_line(cls, line: str) -> str | None:
        """The text of a line; None of a blank one."""
        return line if line.strip() else None

    @torch.inference_mode()
    def predict(
        self, texts: str | Sequence[str], *, batch_size: int = 32, top_k: int = 5
    ) -> FilledTexts:
        """The most probable tokens for each mask of texts, in the order of the input.

        Args:
            texts: Texts with `[MASK]` or `<mask>`; one alone is taken as a list of one.
            batch_size: Texts in a batch (masks, where texts are too long to be read at once).
            top_k: Tokens that are given for each mask.

        Raises:
            DataError: A text has no mask.
            RunError: The task has no trained head.
        """
        check_at_least("batch_size", batch_size, 1)
        check_at_least("top_k", top_k, 1)
        given = [texts] if isinstance(texts, str) else list(texts)
        rows = [row for number, text in enumerate(given) for row in self._rows(number, text)]
        found: dict[tuple[int, int], list[tuple[int, float]]] = {}
        with self.evaluating():
            for at in range(0, len(rows), batch_size):
                some = rows[at : at + batch_size]
                batch = {
                    "input_ids": padded(
                        [ids for _, ids, _ in some], fill=int(self.tokenizer.pad_token_id or 0)
                    ),
                    "attention_mask": padded([[1] * len(ids) for _, ids, _ in some], fill=0),
                }
                logits = self(self.on_device(batch)).cpu()
                for scores, (number, _, places) in zip(logits, some, strict=True):
                    for mask, place in places:
                        found[number, mask] = best_tokens(scores[place], top_k=top_k)
        return FilledTexts([self._filled(number, text, found) for number, text in enumerate(given)])

    def _rows(self, number: int, text: str) -> list[tuple[int, list[int], list[tuple[int, int]]]]:
        """What is read for a text: its number, ids, and the number and place of masks in them."""
        frame = Frame.of(self.tokenizer, pairs=False)
        before, behind = (list(part) for part in frame.parts)
        backend = whole_backend(self.tokenizer)
        ids: list[int] = backend.encode(self._as_written(text), add_special_tokens=False).ids
        masks = [place for place, token in enumerate(ids) if token == self._mask]
        if not masks:
            raise DataError(f"There is no mask to fill in {text[:60]!r}: write [MASK] in it.")
        longest = backbones.max_length_of(self.backbone)
        if len(ids) + frame.size <= longest:
            places = [(mask, place + len(before)) for mask, place in enumerate(masks)]
            return [(number, [*before, *ids, *behind], places)]
        rows = []
        for mask, place in enumerate(masks):
            begin, end = window(ids, place, longest=longest, frame=(len(before), len(behind)))
            own = [*before, *ids[begin:end], *behind]
            rows.append((number, own, [(mask, place - begin + len(before))]))
        return rows

    def _as_written(self, text: str) -> str:
        for mask in _MASKS:
            text = text.replace(mask, str(self.tokenizer.mask_token))
        return text

    def _filled(
        self, number: int, text: str, found: Mapping[tuple[int, int], list[tuple[int, float]]]
    ) -> FilledText:
        parts = self._as_written(text).split(str(self.tokenizer.mask_token))
        masks = []
        for mask in range(len(parts) - 1):
            fills = []
            for token, score in found[number, mask]:
                word = str(self.tokenizer.decode([token])).strip()
                # The other masks stay as they are.
                left = "[MASK]".join(parts[: mask + 1])
                right = "[MASK]".join(parts[mask + 1 :])
                joined = left.rstrip() if word.startswith("##") else left
                fills.append(Fill(word, score, f"{joined}{word.removeprefix('##')}{right}"))
            masks.append(fills)
        return FilledText(text, masks)
