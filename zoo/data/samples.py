"""The small corpora that come with the project: in the checkout, or inside an installed wheel."""

from pathlib import Path

_HERE = Path(__file__).resolve().parent.parent
_ENDING = "-sample"


def _root() -> Path:
    installed = _HERE / "sample_data"
    return installed if installed.is_dir() else _HERE.parent / "data"


def _folders() -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in _root().glob("*/README.md"):
        task = path.parent
        # A datasheet may describe several corpora, each in a folder of its own.
        corpora = sorted(file.parent for file in task.glob("*/train.*"))
        for corpus in corpora or [task]:
            own = "" if corpus.name in (task.name, "sample") else f"-{corpus.name}"
            found[f"{task.name}{own}{_ENDING}"] = corpus
    return found


def names() -> list[str]:
    """Names of the sample corpora, such as `ner-sample` and `classification-pairs-sample`."""
    return sorted(_folders())


def folder(name: str) -> Path | None:
    """The folder of a sample corpus; None if there is none of that name."""
    return _folders().get(name)
