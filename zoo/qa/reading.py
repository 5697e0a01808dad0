"""Questions on texts from any source: SQuAD JSON and its relatives, JSON lines, Parquet, the Hub.

Offsets count Unicode code points, as Python does and as SQuAD's files do.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from zoo.data.readers.columns import choose_columns
from zoo.data.readers.hub import dataset_name
from zoo.data.readers.jsonlines import iter_json_lines
from zoo.data.readers.tables import iter_parquet
from zoo.errors import DataError
from zoo.qa.squad import iter_squad, read_squad

if TYPE_CHECKING:
    from datasets import Dataset

_JSON = {".jsonl", ".ndjson", ".json", ".jsonlines"}
_NAMES = {
    "id": ("id", "qid", "question_id", "query_id", "qas_id"),
    "question": ("question", "query", "query_text", "question_text"),
    "context": ("context", "passage", "paragraph", "document", "text", "context_text"),
    "answers": ("answers", "answer", "detected_answers"),
    "title": ("title",),
    "is_impossible": ("is_impossible",),
}
#: Repairs that are remembered one by one; all are counted.
_LISTED = 200

Columns = Mapping[str, str | int]
#: Where a record stands, its number or line, and what it holds under the names of the roles.
_Placed = tuple[str, int, Mapping[str, Any]]


class Question(NamedTuple):
    """A question on a text.

    Args:
        id: As in the source; made unique within it.
        question: The question, as it stands.
        context: The text that is asked about.
        answers: Right answers with the character where each begins; none if the text has none.
        title: Of the article that the text is from; empty where the source has none.
        line: The 1-based line of a JSON Lines file, else the number of the question.
    """

    id: str
    question: str
    context: str
    answers: list[tuple[str, int]]
    title: str
    line: int


class Repair(NamedTuple):
    """An answer that does not stand where the source says.

    Args:
        id: The question's id.
        text: The answer.
        said: The offset in the source; None where it gives none.
        found: Where it stands; None if nowhere, so that the answer is dropped.
    """

    id: str
    text: str
    said: int | None
    found: int | None


@dataclass
class ReadingNotes:
    """What a reader wants the user to know; filled while the questions are read."""

    moved: int = 0
    dropped: int = 0
    located: int = 0
    left_out: int = 0
    empty_questions: int = 0
    empty_contexts: int = 0
    duplicate_ids: int = 0
    #: The first repairs.
    repairs: list[Repair] = field(default_factory=list)

    def sentences(self, split: str) -> list[str]:
        """What happened, one sentence each."""
        found = [
            (
                self.moved,
                "answers in {} did not stand where their offset says and were moved to the nearest "
                "place where they do",
            ),
            (self.dropped, "answers in {} stand nowhere in their context and were dropped"),
            (
                self.left_out,
                "questions in {} were left out, because none of their answers is in the context",
            ),
            (self.located, "answers in {} have no offset: the first place is taken"),
            (self.empty_questions, "empty questions kept in {}"),
            (self.empty_contexts, "empty contexts kept in {}: such questions have no answer"),
            (
                self.duplicate_ids,
                "questions in {} have the id of an earlier one: #2, #3, ... is added to theirs",
            ),
        ]
        return [f"{count:,} {text.format(split)}." for count, text in found if count]


def read_questions(
    source: "Path | Dataset",
    columns: Columns | None = None,
    *,
    notes: ReadingNotes | None = None,
    answers: bool = True,
) -> Iterator[Question]:
    """Read questions from a file or from a split of a Hub dataset.

    A `.json` file may be SQuAD 1.1 or 2.0, CMRC 2018 (either layout) or DRCD, or JSON Lines; it is
    found out. Of SQuAD 2.0, `plausible_answers` are no answers. An answer whose offset does not
    fit is moved to the nearest place where its text stands, or dropped if there is none; a
    question that loses all its answers so is left out, for it would pass as unanswerable.

    Args:
        source: A file, or a `datasets.Dataset`.
        columns: Which column of a flat source is `id`, `question`, `context`, `answers` and
            `title`, by name or by 0-based position. By their usual names if None.
        notes: Filled with what was repaired on the way.
        answers: Whether answers are needed; without, a source may lack them, and those it has
            are not read.

    Yields:
        The questions in order.

    Raises:
        DataError: The source cannot be read, with the place where reading stopped.
    """
    place: str | Path
    if isinstance(source, (str, Path)):
        place = Path(source)
        records = _from_file(place, columns, answers)
    else:
        place = dataset_name(source)
        chosen = _chosen(source.column_names, columns, place, None, answers)
        # Only these are decoded: other columns may hold images.
        rows = source.select_columns(list(chosen.values())).with_format(None)
        records = _renamed(enumerate(rows, start=1), place, chosen, answers)
    notes = ReadingNotes() if notes is None else notes
    empty = True
    seen: dict[str, int] = {}
    for where, line, record in records:
        empty = False
        if not answers:  # a question must not be left out, or refused, for what is not needed
            record = {**record, "answers": None}
        question = _question(where, line, record, place, seen, notes)
        if question is not None:
            yield question
    if empty:
        raise DataError("there is no question in it.", path=place)


def is_squad(path: Path) -> bool:
    """Whether a file is nested as SQuAD's are, articles above paragraphs above questions."""
    return path.suffix.lower() in _JSON and read_squad(path) is not None


