"""SQuAD's nested JSON and its relatives: articles, their paragraphs, and questions on each."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from zoo.data.readers.text import iter_lines
from zoo.errors import DataError

#: What CMRC 2018 in its own layout calls things.
_CMRC = {"query_text": "question", "query_id": "id"}


def read_squad(path: Path) -> list[Any] | None:
    """The articles of a file in SQuAD's layout; None if it is a file of flat records.

    Raises:
        DataError: It cannot be read as UTF-8 text, or is no JSON at all.
    """
    path = Path(path)
    first = next((line for _, line in iter_lines(path) if line.strip()), "").strip()
    if not first:
        raise DataError("the file holds no record.", path=path)
    try:
        head = json.loads(first)
    except (ValueError, RecursionError):
        head = None  # an object over several lines, or broken
    if isinstance(head, dict) and "data" not in head and "paragraphs" not in head:
        return None  # JSON Lines
    if head is None and path.suffix.lower() in {".jsonl", ".ndjson", ".jsonlines"}:
        return None  # broken, or an array; the reader of JSON Lines says where
    text = "\n".join(line for _, line in iter_lines(path))
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(
            f"broken JSON ({error.msg}, column {error.colno}).", path=path, line=error.lineno
        ) from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"broken JSON ({error}).", path=path) from None
    if "\\ud" in text.lower():
        _refuse_half_pairs(content, path)
    if isinstance(content, dict) and "data" in content:
        content = content["data"]
        if not isinstance(content, list):
            raise DataError('"data" must be a list of articles.', path=path)
        return content
    if isinstance(content, dict) and "paragraphs" in content:
        return [content]
    if isinstance(content, list):
        nested = bool(content) and isinstance(content[0], dict) and _is_nested(content[0])
        return content if nested else None
    raise DataError(
        'this is neither SQuAD JSON (an object with "data", the list of articles) nor JSON lines '
        'with "question", "context" and "answers".',
        path=path,
    )


def _is_nested(entry: Mapping[str, Any]) -> bool:
    return "paragraphs" in entry or "qas" in entry


def _refuse_half_pairs(content: Any, path: Path) -> None:
    try:
        json.dumps(content, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise DataError(
            r"the text holds half of a surrogate pair (such as \ud83d), which is no character.",
            path=path,
        ) from None


def iter_squad(path: Path, articles: list[Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The questions of all articles.

    Yields:
        Where a question stands, as a reader would look for it, and its record with `context` and
        `title` from above it.

    Raises:
        DataError: An article or a paragraph is not what it should be, with its place.
    """
    for number, article in enumerate(articles):
        place = f"data[{number}]"
        if not isinstance(article, dict):
            raise DataError(f"{place}: an article must be a JSON object.", path=path)
        title = article.get("title")
        if isinstance(title, str) and title:
            place += f" ({title[:40]!r})"
        if "paragraphs" not in article and "question" in article:
            yield place, article  # flat records below "data"
            continue
        paragraphs = article.get("paragraphs", [article] if "qas" in article else None)
        if not isinstance(paragraphs, list):
            raise DataError(f'{place}: there is no list of "paragraphs".', path=path)
        for index, paragraph in enumerate(paragraphs):
            within = f"{place}.paragraphs[{index}]"
            if not isinstance(paragraph, dict) or not isinstance(paragraph.get("qas"), list):
                raise DataError(f'{within}: there is no list of "qas".', path=path)
            context = paragraph.get("context", paragraph.get("context_text"))
            for position, given in enumerate(paragraph["qas"]):
                where = f"{within}.qas[{position}]"
                if not isinstance(given, dict):
                    raise DataError(f"{where}: a question must be a JSON object.", path=path)
                record: dict[str, Any] = {
                    _CMRC.get(str(key), str(key)): value for key, value in given.items()
                }
                if context is not None:
                    record["context"] = context
                yield where, {**record, "title": title}
