"""Texts without labels, of which only the teacher's opinion is learned."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.data.batching import LengthGroupedSampler
from zoo.data.cache import cached, digest_of_file
from zoo.data.tables import CHUNK, Rows, read_table, write_table
from zoo.data.words import split_words
from zoo.errors import DataError, ZooError

if TYPE_CHECKING:
    import datasets


class Unlabelled:
    """The texts of a file, encoded as the datamodule does, in shuffled batches without an end.

    Which batch comes at a step depends on the seed and the step alone, so that a training that is
    resumed goes on with the same ones.

    Args:
        data: The datamodule of the labelled texts.
        task: The task that learns.
        path: A text file with one text a line, or .jsonl as `predict` takes it.

    Raises:
        DataError: The file cannot be read, or has too few texts.
        ZooError: The family does not take texts without labels.
    """

    def __init__(self, data: Any, task: Any, path: str):
        if task.family not in ("ner", "classification") or (
            task.family == "classification" and data.known["pairs"]
        ):
            raise ZooError(
                "--distill.unlabelled is for ner and for the classification of single texts."
            )
        self._data = data
        self.collate = data.collate_of("train")
        file = Path(path).expanduser()
        key = {
            "file": digest_of_file(file),
            "kind": file.suffix,
            "family": data.family,
            "tokenizer": hashlib.sha256(
                data.tokenizer.backend_tokenizer.to_str().encode()
            ).hexdigest(),
            "max_length": data.max_length,
            "labels": data.labels,
            **data.encoding_key,
        }

        def build(folder: Path) -> None:
            rows = self._encoded(_texts(file, task))
            write_table(folder / "features.arrow", rows, data.feature_columns)

        self.table: datasets.Dataset = cached(
            "unlabelled", key, build, lambda folder: read_table(folder / "features.arrow")
        )
        import pyarrow.compute as pc

        lengths = np.asarray(pc.list_value_length(self.table.data.column("input_ids")))
        self._sampler = LengthGroupedSampler(
            lengths.astype(np.int32), batch_size=data.batch_size, seed=data.seed
        )
        self._batches: Sequence[list[int]] | None = None
        if not len(self.table) or not len(self._sampler):
            raise DataError("There are too few texts to make a batch.", path=file)

    def batch(self, number: int) -> dict[str, Any]:
        """The batch of a step of this process, with its `rows`."""
        epoch, at = divmod(number, len(self._sampler))
        if self._batches is None or epoch != self._sampler.epoch:
            self._sampler.set_epoch(epoch)
            self._batches = self._sampler.batches()
        found: dict[str, Any] = Rows(self.table, self.collate)[self._batches[at]]
        return found

    def _encoded(self, texts: Iterator[Any]) -> Iterator[dict[str, Any]]:
        number = 0
        while chunk := [one for _, one in zip(range(CHUNK), texts, strict=False)]:
            for features in self._data.encode([self._example(text) for text in chunk]):
                for feature in features:
                    yield {**feature, "example": number}
                number += 1

    def _example(self, text: Any) -> dict[str, Any]:
        """A text as an example; what stands for its labels is never looked at."""
        if self._data.family == "ner":
            words = [word for word, _, _ in split_words(text)] if isinstance(text, str) else text
            return {"tokens": list(words), "tags": ["O"] * len(words)}
        labels = ["0"] if self._data.mode == "regression" else self._data.labels[:1]
        return {"text": text, "text2": None, "labels": labels}


def _texts(path: Path, task: Any) -> Iterator[Any]:
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                yield (
                    _of_json(path, number, line, task) if path.suffix == ".jsonl" else line.strip()
                )
    except UnicodeDecodeError as error:
        raise DataError(f"The file is not UTF-8 ({error.reason}).", path=path) from error


def _of_json(path: Path, number: int, line: str, task: Any) -> Any:
    try:
        text = task.input_of(json.loads(line))
    except (ValueError, AttributeError, DataError) as error:
        raise DataError(f"No text can be read there: {error}", path=path, line=number) from error
    if task.family == "classification" and not isinstance(text, str):
        raise DataError("Here is a pair of texts, not a single one.", path=path, line=number)
    return text


__all__ = ["Unlabelled"]
