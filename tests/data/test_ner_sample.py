"""The NER sample corpus keeps what its datasheet promises."""

import importlib.util
import re
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "data" / "ner"
SPLITS = ("train", "validation", "test")
TYPES = ("EVENT", "LOC", "ORG", "PER", "PRODUCT")
DATASHEET = (FOLDER / "README.md").read_text(encoding="utf-8")

Sentence = tuple[tuple[str, ...], tuple[str, ...]]
Words = tuple[str, ...]
Entity = tuple[int, int, str]


def read(split: str) -> list[Sentence]:
    text = (FOLDER / f"{split}.conll").read_text(encoding="utf-8")
    sentences = []
    for block in text.removesuffix("\n").split("\n\n"):
        rows = [line.split("\t") for line in block.split("\n")]
        tokens, tags = zip(*rows, strict=True)
        sentences.append((tokens, tags))
    return sentences


def entities(tags: tuple[str, ...]) -> list[Entity]:
    """Entities of valid IOB2 tags: every B starts one and the I after it go on."""
    spans: list[Entity] = []
    for i, tag in enumerate(tags):
        if tag.startswith("B-"):
            spans.append((i, i + 1, tag[2:]))
        elif tag.startswith("I-"):
            start, _, name = spans.pop()
            spans.append((start, i + 1, name))
    return spans


def mentions(split: str) -> list[tuple[Words, str]]:
    return [
        (tokens[start:end], name)
        for tokens, tags in read(split)
        for start, end, name in entities(tags)
    ]


def lookup_f1(split: str) -> float:
    """Strict F1 of the dictionary of train: longest match first, from left to right."""
    counts: defaultdict[Words, Counter[str]] = defaultdict(Counter)
    for words, name in mentions("train"):
        counts[words][name] += 1
    types = {words: min(c, key=lambda name: (-c[name], name)) for words, c in counts.items()}
    longest = max(map(len, types))
    right = total = 0
    for tokens, tags in read(split):
        found: set[Entity] = set()
        start = 0
        while start < len(tokens):
            ends = range(min(start + longest, len(tokens)), start, -1)
            end = next((end for end in ends if tokens[start:end] in types), None)
            if end is not None:
                found.add((start, end, types[tokens[start:end]]))
            start = end or start + 1
        wanted = set(entities(tags))
        right += len(found & wanted)
        total += len(found) + len(wanted)
    return 2 * right / total


