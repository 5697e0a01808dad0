"""Puts what jsonargparse says of a wrong flag into one sentence."""

import difflib
import inspect
import re
from collections.abc import Iterable, Iterator

from zoo.data.datamodule import TextDataModule
from zoo.training.task import FineTuningTask

_KEY = re.compile(r'Parser key "([^"]+)"')
_NESTED = re.compile(r"NestedArg\(key='([^']+)', val=(.+?)\)")
_INNER = re.compile(r"- --([\w.]+ .+?: expected .+?)\. - ")
_UNKNOWN = re.compile(r"Option '([^']+)' is not accepted")
_EXPECTED = re.compile(r"Expected an? (.+?)(?= - |\. | Given|\.?$)")
_GIVEN = re.compile(r"(?:Given value|Got value): (.+?)(?:\. |\.?$| - )")


def in_one_sentence(message: str, options: Iterable[str]) -> str:
    """A message for the person who typed the flag.

    Args:
        message: What jsonargparse says, on several lines.
        options: All flags that the parser itself knows.
    """
    text = " ".join(dict.fromkeys(message.split("\n")))
    text = " ".join(text.split()).rstrip(".")
    known = [*options, *_settings("model", FineTuningTask), *_settings("data", TextDataModule)]
    part = _KEY.search(text)
    nested = _NESTED.search(text)
    # A setting of a class is refused by a parser of its own, which has come here before.
    inner = _INNER.search(text)
    if part is not None and inner is not None:
        return f"--{part.group(1)}.{inner.group(1)}."
    unknown = _UNKNOWN.search(text)
    if part is not None and unknown is not None:
        flag = f"--{part.group(1)}.{unknown.group(1)}"
        return f"{flag}: there is no such setting.{_near([flag], known)}"
    if part is not None and "Expected" in text:
        flag = f"--{part.group(1)}" + (f".{nested.group(1)}" if nested else "")
        given = nested.group(2).strip("'") if nested else _first(_GIVEN, text)
        wanted = [_plain(kind) for kind in _EXPECTED.findall(text)]
        wanted = [kind for kind in dict.fromkeys(wanted) if kind and kind != "NoneType"]
        return f"{flag} {given}: expected {' or '.join(wanted)}."
    flags = [word.split("=")[0] for word in text.split() if word.startswith("--")]
    return f"{text}.{_near(flags, known)}"


def _plain(kind: str) -> str:
    kind = re.sub(r"<(?:class|enum) '(?:[\w.]*\.)?(\w+)'>", r"\1", kind)
    kind = re.sub(r"^typing\.Literal\[(.+)\]$", r"one of \1", kind)
    kind = re.sub(r"^member of \w+: \{(.+)\}$", r"one of \1", kind)
    names = {"int": "a whole number", "float": "a number", "bool": "true or false"}
    return names.get(kind, {"dict": "a mapping such as {tokens: 0}"}.get(kind, kind))


def _first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found.group(1) if found else ""


def _settings(part: str, base: type) -> Iterator[str]:
    families: list[type] = base.__subclasses__()
    for family in families:
        yield from (f"--{part}.{name}" for name in inspect.signature(family).parameters)


def _near(flags: Iterable[str], known: list[str]) -> str:
    near = [name for flag in flags for name in difflib.get_close_matches(flag, known, n=2)]
    return f" Did you mean {' or '.join(dict.fromkeys(near))}?" if near else ""