def _from_file(path: Path, columns: Columns | None, answers: bool) -> Iterator[_Placed]:
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return _renamed(iter_parquet(path), path, columns, answers)
    if suffix not in _JSON:
        raise DataError(
            f"Questions are not read from {suffix or 'such'} files. Give SQuAD JSON (.json), JSON "
            'lines with "question", "context" and "answers" (.jsonl), or Parquet.',
            path=path,
        )
    articles = read_squad(path)
    if articles is None:
        return _renamed(iter_json_lines(path), path, columns, answers)
    if columns:
        raise DataError(
            "this file has SQuAD's layout, where --data.columns has no meaning; leave it out.",
            path=path,
        )
    return _from_squad(path, articles, answers)


def _from_squad(path: Path, articles: list[Any], answers: bool) -> Iterator[_Placed]:
    for number, (where, record) in enumerate(iter_squad(path, articles), start=1):
        needed = ("question", "context", *(("answers",) if answers else ()))
        missing = [
            name
            for name in needed
            if name not in record and not (name == "answers" and record.get("is_impossible"))
        ]
        if missing:
            raise DataError(f"{where}: there is no {missing[0]!r}.", path=path)
        yield where, number, record


def _chosen(
    found: Sequence[str],
    columns: Columns | None,
    path: str | Path,
    line: int | None,
    answers: bool,
) -> dict[str, str]:
    try:
        chosen = choose_columns(found, columns, _NAMES)
    except DataError as error:
        raise DataError(str(error), path=path, line=line) from None
    needed = ("question", "context", "answers") if answers else ("question", "context")
    missing = [role for role in needed if role not in chosen]
    if missing:
        raise DataError(
            f"nothing is called {' or '.join(missing)}; found: {', '.join(found)}. Say which is "
            "which: --data.columns '{question: NAME, context: NAME, answers: NAME}'.",
            path=path,
            line=line,
        )
    return chosen


def _renamed(
    records: Iterator[tuple[int, Mapping[str, Any]]],
    path: str | Path,
    columns: Columns | None,
    answers: bool,
) -> Iterator[_Placed]:
    """Records under the names of the roles; the first one decides which columns there are."""
    first = next(records, None)
    if first is None:
        return
    chosen = _chosen(list(first[1]), columns, path, first[0], answers)
    for line, record in chain([first], records):
        lacking = [name for name in (chosen["question"], chosen["context"]) if name not in record]
        if lacking:
            raise DataError(
                f"there is no {lacking[0]!r} here; found: {', '.join(record)}.",
                path=path,
                line=line,
            )
        yield "", line, {role: record.get(name) for role, name in chosen.items()}


