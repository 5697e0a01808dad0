"""What tests of the question answering family share: files written on the spot."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

#: A text with questions on it, each with its answers and the character where each begins.
Asked = tuple[str, Sequence[tuple[str, Sequence[tuple[str, int]]]]]


@pytest.fixture
def squad(tmp_path: Path) -> Callable[..., str]:
    """A function that writes texts with questions as SQuAD 2.0 JSON and returns the file's path."""

    def write(name: str, texts: Sequence[Asked], *, titles: Sequence[str] = ()) -> str:
        number = 0
        articles = []
        for at, (text, questions) in enumerate(texts):
            asked = []
            for question, answers in questions:
                number += 1
                asked.append(
                    {
                        "id": f"{name}-{number}",
                        "question": question,
                        "answers": [{"text": said, "answer_start": at} for said, at in answers],
                        "is_impossible": not answers,
                    }
                )
            title = titles[at] if titles else ""
            articles.append({"title": title, "paragraphs": [{"context": text, "qas": asked}]})
        path = tmp_path / f"{name}.json"
        content = {"version": "v2.0", "data": articles}
        path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
        return str(path)

    return write
