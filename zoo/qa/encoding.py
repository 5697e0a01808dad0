"""Pure functions of extractive question answering: questions on texts -> windows of tokens.

A text is cut into tokens once, however many questions are asked on it, and laid into overlapping
windows behind each question, as the tokenizers of transformers do it. An answer becomes the tokens
that share a character with it; a window that does not hold the whole of an answer teaches "no
answer", which stands at the first token.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple
from unicodedata import category

import numpy as np
import numpy.typing as npt

from zoo.data.frames import Frame, whole_backend

Ints = npt.NDArray[np.int32]
Answer = tuple[str, int]

#: Texts cut into tokens in one go.
_AT_ONCE = 256


class Fit(IntEnum):
    """How well an answer can be said in tokens of the windows."""

    EXACT = 0
    #: Begins or ends inside a token: the tokens say a little more than the answer.
    INSIDE_TOKEN = 1
    #: More tokens than a window has room for.
    TOO_LONG = 2
    #: No window holds it whole, though one could.
    ACROSS_WINDOWS = 3
    #: Consists of characters that the tokenizer leaves out.
    NO_TOKEN = 4


class Tokens(NamedTuple):
    """A text in tokens.

    Args:
        ids: Token ids, without special tokens.
        starts: First character of each token; white space around a token belongs to none, and
            a combining mark that the tokenizer drops to the token before it. Of a token of
            nothing but space the next letter.
        ends: One past the last character of each token; of one of nothing but space one past the
            last letter before it.
    """

    ids: Ints
    starts: Ints
    ends: Ints


class Window(NamedTuple):
    """A window of a text behind a question.

    Args:
        input_ids: Question and window with special tokens.
        token_types: For each token the number that tells the text from the question.
        begin: Index into `input_ids` of the window's first token.
        starts: First character in the text of each token of the window.
        ends: One past the last character of each of them.
        start: Index into `input_ids` of the answer's first token; 0 if the window holds none.
        end: Index of its last token; 0 if the window holds none.
    """

    input_ids: list[int]
    token_types: list[int]
    begin: int
    starts: Ints
    ends: Ints
    start: int
    end: int


class Encoded(NamedTuple):
    """A question on a text, in tokens.

    Args:
        windows: One or more, in order; together they hold every token of the text.
        fits: How well each answer fits, in order.
        cut: Tokens of the question that were left out.
    """

    windows: list[Window]
    fits: list[Fit]
    cut: int


@dataclass(frozen=True)
class Layout:
    """How long windows are and how far they overlap.

    Args:
        max_length: Longest input in tokens, special tokens included.
        stride: Overlap of neighbouring windows, in tokens of the text.
        frame: Special tokens around a question and a text.

    Raises:
        ValueError: `max_length` leaves no room for a question and for moving on in the text.
    """

    max_length: int
    stride: int
    frame: Frame

    def __post_init__(self) -> None:
        if not self.frame.parts[0]:
            raise ValueError(
                "no tokenizer of this kind can be used: it puts no token before a question, where "
                '"no answer" would stand.'
            )
        if self.stride < 0 or self.longest_question < 1:
            most = max(0, self.max_length - self.frame.size - 2)
            raise ValueError(
                f"max_length={self.max_length} with stride={self.stride} leaves no room for a "
                f"question and a text; stride may be at most {most} there."
            )

    @property
    def longest_question(self) -> int:
        """Tokens of a question that are read: at most half a window.

        Of what special tokens and overlap leave, a quarter is kept for the text, so that windows
        move on behind the longest question too.
        """
        free = self.max_length - self.frame.size - self.stride
        return min(self.max_length // 2, free - max(1, free // 4))

    def places(self, question: int, text: int) -> Iterator[tuple[int, int]]:
        """Begin and end (exclusive) of each window, in tokens of the text.

        Args:
            question: Tokens of the question.
            text: Tokens of the text.
        """
        room = self.max_length - self.frame.size - question
        begin = 0
        while True:
            yield begin, min(begin + room, text)
            if begin + room >= text:
                return
            begin += room - self.stride


def tokenize(texts: Sequence[str], *, tokenizer: Any) -> Iterator[Tokens]:
    """Texts in tokens, in order, a batch of them at once.

    Args:
        texts: Texts of any length.
        tokenizer: A fast tokenizer of transformers.
    """
    backend = whole_backend(tokenizer)
    for at in range(0, len(texts), _AT_ONCE):
        some = texts[at : at + _AT_ONCE]
        for text, encoding in zip(
            some, backend.encode_batch(some, add_special_tokens=False), strict=True
        ):
            offsets = np.asarray(encoding.offsets, dtype=np.int32).reshape(-1, 2)
            starts, ends = _of_letters(text, offsets[:, 0], offsets[:, 1])
            yield Tokens(np.asarray(encoding.ids, dtype=np.int32), starts, ends)


def _of_letters(text: str, starts: Ints, ends: Ints) -> tuple[Ints, Ints]:
    """Offsets without white space that a tokenizer counts to a token, and with lost accents.

    BERT's uncased tokenizers drop combining marks; such a mark goes with the token before it.
    """
    spaces = np.fromiter((letter.isspace() for letter in text), bool, len(text))
    if spaces.any():
        first = _next(~spaces)[starts]
        # From the end: one past the last letter before each place.
        last = len(text) - _next(~spaces[::-1])[len(text) - ends]
        # A token of nothing but space begins at the next letter and ends with the one before: alone
        # it holds no character, and a span that begins or ends with it is the span without it.
        starts, ends = first.astype(np.int32), last.astype(np.int32)
    if not text.isascii():
        lost = np.fromiter((category(letter)[0] == "M" for letter in text), bool, len(text))
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            lost[start:end] = False
        if lost.any():
            ends = np.where(ends > starts, _next(~lost)[ends], ends)
    return starts.astype(np.int32), ends.astype(np.int32)


def _next(wanted: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """From each place (and from the end) on, the first place that is wanted; the length if none."""
    size = len(wanted)
    places = np.append(np.where(wanted, np.arange(size), size), size)
    return np.minimum.accumulate(places[::-1])[::-1]


def encode_questions(
    questions: Sequence[tuple[str, str, Sequence[Answer]]],
    *,
    tokenizer: Any,
    layout: Layout,
) -> Iterator[Encoded]:
    """Questions on texts as windows; each distinct text and question is cut into tokens once.

    Args:
        questions: Question, text, and answers with the character where each begins. Of several
            answers a window learns the first that it holds whole.
        tokenizer: A fast tokenizer of transformers.
        layout: Length and overlap of the windows.

    Yields:
        The windows of each question, in order.
    """
    texts = list(dict.fromkeys(text for _, text, _ in questions))
    tokens = dict(zip(texts, tokenize(texts, tokenizer=tokenizer), strict=True))
    asked = list(dict.fromkeys(question for question, _, _ in questions))
    heads = dict(zip(asked, tokenize(asked, tokenizer=tokenizer), strict=True))
    for question, text, answers in questions:
        yield encode_question(heads[question].ids, text, tokens[text], answers, layout)


def encode_question(
    question: Ints, text: str, tokens: Tokens, answers: Sequence[Answer], layout: Layout
) -> Encoded:
    """A question on a text as windows.

    Args:
        question: Token ids of the question.
        text: The text.
        tokens: The text in tokens.
        answers: Answers with the character where each begins.
        layout: Length and overlap of the windows.
    """
    asked = question[: layout.longest_question].tolist()
    places = list(layout.places(len(asked), len(tokens.ids)))
    room = layout.max_length - layout.frame.size - len(asked)
    spans, fits = [], []
    for answer in answers:
        span, fit = answer_tokens(text, tokens, answer)
        if span is not None and not any(
            begin <= span[0] and span[1] < end for begin, end in places
        ):
            fit = Fit.TOO_LONG if span[1] - span[0] >= room else Fit.ACROSS_WINDOWS
        elif span is not None:
            spans.append(span)
        fits.append(fit)
    begin_at = len(layout.frame.parts[0]) + len(asked) + len(layout.frame.parts[1])
    windows = []
    for begin, end in places:
        ids, types = layout.frame.around([asked, tokens.ids[begin:end].tolist()])
        held = next((span for span in spans if begin <= span[0] and span[1] < end), None)
        shift = begin_at - begin
        windows.append(
            Window(
                ids,
                types,
                begin_at,
                tokens.starts[begin:end],
                tokens.ends[begin:end],
                0 if held is None else held[0] + shift,
                0 if held is None else held[1] + shift,
            )
        )
    return Encoded(windows, fits, len(question) - len(asked))


def answer_tokens(text: str, tokens: Tokens, answer: Answer) -> tuple[tuple[int, int] | None, Fit]:
    """First and last token of an answer (None if it has none), and how well they fit.

    White space around an answer is no part of it.
    """
    words, start = answer
    begin = start + len(words) - len(words.lstrip())
    end = start + len(words.rstrip())
    shared = np.flatnonzero((tokens.starts < end) & (tokens.ends > begin))
    if not len(shared):
        return None, Fit.NO_TOKEN
    first, last = int(shared[0]), int(shared[-1])
    exact = tokens.starts[first] == begin and tokens.ends[last] == end
    return (first, last), Fit.EXACT if exact else Fit.INSIDE_TOKEN
