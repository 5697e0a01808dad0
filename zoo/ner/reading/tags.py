"""One tag: its parts, and what may be wrong with it."""

from zoo.errors import DataError

_PREFIXES = ("B", "I", "E", "S", "L", "U", "M")


def parse_tag(tag: str) -> tuple[str, str]:
    """Split a tag at its first hyphen.

    Returns:
        The prefix and the entity's type; `("O", "")` for `O`.

    Raises:
        DataError: The tag is not `O` or a known prefix, a hyphen and a type.
    """
    if tag == "O":
        return "O", ""
    prefix, hyphen, name = tag.partition("-")
    if hyphen and name and prefix in _PREFIXES:
        return prefix, name
    raise DataError(f"the tag {tag!r} {_what_is_wrong(tag)} Tags are O or PREFIX-TYPE, as B-PER.")


def _what_is_wrong(tag: str) -> str:
    if not tag.strip():
        return "is blank."
    if tag == "o" or (tag[0].islower() and tag[1:2] == "-" and tag[0].upper() in _PREFIXES):
        return f"must have its prefix in upper case: {tag[0].upper() + tag[1:]}."
    if tag in _PREFIXES or (tag[0] in _PREFIXES and tag[1:] == "-"):
        return f"has no type. If there is only one, name it, such as {tag[0]}-ENTITY."
    if tag[0] in _PREFIXES and tag[1] in "_:/|":
        return f"needs a hyphen after its prefix: {tag[0]}-{tag[2:] or 'TYPE'}."
    head, hyphen, last = tag.rpartition("-")
    if hyphen and last in _PREFIXES:
        return f"must have its prefix first: {last}-{head}."
    prefix, hyphen, _ = tag.partition("-")
    if hyphen and len(prefix) <= 1:
        return f"has the unknown prefix {prefix!r} (known: {', '.join(_PREFIXES)})."
    return f"has no prefix. If words are tagged with bare types, write I-{tag}."
