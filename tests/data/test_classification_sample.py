"""The sample corpora for text classification keep what their datasheet promises."""

import csv
import importlib.util
import json
import re
import statistics
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).parents[2] / "data" / "classification"
CORPORA = ("sample", "multilabel", "pairs", "regression")
SPLITS = ("train", "validation", "test")
FORMATS = {"sample": "csv", "multilabel": "jsonl", "pairs": "tsv", "regression": "tsv"}
HEADERS = {
    "sample": ["text", "label"],
    "pairs": ["text1", "text2", "label"],
    "regression": ["id", "score", "text"],
}
LABELS = {
    "sample": (
        *("building", "charges", "childcare", "library"),
        *("noise", "records", "streets", "waste"),
    ),
    "multilabel": ("bed", "food", "location", "parking", "price", "staff", "wifi"),
    "pairs": ("contradiction", "entailment", "neutral"),
}
DATASHEET = (FOLDER / "README.md").read_text(encoding="utf-8")

Texts = tuple[str, ...]
Row = tuple[Texts, tuple[str, ...]]

every_file = pytest.mark.parametrize(
    ("name", "split"), [(name, split) for name in CORPORA for split in SPLITS]
)
every_corpus = pytest.mark.parametrize("name", CORPORA)


def path(name: str, split: str) -> Path:
    return FOLDER / name / f"{split}.{FORMATS[name]}"


def read_table(name: str, split: str) -> list[list[str]]:
    delimiter = "," if FORMATS[name] == "csv" else "\t"
    with path(name, split).open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file, delimiter=delimiter, strict=True))


def read(name: str, split: str) -> list[Row]:
    """The texts of every example and its labels, or its score."""
    if name == "multilabel":
        lines = path(name, split).read_text(encoding="utf-8").splitlines()
        reviews = [json.loads(line) for line in lines]
        return [((review["text"],), tuple(review["labels"])) for review in reviews]
    rows = read_table(name, split)[1:]
    if name == "regression":
        return [((text,), (score,)) for _, score, text in rows]
    return [(tuple(texts), (label,)) for *texts, label in rows]


@cache
def load(module: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        f"classification_sample_{module}", FOLDER / f"{module}.py"
    )
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up there.
    sys.modules[spec.name] = loaded
    spec.loader.exec_module(loaded)
    return loaded


@cache
def patterns(name: str) -> dict[str, list[tuple[str, ...]]]:
    """The patterns of every example, from the generator."""
    corpus = load("generate").corpus(name)
    return {split: [example.patterns for example in corpus[split]] for split in SPLITS}


def words(texts: Texts) -> list[str]:
    return re.findall(r"[^\W_]+(?:['-][^\W_]+)*", " ".join(texts).lower())


def claimed(what: str) -> str:
    """The numbers that the datasheet gives for a property, from the row of a table."""
    found = re.search(rf"^\| {re.escape(what)} \|(.+)\|$", DATASHEET, flags=re.MULTILINE)
    assert found is not None, f"the datasheet has no row '{what}'"
    return found[1].strip()


def row(*numbers: int) -> str:
    """Numbers as they stand in such a row."""
    return " | ".join(f"{number:,}" for number in numbers)


def percent(*shares: float) -> str:
    return " | ".join(f"{share:.0%}".replace("%", " %") for share in shares)


def test_generator_rewrites_the_shipped_files_byte_for_byte(tmp_path: Path) -> None:
    command = [sys.executable, str(FOLDER / "generate.py"), "--out", str(tmp_path)]
    subprocess.run(command, check=True, cwd=tmp_path)
    written = {file.relative_to(tmp_path) for file in tmp_path.rglob("*.*")}
    assert written == {
        path(name, split).relative_to(FOLDER) for name in CORPORA for split in SPLITS
    }
    for file in written:
        assert (tmp_path / file).read_bytes() == (FOLDER / file).read_bytes()


@every_corpus
def test_a_corpus_has_less_than_250_kilobytes(name: str) -> None:
    assert sum(path(name, split).stat().st_size for split in SPLITS) < 250_000


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("name", HEADERS)
def test_tables_have_the_header_and_as_many_fields_in_every_row(name: str, split: str) -> None:
    header, *rows = read_table(name, split)
    assert header == HEADERS[name]
    assert {len(fields) for fields in rows} == {len(header)}


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("name", ["pairs", "regression"])
def test_tsv_reads_the_same_with_and_without_quoting(name: str, split: str) -> None:
    text = path(name, split).read_text(encoding="utf-8")
    assert [line.split("\t") for line in text.splitlines()] == read_table(name, split)


@pytest.mark.parametrize("split", SPLITS)
def test_reviews_are_objects_with_a_text_and_labels(split: str) -> None:
    for line in path("multilabel", split).read_text(encoding="utf-8").splitlines():
        review = json.loads(line)
        assert list(review) == ["text", "labels"]
        assert isinstance(review["text"], str)
        assert len(set(review["labels"])) == len(review["labels"]) <= 3


