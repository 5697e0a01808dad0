"""Planted faults in labelled texts, and what real corpora are known for."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zoo.classification.datamodule import ClassificationDataModule
from zoo.classification.doctor import examine
from zoo.classification.suspects import find_suspects
from zoo.data.doctor.findings import Examination, Finding, Severity

Rows = list[list[str]]
Corpus = dict[str, Rows]
SIZES = {"train": 120, "validation": 60, "test": 60}
#: Words that go with each label: even a bag of words learns it.
WORDS = {"food": "soup bread cheese", "ships": "mast sail anchor", "trees": "oak leaf bark"}


def clean() -> Corpus:
    corpus: Corpus = {}
    number = 0
    for split, size in SIZES.items():
        corpus[split] = []
        for at in range(size):
            number += 1
            label = list(WORDS)[at % 3]
            corpus[split].append([f"{WORDS[label]} number {1000 + number} of them", label])
    return corpus


def write(corpus: Corpus, folder: Path) -> dict[str, str]:
    files = {}
    for split, rows in corpus.items():
        path = folder / f"{split}.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([["text", "label"], *rows])
        files[split] = str(path)
    return files


def found(examination: Examination, code: str) -> list[Finding]:
    return [finding for finding in examination.findings if finding.code == code]


def leaked_into_test(corpus: Corpus) -> None:
    corpus["test"][:6] = corpus["train"][:6]


def leaked_a_little(corpus: Corpus) -> None:
    # Other white space and case, and an é in two characters: the same text all the same.
    corpus["train"][4][0] = "caf\u00e9 number one of them"
    corpus["test"][4][0] = "CAFE\u0301  number one\tof them"
    corpus["test"][4][1] = corpus["train"][4][1]


def contradicting(corpus: Corpus) -> None:
    corpus["train"][1][0] = corpus["train"][0][0]


def only_in_test(corpus: Corpus) -> None:
    corpus["test"][0][1] = "metals"


def rare(corpus: Corpus) -> None:
    corpus["train"][0][1] = "metals"


def skewed(corpus: Corpus) -> None:
    for row in corpus["train"][:-6]:
        row[1] = "food"


def spelled_twice(corpus: Corpus) -> None:
    for row in corpus["train"][:30]:
        row[1] = row[1].title()


def empty(corpus: Corpus) -> None:
    corpus["train"][7][0] = "  "


def misread(corpus: Corpus) -> None:
    corpus["train"][3][0] += " naïve".encode().decode("cp1252")


def markup(corpus: Corpus) -> None:
    for row in corpus["test"][:12]:
        row[0] += " &amp; more<br/>"


def unseen(corpus: Corpus) -> None:
    for row in corpus["test"][:20]:
        row[0] += " a\u200bb"


def too_long(corpus: Corpus) -> None:
    for row in corpus["train"][:12]:
        row[0] += " and so on" * 100


def label_per_text(corpus: Corpus) -> None:
    for at, row in enumerate(corpus["train"]):
        row[1] = f"label {at}"


def one_label(corpus: Corpus) -> None:
    for rows in corpus.values():
        for row in rows:
            row[1] = "food"


def few(corpus: Corpus) -> None:
    del corpus["test"][10:]


def unlabelled(corpus: Corpus) -> None:
    for at in (2, 50, 51):
        corpus["train"][at][1] = ""


def slip(corpus: Corpus) -> None:
    corpus["train"][3][1] = "ships"  # bread and cheese


E, W, N = Severity.ERROR, Severity.WARNING, Severity.NOTE
PLANTED: dict[Callable[[Corpus], None], tuple[str, Severity, int]] = {
    leaked_into_test: ("leak", E, 6),
    leaked_a_little: ("leak", W, 1),
    contradicting: ("contradiction", W, 1),
    only_in_test: ("label-not-in-train", W, 1),
    rare: ("rare-label", W, 1),
    skewed: ("skewed-labels", W, 1),
    spelled_twice: ("label-spelling", W, 6),  # three labels in two spellings each
    empty: ("empty-text", W, 1),
    misread: ("mojibake", W, 1),
    markup: ("markup", W, 12),
    unseen: ("invisible-character", W, 20),
    too_long: ("truncated", W, 12),
    label_per_text: ("label-per-text", E, 120),
    one_label: ("nothing-to-learn", E, 1),
    few: ("few-examples", W, 10),
    unlabelled: ("unreadable", E, 3),
    slip: ("unlikely-label", N, 1),
}


def examined(corpus: Corpus, folder: Path, backbone: Path, **options: Any) -> Examination:
    files: dict[str, Any] = write(corpus, folder)
    return examine(ClassificationDataModule(backbone=str(backbone), **files, **options))


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_a_planted_fault_is_found(
    plant: Callable[[Corpus], None], tmp_path: Path, tiny: Callable[[str], Path]
) -> None:
    code, severity, count = PLANTED[plant]
    corpus = clean()
    plant(corpus)
    findings = found(examined(corpus, tmp_path, tiny("bert")), code)
    assert findings
    assert {one.severity for one in findings} == {severity}
    assert sum(one.count for one in findings) == count


def test_a_clean_corpus_has_none_of_them(tmp_path: Path, tiny: Callable[[str], Path]) -> None:
    examination = examined(clean(), tmp_path, tiny("bert"))
    assert {finding.code for finding in examination.findings} <= {"unknown-token"}


def test_a_script_that_the_backbone_cannot_read_is_an_error(
    tmp_path: Path, tiny: Callable[[str], Path]
) -> None:
    corpus = clean()
    for rows in corpus.values():
        for at, row in enumerate(rows):
            row[0] = "ქართული ენა არის აქ " * 3 + chr(0x10D0 + at % 30) * (at // 30 + 1)
    findings = found(examined(corpus, tmp_path, tiny("bert")), "unknown-token")
    assert {one.severity for one in findings} == {Severity.ERROR}
    assert "ა" in findings[0].what  # the letters are named


def test_rows_of_several_lines_that_cannot_be_read_go_as_a_whole(
    tmp_path: Path, tiny: Callable[[str], Path]
) -> None:
    corpus = clean()
    corpus["train"][5] = ["one\ntwo\nthree", ""]
    examination = examined(corpus, tmp_path, tiny("bert"))
    (finding,) = found(examination, "unreadable")
    assert finding.places[0].where.endswith("train.csv:7")
    assert examination.facts[0].rows[0][2] == "119"


def test_a_file_in_which_no_row_can_be_read_is_one_error(
    tmp_path: Path, tiny: Callable[[str], Path]
) -> None:
    corpus = clean()
    corpus["train"] = [[text, ""] for text, _ in corpus["train"]]
    examination = examined(corpus, tmp_path, tiny("bert"))
    (finding,) = found(examination, "unreadable")
    assert "from its first line on: the label is empty" in finding.what
    # What can be read is examined all the same.
    assert [row[0] for row in examination.facts[0].rows] == ["validation", "test"]


def test_numbers_that_stand_out_are_found(tmp_path: Path, tiny: Callable[[str], Path]) -> None:
    corpus = clean()
    for rows in corpus.values():
        for at, row in enumerate(rows):
            row[1] = f"{at % 7 / 2}"
    corpus["train"][9][1] = "350.0"
    corpus["train"][20][0] = corpus["train"][21][0]
    examination = examined(corpus, tmp_path, tiny("bert"))
    assert found(examination, "duplicate")
    assert not found(examination, "contradiction")  # two ratings of one text differ a little
    (finding,) = found(examination, "far-target")
    assert finding.count == 1
    assert finding.places[0].where.endswith("train.csv:11")


def test_a_pair_of_a_text_with_itself_is_found(tmp_path: Path, tiny: Callable[[str], Path]) -> None:
    files: dict[str, Any] = {}
    for split, rows in clean().items():
        lines = [
            {"text": text, "text2": f"not {text}", "label": label, "id": at}
            for at, (text, label) in enumerate(rows)
        ]
        lines[4]["text2"] = str(lines[4]["text"]).upper()
        path = tmp_path / f"{split}.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        files[split] = str(path)
    data = ClassificationDataModule(backbone=str(tiny("bert")), **files)
    assert [one.count for one in found(examine(data), "same-pair")] == [1, 1, 1]


def test_suspects_are_the_labels_that_were_exchanged() -> None:
    texts, labels = zip(*(row for rows in clean().values() for row in rows), strict=True)
    given = list(labels)
    wrong = [10, 100, 200]
    for row in wrong:
        given[row] = next(label for label in WORDS if label != labels[row])
    result = find_suspects(texts, given)
    assert sorted(one.row for one in result.suspects) == wrong
    assert {one.row: one.likely for one in result.suspects} == {row: labels[row] for row in wrong}


def test_a_bag_of_words_that_learns_nothing_suspects_nobody() -> None:
    texts = [f"word{at} word{at + 1}" for at in range(200)]
    assert find_suspects(texts, ["a" if at % 2 else "b" for at in range(200)]).suspects == []


@pytest.mark.slow
def test_goemotions_has_duplicates_across_its_splits(real_data: Path) -> None:
    data = ClassificationDataModule(
        str(real_data / "classification/goemotions"),
        columns={"text": 0, "label": 1},
        separator=",",
    )
    examination = examine(data)
    texts = {
        split: [
            " ".join(line.split("\t")[0].casefold().split())
            for line in (real_data / f"classification/goemotions/{name}.tsv")
            .read_text(encoding="utf-8")
            .split("\n")
            if line
        ]
        for split, name in (("train", "train"), ("test", "test"))
    }
    train = set(texts["train"])
    expected = sum(text in train for text in texts["test"])
    leaks = [one for one in found(examination, "leak") if "in train" in one.what]
    assert {one.split: one.count for one in leaks}["test"] == pytest.approx(expected, abs=2)
    assert examination.count(Severity.ERROR) == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["", "-multilabel", "-pairs", "-regression"])
def test_the_samples_have_no_warning(name: str) -> None:
    examination = examine(ClassificationDataModule(f"classification{name}-sample"))
    assert examination.count(Severity.ERROR) + examination.count(Severity.WARNING) == 0
