"""Planted faults in texts with summaries, and what real corpora are known for."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zoo.data.doctor.findings import Examination, Finding, Severity
from zoo.summarization.abstractive.datamodule import SummarizationDataModule
from zoo.summarization.doctor import examine
from zoo.summarization.extractive.datamodule import ExtractiveSummarizationDataModule

Rows = list[dict[str, Any]]
Corpus = dict[str, Rows]
SIZES = {"train": 120, "validation": 60, "test": 60}


def clean() -> Corpus:
    corpus: Corpus = {}
    number = 1000
    for split, size in SIZES.items():
        corpus[split] = []
        for _ in range(size):
            number += 1
            source = (
                f"The bear {number} ate the cheese . A fox came along . It was a long day in "
                f"London and the dog jumps over the lazy fox {number} times ."
            )
            corpus[split].append({"source": source, "target": f"The bear {number} ate ."})
    return corpus


def found(examination: Examination, code: str) -> list[Finding]:
    return [finding for finding in examination.findings if finding.code == code]


def write(corpus: Corpus, folder: Path) -> dict[str, Any]:
    files: dict[str, Any] = {}
    for split, rows in corpus.items():
        path = folder / f"{split}.jsonl"
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        path.write_text("".join(lines), encoding="utf-8")
        files[split] = str(path)
    return files


def examined(corpus: Corpus, folder: Path, backbone: Path, **options: Any) -> Examination:
    data = ExtractiveSummarizationDataModule(
        backbone=str(backbone), **write(corpus, folder), **options
    )
    return examine(data)


def empty_source(corpus: Corpus) -> None:
    corpus["train"][4]["source"] = ""


def empty_target(corpus: Corpus) -> None:
    corpus["test"][4]["target"] = " "


def longer(corpus: Corpus) -> None:
    for row in corpus["train"][:4]:
        row["target"] = row["source"] + " And more ."


def swapped(corpus: Corpus) -> None:
    for row in corpus["train"]:
        row["source"], row["target"] = row["target"], row["source"]


def copied(corpus: Corpus) -> None:
    corpus["train"][2]["target"] = corpus["train"][2]["source"]


def all_copied(corpus: Corpus) -> None:
    for row in corpus["train"]:
        row["target"] = row["source"]


def of_something_else(corpus: Corpus) -> None:
    for row in corpus["train"][:3]:
        row["target"] = "Quick brown engine company nine isn't here"
    corpus["train"][0]["target"] += " x"
    corpus["train"][1]["target"] += " y"


def repeated(corpus: Corpus) -> None:
    for row in corpus["train"][:10]:
        row["target"] = "The bear ate nothing ."


def leaked(corpus: Corpus) -> None:
    corpus["test"][:6] = corpus["train"][:6]


def no_string(corpus: Corpus) -> None:
    corpus["train"][5]["target"] = 7


def no_object(corpus: Corpus) -> None:
    corpus["train"][5:5] = [["a", "list"]]  # type: ignore[list-item]


E, W, N = Severity.ERROR, Severity.WARNING, Severity.NOTE
PLANTED: dict[Callable[[Corpus], None], tuple[str, Severity, int]] = {
    empty_source: ("empty-text", W, 1),
    empty_target: ("empty-summary", W, 1),
    longer: ("summary-longer-than-text", W, 4),
    swapped: ("summary-longer-than-text", E, 120),
    copied: ("summary-is-text", W, 1),
    all_copied: ("summary-is-text", E, 120),
    of_something_else: ("unlikely-summary", W, 3),
    repeated: ("repeated-summary", W, 10),
    leaked: ("leak", E, 6),
    no_string: ("unreadable", E, 1),
    no_object: ("unreadable", E, 1),
}


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


def test_what_an_encoder_decoder_cuts_off_is_found_on_both_sides(
    tmp_path: Path, tiny: Callable[[str], Path]
) -> None:
    corpus = clean()
    for row in corpus["train"][:12]:
        row["source"] += " a b c d e f g" * 30
    for row in corpus["train"][:9]:
        row["target"] += " a b c d e f g" * 4
    data = SummarizationDataModule(
        backbone=str(tiny("bart")), max_length=128, max_target_length=32, **write(corpus, tmp_path)
    )
    examination = examine(data)
    counts = {one.split: one.count for one in found(examination, "truncated")}
    assert counts == {"train": 12}
    counts = {one.split: one.count for one in found(examination, "summary-truncated")}
    assert counts == {"train": 9}


@pytest.mark.slow
@pytest.mark.parametrize("aspect", ["challenge", "approach", "outcome"])
def test_aclsum_has_no_error(real_data: Path, aspect: str) -> None:
    data = ExtractiveSummarizationDataModule(
        str(real_data / "summarization/aclsum"),
        columns={"source": "sentences", "target": f"summary.{aspect}"},
    )
    assert examine(data).count(Severity.ERROR) == 0


@pytest.mark.slow
def test_the_sample_has_no_warning() -> None:
    examination = examine(ExtractiveSummarizationDataModule("summarization-sample"))
    assert examination.count(Severity.ERROR) + examination.count(Severity.WARNING) == 0
