"""Texts with summaries as batches of windows, a score to learn for each sentence."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import datasets
import numpy as np
import torch
from datasets import Features, List, Value

from zoo.data.sources import Split
from zoo.summarization.datamodule import SummaryDataModule
from zoo.summarization.extractive.encoding import Layout, encode_documents
from zoo.summarization.extractive.targets import TEMPERATURE, likelihoods
from zoo.summarization.extractive.windows import collate, layout_of, overlap_of, window_row
from zoo.summarization.inputs import texts
from zoo.summarization.oracle import sentence_rouge
from zoo.summarization.rouge import RougeIn


class ExtractiveSummarizationDataModule(SummaryDataModule):
    """Texts with one or several summaries, in windows of whole sentences for an encoder.

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
        labels: The head's output, as that of trained weights: `summary`, always.
        backbone: Whose tokenizer to use.
        max_length: Longest window in tokens, special tokens included; the backbone's own (at most
            512), or what an exported model was trained with, if None.
        overlap: Sentences that neighbouring windows of a text share; 4, or what an exported model
            was trained with, if None.
        batch_size: Windows in a batch of one process; evaluation takes up to four times as many
            where they are short.
        max_tokens: Tokens in a training batch of one process, padding included, instead of
            `batch_size`, which evaluation keeps; `--auto_batch` finds what memory holds.
        seed: Fixes the order of the training examples.
        num_workers: Processes that prepare batches; 0 is fastest for cached features.

    Raises:
        DataError: When first used: the data cannot be found or read.
        BackboneError: When first used: the tokenizer cannot be found or read.
    """

    head = "token-classification"
    feature_columns: ClassVar[Features] = Features(
        {
            "input_ids": List(Value("int32")),
            # The opening token of each sentence, as an index into `input_ids`, and how likely the
            # sentence is the best summary of all sentences of the text.
            "places": List(Value("int32")),
            "targets": List(Value("float32")),
            # Number in the text of the first sentence, and those whose score is taken from here.
            "first": Value("int32"),
            "keep": List(Value("int32")),
            "window": Value("int32"),
            "windows": Value("int32"),
            # Sentences of the text that are longer than a window; with its first window alone.
            "cut": Value("int32"),
            "example": Value("int32"),
        }
    )

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
        labels: list[str] | None = None,
        backbone: str = "minilm-l6",
        max_length: int | None = None,
        overlap: int | None = None,
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
        self._overlap = overlap

    @cached_property
    def overlap(self) -> int:
        """Sentences that neighbouring windows of a text share."""
        return overlap_of(self.backbone) if self._overlap is None else self._overlap

    @cached_property
    def layout(self) -> Layout:
        """Length and overlap of the windows.

        Raises:
            DataError: They leave no room for a sentence.
        """
        return layout_of(self.tokenizer, self.max_length, self.overlap)

    @property
    def encoding_key(self) -> dict[str, Any]:
        """Settings that change the features of the same examples."""
        return {
            "kind": "extractive",
            "overlap": self.overlap,
            "language": self.language,
            "rouge_in": self.rouge_in,
            "temperature": TEMPERATURE,
        }

    def encode(self, examples: Sequence[Mapping[str, Any]]) -> Iterable[list[dict[str, Any]]]:
        """Windows of each text, with the targets of their sentences."""
        documents = [texts(one["source"], _spans(one)) for one in examples]
        encoded = encode_documents(documents, tokenizer=self.tokenizer, layout=self.layout)
        for example, sentences, one in zip(examples, documents, encoded, strict=True):
            scores = sentence_rouge(
                sentences, example["references"], rouge_in=self.rouge_in, language=self.language
            )
            likely = likelihoods(scores)
            rows = [
                window_row(window, at, len(one.windows)) for at, window in enumerate(one.windows)
            ]
            for row in rows:
                row["targets"] = likely[row["first"] : row["first"] + len(row["places"])]
                row["cut"] = 0
            rows[0]["cut"] = one.cut
            yield rows

    def _encoded(self, split: Split) -> datasets.Dataset:
        features = super()._encoded(split)
        cut = int(np.asarray(features.data.column("cut")).sum())
        if cut:
            self.note(
                f"{cut:,} {split} sentences are longer than {self.layout.room} tokens: only their "
                "beginning is read."
            )
        return features

    def collate(self, features: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """A batch to learn from: see `windows.collate`; `targets`, float `[windows, most]`."""
        batch = collate(features, pad_token_id=int(self.tokenizer.pad_token_id or 0))
        targets = torch.zeros(batch["sentence_mask"].shape)
        for number, row in enumerate(features):
            targets[number, : len(row["targets"])] = torch.tensor(row["targets"])
        return {**batch, "targets": targets}

    def _collate_to_evaluate(
        self, split: Split, features: Sequence[Mapping[str, Any]]
    ) -> dict[str, Any]:
        """A batch that also holds texts, their sentences and the references.

        Texts and sentences stand with the last window of a text, which completes it: with each of
        hundreds of windows they would take longer to move than the windows to read.
        """
        last = [row["window"] == row["windows"] - 1 for row in features]
        completing = [row for row, is_last in zip(features, last, strict=True) if is_last]
        names = ["source", "sentence_starts", "sentence_ends"]
        of = self._of_examples(split, completing, names) if completing else {}
        columns = iter(zip(*of.values(), strict=True))
        source: list[str] = []
        spans: list[list[tuple[int, int]]] = []
        for is_last in last:
            text, starts, ends = next(columns) if is_last else ("", [], [])
            source.append(text)
            spans.append(list(zip(starts, ends, strict=True)))
        batch = super()._collate_to_evaluate(split, features)
        return {**batch, "source": source, "spans": spans}


def _spans(example: Mapping[str, Any]) -> list[tuple[int, int]]:
    return list(zip(example["sentence_starts"], example["sentence_ends"], strict=True))
