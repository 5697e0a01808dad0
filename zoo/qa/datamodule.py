"""Questions on texts as batches of windows."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar

import datasets
import numpy as np
import pyarrow.compute as pc
from datasets import Features, List, Value

from zoo.data.batching import Lengths
from zoo.data.datamodule import HELD_OUT, HELD_OUT_SEED, TextDataModule
from zoo.data.sources import Sources, Split
from zoo.data.tables import CHUNK, write_table
from zoo.errors import DataError
from zoo.qa.baselines import choose_rule, longest_match_scores, null_scores
from zoo.qa.encoding import Fit, Layout, encode_questions
from zoo.qa.normalization import AnswersIn, uses_characters
from zoo.qa.reading import Question, ReadingNotes, read_questions
from zoo.qa.windows import (
    USUAL_MAX_LENGTH,
    collate,
    layout_of,
    offsets_of,
    stride_of,
    window_row,
)
from zoo.tracking.report import Table

#: Outputs of the head for each token, in order.
LABELS = ["start", "end"]
#: Articles that are enough to hold some of them out; of fewer, texts are held out.
_ARTICLES = 10

_MISFITS = {
    Fit.INSIDE_TOKEN: "begin or end inside a token, so that a little more is learned",
    Fit.TOO_LONG: "are longer than a window",
    Fit.ACROSS_WINDOWS: "lie across windows, none of which holds them whole",
    Fit.NO_TOKEN: "consist of characters that the tokenizer leaves out",
}


class QADataModule(TextDataModule):
    """Questions whose answers are spans of a text, from SQuAD JSON, JSON lines, Parquet or the Hub.

    Args:
        dataset: A sample's name, a folder or a Hub id.
        dataset_config: Configuration of a Hub dataset that has several.
        splits: Which split of a Hub dataset is which, such as `{test: validation}`.
        train: A file; any of these three replaces `dataset` entirely.
        validation: A file. A missing validation or test split is held out of train, 10% each, by
            article where the data names enough of them, else by text.
        test: A file.
        columns: Which column of JSON lines, Parquet or a Hub dataset is `id`, `question`,
            `context`, `answers` and `title`, by name or 0-based position; found from the data if
            None.
        answers_in: Whether answers are compared word by word, or character by character as is
            usual for Chinese and Japanese; found from the script of the answers if None.
        labels: The head's outputs, as those of trained weights: start and end, always.
        backbone: Whose tokenizer to use.
        max_length: Longest window in tokens, question and special tokens included; 384, or what
            an exported model was trained with, if None.
        stride: Overlap in tokens of neighbouring windows of a text; 128, or what an exported
            model was trained with, if None.
        empty_windows: Share of the training windows without an answer, of questions that have one,
            that are learned from (chosen once, seeded). All of them teach where no answer is; few
            make training shorter and show more answers.
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

    family = "qa"
    head = "question-answering"
    usual_max_length = USUAL_MAX_LENGTH
    example_columns: ClassVar[Features] = Features(
        {
            "id": Value("string"),
            "question": Value("string"),
            "context": Value("string"),
            "answers": List(Value("string")),
            "answer_starts": List(Value("int32")),
            "title": Value("string"),
            "line": Value("int32"),
        }
    )
    feature_columns: ClassVar[Features] = Features(
        {
            "input_ids": List(Value("int32")),
            "token_types": List(Value("int8")),
            # The text's tokens, as indices into `input_ids`, and the characters of each (not of
            # training windows).
            "begin": Value("int32"),
            "stop": Value("int32"),
            "starts": List(Value("int32")),
            "ends": List(Value("int32")),
            # The answer's first and last token; 0 where the window holds none.
            "start": Value("int32"),
            "end": Value("int32"),
            "window": Value("int32"),
            "windows": Value("int32"),
            # Of the question, with its first window alone.
            "fits": List(Value("int8")),
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
        answers_in: AnswersIn | None = None,
        labels: list[str] | None = None,
        backbone: str = "minilm-l6",
        max_length: int | None = None,
        stride: int | None = None,
        empty_windows: float = 1.0,
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
            raise DataError(f"The labels of question answering are start and end, not {labels}.")
        self._answers_in = answers_in
        self._stride = stride
        if not 0 <= empty_windows <= 1:
            raise DataError(f"--data.empty_windows {empty_windows} is a share: from 0 to 1.")
        self.empty_windows = empty_windows
        self._with_offsets = True

    @cached_property
    def stride(self) -> int:
        """Overlap in tokens of neighbouring windows of a text."""
        if self._stride is not None:
            return self._stride
        return stride_of(self.backbone, self.max_length)

    @cached_property
    def layout(self) -> Layout:
        """Length and overlap of the windows.

        Raises:
            DataError: They leave no room for a question and a text.
        """
        return layout_of(self.tokenizer, self.max_length, self.stride)

    @property
    def reading_key(self) -> dict[str, Any]:
        """Settings that change what is read from the same content."""
        return {"columns": self.columns}

    def read(self, sources: Sources, folder: Path) -> dict[str, Any]:
        """Read all splits.

        Raises:
            DataError: A file cannot be read, with its line or place.
        """
        known: dict[str, Any] = {"notes": [], "unanswerable": {}, "repairs": {}, "in": {}}
        for split, source in sources.splits.items():
            notes = ReadingNotes()
            counts: Counter[str] = Counter()
            questions = read_questions(source, self.columns, notes=notes)
            write_table(folder / f"{split}.arrow", _rows(questions, counts), self.example_columns)
            known["notes"] += notes.sentences(split)
            known["repairs"][split] = [list(repair) for repair in notes.repairs]
            known["unanswerable"][split] = counts["unanswerable"]
            known["in"][split] = "characters" if counts["characters"] > 0 else "words"
        return known

    @cached_property
    def answers_in(self) -> AnswersIn:
        """Whether answers are compared in words or in characters."""
        if self._answers_in is not None:
            return self._answers_in
        found = self.known["in"]
        return (
            "characters" if found.get("train", next(iter(found.values()))) != "words" else "words"
        )

    @property
    def always_answered(self) -> bool:
        """Whether there is training or validation data, and every question in it has an answer."""
        of_splits = self.known["unanswerable"]
        counts = [of_splits[split] for split in ("train", "validation") if split in of_splits]
        return bool(counts) and not any(counts)

    def find_labels(self) -> list[str]:
        """The head's outputs: start and end."""
        self.known  # noqa: B018  data that cannot be read shows now
        return list(LABELS)

    def _hold_out(
        self, table: datasets.Dataset, missing: list[Split]
    ) -> dict[Split, datasets.Dataset]:
        """Hold whole articles out, or whole texts: questions on one text give each other away."""
        size = int(len(table) * HELD_OUT)
        titles, texts = table["title"][:], table["context"][:]
        by_article = len(set(titles)) >= _ARTICLES and all(titles)
        numbers = {
            name: at for at, name in enumerate(dict.fromkeys(titles if by_article else texts))
        }
        groups = np.array([numbers[name] for name in (titles if by_article else texts)])
        if size < 1 or len(numbers) <= 2 * len(missing):
            return super()._hold_out(table, missing)
        sizes = np.bincount(groups)
        order = np.random.default_rng(HELD_OUT_SEED).permutation(len(sizes)).tolist()
        held: dict[Split, datasets.Dataset] = {}
        for split in missing:
            chosen: list[int] = []
            for group in list(order):
                room = size - sum(sizes[chosen])
                # A group that is far too large is passed over, if something smaller is left.
                if room > 0 and (sizes[group] <= 2 * room or not chosen):
                    chosen.append(group)
                    order.remove(group)
            held[split] = table.select(np.flatnonzero(np.isin(groups, chosen)))
        count = sum(map(len, held.values()))
        self.note(
            f"No {' or '.join(missing)} data was given: {count} of {len(table)} training questions "
            f"are held out, by {'article' if by_article else 'text'} (seed {HELD_OUT_SEED})."
        )
        return {**held, "train": table.select(np.flatnonzero(np.isin(groups, order)))}

    @property
    def encoding_key(self) -> dict[str, Any]:
        """Settings that change the features of the same examples."""
        return {"stride": self.stride}

    def encode(self, examples: Sequence[Mapping[str, Any]]) -> Iterable[list[dict[str, Any]]]:
        """Windows of each question's text."""
        encoded = encode_questions(
            [
                (
                    one["question"],
                    one["context"],
                    list(zip(one["answers"], one["answer_starts"], strict=True)),
                )
                for one in examples
            ],
            tokenizer=self.tokenizer,
            layout=self.layout,
        )
        for one in encoded:
            rows = [window_row(window, number) for number, window in enumerate(one.windows)]
            for row in rows:
                row |= {"windows": len(rows), "fits": [], "cut": 0}
                if not self._with_offsets:
                    row |= {"starts": [], "ends": []}
            rows[0] |= {"fits": one.fits, "cut": one.cut}
            yield rows

    def _encoded(self, split: Split) -> datasets.Dataset:
        # Training needs no characters, and its cache is half as large without.
        self._with_offsets = split != "train"
        features = super()._encoded(split)
        counted = pc.value_counts(pc.list_flatten(features.data.column("fits"))).to_pylist()
        fits = Counter({one["values"]: one["counts"] for one in counted})
        answers = sum(fits.values())
        for fit, what in _MISFITS.items():
            if fits[fit]:
                self.note(f"{fits[fit]:,} of {answers:,} {split} answers {what}.")
        cut = np.asarray(features.data.column("cut"))
        if (cut > 0).any():
            self.note(
                f"{int((cut > 0).sum()):,} {split} questions are longer than "
                f"{self.layout.longest_question} tokens: only their beginning is read."
            )
        return features

    def collate(self, features: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """A batch to learn from: see `collate`."""
        return collate(features, pad_token_id=int(self.tokenizer.pad_token_id or 0))

    def training_rows(self) -> Lengths:
        """Rows of windows to learn from: without the empty ones that are left out."""
        features = self.features("train")
        rows = super().training_rows()
        if self.empty_windows == 1:
            return rows
        answers = self.examples("train").select_columns(["answers"]).with_format("arrow")
        answered = np.concatenate(
            [np.asarray(pc.list_value_length(part["answers"])) > 0 for part in answers.iter(CHUNK)]
        )
        example, end = (np.asarray(features.data.column(name)) for name in ("example", "end"))
        empty = rows[(end == 0) & answered[example]]
        chance = np.random.default_rng(HELD_OUT_SEED)
        kept = chance.random(len(empty)) < self.empty_windows
        self.note(
            f"{int((~kept).sum()):,} of {len(empty):,} training windows without the answer of "
            f"their question are left out (--data.empty_windows {self.empty_windows:g})."
        )
        return np.setdiff1d(rows, empty[~kept])

    def collate_of(self, split: Split) -> Callable[[Sequence[Mapping[str, Any]]], dict[str, Any]]:
        """What makes batches of a split; those to evaluate also hold texts and right answers."""
        return self.collate if split == "train" else partial(self._collate_to_evaluate, split)

    def _collate_to_evaluate(
        self, split: Split, features: Sequence[Mapping[str, Any]]
    ) -> dict[str, Any]:
        rows = sorted({row["example"] for row in features})
        columns = self.examples(split)[rows]
        contexts = dict(zip(rows, columns["context"], strict=True))
        answers = dict(zip(rows, columns["answers"], strict=True))
        batch = self.collate(features)
        return {
            **batch,
            "offsets": offsets_of(features, batch["input_ids"].shape[1]),
            "context": [contexts[row["example"]] for row in features],
            "answers": [answers[row["example"]] for row in features],
            "answers_in": self.answers_in,
            "always_answered": self.always_answered,
        }

    def baselines(self) -> dict[str, float]:
        """Scores on test of never answering, and of the words beside the longest match."""
        rule = choose_rule(self._asked("train"), self.answers_in)
        scores = {
            "null": null_scores(self._asked("test"), self.answers_in),
            "longest_match": longest_match_scores(self._asked("test"), rule, self.answers_in),
        }
        return {f"{name}/{key}": value for name, of in scores.items() for key, value in of.items()}

    def _asked(self, split: Split) -> Iterator[tuple[str, str, list[str]]]:
        for one in self.examples(split):
            yield one["question"], one["context"], one["answers"]

    @property
    def report_tables(self) -> dict[str, Table]:
        """Answers that were moved or dropped while reading."""
        rows = [
            (split, name, said, "dropped" if found is None else found, text)
            for split, repairs in self.known["repairs"].items()
            for name, text, said, found in repairs
        ]
        columns = ("split", "id", "offset", "moved to", "answer")
        return {"repairs": Table("Repaired answers", columns, rows)} if rows else {}

    @property
    def predict_example(self) -> tuple[str, str]:
        """A question on a text to pipe in."""
        return json.dumps({"question": "Who sang?", "context": "Ada sang."}), ""


def _rows(questions: Iterable[Question], counts: Counter[str]) -> Iterator[dict[str, Any]]:
    for one in questions:
        texts = [text for text, _ in one.answers]
        counts["unanswerable"] += not texts
        # Answers are short; each one votes, so that nothing of the split is held.
        if texts:
            counts["characters"] += 1 if uses_characters(texts) else -1
        yield {
            "id": one.id,
            "question": one.question,
            "context": one.context,
            "answers": texts,
            "answer_starts": [start for _, start in one.answers],
            "title": one.title,
            "line": one.line,
        }
