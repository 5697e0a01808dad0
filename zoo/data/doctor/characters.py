"""Characters that should not be there: what went wrong before the data came to us."""

import unicodedata
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import regex

from zoo.data.doctor.findings import Cases, Finding, Place, Severity, by_share, counted, quoted

# What bytes 0x80 to 0xBF of UTF-8 become when they are read as Windows-1252 or Latin-1.
_CONTINUED = "\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ"
# Only first bytes whose letters hardly ever stand before such signs in any language; others have to
# come twice in a row or between small letters, because `Spaß“` is German and `Å–Ø` may be a title.
_TWICE = "|".join(f"(?:[{letters}][{_CONTINUED}]){{2}}" for letters in ("ÄÅ", "ÎÏ", "ÐÑ", "ØÙ"))
_MOJIBAKE = (
    rf"[ÂÃ][{_CONTINUED}]|â[{_CONTINUED}]{{2}}|ð[{_CONTINUED}]{{3}}|{_TWICE}"
    rf"|(?<=\p{{Ll}})[ÄÅ][{_CONTINUED}](?=\p{{Ll}})"
)


class _Trouble(NamedTuple):
    code: str
    pattern: regex.Pattern[str]
    ascii: bool  # whether ASCII alone can have it
    warning: float  # share of texts from which on it is a warning
    what: str
    advice: str


_TROUBLES = (
    _Trouble(
        "replacement-character",
        regex.compile("\ufffd"),
        False,
        0.0,
        "hold U+FFFD, which stands for a character that was lost in an earlier conversion",
        "Export the data again from its source, as UTF-8.",
    ),
    _Trouble(
        "mojibake",
        regex.compile(_MOJIBAKE),
        False,
        0.0,
        "look like UTF-8 that was read as Latin-1 or Windows-1252 (Ã© for é)",
        "Read the original file as UTF-8, or repair the text (the package ftfy does).",
    ),
    _Trouble(
        "control-character",
        regex.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f]"),
        True,
        0.0,
        "hold control characters, which most tokenizers drop without a word",
        "Take them out, or find out what they stood for.",
    ),
    _Trouble(
        "markup",
        regex.compile(
            r"&(?:amp|lt|gt|quot|apos|nbsp|#\d{2,5}|#x[0-9a-fA-F]{2,5});"
            r"|<(?:br|p|div|span|b|i|a|/[a-z]+)(?:\s[^<>]*)?/?>"
        ),
        True,
        0.1,
        "hold HTML such as &amp; or <br>",
        "If texts to predict will have none, unescape them (html.unescape).",
    ),
    _Trouble(
        "invisible-character",
        # Joiners and variation selectors are parts of emoji and of Indic and Persian words.
        regex.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]"),
        False,
        0.1,
        "hold characters that cannot be seen (zero-width, soft hyphen, direction marks)",
        "Take them out, unless texts to predict will have them too.",
    ),
)
_ANY_OF_ASCII = regex.compile("|".join(one.pattern.pattern for one in _TROUBLES if one.ascii))


class Characters:
    """Looks for trouble with characters in the texts of one split.

    Args:
        noun: What the examples are called, in the plural.
        split: The split.
    """

    def __init__(self, noun: str, split: str):
        self._noun = noun
        self._split = split
        self._total = 0
        self._cases = {one.code: Cases() for one in _TROUBLES}
        self._kinds: dict[str, Counter[str]] = {one.code: Counter() for one in _TROUBLES}

    def add(self, fields: tuple[str, ...], where: str) -> None:
        """Look at the texts of one example."""
        self._total += 1
        for text in fields:
            # Nearly all texts are fine: one look shows it.
            if text.isascii() and not _ANY_OF_ASCII.search(text):
                continue
            for trouble in _TROUBLES:
                found = trouble.pattern.search(text)
                if found is None:
                    continue
                cases = self._cases[trouble.code]
                cases.add(
                    Place(where, quoted(text, around=found.start())) if cases.wanted else None
                )
                self._kinds[trouble.code][found[0]] += 1

    def findings(self) -> Iterator[Finding]:
        """What was found, one finding for each kind of trouble."""
        for trouble in _TROUBLES:
            cases = self._cases[trouble.code]
            if not cases.count:
                continue
            severity = by_share(cases.count, self._total, warning=trouble.warning)
            usual = ", ".join(named(text) for text, _ in self._kinds[trouble.code].most_common(3))
            yield Finding(
                trouble.code,
                severity if trouble.warning else Severity.WARNING,
                f"{counted(cases.count, self._total, f'{self._split} {self._noun}')} "
                f"{trouble.what}: mostly {usual}.",
                trouble.advice,
                tuple(cases.places),
                self._split,
                cases.count,
            )


def named(text: str) -> str:
    """A few characters as they are, or by number and name where they cannot be seen."""
    if (len(text) == 1 and not (text.isprintable() and text.strip())) or _is_mark(text):
        names = (unicodedata.name(one, "") for one in text)
        return " ".join(
            f"U+{ord(one):04X}" + (f" ({name})" if name else "")
            for one, name in zip(text, names, strict=True)
        )
    return text


def _is_mark(text: str) -> bool:
    return all(unicodedata.category(one) in ("Mn", "Me", "Cf", "Cc", "Co") for one in text)
