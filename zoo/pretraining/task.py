"""Masked language modelling: which token stands behind a mask."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from zoo import backbones
from zoo.data.batching import padded
from zoo.data.frames import Frame, whole_backend
from zoo.errors import DataError, ZooError, check_at_least
from zoo.pretraining.encoding import choose, corrupt, ordinary_ids, seeded
from zoo.pretraining.pairs import Objective
from zoo.pretraining.prediction import Fill, FilledText, FilledTexts, best_tokens, window
from zoo.pretraining.sentence_task import SentencePairTask
from zoo.pretraining.spans import NO_SPAN, choose_spans
from zoo.training.adaptation import Adaptation
from zoo.training.optimization import Schedule

#: What people write for a mask, whatever the tokenizer calls it.
_MASKS = ("[MASK]", "<mask>")


class MaskedLMTask(SentencePairTask):
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
        mask_share: Share of tokens (or words) that training asks for, above 0 and below 1.
        whole_words: Whether all tokens of a word are chosen together in training.
        spans: Whether training chooses spans of 1 to 10 whole words, each of which is masked,
            replaced or kept as one (SpanBERT).
        tokenizer_folder: Folder of a tokenizer that takes the place of the backbone's, from scratch
            (`data.tokenizer_folder`).
        begin_with_unigrams: Whether the output's bias begins as the log-probability of train's
            tokens; for a head that is new.
        sentence_pairs: Also learn which pairs of segments are true ones, by the first token: `next`
            or `order` (`data.sentence_pairs`). The losses are added.
    """

    head = "masked-lm"
    needs = "a string with a mask in it"

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
        packed: bool | None = None,
        adaptation: str | Adaptation = "full",
        layer_decay: float = 1.0,
        schedule_options: dict[str, float] | None = None,
        compile: bool = False,  # noqa: A002  as the flag is called
        freeze_embeddings: bool = False,
        mask_share: float = 0.15,
        whole_words: bool = False,
        spans: bool = False,
        begin_with_unigrams: bool = False,
        sentence_pairs: Objective | None = None,
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
            packed=packed,
            adaptation=adaptation,
            layer_decay=layer_decay,
            schedule_options=schedule_options,
            compile=compile,
            freeze_embeddings=freeze_embeddings,
        )
        self.save_hyperparameters()
        if not 0 < mask_share < 1:
            raise ZooError(f"--model.mask_share {mask_share} must be above 0 and below 1.")
        if whole_words and spans:
            raise ZooError(
                "Spans are of whole words already: give --model.spans or --model.whole_words."
            )
        self.use_settings(from_scratch, tokenizer_folder, begin_with_unigrams)
        self.use_pairs(sentence_pairs)
        self.mask_share = mask_share
        self.whole_words = whole_words
        self.spans = spans

    @cached_property
    def _mask(self) -> int:
        return int(self.tokenizer.mask_token_id or 0)

    @cached_property
    def _ordinary(self) -> Tensor:
        return ordinary_ids(self.tokenizer)

    def ask(self, batch: Mapping[str, Any], batch_index: int) -> tuple[Tensor, Tensor]:
        """Masks that are chosen anew."""
        generator = seeded(batch["seed"], self.current_epoch, batch_index, self.global_rank)
        words, together = batch["words"], None
        if self.spans:
            together = choose_spans(words, share=self.mask_share, generator=generator)
            chosen = together != NO_SPAN
        else:
            chosen = choose(
                words, share=self.mask_share, whole_words=self.whole_words, generator=generator
            )
        return corrupt(
            batch["input_ids"],
            chosen,
            mask=self._mask,
            ordinary=self._ordinary,
            generator=generator,
            together=together,
        )

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
