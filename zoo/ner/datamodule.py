"""Sentences with entity tags as batches."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
from datasets import Features, List, Value

from zoo import backbones
from zoo.data.batching import padded
from zoo.data.datamodule import TextDataModule
from zoo.data.sources import Sources, Split
from zoo.data.tables import write_table
from zoo.errors import DataError
from zoo.ner.encoding import IGNORED, OUTSIDE, bio_labels, encode_documents, types_of
from zoo.ner.lookup import Lookup
from zoo.ner.metrics import EntityF1
from zoo.ner.reading import ReadingNotes, TaggedSentence, read_sentences
from zoo.ner.reading.schemes import Scheme, SchemeDetector, to_iob2

#: Overlap of windows in tokens, unless told.
USUAL_STRIDE = 64


class NERDataModule(TextDataModule):
    """Sentences or documents with entity tags, from CoNLL columns, JSON lines, tables or the Hub.

    Args:
        dataset: A sample's name, a folder or a Hub id.
        dataset_config: Configuration of a Hub dataset that has several.
        splits: Which split of a Hub dataset is which, such as `{test: validation}`.
        train: A file; any of these three replaces `dataset` entirely.
        validation: A file. A missing validation or test split is held out of train, 10% each.
        test: A file.
        columns: Which column is what (`tokens`, `tags`, `text`, `spans`), by name or 0-based
            position (negative from the end); found from the data if None.
        scheme: The tag scheme of the files (IOB2, IOB1, IO, BIOES, BILOU, BMES); recognised from
            the tags if None.
        labels: Labels in the order of their ids, as those of trained weights; types that only the
            data has are appended. Found from the data if None.
        backbone: Whose tokenizer to use; a fine-tuned folder also gives the labels' order.
        max_length: Longest window in tokens; the backbone's own (at most 512) if None.
        stride: Overlap in tokens of neighbouring windows of a document longer than `max_length`;
            64, or what an exported model was trained with, if None.
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

    family = "ner"
    head = "token-classification"
    example_columns: ClassVar[Features] = Features(
        {
            "tokens": List(Value("string")),
            "tags": List(Value("string")),
            "line": Value("int32"),
            "text": Value("string"),
            "offsets": List(List(Value("int32"))),
        }
    )
    feature_columns: ClassVar[Features] = Features(
        {
            "input_ids": List(Value("int32")),
            "positions": List(Value("int32")),
            "labels": List(Value("int32")),
            "window": Value("int32"),
            "windows": Value("int32"),
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
        scheme: Scheme | None = None,
        labels: list[str] | None = None,
        backbone: str = "minilm-l6",
        max_length: int | None = None,
        stride: int | None = None,
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
        self.scheme = scheme
        self._labels = labels
        self._stride = stride

    @cached_property
    def stride(self) -> int:
        """Overlap in tokens of neighbouring windows of a long document."""
        return stride_of(self.backbone) if self._stride is None else self._stride

    @property
    def reading_key(self) -> dict[str, Any]:
        """Settings that change what is read from the same content."""
        return {"columns": self.columns, "scheme": self.scheme}

    def read(self, sources: Sources, folder: Path) -> dict[str, Any]:
        """Read all splits, with tags normalised to IOB2.

        Raises:
            DataError: A file cannot be read or its tags follow no known scheme; with its line.
        """
        known: dict[str, Any] = {"notes": [], "types": {}, "schemes": {}}
        for split, source in sources.splits.items():
            scheme, orphans = self._recognise(sources, split)
            notes = ReadingNotes(orphan_inside_tags=orphans)
            types: Counter[str] = Counter()
            rows = self._rows(
                read_sentences(source, columns=self.columns, notes=notes), scheme, types
            )
            write_table(folder / f"{split}.arrow", rows, self.example_columns)
            known["types"][split] = dict(types)
            known["schemes"][split] = str(scheme)
            known["notes"] += [f"{note}." for note in notes.sentences()]
        return known

    def _recognise(self, sources: Sources, split: Split) -> tuple[Scheme, int]:
        """The scheme of a split, and how many of its `I-` tags stand where a `B-` should."""
        detector = SchemeDetector()
        for sentence in read_sentences(sources.splits[split], columns=self.columns):
            detector.add(sentence)
        scheme = detector.scheme(sources.place(split), force=self.scheme)
        return scheme, detector.orphans if scheme == Scheme.IOB2 else 0

    @staticmethod
    def _rows(
        sentences: Iterable[TaggedSentence], scheme: Scheme, types: Counter[str]
    ) -> Iterator[dict[str, Any]]:
        for sentence in sentences:
            tags = to_iob2(sentence.tags, scheme)
            types.update(tag[2:] for tag in tags if tag.startswith("B-"))
            yield {
                "tokens": sentence.tokens,
                "tags": tags,
                "line": sentence.lines[0] if sentence.lines else 0,
                "text": sentence.text,
                "offsets": sentence.offsets,
            }

    @cached_property
    def types(self) -> dict[Split, Counter[str]]:
        """How many entities of each type each split has, after holding out."""
        found: dict[Split, Counter[str]] = {
            split: Counter(types) for split, types in self.known["types"].items()
        }
        for split, examples in self.splits().items():
            if split not in found:
                found[split] = Counter(
                    tag[2:] for tags in examples["tags"] for tag in tags if tag.startswith("B-")
                )
                found["train"] = found["train"] - found[split]
        for note in _notes_on_types(found):
            self.note(note)
        return found

    def find_labels(self) -> list[str]:
        """BIO labels in the order of their ids: given ones first, then those of the data.

        Raises:
            DataError: There is not one entity in the data.
        """
        of_splits = self.types
        in_train = sorted(of_splits.get("train", ()))
        others = sorted({name for types in of_splits.values() for name in types} - set(in_train))
        own = bio_labels([*in_train, *others])
        given = self._labels
        if given is None and "train" not in of_splits:
            given = self.weights_labels  # nothing to train on: the head stays as it is
        if given is not None:
            new = [name for name in types_of(own) if f"B-{name}" not in given]
            if new:
                self.note(
                    f"The weights do not know the entity type {' or '.join(new)}: each of them "
                    "counts as missed."
                )
            return [*given, *bio_labels(new)[1:]]
        if len(own) == 1:
            raise DataError(
                "No entity was found: every tag is O. Is the tag column the right one? "
                "--data.columns '{tokens: 0, tags: -1}' chooses it.",
                path=self.sources.place(next(iter(self.sources.splits))),
            )
        head = self.weights_labels
        return head if head is not None and set(head) == set(own) else own

    @property
    def encoding_key(self) -> dict[str, Any]:
        """Settings that change the features of the same examples."""
        return {"stride": self.stride}

    def encode(self, examples: Sequence[Mapping[str, Any]]) -> Iterable[list[dict[str, Any]]]:
        """Windows of each document, with the label ids of the words that belong to each."""
        ids = {label: index for index, label in enumerate(self.labels)}
        ids.setdefault(OUTSIDE, 0)
        try:
            documents = encode_documents(
                [example["tokens"] for example in examples],
                tokenizer=self.tokenizer,
                max_length=self.max_length,
                stride=self.stride,
            )
        except ValueError as error:
            raise DataError(f"--data.max_length and --data.stride do not fit: {error}") from error
        for example, windows in zip(examples, documents, strict=True):
            tags = example["tags"]
            yield [
                {
                    "input_ids": window.input_ids,
                    "positions": window.positions,
                    "labels": [
                        ids[tag]
                        for tag in tags[
                            window.first_word : window.first_word + len(window.positions)
                        ]
                    ],
                    "window": number,
                    "windows": len(windows),
                }
                for number, window in enumerate(windows)
            ]

    def collate(self, features: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """A batch: int64 tensors `[windows, longest]`, and what puts windows together again."""
        return collate(features, pad_token_id=int(self.tokenizer.pad_token_id or 0))

    def baselines(self) -> dict[str, float]:
        """F1 on test of a dictionary of the entities of train, longest match first."""
        lookup = Lookup.of(self._tagged("train"))
        labels = [OUTSIDE, *dict.fromkeys([*self.labels, *bio_labels(lookup.types)])]
        ids = {label: index for index, label in enumerate(labels)}
        # Counted in one process alone: the others do not come here to add theirs.
        metric = EntityF1(labels, sync_on_compute=False)
        for tokens, tags in self._tagged("test"):
            predicted = torch.tensor([ids[tag] for tag in lookup.tag(tokens)])
            gold = torch.tensor([ids[tag] for tag in tags])
            metric.update(predicted, gold, torch.tensor([len(tags)]))
        return {"lookup/f1": metric.compute()["f1"].item()}

    def _tagged(self, split: Split) -> Iterator[tuple[list[str], list[str]]]:
        for example in self.examples(split):
            yield example["tokens"], example["tags"]


def stride_of(backbone: str) -> int:
    """Overlap of windows in tokens: of an exported model the one it was trained with."""
    return int(backbones.metadata(backbone).get("encoding", {}).get("stride", USUAL_STRIDE))


def collate(features: Sequence[Mapping[str, Any]], *, pad_token_id: int) -> dict[str, Any]:
    """A padded batch from encoded windows.

    Returns:
        `input_ids`, `attention_mask` and `labels` (`IGNORED` but at the first subword of each word
        that belongs to the window), int64 `[windows, longest]`; `word_mask`, the same shape, true
        at those subwords; and lists with one entry a window: `example`, `window`, `windows`.
    """
    input_ids = padded([row["input_ids"] for row in features], fill=pad_token_id)
    lengths = torch.tensor([len(row["input_ids"]) for row in features])
    attention_mask = (torch.arange(input_ids.shape[1]) < lengths[:, None]).long()
    labels = torch.full_like(input_ids, IGNORED)
    word_mask = torch.zeros_like(input_ids, dtype=torch.bool)
    for number, row in enumerate(features):
        word_mask[number, row["positions"]] = True
        if row.get("labels") is not None:
            labels[number, row["positions"]] = torch.tensor(row["labels"], dtype=torch.long)
    return {
        "input_ids": input_ids,
        "attention_mask": attention_mask,
        "labels": labels,
        "word_mask": word_mask,
        "example": [row["example"] for row in features],
        "window": [row["window"] for row in features],
        "windows": [row["windows"] for row in features],
        "tokens": int(lengths.sum()),
    }


def _notes_on_types(types: Mapping[Split, Mapping[str, int]]) -> list[str]:
    train = types.get("train")
    if train is None:
        return []
    return [
        f"Entity type {name} occurs in {split} ({count} times) but never in train: it cannot be "
        "learned, and each that is not guessed counts as missed."
        for split, counts in types.items()
        for name, count in sorted(counts.items())
        if name not in train
    ]
