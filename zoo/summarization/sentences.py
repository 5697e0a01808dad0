"""Where the sentences of a text are, in any language and without a network.

The rules are those of sentencex (Wikimedia), which knows the abbreviations and marks of many
languages, with one addition: a line break always ends a sentence.
"""

import re

_LINE = re.compile(r"[^\n\r\v\f\x85\u2028\u2029]+")
# Not text that UTF-8 can hold; JSON files with half an emoji have them.
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def sentence_spans(text: str, *, language: str = "en") -> list[tuple[int, int]]:
    """Find the sentences of a text.

    Args:
        text: Any text.
        language: ISO 639-1 code; of a language without rules of its own, those of a related one
            or of English are used.

    Returns:
        Start and end of each sentence in code points, in order, without overlap, white space at
        both ends left out, none empty. Together they hold everything but white space.
    """
    spans: list[tuple[int, int]] = []
    for line in _LINE.finditer(_SURROGATE.sub("\ufffd", text)):
        if line[0].isspace():
            continue
        for start, end in _boundaries(language, line[0]):
            found = line[0][start:end]
            blanks = len(found) - len(found.lstrip())
            if size := len(found.strip()):
                first = line.start() + start + blanks
                spans.append((first, first + size))
    return spans


def _boundaries(language: str, line: str) -> list[tuple[int, int]]:
    # Here, so that importing the module needs no compiled library.
    from sentencex import get_sentence_boundaries

    found = get_sentence_boundaries(language, line)
    return [(one["start_index"], one["end_index"]) for one in found]
