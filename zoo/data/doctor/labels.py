"""Labels over the splits: too few, too uneven, spelled twice, or never in train."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from zoo.data.doctor.duplicates import normalized
from zoo.data.doctor.findings import Facts, Finding, Severity, and_more
from zoo.data.sources import Split

#: Examples of train that a label needs to be learned and held out at all.
FEWEST = 2
#: Share of train from which on one label drowns the others.
DROWNS = 0.9
#: The most frequent label of train by the rarest, from which on rare ones will be missed.
UNEVEN = 20
#: Half the sum of all differences of shares between two splits, from which on they are different
#: data; and the chance that one source gives such a difference.
SHIFT, BY_CHANCE = 0.15, 1e-6

#: For each split how often each label occurs.
Counts = Mapping[Split, Mapping[str, int]]

#: Labels that the table shows.
_SHOWN = 20


def label_facts(counts: Counts, *, title: str) -> Facts:
    """The table of labels: how many of each in each split, the most frequent first."""
    total: Counter[str] = Counter()
    for of_split in counts.values():
        total.update(of_split)
    names = [name for name, _ in total.most_common()]
    listed = names if len(names) <= _SHOWN else [*names[: _SHOWN // 2], *names[-_SHOWN // 2 :]]
    rows: list[list[str]] = [
        [name, *(_share(of_split, name) for of_split in counts.values())] for name in listed
    ]
    if len(listed) < len(names):
        rows.insert(_SHOWN // 2, [f"({len(names) - len(listed)} more)", *("..." for _ in counts)])
    return Facts(title, ("label", *counts), rows)


def _share(counts: Mapping[str, int], name: str) -> str:
    count, total = counts.get(name, 0), sum(counts.values())
    return f"{count:,} ({100 * count / total:.1f}%)" if total else "0"


def label_findings(counts: Counts, *, noun: str, examples: str) -> Iterator[Finding]:
    """What is wrong with the labels as a whole.

    Args:
        counts: For each split how often each label occurs.
        noun: What a label is called, such as `label` or `entity type`.
        examples: What they are counted in, in the plural, such as `texts` or `entities`.
    """
    train = counts.get("train")
    yield from _spelled_twice(counts, noun)
    if train is None:
        return
    for split, of_split in counts.items():
        new = sorted(name for name in of_split if name not in train)
        if new:
            total = sum(of_split[name] for name in new)
            yield Finding(
                "label-not-in-train",
                Severity.WARNING,
                f"{noun.capitalize()} {and_more(new)} occurs in {split} ({total:,} {examples}) but "
                "never in train: it cannot be learned, and each of them counts as missed.",
                "Add examples of it to train, or leave it out.",
                split=split,
                count=len(new),
            )
    few = sorted(name for name, count in train.items() if count < FEWEST)
    if few:
        yield Finding(
            "rare-label",
            Severity.WARNING,
            f"{len(few):,} of {len(train):,} {noun}s ({and_more(few)}) have fewer than {FEWEST} "
            f"{examples} in train: too few to learn them.",
            "Add examples, join them with another, or leave them out.",
            split="train",
            count=len(few),
        )
    yield from _uneven(train, noun, examples)
    for split, of_split in counts.items():
        if split != "train":
            yield from _shifted(train, of_split, split, noun)


def _uneven(train: Mapping[str, int], noun: str, examples: str) -> Iterator[Finding]:
    if len(train) < 2:
        return
    total = sum(train.values())
    most, least = max(train, key=train.__getitem__), min(train, key=train.__getitem__)
    if train[most] >= DROWNS * total:
        yield Finding(
            "skewed-labels",
            Severity.WARNING,
            f"{100 * train[most] / total:.1f}% of the {examples} of train are {most}: a model that "
            "always says so looks good.",
            "Look at scores that count all labels alike (f1_macro), and weigh rare ones more.",
            split="train",
        )
    elif train[most] >= UNEVEN * train[least]:
        yield Finding(
            "skewed-labels",
            Severity.NOTE,
            f"The most frequent {noun} of train, {most}, has {train[most]:,} {examples} and the "
            f"rarest, {least}, {train[least]:,}: rare ones will be missed more often.",
            "Look at the scores of each label, not at their mean alone.",
            split="train",
        )


def _spelled_twice(counts: Counts, noun: str) -> Iterator[Finding]:
    spellings: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for of_split in counts.values():
        for name, count in of_split.items():
            spellings[normalized(name.replace("_", " ").replace("-", " "))][name] += count
    for alike in spellings.values():
        if len(alike) > 1:
            shown = " and ".join(f"{name!r} ({count:,})" for name, count in alike.most_common())
            yield Finding(
                "label-spelling",
                Severity.WARNING,
                f"{shown} are two {noun}s for the model, and look like one.",
                "Spell them alike.",
                count=len(alike),
            )


def _shifted(
    train: Mapping[str, int], other: Mapping[str, int], split: str, noun: str
) -> Iterator[Finding]:
    from scipy.stats import chi2_contingency  # type: ignore[import-untyped]

    names = [name for name in {*train, *other} if train.get(name, 0) + other.get(name, 0)]
    totals = sum(train.values()), sum(other.values())
    if len(names) < 2 or not all(totals):
        return
    shares = {
        name: (train.get(name, 0) / totals[0], other.get(name, 0) / totals[1]) for name in names
    }
    distance = sum(abs(one - two) for one, two in shares.values()) / 2
    table = [[of.get(name, 0) for name in names] for of in (train, other)]
    if distance < SHIFT or chi2_contingency(table).pvalue > BY_CHANCE:
        return
    name = max(names, key=lambda one: abs(shares[one][0] - shares[one][1]))
    yield Finding(
        "label-shift",
        Severity.NOTE,
        f"Train and {split} differ in how often each {noun} occurs, most of all {name}: "
        f"{100 * shares[name][0]:.1f}% of train, {100 * shares[name][1]:.1f}% of {split}.",
        f"If {split} is to stand for what the model will meet, train should look like it.",
        split=split,
    )
