"""Labelled texts, or pairs of texts, as batches."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import datasets
import torch
from datasets import Features, List, Value

from zoo.classification import bag_of_words
from zoo.classification.encoding import LongTexts, encode_texts
from zoo.classification.labels import in_order, named, notes_on_labels
from zoo.classification.reading import LabelledText, read_texts
from zoo.data.batching import padded
from zoo.data.datamodule import TextDataModule
from zoo.data.sources import Sources, Split
from zoo.data.tables import write_table
from zoo.errors import DataError


class ClassificationDataModule(TextDataModule):
    """Texts or pairs of texts with one label each, from tables, JSON lines, Parquet or the Hub.

    Args:
        dataset: A sample's name, a folder or a Hub id.
        dataset_config: Configuration of a Hub dataset that has several.
        train: A file; any of these three replaces `dataset` entirely.
        validation: A file. A missing validation or test split is held out of train, 10% each.
        test: A file.
        columns: Which column is `text`, `text2` (of pairs) and `label`, by name or 0-based
            position (negative from the end); found from the header if None.
        header: Whether the first line of a table names its columns; found out if None.
        quotes: Whether `"` quotes fields of a table; found out if None.
        labels: Labels in the order of their ids, as those of trained weights; others that the
            data has are appended. Found from the data if None.
        backbone: Whose tokenizer to use; a fine-tuned folder also gives the labels' order.
        max_length: Longest input in tokens; the backbone's own (at most 512) if None.
        long_texts: What is read of a longer text: its beginning (`truncate`), or half from its
            beginning and half from its end (`head_tail`).
        batch_size: Texts in a batch of one process.
        seed: Fixes the order of the training examples.
        num_workers: Processes that prepare batches; 0 is fastest for cached features.

    Raises:
        DataError: When first used: the data cannot be found or read.
        BackboneError: When first used: the tokenizer cannot be found or read.
    """

    family = "classification"
    head = "sequence-classification"
    example_columns: ClassVar[Features] = Features(
        {
            "text": Value("string"),
            "text2": Value("string"),
            "label": Value("string"),
            "line": Value("int32"),
        }
    )
    feature_columns: ClassVar[Features] = Features(
        {
            "input_ids": List(Value("int32")),
            "token_types": List(Value("int8")),
            "label": Value("int32"),
            "cut": Value("int32"),
            "example": Value("int32"),
        }
    )

    def __init__(
        self,
        dataset: str | None = None,
        *,
        dataset_config: str | None = None,
        train: str | None = None,
        validation: str | None = None,
        test: str | None = None,
        columns: dict[str, str | int] | None = None,
        header: bool | None = None,
        quotes: bool | None = None,
        labels: list[str] | None = None,
        backbone: str = "minilm-l6",
        max_length: int | None = None,
        long_texts: LongTexts = "truncate",
        batch_size: int = 32,
        seed: int = 42,
        num_workers: int = 0,
    ):
        super().__init__(
            dataset,
            dataset_config=dataset_config,
            train=train,
            validation=validation,
            test=test,
            columns=columns,
            backbone=backbone,
            max_length=max_length,
            batch_size=batch_size,
            seed=seed,
            num_workers=num_workers,
        )
        self.header = header
        self.quotes = quotes
        self._labels = labels
        self.long_texts: LongTexts = long_texts

    @property
    def reading_key(self) -> dict[str, Any]:
        """Settings that change what is read from the same content."""
        return {"columns": self.columns, "header": self.header, "quotes": self.quotes}

    def read(self, sources: Sources, folder: Path) -> dict[str, Any]:
        """Read all splits.

        Raises:
            DataError: A file cannot be read, with its line; or some splits only have pairs.
        """
        known: dict[str, Any] = {"notes": [], "labels": {}}
        pairs: dict[Split, bool] = {}
        for split, source in sources.splits.items():
            texts = read_texts(source, columns=self.columns, header=self.header, quotes=self.quotes)
            counts = _Counts()
            write_table(folder / f"{split}.arrow", counts.of(texts), self.example_columns)
            known["labels"][split] = dict(counts.labels)
            pairs[split] = counts.pairs
            if counts.empty:
                noun = "text" if counts.empty == 1 else "texts"
                known["notes"].append(f"{counts.empty} empty {noun} kept in {split}.")
        if len(set(pairs.values())) > 1:
            kinds = [
                f"{split} {'pairs' if had else 'single texts'}" for split, had in pairs.items()
            ]
            raise DataError(
                f"Either all splits have pairs of texts or none; here {', '.join(kinds)}. "
                "--data.columns '{text: NAME, text2: NAME, label: NAME}' chooses the columns."
            )
        known["pairs"] = any(pairs.values())
        known["notes"] += notes_on_labels(known["labels"])
        return known

    def find_labels(self) -> list[str]:
        """Labels in the order of their ids: given ones first, then those of the data.

        Raises:
            DataError: There are not two labels to tell apart.
        """
        of_splits = self.known["labels"]
        train = of_splits.get("train", {})
        others = {name for counts in of_splits.values() for name in counts} - set(train)
        own = [*in_order(train), *in_order(others)]
        if len(train) == 1 or (
            len(own) < 2 and self._labels is None and self.weights_labels is None
        ):
            raise DataError(
                f"Every text has the label {own[0]!r}: there is nothing to tell apart. Is the "
                "label column the right one? --data.columns '{text: 0, label: 1}' chooses it.",
                path=self.sources.place(next(iter(self.sources.splits))),
            )
        given = self._labels
        if given is None and not train:
            given = self.weights_labels  # nothing to train on: the head stays as it is
        if given is not None:
            new = [name for name in own if name not in given]
            if new:
                self.note(
                    f"The weights do not know the label {named(new, ' or ')}: each of them counts "
                    "as missed."
                )
            return [*given, *new]
        head = self.weights_labels
        return head if head is not None and set(head) == set(own) else own

    @property
    def encoding_key(self) -> dict[str, Any]:
        """Settings that change the features of the same examples."""
        return {"long_texts": self.long_texts, "pairs": self.known["pairs"]}

    def encode(self, examples: Sequence[Mapping[str, Any]]) -> Iterable[list[dict[str, Any]]]:
        """One feature for each example.

        Raises:
            DataError: `max_length` leaves no room for a text.
        """
        ids = {label: index for index, label in enumerate(self.labels)}
        try:
            encoded = encode_texts(
                [(example["text"], example["text2"]) for example in examples],
                tokenizer=self.tokenizer,
                max_length=self.max_length,
                long_texts=self.long_texts,
            )
        except ValueError as error:
            raise DataError(f"--data.{error}") from error
        for example, one in zip(examples, encoded, strict=True):
            yield [{**one._asdict(), "label": ids[example["label"]]}]

    def _encoded(self, split: Split) -> datasets.Dataset:
        features = super()._encoded(split)
        cut = torch.tensor(features.data.column("cut").to_pylist())
        count = int((cut > 0).sum())
        if count:
            kept = "beginning is" if self.long_texts == "truncate" else "beginning and end are"
            note = (
                f"{count} of {len(cut)} {split} texts are longer than {self.max_length} tokens: "
                f"only their {kept} read ({int(cut.sum()):,} tokens left out)."
            )
            self.note(note)
        return features

    @cached_property
    def class_weights(self) -> torch.Tensor:
        """Weight of each label that makes all labels of train count alike, float `[labels]`.

        A label of `n` out of `N` texts and `K` labels weighs `N / (K n)`; one that train lacks 0.
        """
        counts = torch.tensor(
            [self.known["labels"].get("train", {}).get(label, 0) for label in self.labels],
            dtype=torch.float,
        )
        weights = counts.sum() / ((counts > 0).sum().clamp(min=1) * counts.clamp(min=1))
        return weights * (counts > 0)

    def collate(self, features: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """A batch: see `collate`; and `weights`, of each text's label, float `[texts]`."""
        batch = collate(features, pad_token_id=int(self.tokenizer.pad_token_id or 0))
        return {**batch, "weights": self.class_weights[batch["labels"]]}

    def baselines(self) -> dict[str, float]:
        """Accuracy on test of TF-IDF and logistic regression, fitted on train."""
        (texts, labels), (others, gold) = self._joined("train"), self._joined("test")
        predicted = bag_of_words.predict(texts, labels, others)
        return {"bag_of_words/accuracy": bag_of_words.accuracy(gold, predicted)}

    def _joined(self, split: Split) -> tuple[list[str], list[str]]:
        columns = self.examples(split)[:]
        pairs = zip(columns["text"], columns["text2"], strict=True)
        return [" ".join(filter(None, pair)) for pair in pairs], columns["label"]

    @property
    def predict_example(self) -> tuple[str, str]:
        """A text to pipe in; pairs come from a file."""
        return ("", "PAIRS.jsonl") if self.known["pairs"] else super().predict_example


