"""The baseline: a dictionary of training entities, against one written as plainly as can be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.ner.lookup import Lookup

Sentences = list[tuple[list[str], list[str]]]

_TRAIN: Sentences = [
    (
        ["Ada", "lived", "in", "New", "York", "City", "."],
        ["B-PER", "O", "O", "B-LOC", "I-LOC", "I-LOC", "O"],
    ),
    (["New", "York", "won", "against", "Jordan"], ["B-ORG", "I-ORG", "O", "O", "B-PER"]),
    (["Jordan", "is", "a", "country", ",", "Jordan"], ["B-LOC", "O", "O", "O", "O", "B-LOC"]),
]


@pytest.mark.parametrize(
    ("sentence", "tags"),
    [
        # The longest stretch wins over the shorter one that begins it.
        ("in New York City", "O B-LOC I-LOC I-LOC"),
        ("in New York State", "O B-ORG I-ORG O"),
        # Twice a place, once a person.
        ("Jordan met Ada", "B-LOC O B-PER"),
        # Case matters, and parts of an entity are no entity.
        ("ada left York", "O O O"),
        # Left to right: what is used up is not used again.
        ("New York New York City", "B-ORG I-ORG B-LOC I-LOC I-LOC"),
        ("Ada Ada", "B-PER B-PER"),
        ("", ""),
    ],
)
def test_sentences_worked_by_hand(sentence: str, tags: str) -> None:
    assert Lookup.of(_TRAIN).tag(sentence.split()) == tags.split()


def test_a_tie_between_types_goes_to_the_first_in_the_alphabet() -> None:
    tied: Sentences = [(["Jordan"], ["B-PER"]), (["Jordan"], ["B-LOC"])]
    assert Lookup.of(tied).tag(["Jordan"]) == ["B-LOC"]
    assert Lookup.of(tied[::-1]).tag(["Jordan"]) == ["B-LOC"]


def test_types_are_those_that_it_can_predict() -> None:
    assert Lookup.of(_TRAIN).types == ["LOC", "ORG", "PER"]
    twice: Sentences = [(["Jordan"], ["B-PER"])] * 2 + [(["Jordan"], ["B-LOC"])]
    assert Lookup.of(twice).types == ["PER"]


def test_without_entities_in_train_everything_is_outside() -> None:
    lookup = Lookup.of([(["a", "b"], ["O", "I-PER"])])
    assert lookup.types == []
    assert lookup.tag(["a", "b"]) == ["O", "O"]


def _slow_tags(train: Sentences, tokens: list[str]) -> list[str]:
    """By strings and lists of strings only: every stretch of every sentence is looked at."""
    seen: list[tuple[str, str]] = []
    for words, tags in train:
        for start in range(len(words)):
            for end in range(start + 1, len(words) + 1):
                name = tags[start][2:]
                inside = [f"B-{name}"] + [f"I-{name}"] * (end - start - 1)
                goes_on = end < len(words) and tags[end] == f"I-{name}"
                if tags[start:end] == inside and not goes_on:
                    seen.append((" ".join(words[start:end]), name))
    result = ["O"] * len(tokens)
    at = 0
    while at < len(tokens):
        fits = [
            end
            for end in range(at + 1, len(tokens) + 1)
            if " ".join(tokens[at:end]) in [text for text, _ in seen]
        ]
        if not fits:
            at += 1
            continue
        names = [name for text, name in seen if text == " ".join(tokens[at : fits[-1]])]
        name = sorted(sorted(set(names)), key=names.count, reverse=True)[0]
        result[at : fits[-1]] = [f"B-{name}"] + [f"I-{name}"] * (fits[-1] - at - 1)
        at = fits[-1]
    return result


_tags = st.sampled_from(["O", "B-X", "I-X", "B-Y", "I-Y"])
_words = st.sampled_from(["a", "b", "A"])
_sentence = st.lists(st.tuples(_words, _tags), max_size=8).map(
    lambda pairs: ([word for word, _ in pairs], [tag for _, tag in pairs])
)


@given(st.lists(_sentence, max_size=5), st.lists(_words, max_size=12))
def test_tags_equal_those_of_a_slow_dictionary(train: Sentences, tokens: list[str]) -> None:
    assert Lookup.of(train).tag(tokens) == _slow_tags(train, tokens)
