"""Texts with summaries: what the datamodules of both kinds of summarization share."""

import itertools
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow.compute as pc
from datasets import Features, List, Value

from zoo.data.batching import Lengths
from zoo.data.datamodule import TextDataModule
from zoo.data.sources import Sources, Split
from zoo.data.tables import CHUNK, write_table
from zoo.errors import DataError
from zoo.summarization.baselines import baseline_scores
from zoo.summarization.reading import Example, ReadingNotes, read_examples
from zoo.summarization.rouge import RougeIn
from zoo.summarization.scripts import language_of, uses_characters
from zoo.summarization.sentences import sentence_spans

#: The head's only output.
LABELS = ["summary"]
#: Texts that are enough to tell what they are written in, and how long summaries are.
_ENOUGH = 1000


class SummaryDataModule(TextDataModule):
    """Texts with one or several summaries, from JSON lines, tables, Parquet or the Hub.

    A subclass says how examples become features and batches.

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
        labels: The head's outputs, as those of trained weights: `summary`, always.
        backbone: Whose tokenizer to use.
        max_length: Longest input in tokens; the backbone's own (at most 512) if None.
        batch_size: Texts in a batch of one process.
        max_tokens: Tokens in a training batch of one process, padding included, instead of
            `batch_size`, which evaluation keeps; `--auto_batch` finds what memory holds.
        seed: Fixes the order of the training examples.
        num_workers: Processes that prepare batches; 0 is fastest for cached features.

    Raises:
        DataError: When first used: the data cannot be found or read.
        BackboneError: When first used: the tokenizer cannot be found or read.
    """

    family = "summarization"
    example_columns: ClassVar[Features] = Features(
        {
            "id": Value("string"),
            "source": Value("string"),
            # Characters of the source.
            "sentence_starts": List(Value("int32")),
            "sentence_ends": List(Value("int32")),
            "references": List(Value("string")),
            "line": Value("int32"),
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
            raise DataError(f"The label of summarization is {LABELS[0]}, not {labels}.")
        self.header = header
        self.quotes = quotes
        self._language = language
        self._rouge_in = rouge_in

    @property
    def reading_key(self) -> dict[str, Any]:
        """Settings that change what is read from the same content."""
        return {
            "columns": self.columns,
            "header": self.header,
            "quotes": self.quotes,
            "language": self._language,
        }

    def read(self, sources: Sources, folder: Path) -> dict[str, Any]:
        """Read all splits, with the sentences of the sources.

        Raises:
            DataError: A file cannot be read, with its line.
        """
        first: Split = "train" if "train" in sources.splits else next(iter(sources.splits))
        head = itertools.islice(self._read(sources.splits[first], ReadingNotes()), _ENOUGH)
        language = self._language or language_of(one.source for one in head)
        known: dict[str, Any] = {"notes": [], "language": language, "rouge_in": "words"}
        for split, source in sources.splits.items():
            notes = ReadingNotes()
            votes: Counter[bool] = Counter()
            examples = self._read(source, notes)
            rows = _rows(examples, language=language, votes=votes)
            write_table(folder / f"{split}.arrow", rows, self.example_columns)
            known["notes"] += notes.sentences(split)
            if split == first and votes[True] > votes[False]:
                known["rouge_in"] = "characters"
        return known

    def _read(self, source: Any, notes: ReadingNotes) -> Iterator[Example]:
        return read_examples(
            source, self.columns, header=self.header, quotes=self.quotes, notes=notes
        )

    @property
    def language(self) -> str:
        """ISO 639-1 code of the language by which sentences are told apart."""
        return str(self.known["language"])

    @property
    def rouge_in(self) -> RougeIn:
        """Whether ROUGE compares words or characters."""
        found: RougeIn = self.known["rouge_in"]
        return self._rouge_in or found

    def find_labels(self) -> list[str]:
        """The head's only output."""
        self.known  # noqa: B018  data that cannot be read shows now
        return list(LABELS)

    @cached_property
    def usual_sentences(self) -> int:
        """Sentences of a summary in train (without train, in test): the mean, rounded, at least 1.

        Of the first 1,000 examples.
        """
        examples = self.examples("train" if "train" in self.splits() else "test")
        summaries = [
            reference
            for row in examples.select(range(min(len(examples), _ENOUGH)))["references"][:]
            for reference in row
            if reference
        ]
        count = sum(len(sentence_spans(one, language=self.language)) for one in summaries)
        return max(1, round(count / max(1, len(summaries))))

    @property
    def most(self) -> int:
        """Most sentences in a summary that a baseline chooses."""
        return self.usual_sentences

    def baselines(self) -> dict[str, float]:
        """Scores on test of the first sentences, of TextRank, and of the best sentences."""
        return baseline_scores(
            self.examples("test"), most=self.most, rouge_in=self.rouge_in, language=self.language
        )

    def training_rows(self) -> Lengths:
        """Rows of the features of those examples that have both a text and a summary.

        Raises:
            DataError: There is none.
        """
        examples = self.examples("train").select_columns(["sentence_starts", "references"])
        whole = np.concatenate(
            [
                np.asarray(
                    pc.and_(
                        pc.greater(pc.list_value_length(table["sentence_starts"]), 0),
                        pc.not_equal(pc.list_element(table["references"], 0), ""),
                    )
                )
                for table in examples.with_format("arrow").iter(CHUNK)
            ]
        )
        rows = np.flatnonzero(
            whole[np.asarray(self.features("train").data.column("example"), dtype=np.int64)]
        )
        if not len(rows):
            raise DataError(
                "No example of train has both a text and a summary.",
                path=self.sources.place("train"),
            )
        return rows

    def collate_of(self, split: Split) -> Callable[[Sequence[Mapping[str, Any]]], dict[str, Any]]:
        """What makes batches of a split; those to evaluate also hold the references."""
        return self.collate if split == "train" else partial(self._collate_to_evaluate, split)

    def _collate_to_evaluate(
        self, split: Split, features: Sequence[Mapping[str, Any]]
    ) -> dict[str, Any]:
        of = self._of_examples(split, features, ["references"])
        return {
            **self.collate(features),
            "example": [row["example"] for row in features],
            "references": of["references"],
            "rouge_in": self.rouge_in,
            "language": self.language,
        }

    def _of_examples(
        self, split: Split, features: Sequence[Mapping[str, Any]], names: Sequence[str]
    ) -> dict[str, list[Any]]:
        """Columns of the examples that features are a part of, an entry for each feature."""
        rows = sorted({row["example"] for row in features})
        places = {row: place for place, row in enumerate(rows)}
        columns = self.examples(split).select_columns(list(names))[rows]
        return {name: [columns[name][places[row["example"]]] for row in features] for name in names}

    @abstractmethod
    def collate(self, features: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """A batch to learn from."""


def _rows(
    examples: Iterable[Example], *, language: str, votes: Counter[bool]
) -> Iterator[dict[str, Any]]:
    for one in examples:
        spans = one.sentences
        if spans is None:
            spans = sentence_spans(one.source, language=language)
        # Each summary votes, so that nothing of the split is held.
        votes.update(uses_characters([reference]) for reference in one.references if reference)
        yield {
            "id": one.id,
            "source": one.source,
            "sentence_starts": [start for start, _ in spans],
            "sentence_ends": [end for _, end in spans],
            "references": one.references,
            "line": one.line,
        }