def _question(
    where: str,
    line: int,
    record: Mapping[str, Any],
    path: str | Path,
    seen: dict[str, int],
    notes: ReadingNotes,
) -> Question | None:
    try:
        question, context = (_text(record, name) for name in ("question", "context"))
        said = [] if record.get("is_impossible") else listed_answers(record.get("answers"))
        title = _text(record, "title")
    except ValueError as error:
        if where:
            raise DataError(f"{where}: {error}", path=path) from None
        raise DataError(str(error), path=path, line=line) from None
    name = _unique(record.get("id"), line, seen, notes)
    notes.empty_questions += not question.strip()
    notes.empty_contexts += not context.strip()
    answers = []
    for text, start in said:
        found = nearest(context, text, start)
        if found is None:
            notes.dropped += 1
        elif start is None:
            notes.located += 1
        elif found != start:
            notes.moved += 1
        if (found is None or (start is not None and found != start)) and (
            len(notes.repairs) < _LISTED
        ):
            notes.repairs.append(Repair(name, text, start, found))
        if found is not None:
            answers.append((text, found))
    if said and not answers:
        notes.left_out += 1
        return None
    return Question(name, question, context, answers, title, line)


def _text(record: Mapping[str, Any], name: str) -> str:
    value = record.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError(f"the {name} must be a string; found {str(value)[:60]}.")
    return value


def _unique(given: Any, line: int, seen: dict[str, int], notes: ReadingNotes) -> str:
    """An id that no earlier question has; `seen` holds the number to try next for each."""
    name = str(line) if given is None or given == "" else str(given)
    if name in seen:
        notes.duplicate_ids += given is not None and given != ""
        number = seen[name]
        while f"{name}#{number}" in seen:
            number += 1
        seen[name] = number + 1
        name = f"{name}#{number}"
    seen[name] = 2
    return name


def listed_answers(value: Any) -> list[tuple[str, int | None]]:
    """Answers with their offsets (None where none is given), from any of the usual forms.

    SQuAD's list of `{"text", "answer_start"}`, the Hub's two lists in one object, a list of
    strings, or one string.

    Raises:
        ValueError: It is none of them.
    """
    if value is None:
        return []
    if isinstance(value, str):
        return [(value, None)]
    if isinstance(value, Mapping):
        texts, starts = value.get("text"), value.get("answer_start")
        if isinstance(texts, str):
            texts, starts = [texts], [starts]
        if not isinstance(texts, Sequence):
            raise ValueError(f'answers need a "text"; found {", ".join(value) or "nothing"}.')
        starts = [None] * len(texts) if starts is None else starts
        if not isinstance(starts, Sequence) or len(starts) != len(texts):
            raise ValueError(f"{len(texts)} answers need as many offsets; found {starts}.")
        return [_answer(text, start) for text, start in zip(texts, starts, strict=True)]
    if isinstance(value, Sequence):
        return [
            _answer(one.get("text"), one.get("answer_start"))
            if isinstance(one, Mapping)
            else _answer(one, None)
            for one in value
        ]
    raise ValueError(f"answers must be a list; found {str(value)[:60]}.")


def _answer(text: Any, start: Any) -> tuple[str, int | None]:
    if not isinstance(text, str):
        raise ValueError(f"an answer must be a string; found {str(text)[:60]}.")
    if start is None or (isinstance(start, int) and not isinstance(start, bool)):
        # -1 is how some corpora say that an offset is not known.
        return text, None if start is None or start < 0 else start
    raise ValueError(f"the offset of an answer must be a whole number; found {str(start)[:60]}.")


def nearest(context: str, text: str, start: int | None) -> int | None:
    """Where a text stands nearest to an offset; its first place without one; None if nowhere."""
    if not text.strip():
        return None
    if start is None:
        found = context.find(text)
        return None if found < 0 else found
    if context.startswith(text, start):
        return start
    before, after = context.rfind(text, 0, start + len(text)), context.find(text, start)
    places = [place for place in (before, after) if place >= 0]
    return min(places, key=lambda place: abs(place - start), default=None)
