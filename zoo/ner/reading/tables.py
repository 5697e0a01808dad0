"""CSV and TSV files with a header: one token a row, or one sentence a row."""

import ast
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from zoo.data.readers.columns import choose_columns
from zoo.data.readers.tables import csv_header, is_quoted, iter_csv
from zoo.errors import DataError
from zoo.ner.reading.records import NAMES, sentence_from_tags
from zoo.ner.reading.sentences import ReadingNotes, TaggedSentence

_NAMES = {
    "sentence": ("sentence", "sentence_id", "sentence #"),
    "tokens": (*NAMES["tokens"], "token", "word"),
    "tags": (*NAMES["tags"], "tag", "label"),
}


def has_header(path: Path, columns: Mapping[str, str | int] | None) -> bool:
    """Whether the first line names columns for tokens and tags, or those that the user named."""
    found = csv_header(path, delimiter="\t", quotes=False)
    named = {str(column) for column in (columns or {}).values() if isinstance(column, str)}
    if named:
        return named <= set(found)
    return {"tokens", "tags"} <= set(choose_columns(found, None, _NAMES))


def read_table(
    path: Path,
    *,
    columns: Mapping[str, str | int] | None,
    notes: ReadingNotes,
) -> Iterator[TaggedSentence]:
    """Read a table with a header.

    With a column for the sentence (`sentence`, `sentence_id`, `Sentence #`) each row is a token,
    and a blank sentence means the same as in the row above. Without one each row is a sentence,
    whose tokens and tags are lists in JSON or Python notation, or separated by spaces.

    Raises:
        DataError: A column is missing, a row is broken, or tokens and tags do not match.
    """
    quotes = path.suffix.lower() != ".tsv" or is_quoted(path)
    header = csv_header(path, quotes=quotes)
    try:
        chosen = choose_columns(header, columns, _NAMES)
    except DataError as error:
        raise DataError(str(error), path=path, line=1) from None
    if not {"tokens", "tags"} <= set(chosen):
        raise DataError(
            f"the header names no column for tokens and tags; found: {', '.join(header)}. Name "
            "them, such as --data.columns '{tokens: word, tags: ner}'.",
            path=path,
            line=1,
        )
    rows = iter_csv(path, quotes=quotes)
    if "sentence" in chosen:
        yield from _token_rows(rows, chosen, path)
    else:
        yield from _sentence_rows(rows, chosen, path, notes)


def _token_rows(
    rows: Iterator[tuple[int, dict[str, str]]], chosen: Mapping[str, str], path: Path
) -> Iterator[TaggedSentence]:
    tokens: list[str] = []
    tags: list[str] = []
    numbers: list[int] = []
    current = ""
    for number, row in rows:
        sentence = row[chosen["sentence"]].strip() or current
        if not sentence:
            raise DataError("the first row names no sentence.", path=path, line=number)
        if sentence != current and tokens:
            yield TaggedSentence(tokens, tags, numbers)
            tokens, tags, numbers = [], [], []
        current = sentence
        if not row[chosen["tokens"]]:
            raise DataError("the token is empty.", path=path, line=number)
        tokens.append(row[chosen["tokens"]])
        tags.append(row[chosen["tags"]].strip(" "))
        numbers.append(number)
    if tokens:
        yield TaggedSentence(tokens, tags, numbers)


def _sentence_rows(
    rows: Iterator[tuple[int, dict[str, str]]],
    chosen: Mapping[str, str],
    path: Path,
    notes: ReadingNotes,
) -> Iterator[TaggedSentence]:
    for number, row in rows:
        tokens = _list(row[chosen["tokens"]], str)
        tags = _list(row[chosen["tags"]], str, int)
        sentence = sentence_from_tags(tokens, tags, path=path, line=number)
        if sentence.tokens:
            yield sentence
        else:
            notes.empty_sentences_dropped += 1


def _list(cell: str, *kinds: type) -> list[object]:
    if cell.lstrip(" ").startswith("["):
        for parse in (json.loads, ast.literal_eval):
            try:
                value = parse(cell.strip(" "))
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
            # `[ 1 ]` is a list, and also three tokens.
            if isinstance(value, list) and all(isinstance(item, kinds) for item in value):
                return value
    return [part for part in cell.split(" ") if part]
