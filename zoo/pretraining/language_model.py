"""What all pretraining has in common: the model, the loss, and evaluation token by token."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from zoo import backbones
from zoo.errors import DataError, RunError, ZooError
from zoo.pretraining.blocks import logits_at, logits_of
from zoo.pretraining.encoding import IGNORED
from zoo.pretraining.metrics import MaskedLMScores
from zoo.pretraining.prediction import MaskedBlock
from zoo.pretraining.report import report
from zoo.pretraining.unigrams import begin_with_unigrams
from zoo.tracking.report import TaskReport
from zoo.training.task import FineTuningTask

if TYPE_CHECKING:
    from transformers import PreTrainedModel
    from transformers.tokenization_utils_tokenizers import TokenizersBackend


class LanguageModelTask(FineTuningTask):
    """A model that is asked for tokens of the text itself.

    An objective says what is read, what is asked (`ask`) and where the model answers (`answering`).
    """

    family = "pretraining"
    monitor = "val/loss"
    monitor_mode = "min"
    #: What the text to predict from must hold.
    needs: ClassVar[str] = "a string"

    def use_settings(
        self,
        from_scratch: backbones.Size | None,
        tokenizer_folder: str | None,
        unigrams_first: bool,
    ) -> None:
        """Take what all objectives have; an objective's constructor calls it.

        Raises:
            ZooError: There are other labels than the one, or a new tokenizer for trained weights.
        """
        if self.labels != ["token"]:
            raise ZooError(f"The labels of language modelling are ['token'], not {self.labels}.")
        if tokenizer_folder is not None and from_scratch is None:
            raise ZooError(
                "The backbone's weights belong to its own tokenizer: give --model.from_scratch "
                "(tiny, mini, small or same) beside --data.new_tokenizer."
            )
        self.tokenizer_folder = tokenizer_folder
        kind = self.adaptation.kind
        if kind == "prompt":
            raise ZooError(
                "--model.adaptation prompt puts vectors before one text, and a block of language "
                "modelling may hold several: use lora, ia3, bitfit or full."
            )
        if from_scratch is not None and self.adaptation.is_partial:
            raise ZooError(
                f"--model.from_scratch {from_scratch} draws all weights anew, of which "
                f"--model.adaptation {kind} would train few: leave one of the two out."
            )
        if from_scratch is not None and self.freeze_embeddings:
            raise ZooError(
                f"--model.from_scratch {from_scratch} draws embeddings at random, and "
                "--model.freeze_embeddings would leave them so: leave one of the two out."
            )
        self.from_scratch = from_scratch
        self.unigrams_first = unigrams_first
        self.metrics = torch.nn.ModuleDict({"val": MaskedLMScores(), "test": MaskedLMScores()})

    @abstractmethod
    def ask(self, batch: Mapping[str, Any], batch_index: int) -> tuple[Tensor, Tensor]:
        """What a training step reads and what is right, int64 `[blocks, longest]` both.

        What is not asked for is `IGNORED`.
        """

    def answering(self, asked: Tensor) -> Tensor:
        """Where the model answers for the tokens that are asked; bool, shape of `asked`."""
        return asked

    def _load(self, labels: Sequence[str], *, weights: bool = True) -> "PreTrainedModel":
        if self.from_scratch is not None:
            own = None if self.tokenizer_folder is None else self.tokenizer
            return backbones.new_language_model(
                self.backbone, self.head, self.from_scratch, labels=labels, tokenizer=own
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
        if self.unigrams_first and not self.trainer.ckpt_path:
            counts = self.trainer.datamodule.token_counts()  # type: ignore[attr-defined]
            begin_with_unigrams(self.net.get_output_embeddings(), counts)

    def forward(self, batch: Mapping[str, Any]) -> Tensor:
        """Logits, float `[blocks, longest, vocabulary]`."""
        return logits_of(self.net, self.readable(batch))

    def readable(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """A batch without the token types that the model or its tokenizer does not have."""
        unread = {"token_type_ids"} - set(self.input_names)
        return {name: value for name, value in batch.items() if name not in unread}

    # What an objective learns beside the tokens, in the same pass.

    def answers(self, batch: Mapping[str, Any], asked: Tensor) -> Tensor:
        """Logits of the tokens that are asked for, float `[asked tokens, vocabulary]`."""
        return logits_at(self.net, self.readable(batch), self.answering(asked), packed=self.packs)

    def with_others(self, loss: Tensor, batch: Mapping[str, Any]) -> Tensor:
        """The loss of a training batch with what else is learned of it."""
        return loss

    def count_others(self, batch: Mapping[str, Any], split: Literal["val", "test"]) -> None:
        """Count what else an evaluation batch is asked."""

    def other_scores(self, split: Literal["val", "test"]) -> dict[str, Tensor]:
        """Scores of it, after which counting begins anew."""
        return {}

    def training_step(
        self, batch: Mapping[str, Any], batch_index: int
    ) -> Tensor | dict[str, Tensor]:
        """Mean cross-entropy over the tokens that this step asks for."""
        read, right = self.ask(batch, batch_index)
        asked = right != IGNORED
        logits = self.answers({**batch, "input_ids": read}, asked)
        nats = F.cross_entropy(logits.float(), right[asked], reduction="sum")
        count = asked.sum()
        return self.training_loss(self.with_others(nats / count.clamp(min=1), batch), count)

    def validation_step(self, batch: Mapping[str, Any], batch_index: int) -> None:
        """Count the tokens that a validation batch asks for."""
        self._evaluate(batch, "val")

    def test_step(self, batch: Mapping[str, Any], batch_index: int) -> dict[str, Any]:
        """Count the tokens that a test batch asks for; its blocks are the `predictions`."""
        return {"predictions": self._evaluate(batch, "test")}

    def predict_step(self, batch: Mapping[str, Any], batch_index: int) -> list[MaskedBlock]:
        """The blocks of a batch, with what is predicted."""
        return self._blocks(batch)[0]

    def _evaluate(
        self, batch: Mapping[str, Any], split: Literal["val", "test"]
    ) -> list[MaskedBlock]:
        blocks, nats, right, sizes = self._blocks(batch)
        metric: Any = self.metrics[split]
        metric.update(nats, right, sizes)
        self.count_others(batch, split)
        if len(nats):
            self.count_loss(split, nats.mean(), len(nats))
        return blocks

    def _blocks(self, batch: Mapping[str, Any]) -> tuple[list[MaskedBlock], Tensor, Tensor, Tensor]:
        labels = batch["labels"]
        asked = labels != IGNORED
        logits = self.answers(batch, asked).float()
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
        self.log_scores(split, {**scores, **self.other_scores(split)})

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
            f'Each object needs "text" ({cls.needs}); this one has '
            f"{', '.join(record) or 'nothing'}."
        )

    @classmethod
    def input_of_line(cls, line: str) -> str | None:
        """The text of a line; None of a blank one."""
        return line if line.strip() else None
