"""The texts of questions searched for their answers: encoded, read in batches, put together."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from zoo.qa.answering import QuestionInput, characters_of
from zoo.qa.decoding import Best, Spans, merge
from zoo.qa.encoding import Layout, encode_questions
from zoo.qa.windows import collate, offsets_of, window_row

log = logging.getLogger(__name__)

#: Characters of a question that a warning shows.
_SHOWN = 80


class Found(NamedTuple):
    """What was found for a question.

    Args:
        bests: The best spans in each of its texts.
        windows: The characters, begin and end, of each text's windows.
        cut: Tokens at the question's end that were not read.
    """

    bests: list[Best]
    windows: list[list[tuple[int, int]]]
    cut: int


def search(
    questions: Sequence[QuestionInput],
    *,
    tokenizer: Any,
    layout: Layout,
    batch_size: int,
    spans_of: Callable[[Mapping[str, Any]], Spans],
) -> Iterator[Found]:
    """The best spans in each text of each question, in order.

    Args:
        questions: Questions with their texts.
        tokenizer: A fast tokenizer of transformers.
        layout: Length and overlap of the windows.
        batch_size: Windows in a batch; those of near-equal length go together.
        spans_of: Finds the best spans of a batch as `collate` makes it.
    """
    asked = [(one.question, text, ()) for one in questions for text in one.contexts]
    rows: list[dict[str, Any]] = []
    read: list[list[tuple[int, int]]] = []
    cuts: list[int] = []
    for number, one in enumerate(encode_questions(asked, tokenizer=tokenizer, layout=layout)):
        rows += [
            {**window_row(window, at), "windows": len(one.windows), "example": number}
            for at, window in enumerate(one.windows)
        ]
        read.append([characters_of(window) for window in one.windows])
        cuts.append(one.cut)
    rows.sort(key=lambda row: -len(row["input_ids"]))
    best: dict[int, Best] = {}
    for at in range(0, len(rows), batch_size):
        some = rows[at : at + batch_size]
        batch = collate(some, pad_token_id=int(tokenizer.pad_token_id or 0))
        offsets = offsets_of(some, batch["input_ids"].shape[1])
        merge(best, spans_of(batch), offsets, batch["example"], batch["window"])
    begin = 0
    for question in questions:
        own = range(begin, begin := begin + len(question.contexts))
        yield Found([best[at] for at in own], [read[at] for at in own], max(cuts[at] for at in own))


def warn_of_cut(questions: Sequence[str], longest: int) -> None:
    """Say which questions were not read to their end.

    Args:
        questions: Those questions.
        longest: Tokens of a question that are read.
    """
    if not questions:
        return
    first = questions[0]
    shown = first if len(first) <= _SHOWN else f"{first[:_SHOWN]}…"
    more = f" (and {len(questions) - 1:,} more)" if len(questions) > 1 else ""
    log.warning(
        "The question %r%s is longer than %d tokens: only its beginning is read. Put the text "
        "that is to be searched into the context.",
        shown,
        more,
        longest,
    )
