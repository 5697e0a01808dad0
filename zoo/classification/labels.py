"""Labels of the splits: what kind of target they are, their order, and what train lacks."""

from collections.abc import Iterable, Mapping, Sequence

from zoo.classification.modes import Mode

#: Labels named in a sentence; of more only the number is told.
_NAMED = 10
#: Of float32, in which targets are kept.
_LARGEST = 3.4e38


def find_mode(labels: Iterable[str], *, several: bool) -> Mode:
    """What kind of target labels are, where nobody says so.

    Lists of labels are multi-label. Numbers of which some have decimals are regression. All else,
    whole numbers too, is single-label: stars are as likely names of classes as amounts.

    Args:
        labels: All different labels.
        several: Whether the source gives lists of them.
    """
    if several:
        return "multi_label"
    numbers = [as_number(label) for label in labels]
    if None not in numbers and any(value % 1 for value in numbers if value is not None):
        return "regression"
    return "single_label"


def as_number(label: str) -> float | None:
    """The number that a label is; None if it is none, or more than float32 can hold."""
    try:
        value = float(label)
    except ValueError:
        return None
    return value if abs(value) <= _LARGEST else None


def in_order(labels: Iterable[str]) -> list[str]:
    """By the alphabet; numbers by their value."""
    labels = list(labels)
    if labels and all(as_number(label) is not None for label in labels):
        return sorted(labels, key=lambda label: (as_number(label) or 0.0, label))
    return sorted(labels)


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
