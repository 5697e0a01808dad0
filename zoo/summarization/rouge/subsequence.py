"""Longest common subsequences of tokens, a row of the table at a time in the bits of one integer.

Bit j of a row is 0 where the table grows by one from column j to j + 1 (Hyyrö 2004, "Bit-parallel
LCS-length computation revisited"): a few operations on integers take the place of a loop.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from math import isqrt

#: Rows that are kept at once, at least.
_ROWS = 128


def common_length(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common subsequence."""
    longer, shorter = (first, second) if len(first) > len(second) else (second, first)
    # What both end with belongs to it in any case; equal texts are done with here.
    end = _common_end(longer, shorter)
    width = len(shorter) - end
    if not width:
        return end
    words = longer[: len(longer) - end]
    row = deque(_rows(words, _places(shorter[:width], words), width), maxlen=1)[0]
    return end + width - row.bit_count()


def common_places(reference: Sequence[str], prediction: Sequence[str]) -> list[int]:
    """Places in the reference of one longest common subsequence, falling.

    Of several it is the one that rouge-score finds: going back from both ends, equal tokens are
    always taken, else the reference's token is passed over if that costs nothing.
    """
    end = _common_end(reference, prediction)
    found = list(range(len(reference) - 1, len(reference) - 1 - end, -1))
    column = len(prediction) - end
    places = _places(prediction[:column], reference)
    # Tokens that the prediction lacks change nothing, neither in the table nor going back.
    kept = [at for at in range(len(reference) - end) if reference[at] in places]
    # Rows are made again from every block's first, so that memory grows by the root of the length.
    block = max(_ROWS, isqrt(len(kept)))
    words = [reference[at] for at in kept]
    starts = [(1 << column) - 1]
    if len(kept) > block:
        starts = [*islice(_rows(words, places, column), 0, None, block)]
    for number in range((len(kept) - 1) // block, -1, -1):
        begin = number * block
        rows = list(_rows(words[begin : begin + block], places, column, starts[number]))
        for inside in range(len(rows) - 2, -1, -1):
            at = kept[begin + inside]
            token, above, row = reference[at], rows[inside], rows[inside + 1]
            while column and prediction[column - 1] != token:
                # Zeros count: the row above has as many before this column where the token did
                # not make the subsequence longer.
                before = (1 << column) - 1
                if (row & before).bit_count() == (above & before).bit_count():
                    break
                column -= 1
            if column and prediction[column - 1] == token:
                found.append(at)
                column -= 1
    return found


def _common_end(first: Sequence[str], second: Sequence[str]) -> int:
    """How many tokens at the end are the same."""
    end = 0
    for one, other in zip(reversed(first), reversed(second), strict=False):
        if one != other:
            break
        end += 1
    return end


def _places(columns: Sequence[str], rows: Sequence[str]) -> dict[str, int]:
    """The columns in which each token stands, as bits; of tokens that are in the rows too."""
    places = dict.fromkeys(rows, 0)
    for at, token in enumerate(columns):
        if token in places:
            places[token] |= 1 << at
    return {token: bits for token, bits in places.items() if bits}


def _rows(
    tokens: Sequence[str], places: dict[str, int], width: int, first: int | None = None
) -> Iterator[int]:
    """The row before the first token (as given, else the table's first), and that after each."""
    full = (1 << width) - 1
    row = full if first is None else first
    yield row
    for token in tokens:
        if (bits := places.get(token)) is not None:
            both = row & bits
            row = ((row + both) | (row - both)) & full
        yield row
