"""The base of all datamodules: reads, and encodes once into a cache."""

import hashlib
import json
import logging
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import datasets
import numpy as np

from zoo import backbones
from zoo.data.batched import BatchedDataModule
from zoo.data.cache import cached, digest_of
from zoo.data.sources import Sources, Split, find_sources
from zoo.data.tables import CHUNK, read_table, write_table
from zoo.errors import DataError

if TYPE_CHECKING:
    from transformers.tokenization_utils_tokenizers import TokenizersBackend

#: Share of train that stands in for a validation or test split that is missing.
HELD_OUT = 0.1
#: Its own seed: runs that differ in their seed must be tested on the same examples.
HELD_OUT_SEED = 42

log = logging.getLogger(__name__)


class TextDataModule(BatchedDataModule):
    """Text from files, a sample or the Hub, as batches for a backbone.

    A family says how to read examples (`read`), what the labels are (`labels`), how examples
    become features (`encode`) and how features become a batch (`collate`).

    Args:
        dataset: A sample's name (`zoo.data.samples.names()`), a folder or a Hub id.
        dataset_config: Configuration of a Hub dataset that has several.
        splits: Which split of the dataset is `train`, `validation` or `test`, where its names do
            not say so, or where a split has no labels: `{test: validation}`.
        train: A file; any of these three replaces `dataset` entirely.
        validation: A file. A missing validation or test split is held out of train, 10% each.
        test: A file.
        columns: Which column is what, by name or 0-based position; found from the data if None.
        backbone: Whose tokenizer to use; a fine-tuned folder also gives the labels' order.
        max_length: Longest input in tokens; the backbone's own (at most 512) if None.
        batch_size: Examples in a batch of one process; evaluation takes up to four times as many
            where they are short.
        max_tokens: Tokens in a training batch of one process, padding included, instead of
            `batch_size`, which evaluation keeps; `--auto_batch` finds what memory holds.
        seed: Fixes the order of the training examples.
        num_workers: Processes that prepare batches; 0 is fastest for cached features.

    Raises:
        DataError: When first used: the data cannot be found or read.
        BackboneError: When first used: the tokenizer cannot be found or read.
    """

    family: ClassVar[str]
    head: ClassVar[backbones.Head]
    #: Longest input in tokens unless asked for, where the backbone can take it.
    usual_max_length: ClassVar[int] = 512
    #: Columns of the table of examples, and of the table of features.
    example_columns: ClassVar[datasets.Features]
    feature_columns: ClassVar[datasets.Features]

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
        backbone: str = "minilm-l6",
        max_length: int | None = None,
        batch_size: int = 32,
        max_tokens: int | None = None,
        seed: int = 42,
        num_workers: int = 0,
    ):
        super().__init__(
            batch_size=batch_size, max_tokens=max_tokens, seed=seed, num_workers=num_workers
        )
        #: What the user was told about the data.
        self.notes: list[str] = []
        self.dataset = dataset
        self.dataset_config = dataset_config
        self.named_splits = splits
        self.files: dict[Split, str | None] = {
            "train": train,
            "validation": validation,
            "test": test,
        }
        self.columns = columns
        self.backbone = backbone
        self._max_length = max_length

    # What a family fills in.

    @abstractmethod
    def read(self, sources: Sources, folder: Path) -> dict[str, Any]:
        """Read all splits into `folder/SPLIT.arrow` and return what else is known of them.

        The result must be plain data (it is kept as JSON); its `notes`, a list of sentences, are
        told to the user.
        """

    @property
    @abstractmethod
    def reading_key(self) -> dict[str, Any]:
        """Settings that change what `read` makes of the same content."""

    @abstractmethod
    def find_labels(self) -> list[str]:
        """Labels in the order of their ids, from the data or as given."""

    @property
    @abstractmethod
    def encoding_key(self) -> dict[str, Any]:
        """Settings that change what `encode` makes of the same examples."""

    @abstractmethod
    def encode(self, examples: Sequence[Mapping[str, Any]]) -> Iterable[list[dict[str, Any]]]:
        """For each example its features (without `example`), in order."""

    @abstractmethod
    def baselines(self) -> dict[str, float]:
        """Scores on the test split of what needs no model, such as `{"lookup/f1": 0.4}`."""

    @property
    def report_tables(self) -> Mapping[str, Any]:
        """Tables on the data for the report (`zoo.tracking.report.Table`), by key."""
        return {}

    @property
    def predict_example(self) -> tuple[str, str]:
        """What `predict` is shown with in the terminal: a text to pipe in, or a file's name."""
        return "A text.", ""

    # What all families share.

    @cached_property
    def tokenizer(self) -> "TokenizersBackend":
        """The backbone's tokenizer."""
        return backbones.load_tokenizer(self.backbone)

    @cached_property
    def max_length(self) -> int:
        """Longest input in tokens, special tokens included."""
        if self._max_length is None:
            return backbones.max_length_of(self.backbone, usual=self.usual_max_length)
        limit = backbones.longest_input(self.backbone)
        if self._max_length > limit:
            raise DataError(
                f"--data.max_length {self._max_length} is more than {self.backbone} can take "
                f"({limit} tokens)."
            )
        return self._max_length

    @property
    def labels(self) -> list[str]:
        """Labels in the order of their ids.

        Raises:
            DataError: The data cannot be read, or has no labels.
        """
        try:
            return self.find_labels()
        except AttributeError as error:
            # Within a property it would read as "there are no labels", and jsonargparse would
            # quietly link None.
            raise RuntimeError(f"a defect in reading labels: {error}") from error

    @cached_property
    def weights_labels(self) -> list[str] | None:
        """Labels of the head, where the backbone is a fine-tuned folder of this family."""
        return backbones.head_labels(self.backbone, self.head)

    @cached_property
    def sources(self) -> Sources:
        """Where each split comes from."""
        return find_sources(
            self.dataset,
            self.files,
            config=self.dataset_config,
            named=self.named_splits,  # type: ignore[arg-type]  # checked there
        )

    @property
    def fingerprint(self) -> str:
        """Identifies the examples: changes with one byte of the data or one way of reading it."""
        return digest_of(self._example_key)[:16]

    @property
    def _example_key(self) -> dict[str, Any]:
        return {"family": self.family, "sources": self.sources.key, "reading": self.reading_key}

    @cached_property
    def _reading(self) -> tuple[dict[Split, datasets.Dataset], dict[str, Any]]:
        def build(folder: Path) -> None:
            known = self.read(self.sources, folder)
            (folder / "known.json").write_text(json.dumps(known), encoding="utf-8")

        def load(folder: Path) -> tuple[dict[Split, datasets.Dataset], dict[str, Any]]:
            known: dict[str, Any] = json.loads((folder / "known.json").read_text(encoding="utf-8"))
            splits = self.sources.splits
            return {split: read_table(folder / f"{split}.arrow") for split in splits}, known

        tables, known = cached("examples", self._example_key, build, load)
        for note in known["notes"]:
            self.note(note)
        return tables, known

    def note(self, sentence: str) -> None:
        """Tell the user something about the data, once; it also goes into the report."""
        if sentence not in self.notes:
            self.notes.append(sentence)
            log.warning(sentence)

    @property
    def known(self) -> dict[str, Any]:
        """What reading found out, as the family's `read` returned it."""
        return self._reading[1]

    @cached_property
    def _examples(self) -> dict[Split, datasets.Dataset]:
        tables = dict(self._reading[0])
        missing: list[Split] = [
            split for split in ("validation", "test") if "train" in tables and split not in tables
        ]
        if missing:
            tables |= self._hold_out(tables["train"], missing)
        return tables

    def _hold_out(
        self, table: datasets.Dataset, missing: list[Split]
    ) -> dict[Split, datasets.Dataset]:
        size = int(len(table) * HELD_OUT)
        if size < 1:
            raise DataError(
                f"{len(table)} training examples are too few to hold {' and '.join(missing)} out "
                f"of them. Give {' and '.join(f'--data.{split}' for split in missing)}.",
                path=self.sources.place("train"),
            )
        order = np.random.default_rng(HELD_OUT_SEED).permutation(len(table))
        held = {
            split: table.select(np.sort(order[i * size : (i + 1) * size]))
            for i, split in enumerate(missing)
        }
        self.note(
            f"No {' or '.join(missing)} data was given: {size * len(missing)} of {len(table)} "
            f"training examples are held out{', half for each' if len(missing) == 2 else ''} "
            f"(seed {HELD_OUT_SEED})."
        )
        rest = table.select(np.sort(order[size * len(missing) :]))
        return {**held, "train": rest}

    def examples(self, split: Split) -> datasets.Dataset:
        """The examples of a split as they were read, memory-mapped.

        Raises:
            DataError: There is no such split.
        """
        if split not in self._examples:
            raise DataError(f"There is no {split} data. Give it as --data.{split}.")
        return self._examples[split]

    def splits(self) -> dict[Split, datasets.Dataset]:
        """All splits there are, with what was held out of train."""
        return dict(self._examples)

    def read_splits(self) -> dict[Split, datasets.Dataset]:
        """The splits that were read, with nothing held out."""
        return dict(self._reading[0])

    def features(self, split: Split) -> datasets.Dataset:
        """The encoded features of a split, memory-mapped; encoded on first use, then cached."""
        if split not in self._features:
            self._features[split] = self._encoded(split)
        return self._features[split]

    @cached_property
    def _features(self) -> dict[Split, datasets.Dataset]:
        return {}

    def _encoded(self, split: Split) -> datasets.Dataset:
        examples = self.examples(split)
        key = {
            "examples": self._example_key,
            "split": split,
            "splits": sorted(self.sources.splits),  # tells what was held out
            "held out": [HELD_OUT, HELD_OUT_SEED],
            "tokenizer": hashlib.sha256(
                self.tokenizer.backend_tokenizer.to_str().encode()
            ).hexdigest(),
            "max_length": self.max_length,
            "labels": self.labels,
            **self.encoding_key,
        }

        def rows() -> Iterator[dict[str, Any]]:
            for start in range(0, len(examples), CHUNK):
                chunk = examples[start : start + CHUNK]
                listed = [
                    dict(zip(chunk, row, strict=True)) for row in zip(*chunk.values(), strict=True)
                ]
                for number, features in enumerate(self.encode(listed)):
                    for feature in features:
                        yield {**feature, "example": start + number}

        def build(folder: Path) -> None:
            write_table(folder / "features.arrow", rows(), self.feature_columns)

        return cached("features", key, build, lambda folder: read_table(folder / "features.arrow"))