@pytest.mark.parametrize("split", SPLITS)
def test_scores_lie_between_0_and_10_with_one_decimal_and_ids_count_up(split: str) -> None:
    rows = read_table("regression", split)[1:]
    assert [name for name, _, _ in rows] == [f"{split}-{i:04}" for i in range(1, len(rows) + 1)]
    assert all(re.fullmatch(r"\d\.\d|10\.0", score) for _, score, _ in rows)


@every_file
def test_texts_are_neat_and_have_between_8_and_40_words(name: str, split: str) -> None:
    for texts, _ in read(name, split):
        assert 8 <= sum(len(text.split()) for text in texts) <= 40
        assert not any(mark in text for text in texts for mark in "{}|\t")
        assert all(text == text.strip() and "  " not in text for text in texts)
        assert not any(re.search(r"[.!?][A-Za-z]|[.!?] [a-z]| \n", text) for text in texts)


@every_corpus
def test_no_text_occurs_twice_in_the_corpus(name: str) -> None:
    examples = [tuple(words(texts)) for split in SPLITS for texts, _ in read(name, split)]
    assert len(set(examples)) == len(examples)


@every_corpus
def test_most_texts_of_test_have_a_pattern_that_neither_train_nor_validation_has(name: str) -> None:
    pools = {split: {p for used in patterns(name)[split] for p in used} for split in SPLITS}
    others = pools["train"] | pools["validation"]
    texts = patterns(name)["test"]
    assert 0.5 < sum(not set(used) <= others for used in texts) / len(texts) < 0.9


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("name", LABELS)
def test_datasheet_gives_the_counts_of_the_files(name: str, split: str) -> None:
    rows = read(name, split)
    counts = Counter(label for _, labels in rows for label in labels)
    assert set(counts) == set(LABELS[name])
    numbers = [len(rows), sum(len(words(texts)) for texts, _ in rows)]
    if name == "multilabel":
        numbers += [sum(len(labels) == count for _, labels in rows) for count in range(4)]
    numbers += [counts[label] for label in LABELS[name]]
    assert claimed(f"{name}, {split}") == row(*numbers)


@pytest.mark.parametrize("split", SPLITS)
def test_datasheet_describes_the_scores(split: str) -> None:
    rows = read("regression", split)
    scores = [float(score) for _, (score,) in rows]
    counts = row(len(rows), sum(len(words(texts)) for texts, _ in rows))
    ends = row(sum(score == 0 for score in scores), sum(score == 10 for score in scores))
    middle = f"{statistics.mean(scores):.2f} | {statistics.pstdev(scores):.2f}"
    assert claimed(f"regression, {split}") == f"{counts} | {middle} | {ends}"


@every_corpus
def test_datasheet_gives_the_share_of_words_unseen_in_train(name: str) -> None:
    known = {word for texts, _ in read(name, "train") for word in words(texts)}
    shares = []
    for split in ("validation", "test"):
        found = {word for texts, _ in read(name, split) for word in words(texts)}
        shares.append(len(found - known) / len(found))
    assert claimed(f"{name}: different words that train lacks") == percent(*shares)


@every_corpus
def test_datasheet_gives_the_share_of_texts_with_a_pattern_that_train_lacks(name: str) -> None:
    known = {pattern for used in patterns(name)["train"] for pattern in used}
    shares = [
        sum(not set(used) <= known for used in patterns(name)[split]) / len(patterns(name)[split])
        for split in ("validation", "test")
    ]
    assert claimed(f"{name}: texts with a pattern that train lacks") == percent(*shares)


def test_datasheet_gives_the_share_of_letters_that_mention_another_topic() -> None:
    shares = [
        statistics.mean("{other." in used[0] for used in patterns("sample")[split])
        for split in ("validation", "test")
    ]
    assert claimed("sample: letters that mention another topic") == percent(*shares)


def test_letters_have_commas_quotes_and_newlines_inside_fields() -> None:
    for split in SPLITS:
        letters = [texts[0] for texts, _ in read("sample", split)]
        assert all(sum(mark in text for text in letters) >= 5 for mark in (",", '"', "\n"))


def test_the_wish_comes_first_about_as_often_as_last() -> None:
    for split in SPLITS:
        mixed = [used[0] for used in patterns("sample")[split] if "{other." in used[0]]
        first = [pattern.index("{wish.") < pattern.index("{other.") for pattern in mixed]
        assert 0.4 < statistics.mean(first) < 0.6


@pytest.mark.parametrize(
    ("name", "metric", "low", "high"),
    [
        ("sample", "accuracy", 0.35, 0.55),
        ("multilabel", "macro F1", 0.05, 0.25),
        ("multilabel, fitted thresholds", "macro F1", 0.3, 0.55),
        ("pairs", "accuracy", 0.28, 0.42),
        ("regression", "Spearman", 0.25, 0.5),
    ],
)
def test_bag_of_words_scores_what_the_datasheet_says(
    name: str, metric: str, low: float, high: float
) -> None:
    pytest.importorskip("sklearn")
    scores: list[float] = load("baselines").scores(name)
    numbers = claimed(f"{name}: {metric} of bag-of-words").split(" | ")
    assert [float(number) for number in numbers] == pytest.approx(scores, abs=0.02)
    assert low < scores[2] < high
