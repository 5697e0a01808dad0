"""What reading yields: tagged sentences, and notes on what reading changed."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TaggedSentence:
    """A sentence as the source has it.

    Attributes:
        tokens: The words.
        tags: One tag a word, in whatever scheme the source uses.
        lines: The 1-based line of each word (of its record, for formats with records; the row's
            number, for Parquet and Hub datasets).
        text: The running text, where the source had it.
        offsets: Start and end of each word in `text`, in code points.
    """

    tokens: list[str]
    tags: list[str]
    lines: list[int]
    text: str | None = None
    offsets: list[tuple[int, int]] | None = None


@dataclass(slots=True)
class ReadingNotes:
    """Counts of what reading changed, to be shown to the person whose data it is.

    Attributes:
        source: The file or dataset, for the notes' wording; reading fills it in.
        overlapping_spans_dropped: Spans that lost to a longer one they overlap.
        duplicate_spans_dropped: Spans that were given more than once, beyond the first.
        spans_snapped_to_words: Spans that started or ended inside a word and were widened.
        empty_sentences_dropped: Records without a single word.
        orphan_inside_tags: `I-` tags read as the start of an entity; reading does not know them,
            `SchemeDetector.orphans` does.
    """

    source: str = ""
    overlapping_spans_dropped: int = 0
    duplicate_spans_dropped: int = 0
    spans_snapped_to_words: int = 0
    empty_sentences_dropped: int = 0
    orphan_inside_tags: int = 0

    def sentences(self) -> list[str]:
        """The notes in words: one sentence for each count that is not zero."""
        place = f" in {self.source}" if self.source else ""
        return [
            f"{count} {noun}{'' if count == 1 else 's'} {what}{place}{why}"
            for count, noun, what, why in (
                (
                    self.overlapping_spans_dropped,
                    "overlapping span",
                    "dropped",
                    " (the longest of each overlap is kept)",
                ),
                (self.duplicate_spans_dropped, "duplicate span", "dropped", ""),
                (
                    self.spans_snapped_to_words,
                    "span",
                    "widened to whole words",
                    "",
                ),
                (self.empty_sentences_dropped, "empty sentence", "dropped", ""),
                (
                    self.orphan_inside_tags,
                    "I- tag",
                    "without a B- before",
                    " (read as the start of an entity)",
                ),
            )
            if count
        ]
