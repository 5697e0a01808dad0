"""Records (JSON Lines, Parquet, Hub datasets) turned into tagged sentences."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from zoo.data.readers.columns import choose_columns
from zoo.errors import DataError
from zoo.ner.reading.sentences import ReadingNotes, TaggedSentence
from zoo.ner.reading.spans import sentence_from_spans

# Where a source has several, the first wins: a column named for NER before a vaguer name.
NAMES = {
    "tokens": ("tokens", "words"),
    "tags": ("ner_tags", "ner", "tags", "labels"),
    "text": ("text",),
    "spans": ("entities", "spans", "label", "labels"),
}


def sentences_from_records(
    records: Iterable[tuple[int, Mapping[str, Any]]],
    *,
    path: str | Path,
    columns: Mapping[str, str | int] | None,
    notes: ReadingNotes,
    class_names: Mapping[str, Sequence[str]] | None = None,
) -> Iterator[TaggedSentence]:
    """Read records that hold tokens and tags, or a text and spans; the first record decides.

    Args:
        records: Numbered records.
        path: The source, for errors.
        columns: The user's choice of columns by role: tokens and tags, or text and spans.
        notes: Where to count changes.
        class_names: For columns whose tags are integers, what each integer stands for.

    Raises:
        DataError: A record does not hold what it should.
    """
    records = iter(records)
    first = next(records, None)
    if first is None:
        return
    tagged, content, marks = record_columns(list(first[1]), columns, path)
    for line, record in chain([first], records):
        missing = [column for column in (content, marks) if column not in record]
        if missing:
            raise DataError(
                f"there is no {missing[0]!r} here; found: {', '.join(record)}.",
                path=path,
                line=line,
            )
        if tagged:
            sentence = sentence_from_tags(
                record[content],
                record[marks],
                path=path,
                line=line,
                class_names=(class_names or {}).get(marks),
            )
        else:
            sentence = sentence_from_spans(
                record[content], record[marks], path=path, line=line, notes=notes
            )
        if sentence.tokens:
            yield sentence
        else:
            notes.empty_sentences_dropped += 1


def record_columns(
    found: Sequence[str], columns: Mapping[str, str | int] | None, path: str | Path
) -> tuple[bool, str, str]:
    """Decide between tokens with tags and text with spans.

    Returns:
        Whether the records hold tokens and tags, and the two columns.

    Raises:
        DataError: Neither pair is there.
    """
    for pair in (("tokens", "tags"), ("text", "spans")):
        # A choice of columns for one pair rules the other out; an unknown role rules out neither.
        other = set(NAMES) - set(pair)
        if columns and set(columns) & other:
            continue
        try:
            chosen = choose_columns(found, columns, {role: NAMES[role] for role in pair})
        except DataError as error:
            raise DataError(str(error), path=path) from None
        if set(pair) <= set(chosen):
            return pair[0] == "tokens", chosen[pair[0]], chosen[pair[1]]
    raise DataError(
        "neither tokens with tags nor text with entities are here. Found: "
        f"{', '.join(found)}. Name the columns, such as --data.columns '{{tokens: words, "
        "tags: ner}', or text and spans.",
        path=path,
    )


def sentence_from_tags(
    tokens: Any,
    tags: Any,
    *,
    path: str | Path,
    line: int,
    class_names: Sequence[str] | None = None,
) -> TaggedSentence:
    """Check a record's tokens and tags, and turn integer tags into their names.

    Raises:
        DataError: Either is no list of strings, or their lengths differ.
    """
    for what, value in (("tokens", tokens), ("tags", tags)):
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise DataError(f"the {what} must be a list.", path=path, line=line)
    if len(tokens) != len(tags):
        raise DataError(f"{len(tokens)} tokens but {len(tags)} tags.", path=path, line=line)
    for token in tokens:
        if not isinstance(token, str) or not token:
            raise DataError(
                f"every token must be a string that is not empty; found {token!r}.",
                path=path,
                line=line,
            )
    return TaggedSentence(
        tokens=list(tokens),
        tags=[_tag(tag, class_names, path, line) for tag in tags],
        lines=[line] * len(tokens),
    )


def _tag(tag: Any, class_names: Sequence[str] | None, path: str | Path, line: int) -> str:
    if isinstance(tag, str):
        return tag
    if not isinstance(tag, int) or isinstance(tag, bool):
        raise DataError(f"every tag must be a string; found {tag!r}.", path=path, line=line)
    if class_names is None:
        raise DataError(
            f"the tags are integers (here {tag}), and nothing says which tag each stands for. "
            "Write the tags as strings, such as 'B-PER'.",
            path=path,
            line=line,
        )
    if not 0 <= tag < len(class_names):
        raise DataError(
            f"tag {tag} is not among the {len(class_names)} classes of this column.",
            path=path,
            line=line,
        )
    return class_names[tag]
