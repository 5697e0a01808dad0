"""From what the user names (a sample, a folder, a Hub id, single files) to one source per split."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from zoo.data import samples
from zoo.data.cache import digest_of_file
from zoo.data.readers.hub import load_hub
from zoo.errors import DataError

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

_SPLIT_NAMES: dict[Split, str] = {
    "train": "train|training",
    "validation": "validation|valid|val|devel|development|dev",
    "test": "test|testing",
}
_NOT_DATA = {".md", ".py", ".license", ".bak"}


@dataclass
class Sources:
    """Where each split comes from.

    Args:
        splits: A file, or rows of `datasets`, for each split there is.
        name: What a report calls the data.
        key: Identifies the content: changes when one byte of it changes.
    """

    splits: dict[Split, Any]
    name: str
    key: dict[str, str] = field(default_factory=dict)

    def place(self, split: Split) -> str:
        """What a message calls one split: its file, or the Hub id with the split."""
        source = self.splits[split]
        return str(source) if isinstance(source, Path) else f"{self.name} ({split})"


def find_sources(
    dataset: str | None,
    files: dict[Split, str | None],
    *,
    config: str | None = None,
    named: Mapping[Split, str] | None = None,
) -> Sources:
    """One source per split. Files, where any is given, replace the dataset entirely.

    Args:
        dataset: A sample's name, a folder or a Hub id.
        files: A file for each split, or None.
        config: Configuration of a Hub dataset that has several.
        named: Which split of the dataset is which, such as `{"test": "validation"}`; the others
            are found by their names.

    Raises:
        DataError: Something named is not there, or nothing is named.
    """
    given = {split: Path(file).expanduser() for split, file in files.items() if file is not None}
    if given:
        for split, path in given.items():
            if not path.is_file():
                raise DataError(
                    f"There is no such file (given as --data.{split})."
                    if not path.exists()
                    else f"This is not a file (given as --data.{split}).",
                    path=path,
                )
        return _of_files(given, ", ".join(path.name for path in given.values()))
    if dataset is None:
        raise DataError(
            "No data is named. Give --data.dataset (a sample's name, a folder or a Hub id) or "
            "--data.train FILE."
        )
    folder = samples.folder(dataset) or Path(dataset).expanduser()
    if folder.is_file():
        raise DataError("This is a file: give it as --data.train.", path=folder)
    if folder.is_dir():
        found = _files_in(folder)
        if found:
            chosen = _chosen(found, {split: split for split in found}, named, dataset)
            return _of_files(chosen, dataset)
    elif dataset.startswith((".", "/", "~")) or dataset.count("/") > 1:
        raise DataError("There is no such folder (given as --data.dataset).", path=dataset)
    elif "/" not in dataset:
        near = difflib.get_close_matches(dataset, samples.names(), n=1)
        if near:
            raise DataError(
                f"There is no sample of that name. Did you mean {near[0]}?", path=dataset
            )
    rows = load_hub(dataset, config=config, revision=None)
    by_name: dict[str, Any] = {str(name): table for name, table in rows.items()}
    splits = _chosen(by_name, {name: _split_of(name) for name in by_name}, named, dataset)
    if not splits:
        raise DataError(
            f"No split is called train, validation or test; there are {', '.join(by_name)}.",
            path=dataset,
        )
    key: dict[str, str] = {split: str(table._fingerprint) for split, table in splits.items()}
    return Sources(splits, dataset, key)


def _chosen(
    there: Mapping[Any, Any],
    usual: Mapping[Any, Split | None],
    named: Mapping[Split, str] | None,
    dataset: str,
) -> dict[Split, Any]:
    """What is there, by split: as named, the others by their usual names."""
    named = named or {}
    for split, name in named.items():
        if split not in SPLITS or name not in there:
            raise DataError(
                f"--data.splits {{{split}: {name}}}: the data has {', '.join(there)}, to be used "
                f"as {', '.join(SPLITS)}.",
                path=dataset,
            )
    splits = {split: there[name] for split, name in named.items()}
    for name, source in there.items():
        split_of_name = usual[name]
        if split_of_name is not None and name not in named.values():
            splits.setdefault(split_of_name, source)
    return splits


def _of_files(files: dict[Split, Path], name: str) -> Sources:
    # The name too: what reading notes on a file names it.
    key: dict[str, str] = {
        split: f"{path.name} {digest_of_file(path)}" for split, path in files.items()
    }
    return Sources(dict(files), name, key)


def _split_of(name: str) -> Split | None:
    for split, words in _SPLIT_NAMES.items():
        if re.search(rf"(?:^|[^a-z])(?:{words})(?:$|[^a-z])", name.lower()):
            return split
    return None


def _files_in(folder: Path) -> dict[Split, Path]:
    """Files of a folder whose names say which split they are; empty for a Hub layout."""
    found: dict[Split, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        split = None if path.name.startswith(".") else _split_of(path.name)
        if path.is_file() and split is not None and path.suffix not in _NOT_DATA:
            found.setdefault(split, []).append(path)
    for split, paths in found.items():
        if len(paths) > 1:
            if all(path.suffix == ".parquet" for path in paths):
                return {}  # sharded Parquet: the Hub's layout
            raise DataError(
                f"Several files could be the {split} split: "
                f"{', '.join(path.name for path in paths)}. Name the one with --data.{split}.",
                path=folder,
            )
    return {split: paths[0] for split, paths in found.items()}