def patterns() -> dict[str, list[str]]:
    """The pattern of every sentence, from the generator."""
    spec = importlib.util.spec_from_file_location("ner_sample_generator", FOLDER / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    corpus = generator.corpus()
    return {split: [sentence.pattern for sentence in corpus[split]] for split in SPLITS}


def claimed(what: str) -> str:
    """The numbers that the datasheet gives for a property, from the row of a table."""
    found = re.search(rf"^\| {re.escape(what)} \|(.+)\|$", DATASHEET, flags=re.MULTILINE)
    assert found is not None, f"the datasheet has no row '{what}'"
    return found[1].strip()


def row(*numbers: str) -> str:
    """Numbers as they stand in such a row."""
    return " | ".join(numbers)


def percent(share: float) -> str:
    return f"{share:.0%}".replace("%", " %")


def test_generator_rewrites_the_shipped_files_byte_for_byte(tmp_path: Path) -> None:
    command = [sys.executable, str(FOLDER / "generate.py"), "--out", str(tmp_path)]
    subprocess.run(command, check=True, cwd=tmp_path)
    for split in SPLITS:
        written = (tmp_path / f"{split}.conll").read_bytes()
        assert written == (FOLDER / f"{split}.conll").read_bytes()


@pytest.mark.parametrize("split", SPLITS)
def test_every_line_is_a_token_and_a_tag_and_one_blank_line_parts_sentences(split: str) -> None:
    text = (FOLDER / f"{split}.conll").read_bytes().decode("utf-8")
    sentence = r"(?:[^\s]+\t(?:O|[BI]-[A-Z]+)\n)+"
    assert re.fullmatch(rf"{sentence}(?:\n{sentence})*", text)


@pytest.mark.parametrize("split", SPLITS)
def test_every_inside_tag_follows_a_tag_of_its_own_type(split: str) -> None:
    for tokens, tags in read(split):
        for before, tag in zip(("O", *tags), tags, strict=False):
            if tag.startswith("I-"):
                assert before in (f"B-{tag[2:]}", tag), tokens


@pytest.mark.parametrize("split", SPLITS)
def test_sentences_have_between_8_and_30_tokens(split: str) -> None:
    assert all(8 <= len(tokens) <= 30 for tokens, _ in read(split))


@pytest.mark.parametrize("split", SPLITS)
def test_no_slot_of_the_grammar_is_left_unfilled(split: str) -> None:
    assert not any(mark in token for tokens, _ in read(split) for token in tokens for mark in "{}|")


def test_no_sentence_occurs_twice_in_the_corpus() -> None:
    sentences = [tokens for split in SPLITS for tokens, _ in read(split)]
    assert len(set(sentences)) == len(sentences)


@pytest.mark.parametrize("split", SPLITS)
def test_datasheet_gives_the_counts_of_the_files(split: str) -> None:
    sentences = read(split)
    counts = Counter(name for _, name in mentions(split))
    assert set(counts) == set(TYPES)
    numbers = [
        len(sentences),
        sum(len(tokens) for tokens, _ in sentences),
        sum(not entities(tags) for _, tags in sentences),
        sum(counts.values()),
        *(counts[name] for name in TYPES),
    ]
    assert claimed(split) == row(*(f"{number:,}" for number in numbers))


def test_datasheet_gives_the_share_of_entities_unseen_in_train() -> None:
    known = {words for words, _ in mentions("train")}
    shares = [
        sum(words not in known for words, _ in found) / len(found)
        for found in map(mentions, ("validation", "test"))
    ]
    assert claimed("entities whose words are no entity in train") == row(*map(percent, shares))
    assert shares[0] < shares[1]


def test_datasheet_gives_the_share_of_words_unseen_in_train() -> None:
    known = {token for tokens, _ in read("train") for token in tokens}
    vocabularies = [
        {token for tokens, _ in read(split) for token in tokens} for split in ("validation", "test")
    ]
    shares = [len(words - known) / len(words) for words in vocabularies]
    assert claimed("different tokens that train lacks") == row(*map(percent, shares))


def test_datasheet_gives_the_share_of_sentences_after_patterns_that_train_lacks() -> None:
    drawn = patterns()
    known = set(drawn["train"])
    shares = [
        sum(pattern not in known for pattern in drawn[split]) / len(drawn[split])
        for split in ("validation", "test")
    ]
    assert claimed("sentences after a pattern that train lacks") == row(*map(percent, shares))


def test_no_pattern_of_test_is_one_of_train_or_validation() -> None:
    drawn = patterns()
    assert not set(drawn["test"]) & {*drawn["train"], *drawn["validation"]}


def test_datasheet_counts_the_plain_words_that_are_part_of_a_name_in_train() -> None:
    parts = {word.lower() for words, _ in mentions("train") for word in words if word[0].isupper()}
    plain = [
        sum(
            tag == "O" and token.islower() and token.isalpha() and len(token) > 3 and token in parts
            for tokens, tags in read(split)
            for token, tag in zip(tokens, tags, strict=True)
        )
        for split in ("validation", "test")
    ]
    claim = claimed("lower-case words outside entities that train has inside a name")
    assert claim == row(*map(str, plain))


def test_train_names_some_things_with_more_than_one_type() -> None:
    types: defaultdict[Words, set[str]] = defaultdict(set)
    for words, name in mentions("train"):
        types[words].add(name)
    assert types["Lincoln",] == {"LOC", "ORG", "PER"}
    assert sum(len(names) > 1 for names in types.values()) >= 15


def test_a_lookup_table_of_train_scores_what_the_datasheet_says() -> None:
    scores = [lookup_f1(split) for split in SPLITS]
    assert claimed("strict F1 of the lookup table") == row(*(f"{score:.3f}" for score in scores))
    assert 0.25 < scores[2] < 0.45
