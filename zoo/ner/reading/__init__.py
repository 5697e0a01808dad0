"""Tagged sentences from any source: the way in, which leaves each format to its reader."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.data.readers.hub import dataset_name
from zoo.data.readers.jsonlines import iter_json_lines
from zoo.data.readers.tables import iter_parquet, parquet_class_names
from zoo.data.readers.text import check_file
from zoo.errors import DataError
from zoo.ner.reading.conll import read_conll
from zoo.ner.reading.records import record_columns, sentences_from_records
from zoo.ner.reading.sentences import ReadingNotes, TaggedSentence
from zoo.ner.reading.tables import has_header, read_table

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["ReadingNotes", "TaggedSentence", "read_sentences"]

_JSON = {".jsonl", ".ndjson", ".json", ".jsonlines"}


def read_sentences(
    source: "Path | Dataset",
    *,
    columns: Mapping[str, str | int] | None = None,
    notes: ReadingNotes | None = None,
) -> Iterator[TaggedSentence]:
    """Read tagged sentences from a file or from a split of a Hub dataset.

    The file's suffix chooses the format: JSON Lines (`.jsonl`, `.ndjson`, `.json`), Parquet
    (`.parquet`), CSV (`.csv`, and `.tsv` if its first line names columns for tokens and tags);
    anything else is CoNLL-style columns. Records hold either tokens and tags, or a text and the
    entities' character spans; these become IOB2 tags over the text's words.

    Args:
        source: A file, or a `datasets.Dataset`.
        columns: Which column is which, where it cannot be told: by name (`{"tokens": "words",
            "tags": "ner"}`, or `text` and `spans`, or `sentence` for a table with a token a row),
            or by 0-based position in CoNLL-style files (`{"tokens": 0, "tags": -1}`).
        notes: Where to count what reading changed.

    Yields:
        The sentences in order, none of them empty.

    Raises:
        DataError: The source cannot be read, with the place where reading stopped.
    """
    notes = ReadingNotes() if notes is None else notes
    place: str | Path
    if isinstance(source, (str, Path)):
        place = Path(source)
        notes.source = notes.source or place.name
        sentences = _from_file(place, columns, notes)
    else:
        place = dataset_name(source)
        notes.source = notes.source or place
        sentences = _from_dataset(source, place, columns, notes)
    empty = True
    for sentence in sentences:
        empty = False
        yield sentence
    if empty:
        raise DataError("there is no sentence in it.", path=place)


def _from_file(
    path: Path, columns: Mapping[str, str | int] | None, notes: ReadingNotes
) -> Iterator[TaggedSentence]:
    check_file(path)
    suffix = path.suffix.lower()
    if suffix in _JSON:
        return sentences_from_records(
            iter_json_lines(path), path=path, columns=columns, notes=notes
        )
    if suffix == ".parquet":
        return sentences_from_records(
            iter_parquet(path),
            path=path,
            columns=columns,
            notes=notes,
            class_names=parquet_class_names(path),
        )
    if suffix == ".csv" or (suffix == ".tsv" and has_header(path, columns)):
        return read_table(path, columns=columns, notes=notes)
    return read_conll(path, columns=columns)


def _from_dataset(
    source: Any, place: str, columns: Mapping[str, str | int] | None, notes: ReadingNotes
) -> Iterator[TaggedSentence]:
    if isinstance(source, Mapping) or not hasattr(source, "select_columns"):
        raise DataError(
            "this is neither a file nor one split of a dataset; choose a split, such as "
            "dataset['train'].",
            path=place,
        )
    _, content, marks = record_columns(source.column_names, columns, place)
    names: dict[str, Sequence[str]] = {}
    feature = source.features[marks]
    labels = getattr(getattr(feature, "feature", feature), "names", None)
    if labels is not None:
        names[marks] = labels
    # Only these two are decoded: other columns may hold images.
    rows = source.select_columns([content, marks]).with_format(None)
    yield from sentences_from_records(
        enumerate(rows, start=1), path=place, columns=columns, notes=notes, class_names=names
    )
