"""Labelled texts, or pairs of texts, as batches."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import datasets
import numpy as np
import torch
from datasets import Features, List, Value

from zoo import backbones
from zoo.classification import bag_of_words
from zoo.classification.batches import collate
from zoo.classification.encoding import LongTexts, encode_texts
from zoo.classification.labels import as_number, find_mode, in_order, named, notes_on_labels
from zoo.classification.modes import Mode
from zoo.classification.modes.base import Objective
from zoo.classification.modes.choice import objective_class
from zoo.classification.modes.regression import VALUE
from zoo.classification.reading import read_texts
from zoo.classification.tally import Tally, require_clear_numbers, require_numbers
from zoo.data.datamodule import TextDataModule
from zoo.data.sources import Sources, Split
from zoo.data.tables import write_table
from zoo.errors import DataError


class ClassificationDataModule(TextDataModule):
    """Labelled texts or pairs of texts, from tables, JSON lines, Parquet or the Hub.

    Args:
        dataset: A sample's name, a folder or a Hub id.
        dataset_config: Configuration of a Hub dataset that has several.
        splits: Which split of the dataset is which, such as `{test: validation}`.
        train: A file; any of these three replaces `dataset` entirely.
        validation: A file. A missing validation or test split is held out of train, 10% each.
        test: A file.
        columns: Which column is `text`, `text2` (of pairs) and `label`, by name or 0-based
            position (negative from the end); found from the header if None.
        header: Whether the first line of a table names its columns; found out if None.
        quotes: Whether `"` quotes fields of a table; found out if None.
        separator: What stands between several labels in one field, such as `,`.
        mode: What a target is: one of several labels (`single_label`), any number of them
            (`multi_label`), one of several that have an order (`ordinal`), or a number
            (`regression`). If None that of trained weights, else found from the data: lists are
            multi-label, numbers with decimals regression.
        labels: Labels in the order of their ids, as those of trained weights; others that the
            data has are appended. Ordinal labels that are no numbers must be given, from least to
            most. Found from the data if None.
        backbone: Whose tokenizer to use; a fine-tuned folder also gives the labels' order.
        max_length: Longest input in tokens; the backbone's own (at most 512) if None.
        long_texts: What is read of a longer text: its beginning (`truncate`), half from its
            beginning and half from its end (`head_tail`), or all of it in `windows`, whose
            logits are averaged.
        batch_size: Texts in a batch of one process; evaluation takes up to four times as many
            where they are short.
        max_tokens: Tokens in a training batch of one process, padding included, instead of
            `batch_size`, which evaluation keeps; `--auto_batch` finds what memory holds.
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
            "labels": List(Value("string")),
            "line": Value("int32"),
        }
    )
    feature_columns: ClassVar[Features] = Features(
        {
            "input_ids": List(Value("int32")),
            "token_types": List(Value("int8")),
            "windows": List(Value("int32")),
            "target": List(Value("float32")),
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
        separator: str | None = None,
        mode: Mode | None = None,
        labels: list[str] | None = None,
        backbone: str = "minilm-l6",
        max_length: int | None = None,
        long_texts: LongTexts = "truncate",
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
            backbone=backbone,
            max_length=max_length,
            batch_size=batch_size,
            max_tokens=max_tokens,
            seed=seed,
            num_workers=num_workers,
        )
        if mode is not None:
            objective_class(mode)
        if separator == "":
            raise DataError("--data.separator is empty; give what stands between labels.")
        self.header = header
        self.quotes = quotes
        self.separator = separator
        self._mode = mode
        self._labels = labels
        self.long_texts: LongTexts = long_texts

    @property
    def reading_key(self) -> dict[str, Any]:
        """Settings that change what is read from the same content."""
        return {
            "columns": self.columns,
            "header": self.header,
            "quotes": self.quotes,
            "separator": self.separator,
            "mode": self._asked_mode,
        }

    @cached_property
    def _asked_mode(self) -> Mode | None:
        """The mode that the user or the trained weights ask for."""
        if self._mode is not None:
            return self._mode
        known = backbones.metadata(self.backbone)
        if known.get("family") != self.family:
            return None
        found: Mode | None = known.get("encoding", {}).get("mode")
        return found

    @property
    def mode(self) -> Mode:
        """What a target is."""
        found: Mode = self.known["mode"]
        return found

    @cached_property
    def _objective(self) -> type[Objective]:
        return objective_class(self.mode)

    def read(self, sources: Sources, folder: Path) -> dict[str, Any]:
        """Read all splits.

        Raises:
            DataError: A file cannot be read, with its line; some splits only have pairs; a target
                is not of the mode.
        """
        tallies: dict[Split, Tally] = {}
        for split, source in sources.splits.items():
            texts = read_texts(
                source,
                columns=self.columns,
                header=self.header,
                quotes=self.quotes,
                separator=self.separator,
            )
            tally = Tally(sources.place(split), self._asked_mode)
            write_table(folder / f"{split}.arrow", tally.of(texts), self.example_columns)
            tallies[split] = tally
        pairs = {split: tally.pairs for split, tally in tallies.items()}
        if len(set(pairs.values())) > 1:
            kinds = [
                f"{split} {'pairs' if had else 'single texts'}" for split, had in pairs.items()
            ]
            raise DataError(
                f"Either all splits have pairs of texts or none; here {', '.join(kinds)}. "
                "--data.columns '{text: NAME, text2: NAME, label: NAME}' chooses the columns."
            )
        several = any(tally.several for tally in tallies.values())
        labels = {name for tally in tallies.values() for name in tally.labels}
        mode = self._asked_mode or find_mode(labels, several=several)
        notes = [note for split, tally in tallies.items() for note in tally.notes(split)]
        if self._asked_mode is None and mode == "single_label":
            require_clear_numbers(tallies.values())
        if mode == "regression":
            require_numbers(tallies.values())
            if self._asked_mode is None:
                notes.append(
                    "All targets are numbers and some have decimals, so numbers are predicted; "
                    "--data.mode single_label takes each as a class of its own."
                )
        else:
            notes += notes_on_labels({split: one.labels for split, one in tallies.items()})
        counts = {split: dict(one.labels) for split, one in tallies.items()}
        return {
            "mode": mode,
            "pairs": any(pairs.values()),
            "labels": {} if mode == "regression" else counts,
            # Of a number only whether all of train are the same.
            "same": {
                split: next(iter(labels)) for split, labels in counts.items() if len(labels) == 1
            },
            "notes": notes,
        }

    def find_labels(self) -> list[str]:
        """Labels in the order of their ids: given ones first, then those of the data.

        In regression the one name of the output.

        Raises:
            DataError: There is nothing to tell apart, or ordinal labels have no known order.
        """
        if self.mode == "regression":
            if self._labels is None and self.weights_labels is None:
                self._check_targets()
            return [VALUE]
        of_splits = self.known["labels"]
        train = of_splits.get("train", {})
        others = {name for counts in of_splits.values() for name in counts} - set(train)
        own = [*in_order(train), *in_order(others)]
        if self.mode == "ordinal":
            own = in_order({*train, *others})
        if self._labels is None and self.weights_labels is None:
            self._check_labels(own, train)
        given = self._labels
        if given is None and not train:
            given = self.weights_labels  # nothing to train on: the head stays as it is
        if given is not None:
            new = [name for name in own if name not in given]
            learned = [name for name in new if name in train and self.weights_labels is None]
            if learned and self.mode == "ordinal":
                raise DataError(
                    f"The given labels lack {named(learned, ' and ')}, which train has: "
                    "--data.labels must name all, from least to most."
                )
            if new:
                self.note(
                    f"The given labels lack {named(new, ' and ')}: what was trained without them "
                    "never predicts them, and each of them counts as missed."
                )
            return [*given, *new]
        head = self.weights_labels
        if head is not None and set(head) == set(own):
            return head
        self._check_order(own)
        return own

    def _check_targets(self) -> None:
        same = self.known["same"].get("train")
        if same is not None:
            raise DataError(
                f"Every text has the target {same}: there is nothing to tell apart. Is the label "
                "column the right one? --data.columns '{text: 0, label: 1}' chooses it.",
                path=self.sources.place("train"),
            )

    def _check_labels(self, own: Sequence[str], train: Mapping[str, int]) -> None:
        place = self.sources.place(next(iter(self.sources.splits)))
        columns = "Is the label column the right one? --data.columns '{text: 0, label: 1}' chooses"
        if not own:
            raise DataError(f"No text has a label. {columns} it.", path=place)
        if self.mode != "multi_label" and (len(train) == 1 or len(own) < 2):
            raise DataError(
                f"Every text has the label {own[0]!r}: there is nothing to tell apart. {columns} "
                "it.",
                path=place,
            )

    def _check_order(self, own: Sequence[str]) -> None:
        if self.mode == "ordinal" and any(as_number(label) is None for label in own):
            raise DataError(
                f"The order of the labels {named(own)} is not known. Give it, from least to most: "
                f"--data.labels '[{named(own)}]'.",
                path=self.sources.place(next(iter(self.sources.splits))),
            )

    @property
    def encoding_key(self) -> dict[str, Any]:
        """Settings that change the features of the same examples."""
        return {"mode": self.mode, "long_texts": self.long_texts, "pairs": self.known["pairs"]}

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
            yield [{**one._asdict(), "target": self._objective.target(example["labels"], ids)}]

    def _encoded(self, split: Split) -> datasets.Dataset:
        features = super()._encoded(split)
        cut = np.asarray(features.data.column("cut"))
        count = int((cut > 0).sum())
        if count:
            read = {
                "truncate": "only their beginning is read",
                "head_tail": "only their beginning and end are read",
                "windows": "of their shorter text only the beginning is read",
            }[self.long_texts]
            self.note(
                f"{count} of {len(cut)} {split} texts are longer than {self.max_length} tokens: "
                f"{read} ({int(cut.sum(dtype=np.int64)):,} tokens left out)."
            )
        return features

    @cached_property
    def constants(self) -> dict[str, torch.Tensor]:
        """What the loss must know of all of train, such as weights of labels; in each batch."""
        had = "train" in self.splits()
        rows = self.examples("train").with_format(None)["labels"] if had else []
        return self._objective.constants(rows, self.labels)

    def collate(self, features: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """A batch: see `collate` in `zoo.classification.batches`; with `labels` and `constants`."""
        batch = collate(features, pad_token_id=int(self.tokenizer.pad_token_id or 0))
        targets = self._objective.targets(
            [row["target"] for row in features], labels=len(self.labels)
        )
        return {**batch, **self.constants, "labels": targets}

    def baselines(self) -> dict[str, float]:
        """Scores on test of TF-IDF with a linear model, fitted on train."""
        tables = {split: self.joined(split) for split in ("train", "validation", "test")}
        return bag_of_words.scores(self.mode, **tables)

    def joined(self, split: Split) -> tuple[list[str], list[list[str]]]:
        """The texts of a split, pairs as one, and the labels of each, for a bag of words."""
        columns = self.examples(split)[:]
        pairs = zip(columns["text"], columns["text2"], strict=True)
        return [" ".join(filter(None, pair)) for pair in pairs], columns["labels"]

    @property
    def predict_example(self) -> tuple[str, str]:
        """A text to pipe in; pairs come from a file."""
        return ("", "PAIRS.jsonl") if self.known["pairs"] else super().predict_example
