"""The sentence objective beside the tokens': next-sentence or sentence-order prediction."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor, nn
from torch.nn import functional as F

from zoo.errors import RunError, ZooError
from zoo.pretraining import sentence_head
from zoo.pretraining.blocks import logits_at
from zoo.pretraining.language_model import LanguageModelTask
from zoo.pretraining.metrics import SentenceScores
from zoo.pretraining.pairs import Objective
from zoo.training.adaptation.prompts import has_prompt

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class SentencePairTask(LanguageModelTask):
    """A language model that may also judge pairs of segments by a row's first token.

    The loss of training is then the sum of both cross-entropies (where a step has several batches,
    the pairs of each weigh as its tokens do). `val/loss` and `test/loss` stay those of the tokens,
    whose perplexity is asked for; `sentence_loss` and `sentence_accuracy` stand beside them.
    """

    sentence_pairs: Objective | None = None
    #: What the head said of the last batch.
    _said: Tensor | None = None

    def use_pairs(self, objective: Objective | None) -> None:
        """Take the objective; the constructor calls it."""
        self.sentence_pairs = objective
        #: The head, while the model is written without it.
        self._aside: list[nn.Module] = []
        if objective is not None:
            self.sentence_metrics = nn.ModuleDict(
                {"val": SentenceScores(), "test": SentenceScores()}
            )

    # The model.

    def _load(self, labels: Sequence[str], *, weights: bool = True) -> "PreTrainedModel":
        model = super()._load(labels, weights=weights)
        if self.sentence_pairs is not None:
            sentence_head.insert(model)
            if weights and self._has_head:
                sentence_head.read(model, self.backbone)
        return model

    @property
    def _has_head(self) -> bool:
        """Whether the backbone's folder has a trained head of this objective."""
        if self.from_scratch is not None:
            return False
        return sentence_head.objective_of(self.backbone) == self.sentence_pairs

    def _made(
        self, labels: Sequence[str], *, weights: bool = True, adapt: bool = True
    ) -> "PreTrainedModel":
        model = super()._made(labels, weights=weights, adapt=adapt)
        if self.sentence_pairs is not None and has_prompt(model):
            raise ZooError(
                f"The first token of {self.backbone} has a prompt before it: "
                "--data.sentence_pairs needs a backbone without one."
            )
        return model

    def _trained_model(self) -> "PreTrainedModel":
        if self.sentence_pairs is not None and not self._has_head:
            raise RunError(
                f"{self.backbone} has no trained head for --data.sentence_pairs "
                f"{self.sentence_pairs}: leave it out to evaluate the masked language model alone, "
                "or give --ckpt_path RUN/checkpoints/FILE of a run that was trained with it."
            )
        return super()._trained_model()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint of another objective.

        Raises:
            RunError: It is one.
        """
        saved = checkpoint.get("hyper_parameters", {}).get("sentence_pairs")
        if saved != self.sentence_pairs:
            raise RunError(
                f"The checkpoint was trained with --data.sentence_pairs {saved or 'null'}, and the "
                f"task has {self.sentence_pairs or 'null'}: give that of the checkpoint."
            )
        super().on_load_checkpoint(checkpoint)

    @contextmanager
    def exported(self) -> Iterator["PreTrainedModel"]:
        """The masked language model alone, as others know it."""
        with super().exported() as model:
            head = sentence_head.take_out(model)
            self._aside = [] if head is None else [head]
            try:
                yield model
            finally:
                self._aside = []
                if head is not None:
                    model.add_module(sentence_head.HEAD, head)

    def write_model(
        self, model: "PreTrainedModel", folder: Path, *, home: Path | None = None
    ) -> None:
        """Write what `exported` gave, and the head of the sentence objective as a file beside."""
        super().write_model(model, folder, home=home)
        for head in self._aside:
            sentence_head.write(head, folder, objective=str(self.sentence_pairs))

    # The loss.

    def answers(self, batch: Mapping[str, Any], asked: Tensor) -> Tensor:
        """Logits of the tokens that are asked for; the head judges the pairs in the same pass.

        Raises:
            ZooError: The data gives pairs and the task has no such objective, or the reverse.
        """
        if (self.sentence_pairs is None) != ("sentence_labels" not in batch):
            raise ZooError(
                "Task and data must have the same sentence_pairs: "
                "MaskedLMTask(..., sentence_pairs=data.sentence_pairs)."
            )
        if self.sentence_pairs is None:
            return super().answers(batch, asked)

        def judge(states: Tensor) -> None:
            self._said = sentence_head.judge(self.net, states)

        return logits_at(
            self.net,
            self.readable(batch),
            self.answering(asked),
            packed=self.packs,
            first=judge,
        )

    def _judged(self, batch: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        """Cross-entropy of each pair of the last pass, float, and whether it was judged right."""
        said, self._said = self._said, None
        assert said is not None
        right = batch["sentence_labels"]
        return F.cross_entropy(said.float(), right, reduction="none"), said.argmax(-1) == right

    def with_others(self, loss: Tensor, batch: Mapping[str, Any]) -> Tensor:
        """The sum of the tokens' and the pairs' loss."""
        if self.sentence_pairs is None:
            return loss
        nats, right = self._judged(batch)
        own = nats.mean()
        self._log_parts({"masked_loss": loss, "sentence_loss": own, "sentence_accuracy": right})
        return loss + own

    def _log_parts(self, parts: Mapping[str, Tensor]) -> None:
        trainer, every = self._trainer, getattr(self._trainer, "log_every_n_steps", 0)
        # As for the learning rate: nothing reads them in between.
        if trainer and every and (trainer.global_step + 1) % every == 0:
            for name, value in parts.items():
                self.log(f"train/{name}", value.detach().float().mean(), batch_size=1)

    def count_others(self, batch: Mapping[str, Any], split: Literal["val", "test"]) -> None:
        """Count the pairs of an evaluation batch."""
        if self.sentence_pairs is not None:
            nats, right = self._judged(batch)
            metric: Any = self.sentence_metrics[split]
            metric.update(nats.detach(), right)

    def other_scores(self, split: Literal["val", "test"]) -> dict[str, Tensor]:
        """Loss and accuracy of the pairs, over all processes."""
        if self.sentence_pairs is None:
            return {}
        metric: Any = self.sentence_metrics[split]
        found: dict[str, Tensor] = metric.compute()
        metric.reset()
        return found


__all__ = ["SentencePairTask"]
