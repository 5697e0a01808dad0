"""The baseline that needs no model: a dictionary of the entities of the training data."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from zoo.ner.encoding import OUTSIDE, entities_of


class Lookup:
    """Tags the longest stretch of words that was an entity in train, from left to right.

    A stretch that had several types gets its most frequent one. Case matters.

    Args:
        types: For each known stretch of words its type.
    """

    def __init__(self, types: dict[tuple[str, ...], str]):
        self._types = types
        self._longest = max(map(len, types), default=0)

    @classmethod
    def of(cls, sentences: Iterable[tuple[Sequence[str], Sequence[str]]]) -> "Lookup":
        """Learn from pairs of tokens and BIO tags."""
        seen: defaultdict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
        for tokens, tags in sentences:
            for entity in entities_of(tags):
                seen[tuple(tokens[entity.start : entity.end])][entity.type] += 1
        # Ties go to the first name in the alphabet, so that the score is the same everywhere.
        return cls(
            {
                words: min(counts, key=lambda name, counts=counts: (-counts[name], name))  # type: ignore[misc]
                for words, counts in seen.items()
            }
        )

    @property
    def types(self) -> list[str]:
        """All types that it can predict."""
        return sorted(set(self._types.values()))

    def tag(self, tokens: Sequence[str]) -> list[str]:
        """BIO tags of a sentence."""
        tags: list[str] = []
        while len(tags) < len(tokens):
            start = len(tags)
            for end in range(min(len(tokens), start + self._longest), start, -1):
                name = self._types.get(tuple(tokens[start:end]))
                if name is not None:
                    tags += [f"B-{name}", *[f"I-{name}"] * (end - start - 1)]
                    break
            else:
                tags.append(OUTSIDE)
        return tags
