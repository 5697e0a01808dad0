"""What `predict` takes, in all its forms, as documents with their sentences."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from zoo.errors import DataError
from zoo.summarization.fields import Spans, document
from zoo.summarization.scripts import language_of
from zoo.summarization.sentences import sentence_spans

#: Names of the text in a dict; the first that is there counts.
_NAMES = ("source", "document", "text")
#: Documents, and characters of them, that are encoded and predicted together, so that a stream of
#: them is never held whole.
_DOCUMENTS_AT_ONCE = 512
_CHARACTERS_AT_ONCE = 2_000_000


class DocumentInput(NamedTuple):
    """A text to summarize.

    Args:
        source: The text.
        spans: Where its sentences stand, if they were given; else they are found.
        id: Comes back with the prediction.
    """

    source: str
    spans: Spans | None = None
    id: str | None = None

    def sentences(self, language: str | None) -> Spans:
        """Where its sentences stand, by the rules of a language.

        Args:
            language: ISO 639-1 code; None for the usual one of the text's script.
        """
        if self.spans is not None:
            return self.spans
        return sentence_spans(self.source, language=language or language_of([self.source]))


#: A text, or a dict with a text or a list of sentences.
Given = str | DocumentInput | Mapping[str, Any]


def input_of(record: Mapping[str, Any]) -> DocumentInput:
    """The document of a dict with `source` (or `document` or `text`), and `id` if any.

    One that is null is an empty document, as in the data to learn from.

    Raises:
        DataError: It lacks the text, or that is neither a string nor a list of sentences.
    """
    there = [name for name in _NAMES if name in record]
    found = next((name for name in there if record[name] is not None), there[0] if there else None)
    if found is None:
        raise DataError(
            'Each object needs "source" (a string, or a list of sentences); this one has '
            f"{', '.join(map(str, record)) or 'nothing'}."
        )
    try:
        source, spans = document(record[found])
    except ValueError as error:
        raise DataError(str(error)) from None
    name = record.get("id")
    return DocumentInput(source, spans, None if name is None else str(name))


def as_inputs(inputs: Given | Iterable[Given]) -> list[DocumentInput]:
    """Any form of input as a list of documents.

    Raises:
        DataError: One is no text.
    """
    alone = isinstance(inputs, (str, Mapping, DocumentInput))
    return [_as_input(one) for one in ([inputs] if alone else inputs)]


def _as_input(given: Any) -> DocumentInput:
    if isinstance(given, DocumentInput):
        return given
    if isinstance(given, str):
        return DocumentInput(given)
    if isinstance(given, Mapping):
        return input_of(given)
    raise DataError(
        f'A text to summarize is a string, or a dict with "source"; given was {given!r:.80}.'
    )


def portions(inputs: Iterable[DocumentInput]) -> Iterator[list[DocumentInput]]:
    """Inputs in portions that are small enough to hold their windows."""
    portion: list[DocumentInput] = []
    characters = 0
    for one in inputs:
        portion.append(one)
        characters += len(one.source)
        if len(portion) >= _DOCUMENTS_AT_ONCE or characters >= _CHARACTERS_AT_ONCE:
            yield portion
            portion, characters = [], 0
    if portion:
        yield portion


def texts(source: str, spans: Sequence[tuple[int, int]]) -> list[str]:
    """The sentences of a text."""
    return [source[start:end] for start, end in spans]
