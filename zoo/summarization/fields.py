"""What one field of a source holds: a document, whole or in sentences, or its summaries."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

#: Where sentences stand in a text: first character, and the one after the last.
Spans = list[tuple[int, int]]


def document(value: Any) -> tuple[str, Spans | None]:
    """A text, and its sentences where the source gives them.

    A list is one of sentences, possibly in lists of their own (paragraphs, say). An object is one
    of sections, each a text or a list of sentences, whatever their names. Sentences are joined
    with one space, sections that are texts with a line break; blank ones are left out.

    Returns:
        The text, and where its sentences stand; None where they have to be found.

    Raises:
        ValueError: It is none of these.
    """
    if value is None:
        return "", []
    if isinstance(value, str):
        return value, None
    if isinstance(value, Mapping):
        sections = [document(one) for one in value.values()]
        if any(spans is None for _, spans in sections):
            return "\n".join(text for text, _ in sections if text.strip()), None
        return _joined([text[start:end] for text, spans in sections for start, end in spans or ()])
    if _is_list(value):
        return _joined(list(_strings(value, "source")))
    raise ValueError(
        "the source must be a string, a list of sentences, or an object with sections of these; "
        f"found {str(value)[:60]}."
    )


def references(value: Any) -> list[str]:
    """The summaries of a text, without blank ones among others; `[""]` if there is none.

    A list holds several; one of them that is a list itself is a list of its sentences.

    Raises:
        ValueError: It is neither a string nor such a list.
    """
    if value is None or isinstance(value, str):
        found = [value or ""]
    elif _is_list(value):
        found = [
            " ".join(_strings(one, "target")) if _is_list(one) else next(_strings([one], "target"))
            for one in value
        ]
    else:
        kind = f"an object with {', '.join(value)}" if isinstance(value, Mapping) else str(value)
        raise ValueError(f"the target must be a string or a list of strings; found {kind[:80]}.")
    return [one for one in found if one.strip()] or [""]


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def _strings(values: Sequence[Any], role: str) -> Iterator[str]:
    for value in values:
        if _is_list(value):
            yield from _strings(value, role)
        elif value is None or isinstance(value, str):
            yield value or ""
        else:
            raise ValueError(
                f"the {role} must be a list of strings; found {str(value)[:60]} in it."
            )


def _joined(sentences: Sequence[str]) -> tuple[str, Spans]:
    kept = [one.strip() for one in sentences if one.strip()]
    spans, start = [], 0
    for one in kept:
        spans.append((start, start + len(one)))
        start += len(one) + 1
    return " ".join(kept), spans
