"""The names that users can type, and what is known of each."""

import difflib
from typing import Literal

from zoo.backbones.presets import PRESETS
from zoo.backbones.spec import BackboneSpec, Kind
from zoo.errors import BackboneError

_specs: dict[str, BackboneSpec] = {}


def register(spec: BackboneSpec) -> BackboneSpec:
    """Make a backbone known under its name, for this process.

    Raises:
        BackboneError: The name is taken, or could be mistaken for a Hub id or a folder.
    """
    if "/" in spec.name:
        raise BackboneError(f"A backbone's name may not contain '/', as {spec.name!r} does.")
    if spec.name in _specs:
        raise BackboneError(
            f"A backbone named {spec.name!r} is registered already ({_specs[spec.name].hub_id}). "
            "Choose another name."
        )
    _specs[spec.name] = spec
    return spec


def get(name: str) -> BackboneSpec:
    """The specification registered under a name.

    Raises:
        BackboneError: Nothing is registered under that name; lists near names.
    """
    if name in _specs:
        return _specs[name]
    raise BackboneError(unknown_name(name))


def find(hub_id_or_name: str) -> BackboneSpec | None:
    """The specification of a registered name or of the Hub id behind one, if there is any."""
    if hub_id_or_name in _specs:
        return _specs[hub_id_or_name]
    return next((spec for spec in _specs.values() if spec.hub_id == hub_id_or_name), None)


def names(
    *,
    kind: Kind | None = None,
    language: str | None = None,
    licence: str | None = None,
    max_parameters: int | None = None,
    source: Literal["any", "embedded"] = "any",
) -> list[str]:
    """Names of the registered backbones, smallest first.

    Args:
        kind: Only encoders, or only encoder-decoders.
        language: Only those that were pretrained on this language (ISO 639-1 code).
        licence: Only those under this licence (SPDX identifier, any case).
        max_parameters: Only those with at most so many parameters.
        source: `"embedded"` keeps those whose weights ship with an installed package.
    """
    chosen = [
        spec
        for spec in _specs.values()
        if (kind is None or spec.kind == kind)
        and (language is None or language in spec.languages)
        and (licence is None or spec.licence.lower() == licence.lower())
        and (max_parameters is None or spec.parameters <= max_parameters)
        and (source == "any" or spec.package is not None)
    ]
    return [spec.name for spec in sorted(chosen, key=lambda spec: (spec.parameters, spec.name))]


def unknown_name(name: str) -> str:
    """The sentence for a name that is neither registered, nor a folder, nor a Hub id."""
    near = difflib.get_close_matches(name.lower(), _specs, n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    return (
        f"Unknown backbone {name!r}. {hint}`python -m recipes backbones` lists all. A Hub id "
        "(organisation/model) or a folder with a model also works, and "
        "zoo.backbones.register(BackboneSpec(...)) adds a name."
    )


for _spec in PRESETS:
    register(_spec)
