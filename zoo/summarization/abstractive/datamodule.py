"""Texts with summaries as batches for an encoder-decoder."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import datasets
import numpy as np
import torch
from datasets import Features, List, Value

from zoo import backbones
from zoo.data.batching import padded
from zoo.data.sources import Split
from zoo.errors import DataError, check_at_least
from zoo.summarization.abstractive.encoding import Ends, encode_sources, encode_targets
from zoo.summarization.datamodule import SummaryDataModule
from zoo.summarization.rouge import RougeIn

#: Longest summary in tokens unless told.
USUAL_MAX_TARGET_LENGTH = 128
#: What the loss does not count.
_IGNORED = -100


class SummarizationDataModule(SummaryDataModule):
    """Texts with summaries for an encoder-decoder, from JSON lines, tables, Parquet or the Hub.

    Of several summaries the first is learned, and all are compared with in evaluation.

    Args:
        dataset: A sample's name, a folder or a Hub id.
        dataset_config: Configuration of a Hub dataset that has several.
        splits: Which split of the dataset is which, such as `{test: validation}`.
        train: A file; any of these three replaces `dataset` entirely.
        validation: A file. A missing validation or test split is held out of train, 10% each.
        test: A file.
        columns: Which column is `id`, `source` and `target`, by name or 0-based position;
            `summary.short` is what is called `short` in the object `summary`. Found from the data
            if None.
        header: Whether the first line of a table names its columns; found out if None.
        quotes: Whether `"` quotes fields of a table; found out if None.
        language: ISO 639-1 code of the texts' language, for their sentences; if None Chinese or
            Japanese where the script says so, else English.
        rouge_in: Whether ROUGE compares words, or characters as is usual for Chinese and Japanese;
            found from the script of the summaries if None.
        prefix: What the model reads before each text, such as `"summarize: "`; if None what an
            exported model was trained with, else the backbone's own.
        labels: The head's outputs, as those of trained weights: `summary`, always.
        backbone: Whose tokenizer to use.
        max_length: Longest input in tokens, of which the prefix is a part; the backbone's own (at
            most 512) if None.
        max_target_length: Longest summary in tokens; 128, or what an exported model was trained
            with, if None.
        batch_size: Texts in a batch of one process.
        max_tokens: Tokens in a training batch of one process, padding included, instead of
            `batch_size`, which evaluation keeps; `--auto_batch` finds what memory holds.
        seed: Fixes the order of the training examples.
        num_workers: Processes that prepare batches; 0 is fastest for cached features.

    Raises:
        DataError: When first used: the data cannot be found or read.
        BackboneError: When first used: the tokenizer cannot be found or read.
    """

    head = "text-to-text"
    feature_columns: ClassVar[Features] = Features(
        {
            "input_ids": List(Value("int32")),
            "labels": List(Value("int32")),
            "cut": Value("int32"),
            "cut_target": Value("int32"),
            "example": Value("int32"),
        }
    )

    #: Summaries take memory too while they are written, and are as long for short texts.
    fuller = 1

    def __init__(
        self,
        dataset: str | None = None,
        *,
        dataset_config: str | None = None,
        splits: dict[str, str] | None = None,
        train: str | None = None,
        validation: str | None = None,
        test: str | None = None,
        columns: dict[str, str | int] | None = None,
        header: bool | None = None,
        quotes: bool | None = None,
        language: str | None = None,
        rouge_in: RougeIn | None = None,
        prefix: str | None = None,
        labels: list[str] | None = None,
        backbone: str = "minilm-l6-2-minilm-l6",
        max_length: int | None = None,
        max_target_length: int | None = None,
        batch_size: int = 32,
        max_tokens: int | None = None,
        seed: int = 42,
        num_workers: int = 0,
    ):
        super().__init__(
            dataset,
            dataset_config=dataset_config,
            splits=splits,
            train=train,
            validation=validation,
            test=test,
            columns=columns,
            header=header,
            quotes=quotes,
            language=language,
            rouge_in=rouge_in,
            labels=labels,
            backbone=backbone,
            max_length=max_length,
            batch_size=batch_size,
            max_tokens=max_tokens,
            seed=seed,
            num_workers=num_workers,
        )
        if max_target_length is not None:
            check_at_least("--data.max_target_length", max_target_length, 2)
        self._prefix = prefix
        self._max_target_length = max_target_length

    @cached_property
    def text_to_text(self) -> backbones.TextToText:
        """What the backbone's registry, or the exported model, says on prefix and decoder."""
        return backbones.text_to_text(self.backbone)

    @property
    def prefix(self) -> str:
        """What the model reads before each text."""
        return self.text_to_text.prefix if self._prefix is None else self._prefix

    @cached_property
    def max_target_length(self) -> int:
        """Longest summary in tokens, special tokens included.

        Raises:
            DataError: The decoder cannot write as many.
        """
        config = backbones.load_config(self.backbone)
        limit = backbones.positions_of(getattr(config, "decoder", config))
        if self._max_target_length is None:
            trained_with = backbones.metadata(self.backbone).get("encoding", {})
            usual = int(trained_with.get("max_target_length", USUAL_MAX_TARGET_LENGTH))
            return min(usual, limit or usual)
        if limit is not None and self._max_target_length > limit:
            raise DataError(
                f"--data.max_target_length {self._max_target_length} is more than {self.backbone} "
                f"can write ({limit} tokens)."
            )
        return self._max_target_length

    @cached_property
    def _ends(self) -> Ends:
        return Ends.of(self.tokenizer, decoder_start=self.text_to_text.decoder_start_token_id)

    @property
    def encoding_key(self) -> dict[str, Any]:
        """Settings that change the features of the same examples."""
        return {
            "prefix": self.prefix,
            "max_target_length": self.max_target_length,
            # A target language and the decoder's start show in these alone.
            "target_ends": [list(self._ends.before), list(self._ends.after)],
        }

    def encode(self, examples: Sequence[Mapping[str, Any]]) -> Iterable[list[dict[str, Any]]]:
        """One feature for each example.

        Raises:
            DataError: `max_length` leaves no room for a text, or `max_target_length` none for a
                summary.
        """
        try:
            sources = encode_sources(
                [one["source"] for one in examples],
                tokenizer=self.tokenizer,
                prefix=self.prefix,
                max_length=self.max_length,
            )
            targets = encode_targets(
                [one["references"][0] for one in examples],
                tokenizer=self.tokenizer,
                ends=self._ends,
                max_length=self.max_target_length,
            )
        except ValueError as error:
            raise DataError(f"--data.{error}") from error
        for source, target in zip(sources, targets, strict=True):
            yield [
                {
                    "input_ids": source.ids,
                    "labels": target.ids,
                    "cut": source.cut,
                    "cut_target": target.cut,
                }
            ]

    def _encoded(self, split: Split) -> datasets.Dataset:
        features = super()._encoded(split)
        # ROUGE compares with the whole of all summaries.
        target = "is learned" if split == "train" else "counts in the loss"
        for column, what, limit, fate in (
            ("cut", "texts", self.max_length, "is read"),
            ("cut_target", "summaries", self.max_target_length, target),
        ):
            cut = np.asarray(features.data.column(column))
            count = int((cut > 0).sum())
            if count:
                self.note(
                    f"{count:,} of {len(cut):,} {split} {what} are longer than {limit} tokens: "
                    f"only their beginning {fate} ({int(cut.sum(dtype=np.int64)):,} tokens left "
                    "out)."
                )
        return features

    def collate(self, features: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """A padded batch to learn from.

        Returns:
            `input_ids` and `attention_mask`, int64 `[texts, longest]`; `labels`, int64 `[texts,
            longest summary]`, -100 where there is none; and the number of `tokens` of both.
        """
        lengths = torch.tensor([len(row["input_ids"]) for row in features])
        labels = padded([row["labels"] for row in features], fill=_IGNORED)
        input_ids = padded(
            [row["input_ids"] for row in features], fill=int(self.tokenizer.pad_token_id or 0)
        )
        return {
            "input_ids": input_ids,
            "attention_mask": (torch.arange(input_ids.shape[1]) < lengths[:, None]).long(),
            "labels": labels,
            "tokens": int(lengths.sum() + (labels != _IGNORED).sum()),
        }

    def _collate_to_evaluate(
        self, split: Split, features: Sequence[Mapping[str, Any]]
    ) -> dict[str, Any]:
        """A batch that also says which texts are `blank`: their summaries are empty."""
        of = self._of_examples(split, features, ["sentence_starts"])
        blank = [not starts for starts in of["sentence_starts"]]
        return {**super()._collate_to_evaluate(split, features), "blank": blank}
