"""Plain text as blocks of tokens."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, get_args

import torch
from datasets import Features, List, Value
from torch import Tensor
from torchdata.stateful_dataloader import StatefulDataLoader

from zoo import backbones
from zoo.data.batching import LengthGroupedSampler
from zoo.data.cache import cached, digest_of_file
from zoo.data.datamodule import HELD_OUT, HELD_OUT_SEED, TextDataModule
from zoo.data.frames import Frame
from zoo.data.sources import Sources, Split, find_sources
from zoo.data.tables import Rows, write_table
from zoo.errors import DataError, ZooError, check_at_least
from zoo.pretraining.batches import collate, collate_pairs
from zoo.pretraining.encoding import (
    NO_WORD,
    Document,
    block_row,
    encode_documents,
    in_batches,
    masked_rows,
    ordinary_ids,
    pack,
)
from zoo.pretraining.pairs import (
    Objective,
    PairRows,
    PairSampler,
    frame_of_pairs,
    one_document,
    pair_rows,
)
from zoo.pretraining.reading import TextDocument, find_files, read_documents
from zoo.pretraining.unigrams import unigram_scores
from zoo.pretraining.vocabulary import NewTokenizer, write_tokenizer

if TYPE_CHECKING:
    from transformers.tokenization_utils_tokenizers import TokenizersBackend

#: Documents held in memory where a tokenizer is trained, and characters where they are encoded.
TEXTS, CHARACTERS = 100, 500_000

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
        train: A file, a pattern (`part-*.txt.gz`) or a list of them; any of these three replaces
            `dataset` entirely. In a text file a blank line ends a document; one without blank lines
            has a document on each line. Files may be larger than memory, and packed by gzip.
        validation: The same. A missing validation or test split is held out of train, 10% each.
        test: The same.
        columns: Which column is `text`; found by its name if None.
        labels: The one label that there is (`["token"]`), as trained weights have it.
        backbone: Whose tokenizer to use.
        max_length: Longest block in tokens; the backbone's own (at most 512) if None.
        pack: Whether a block goes on with the next document where one ends; else each document
            begins a block. Documents in one block never see each other.
        sentence_pairs: Give pairs of segments in place of blocks, for the sentence objective:
            `next` (is the second the one that follows, or of another document, as BERT was
            trained), or `order` (are the two swapped, as ALBERT was). Each pair is a row of its
            own with the tokenizer's special tokens for two texts, so `pack` is without effect:
            beside other documents none would have a first token to be judged by.
        new_tokenizer: Train a tokenizer on train in place of the backbone's, for a model from
            scratch: `wordpiece` (as BERT's) or `bpe` (of bytes, as RoBERTa's); or a folder of one.
        vocabulary: Tokens of a new tokenizer, special ones included.
        lowercase: Whether new word pieces lose case and accents.
        batch_size: Blocks in a batch of one process; evaluation takes up to four times as many
            where they are short.
        max_tokens: Tokens in a training batch of one process, padding included, instead of
            `batch_size`, which evaluation keeps; `--auto_batch` finds what memory holds.
        seed: Fixes the order of the training blocks and their masks.
        num_workers: Processes that prepare batches; 0 is fastest for cached features.

    Raises:
        DataError: When first used: the data cannot be found or read.
        BackboneError: When first used: the tokenizer cannot be found or read.
    """

    family = "pretraining"
    head: ClassVar[backbones.Head] = "masked-lm"
    example_columns: ClassVar[Features] = Features(
        {"text": Value("large_string"), "line": Value("int32")}
    )
    feature_columns: ClassVar[Features] = Features(
        {
            "input_ids": List(Value("int32")),
            "words": List(Value("int32")),
            "sizes": List(Value("int32")),
            "pieces": List(Value("int32")),
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
        train: str | list[str] | None = None,
        validation: str | list[str] | None = None,
        test: str | list[str] | None = None,
        columns: dict[str, str | int] | None = None,
        labels: list[str] | None = None,
        backbone: str = "minilm-l6",
        max_length: int | None = None,
        pack: bool = True,
        sentence_pairs: Objective | None = None,
        new_tokenizer: str | None = None,
        vocabulary: int = 8000,
        lowercase: bool = False,
        batch_size: int = 32,
        max_tokens: int | None = None,
        seed: int = 42,
        num_workers: int = 0,
    ):
        super().__init__(
            dataset,
            dataset_config=dataset_config,
            splits=splits,
            columns=columns,
            backbone=backbone,
            max_length=max_length,
            batch_size=batch_size,
            max_tokens=max_tokens,
            seed=seed,
            num_workers=num_workers,
        )
        #: Files, lists of them and patterns, by split.
        self.given: dict[Split, str | list[str] | None] = {
            "train": train,
            "validation": validation,
            "test": test,
        }
        if labels not in (None, LABELS):
            raise ZooError(f"The labels of masked language modelling are {LABELS}, not {labels}.")
        if sentence_pairs is not None and self.head != "masked-lm":
            raise ZooError(
                f"--data.sentence_pairs {sentence_pairs} is for masked language models, whose first"
                " token sees both segments (--model MaskedLMTask --data MaskedLMDataModule): leave "
                "it out."
            )
        self.pack = pack
        self.sentence_pairs = sentence_pairs
        self.new_tokenizer = new_tokenizer
        self.vocabulary = vocabulary
        self.lowercase = lowercase
        if new_tokenizer in get_args(NewTokenizer):
            check_at_least("--data.vocabulary", vocabulary, 300)
        if lowercase and new_tokenizer != "wordpiece":
            raise ZooError("--data.lowercase is for --data.new_tokenizer wordpiece alone.")

    @cached_property
    def tokenizer_folder(self) -> str | None:
        """The folder of the tokenizer that was trained on train; None if it is the backbone's."""
        if self.new_tokenizer not in get_args(NewTokenizer):
            return self.new_tokenizer
        train = self.examples("train")

        def texts() -> Iterator[str]:
            for some in train.select_columns(["text"]).iter(TEXTS):
                yield from some["text"]

        settings: dict[str, Any] = {
            "kind": self.new_tokenizer,
            "size": self.vocabulary,
            "lowercase": self.lowercase,
        }
        key = {
            "examples": self._example_key,
            "splits": sorted(self.sources.splits),  # tells what was held out
            "held out": [HELD_OUT, HELD_OUT_SEED],
            "tokenizer": settings,
        }
        return str(
            cached(
                "tokenizers",
                key,
                lambda folder: write_tokenizer(folder, texts, **settings),
                lambda folder: folder,
            )
        )

    @cached_property
    def tokenizer(self) -> "TokenizersBackend":
        """The tokenizer that was trained on train, or the backbone's."""
        return backbones.load_tokenizer(self.tokenizer_folder or self.backbone)

    @cached_property
    def sources(self) -> Sources:
        """Where each split comes from; several files of one are read one after the other."""
        found = {
            split: find_files(names, option=f"--data.{split}")
            for split, names in self.given.items()
            if names
        }
        if not found:
            return super().sources
        for split, files in found.items():
            self.files[split] = str(files[0])
        single = find_sources(None, self.files)
        key: dict[str, str] = {
            split: " ".join(f"{path.name} {digest_of_file(path)}" for path in files)
            if len(files) > 1
            else single.key[split]
            for split, files in found.items()
        }
        splits = {split: files if len(files) > 1 else files[0] for split, files in found.items()}
        names = ", ".join(
            files[0].name + (f" and {len(files) - 1} more" if len(files) > 1 else "")
            for files in found.values()
        )
        return Sources(dict(splits), names, key)

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
        blocks = {"pack": self.pack, "blocks": "of pieces"}
        return blocks if self.sentence_pairs is None else {"pairs": "of segments"}

    def find_frame(self) -> Frame:
        """The special tokens around each piece, or around two segments.

        Raises:
            DataError: The tokenizer has no mask, or puts nothing between two texts.
        """
        if self.tokenizer.mask_token_id is None:
            raise DataError(
                f"The tokenizer of {self.backbone} has no mask token, so masked language modelling "
                "needs another backbone."
            )
        if self.sentence_pairs is not None:
            return frame_of_pairs(self.tokenizer, backbone=self.backbone)
        return Frame.of(self.tokenizer, pairs=False)

    @cached_property
    def _frame(self) -> Frame:
        # Each batch of pairs asks for it, and to find it asks the tokenizer.
        return self.find_frame()

    def encode(self, examples: Sequence[Mapping[str, Any]]) -> Iterable[list[dict[str, Any]]]:
        """The blocks that end in each document: the others of its tokens are in a later one.

        Raises:
            DataError: Blocks are too short for a token, or the tokenizer has no mask.
        """
        frame = self.find_frame()
        if self.max_length - frame.size < (1 if self.sentence_pairs is None else 2):
            raise DataError(
                f"--data.max_length: {self.max_length} tokens leave no room beside {frame.size} "
                "special ones."
            )
        # Of a few texts at a time, as tokens in Python are fifty times their bytes.
        texts = [example["text"] for example in examples]
        batches = in_batches(texts, characters=CHARACTERS)
        encoded = (encode_documents(some, tokenizer=self.tokenizer) for some in batches)
        documents = chain.from_iterable(encoded)
        if self.sentence_pairs is not None:
            return pair_rows(documents, frame=frame, max_length=self.max_length)
        return self._blocks(documents, len(texts), frame)

    def _blocks(
        self, documents: Iterable[Document], count: int, frame: Frame
    ) -> Iterator[list[dict[str, Any]]]:
        own: list[dict[str, Any]] = []
        done = 0
        for last, block in pack(
            documents, frame=frame, max_length=self.max_length, across=self.pack
        ):
            while done < last:
                yield own
                own, done = [], done + 1
            own.append({**block_row(block), "part": len(own)})
        yield own
        yield from ([] for _ in range(done + 1, count))

    def collate(self, features: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """A batch to learn from: the task masks it, with chance that begins at `seed`."""
        pad = int(self.tokenizer.pad_token_id or 0)
        batch = {**collate(features, pad_token_id=pad), "seed": self.seed}
        if self.sentence_pairs is not None:
            batch |= collate_pairs(features, frame=self._frame)
        return batch

    def rows(self, split: Split) -> Rows:
        """What gives the batch of some rows; of pairs half are made false ones.

        Raises:
            DataError: There are no false ones to make.
        """
        if self.sentence_pairs is None:
            return super().rows(split)
        return PairRows(
            self.features(split),
            self.collate_of(split),
            objective=self.sentence_pairs,
            frame=self._frame,
            seed=self.seed if split == "train" else EVALUATION_SEED,
            split=split,
        )

    def train_dataloader(self) -> StatefulDataLoader:
        """Shuffled batches of near-equal lengths; resumes in the middle of an epoch.

        Raises:
            DataError: `next`, and a split has no segment of another document.
        """
        few = [split for split, table in self.splits().items() if len(table) < 2]
        if few and self.sentence_pairs == "next":
            raise one_document(few[0])
        return super().train_dataloader()

    def training_sampler(self, max_tokens: int | None) -> LengthGroupedSampler:
        """What chooses training batches; pairs are told the epoch."""
        sampler = super().training_sampler(max_tokens)
        return sampler if self.sentence_pairs is None else PairSampler.like(sampler)

    def collate_of(self, split: Split) -> Callable[[Sequence[Mapping[str, Any]]], dict[str, Any]]:
        """`collate`, in evaluation with masks that are always the same."""
        return self.collate if split == "train" else self.collate_fixed

    def collate_fixed(self, features: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """A batch of evaluation: what it asks for are its `labels`."""
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
        rows = self.rows(split)
        for start in range(0, len(rows), self.batch_size):
            batch = rows[list(range(start, min(start + self.batch_size, len(rows))))]
            where = batch["labels"] >= 0
            yield batch["labels"][where], batch["sizes"][where]

    def token_counts(self) -> Tensor:
        """How often each token of the vocabulary stands in train's text, int64 `[vocabulary]`."""
        size = max(self.tokenizer.get_vocab().values()) + 1
        counts = torch.zeros(size, dtype=torch.long)
        for columns in self.features("train").select_columns(["input_ids", "words"]).iter(1000):
            ids = torch.tensor([one for row in columns["input_ids"] for one in row])
            words = torch.tensor([one for row in columns["words"] for one in row])
            counts += ids[words != NO_WORD].bincount(minlength=size)
        return counts

    def baselines(self) -> dict[str, float]:
        """What the frequencies of train's tokens alone score on the test's fixed masks."""
        scores = unigram_scores(self.token_counts(), self.asked("test"))
        return {f"unigram/{name}": value for name, value in scores.items()}

    @property
    def predict_example(self) -> tuple[str, str]:
        """A text with a mask to pipe in."""
        return f"They met in {self.tokenizer.mask_token}.", ""
