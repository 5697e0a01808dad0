"""What tests of the NER family share: files written on the spot."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pytest

Tagged = tuple[Sequence[str], Sequence[str]]


@pytest.fixture
def conll(tmp_path: Path) -> Callable[[str, Iterable[Tagged]], str]:
    """A function that writes tokens and tags as CoNLL columns and returns the file's path."""

    def write(name: str, sentences: Iterable[Tagged]) -> str:
        path = tmp_path / f"{name}.conll"
        blocks = (
            "\n".join(f"{token}\t{tag}" for token, tag in zip(tokens, tags, strict=True))
            for tokens, tags in sentences
        )
        path.write_text("\n\n".join(blocks) + "\n", encoding="utf-8")
        return str(path)

    return write
