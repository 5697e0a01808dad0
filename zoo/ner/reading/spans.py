"""Entities marked by character offsets in a text, turned into tagged words."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from zoo.data.words import split_words
from zoo.errors import DataError
from zoo.ner.reading.sentences import ReadingNotes, TaggedSentence

_KEYS = {
    "start": ("start", "start_offset", "begin"),
    "end": ("end", "end_offset"),
    "label": ("type", "label"),
}


class Span(NamedTuple):
    """An entity in a text: code-point offsets (the end is not part of it) and its type."""

    start: int
    end: int
    label: str


def sentence_from_spans(
    text: str, raw_spans: Any, *, path: str | Path, line: int, notes: ReadingNotes
) -> TaggedSentence:
    """Tag the words of a text by the spans marked in it, as IOB2.

    Of overlapping spans the longest is kept (the first of equals). A span that starts or ends
    inside a word is widened to the whole word. Both are counted in `notes`.

    Args:
        text: The running text.
        raw_spans: A list of objects with `start`, `end` and `type` or `label` (and optionally
            `text` or `word`, which is compared with the text), or of `[start, end, label]`.
        path: The source, for errors.
        line: The record's line, for errors.
        notes: Where to count changes.

    Raises:
        DataError: The spans are not such a list, or a span is empty, outside the text, covers only
            white space, or differs from the words it claims to cover.
    """
    if not isinstance(text, str):
        raise DataError("the text must be a string.", path=path, line=line)
    if not isinstance(raw_spans, Sequence) or isinstance(raw_spans, str):
        raise DataError("the spans must be a list ([] where there are none).", path=path, line=line)
    words = split_words(text)
    starts_ends = [(start, end) for _, start, end in words]
    found: list[tuple[Span, int, int]] = []
    for raw in raw_spans:
        span = _parse(raw, text, path, line)
        inside = [i for i, (s, e) in enumerate(starts_ends) if s < span.end and e > span.start]
        if not inside:
            raise DataError(f"{_name(span)} covers only white space.", path=path, line=line)
        if any(span == other for other, _, _ in found):
            notes.duplicate_spans_dropped += 1
            continue
        found.append((span, inside[0], inside[-1]))
    tags = ["O"] * len(words)
    # By length, then by place: sorting is stable, so the order given decides last.
    found.sort(key=lambda item: (item[0].start - item[0].end, item[0].start))
    for span, first, last in found:
        if any(tag != "O" for tag in tags[first : last + 1]):
            notes.overlapping_spans_dropped += 1
            continue
        tags[first : last + 1] = [f"B-{span.label}"] + [f"I-{span.label}"] * (last - first)
        if words[first][1] < span.start or words[last][2] > span.end:
            notes.spans_snapped_to_words += 1
    return TaggedSentence(
        tokens=[word for word, _, _ in words],
        tags=tags,
        lines=[line] * len(words),
        text=text,
        offsets=starts_ends,
    )


def _parse(raw: Any, text: str, path: str | Path, line: int) -> Span:
    quote: Any = None
    if isinstance(raw, Mapping):
        values = [
            next((raw[key] for key in keys if key in raw and raw[key] is not None), None)
            for keys in _KEYS.values()
        ]
        quote = next((raw[key] for key in ("text", "word") if raw.get(key) is not None), None)
    elif isinstance(raw, Sequence) and not isinstance(raw, str) and len(raw) == 3:
        values = list(raw)
    else:
        values = []
    match values:
        case [int(start), int(end), str(label)] if label.strip() and not (
            isinstance(start, bool) or isinstance(end, bool)
        ):
            span = Span(start, end, label.strip())
        case _:
            raise DataError(
                f"a span must be an object with start, end and type, or [start, end, type], with "
                f"whole numbers and a type that is not empty; found {raw!r}.",
                path=path,
                line=line,
            )
    if span.start >= span.end:
        raise DataError(f"{_name(span)} is empty.", path=path, line=line)
    if span.start < 0 or span.end > len(text):
        raise DataError(
            f"{_name(span)} lies outside the text, which has {len(text)} characters.",
            path=path,
            line=line,
        )
    if quote is not None and quote != text[span.start : span.end]:
        raise DataError(
            f"{_name(span)} should be {quote!r}, but the text has "
            f"{text[span.start : span.end]!r} there. Offsets count Unicode characters from 0 "
            "(not bytes, not UTF-16 units), and the end is not part of the span.",
            path=path,
            line=line,
        )
    return span


def _name(span: Span) -> str:
    return f"the span {span.start} to {span.end} ({span.label})"
