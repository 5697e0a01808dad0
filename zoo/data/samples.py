"""The small corpora that come with the project: in the checkout, or inside an installed wheel."""

from pathlib import Path

_HERE = Path(__file__).resolve().parent.parent
_ENDING = "-sample"


def _root() -> Path:
    installed = _HERE / "sample_data"
    return installed if installed.is_dir() else _HERE.parent / "data"


def names() -> list[str]:
    """Names of the sample corpora, such as `ner-sample`."""
    return sorted(f"{path.parent.name}{_ENDING}" for path in _root().glob("*/README.md"))


def folder(name: str) -> Path | None:
    """The folder of a sample corpus; None if there is none of that name."""
    return _root() / name.removesuffix(_ENDING) if name in names() else None
