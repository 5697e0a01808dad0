"""Plain text as blocks of tokens."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
from datasets import Features, List, Value
from torch import Tensor

from zoo.data.batching import padded
from zoo.data.datamodule import TextDataModule
from zoo.data.frames import Frame
from zoo.data.sources import Sources, Split
from zoo.data.tables import write_table
from zoo.errors import DataError, ZooError
from zoo.pretraining.encoding import (
    NO_WORD,
    block_row,
    encode_documents,
    masked_rows,
    ordinary_ids,
    pack,
)
from zoo.pretraining.reading import TextDocument, read_documents
from zoo.pretraining.unigrams import unigram_scores

#: Share of tokens that validation and test ask for, and the seed of their choice: the same in all
#: runs, however they train, so that losses of one tokenizer can be compared.
EVALUATION_SHARE, EVALUATION_SEED = 0.15, 42
#: The one label there is: every token of the vocabulary is a class of its own.
LABELS = ["token"]


class MaskedLMDataModule(TextDataModule):
    """Documents of plain text in blocks, from text files, JSON lines, tables or the Hub.

    Args:
        dataset: A sample's name, a folder or a Hub id.
        dataset_config: Configuration of a Hub dataset that has several.
        splits: Which split of a Hub dataset is which, such as `{test: validation}`.
        train: A file; any of these three replaces `dataset` entirely. In a text file a blank line
            ends a document; one without blank lines has a document on each line.
        validation: A file. A missing validation or test split is held out of train, 10% each.
        test: A file.
        columns: Which column is `text`; found by its name if None.
        labels: The one label that there is (`["token"]`), as trained weights have it.
        backbone: Whose tokenizer to use.
        max_length: Longest block in tokens; the backbone's own (at most 512) if None.
        pack: Whether a block goes on with the next document where one ends; else no block holds
            tokens of two documents. Packed documents attend to each other.
        batch_size: Blocks in a batch of one process.
        max_tokens: Tokens in a training batch of one process, padding included, instead of
            `batch_size`, which evaluation keeps; `--auto_batch` finds what memory holds.
        seed: Fixes the order of the training blocks and their masks.
        num_workers: Processes that prepare batches; 0 is fastest for cached features.

    Raises:
        DataError: When first used: the data cannot be found or read.
        BackboneError: When first used: the tokenizer cannot be found or read.
    """

    family = "pretraining"
    head = "masked-lm"
    example_columns: ClassVar[Features] = Features(
        {"text": Value("large_string"), "line": Value("int32")}
    )
    feature_columns: ClassVar[Features] = Features(
        {
            "input_ids": List(Value("int32")),
            "words": List(Value("int32")),
            "sizes": List(Value("int32")),
            "part": Value("int32"),
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
        labels: list[str] | None = None,
        backbone: str = "minilm-l6",
        max_length: int | None = None,
        pack: bool = True,
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
        if labels not in (None, LABELS):
            raise ZooError(f"The labels of masked language modelling are {LABELS}, not {labels}.")
        self.pack = pack

    @property
    def reading_key(self) -> dict[str, Any]:
        """Settings that change what is read from the same content."""
        return {"columns": self.columns}

    def read(self, sources: Sources, folder: Path) -> dict[str, Any]:
        """Read the documents of all splits.

        Raises:
            DataError: A source cannot be read; with its line.
        """
        for split, source in sources.splits.items():
            documents = read_documents(source, self.columns)
            write_table(
                folder / f"{split}.arrow",
                map(TextDocument._asdict, documents),
                self.example_columns,
            )
        return {"notes": []}

    def find_labels(self) -> list[str]:
        """The one label."""
        return list(LABELS)

    @property
    def encoding_key(self) -> dict[str, Any]:
        """Settings that change what is encoded from the same documents."""
        return {"pack": self.pack}

    def encode(self, examples: Sequence[Mapping[str, Any]]) -> Iterable[list[dict[str, Any]]]:
        """The blocks that end in each document: the others of its tokens are in a later one.

        Raises:
            DataError: Blocks are too short for a token, or the tokenizer has no mask.
        """
        if self.tokenizer.mask_token_id is None:
            raise DataError(
                f"The tokenizer of {self.backbone} has no mask token, so masked language modelling "
                "needs another backbone."
            )
        documents = encode_documents(
            [example["text"] for example in examples], tokenizer=self.tokenizer
        )
        rows: list[list[dict[str, Any]]] = [[] for _ in examples]
        frame = Frame.of(self.tokenizer, pairs=False)
        try:
            for last, block in pack(
                documents, frame=frame, max_length=self.max_length, across=self.pack
            ):
                rows[last].append({**block_row(block), "part": len(rows[last])})
        except ValueError as error:
            raise DataError(f"--data.max_length: {error}") from None
        return rows

    def collate(self, features: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """A batch to learn from: the task masks it, with chance that begins at `seed`."""
        pad = int(self.tokenizer.pad_token_id or 0)
        return {**collate(features, pad_token_id=pad), "seed": self.seed}

    def collate_of(self, split: Split) -> Callable[[Sequence[Mapping[str, Any]]], dict[str, Any]]:
        """`collate`, in evaluation with masks that are always the same."""
        return self.collate if split == "train" else self._collate_fixed

    def _collate_fixed(self, features: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        batch = self.collate(features)
        read, right = masked_rows(
            batch,
            mask=int(self.tokenizer.mask_token_id or 0),
            ordinary=self._ordinary,
            share=EVALUATION_SHARE,
            seed=EVALUATION_SEED,
        )
        return {**batch, "input_ids": read, "labels": right}

    @cached_property
    def _ordinary(self) -> Tensor:
        return ordinary_ids(self.tokenizer)

    def asked(self, split: Split) -> Iterator[tuple[Tensor, Tensor]]:
        """Ids that evaluation asks for and the bytes each stands for, of some blocks at a time."""
        table = self.features(split)
        for start in range(0, len(table), self.batch_size):
            columns = table[start : start + self.batch_size]
            names = list(columns)
            rows = zip(*columns.values(), strict=True)
            batch = self._collate_fixed([dict(zip(names, row, strict=True)) for row in rows])
            where = batch["labels"] >= 0
            yield batch["labels"][where], batch["sizes"][where]

    def baselines(self) -> dict[str, float]:
        """What the frequencies of train's tokens alone score on the test's fixed masks."""
        size = max(self.tokenizer.get_vocab().values()) + 1
        counts = torch.zeros(size, dtype=torch.long)
        for row in self.features("train"):
            ids, words = torch.tensor(row["input_ids"]), torch.tensor(row["words"])
            counts += ids[words != NO_WORD].bincount(minlength=size)
        scores = unigram_scores(counts, self.asked("test"))
        return {f"unigram/{name}": value for name, value in scores.items()}

    @property
    def predict_example(self) -> tuple[str, str]:
        """A text with a mask to pipe in."""
        return f"They met in {self.tokenizer.mask_token}.", ""


def collate(features: Sequence[Mapping[str, Any]], *, pad_token_id: int) -> dict[str, Any]:
    """A padded batch from blocks.

    Returns:
        `input_ids`, `attention_mask`, `words` (`NO_WORD` at special tokens and padding) and
        `sizes`, int64 `[blocks, longest]`; `example` and `part`, lists with one entry a block.
    """
    return {
        "input_ids": padded([row["input_ids"] for row in features], fill=pad_token_id),
        "attention_mask": padded([[1] * len(row["input_ids"]) for row in features], fill=0),
        "words": padded([row["words"] for row in features], fill=NO_WORD),
        "sizes": padded([row["sizes"] for row in features], fill=0),
        "example": [row["example"] for row in features],
        "part": [row["part"] for row in features],
    }