def collate(features: Sequence[Mapping[str, Any]], *, pad_token_id: int) -> dict[str, Any]:
    """A padded batch from encoded texts.

    Returns:
        `input_ids`, `attention_mask` and `token_type_ids`, int64 `[texts, longest]`; `labels`,
        int64 `[texts]`, where the features have any; and `example`, a list of rows.
    """
    input_ids = padded([row["input_ids"] for row in features], fill=pad_token_id)
    lengths = torch.tensor([len(row["input_ids"]) for row in features])
    batch = {
        "input_ids": input_ids,
        "attention_mask": (torch.arange(input_ids.shape[1]) < lengths[:, None]).long(),
        "token_type_ids": padded([row["token_types"] for row in features], fill=0),
        "example": [row["example"] for row in features],
        "tokens": int(lengths.sum()),
    }
    if "label" in features[0]:
        batch["labels"] = torch.tensor([row["label"] for row in features])
    return batch


@dataclass
class _Counts:
    """What is counted while a split streams into its table."""

    labels: Counter[str] = field(default_factory=Counter)
    empty: int = 0
    pairs: bool = False

    def of(self, texts: Iterable[LabelledText]) -> Iterator[dict[str, Any]]:
        for one in texts:
            self.labels[one.label] += 1
            self.pairs = one.text2 is not None
            self.empty += not one.text.strip() or (one.text2 is not None and not one.text2.strip())
            yield one._asdict()
