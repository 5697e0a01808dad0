"""Labels of the splits: their order, and what is said of those that train lacks."""

from collections.abc import Iterable, Mapping, Sequence

#: Labels named in a sentence; of more only the number is told.
_NAMED = 10


def in_order(labels: Iterable[str]) -> list[str]:
    """By the alphabet; numbers by their value."""
    labels = list(labels)
    numbers = all(label.isascii() and label.isdigit() for label in labels)
    return sorted(labels, key=lambda label: (int(label) if numbers else 0, label))


def named(labels: Sequence[str], between: str = ", ") -> str:
    """Some labels in a sentence."""
    more = f" and {len(labels) - _NAMED} more" if len(labels) > _NAMED else ""
    return between.join(labels[:_NAMED]) + more


def notes_on_labels(labels: Mapping[str, Mapping[str, int]]) -> list[str]:
    """A sentence for each split with labels that train lacks.

    Args:
        labels: For each split how often each label occurs.
    """
    train = labels.get("train")
    if train is None:
        return []
    notes = []
    for split, counts in labels.items():
        new = in_order(name for name in counts if name not in train)
        if new:
            total = sum(counts[name] for name in new)
            notes.append(
                f"Label {named(new)} occurs in {split} ({total} times) but never in train: it "
                "cannot be learned, and each of them counts as missed."
            )
    return notes
