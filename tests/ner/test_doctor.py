"""Planted faults in tagged sentences, and what real corpora are known for."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from zoo.data.doctor.findings import Examination, Finding, Severity
from zoo.ner.datamodule import NERDataModule
from zoo.ner.doctor import examine

Sentence = list[tuple[str, str]]
Corpus = dict[str, list[Sentence]]
SIZES = {"train": 120, "validation": 60, "test": 60}
NAMES = ["Ada", "Bob", "Cleo", "Dora", "Emil"]
PLACES = ["London", "Paris", "Rome", "Bern", "Oslo"]


def clean() -> Corpus:
    """Sentences no two of which are the same: each has a number of its own."""
    corpus: Corpus = {}
    number = 0
    for split, size in SIZES.items():
        corpus[split] = []
        for at in range(size):
            number += 1
            corpus[split].append(
                [
                    (NAMES[at % 5], "B-PER"),
                    ("Lovelace", "I-PER"),
                    ("saw", "O"),
                    (PLACES[at % 5], "B-LOC"),
                    ("in", "O"),
                    (str(1000 + number), "O"),
                    (".", "O"),
                ]
            )
    return corpus


def write(corpus: Corpus, folder: Path) -> dict[str, str]:
    files = {}
    for split, sentences in corpus.items():
        path = folder / f"{split}.conll"
        lines = ["".join(f"{word}\t{tag}\n" for word, tag in one) for one in sentences]
        path.write_text("\n".join(lines), encoding="utf-8")
        files[split] = str(path)
    return files


def found(examination: Examination, code: str) -> list[Finding]:
    return [finding for finding in examination.findings if finding.code == code]


def retagged(sentences: list[Sentence], rename: Callable[[str], str]) -> list[Sentence]:
    return [[(word, rename(tag)) for word, tag in one] for one in sentences]


def inside_only(corpus: Corpus) -> None:
    for split in corpus:
        corpus[split] = retagged(corpus[split], lambda tag: tag.replace("B-", "I-"))


def no_begin(corpus: Corpus) -> None:
    corpus["train"][2][0] = ("Cleo", "I-PER")


def other_scheme(corpus: Corpus) -> None:
    corpus["test"] = retagged(corpus["test"], lambda tag: tag.replace("B-", "I-"))


def malformed(corpus: Corpus) -> None:
    corpus["train"][1][0] = ("Bob", "PER")
    corpus["train"][5][0] = ("Ada", "B_PER")


def broken_ends(corpus: Corpus) -> None:
    """BIOES, in which two entities never end and one ends without a beginning."""
    ends = {"I-PER": "E-PER", "B-LOC": "S-LOC"}
    for split in corpus:
        corpus[split] = retagged(corpus[split], lambda tag: ends.get(tag, tag))
    corpus["train"][3][1] = ("Lovelace", "I-PER")
    corpus["train"][4][1] = ("Lovelace", "I-PER")
    corpus["train"][7][0] = ("Cleo", "E-PER")


def no_pieces(corpus: Corpus) -> None:
    corpus["train"][0].insert(3, ("\ufe0f", "O"))


def leaked(corpus: Corpus) -> None:
    corpus["test"][:6] = corpus["train"][:6]


def twice(corpus: Corpus) -> None:
    # The case differs: it is the same sentence all the same.
    corpus["train"][9] = [(word.upper(), tag) for word, tag in corpus["train"][8]]


def contradicting(corpus: Corpus) -> None:
    corpus["train"][9] = [(word, "O") for word, _ in corpus["train"][8]]


def only_in_test(corpus: Corpus) -> None:
    corpus["test"][0][2] = ("Apollo", "B-SHIP")


def rare(corpus: Corpus) -> None:
    corpus["train"][0][2] = ("Apollo", "B-SHIP")


def spelled_twice(corpus: Corpus) -> None:
    corpus["train"] = [
        *retagged(corpus["train"][:10], lambda tag: tag.replace("PER", "Per")),
        *corpus["train"][10:],
    ]


def lost_letter(corpus: Corpus) -> None:
    corpus["train"][0][2] = ("b\ufffdr", "O")


def misread(corpus: Corpus) -> None:
    corpus["train"][0][2] = ("café".encode().decode("cp1252"), "O")


def bell(corpus: Corpus) -> None:
    corpus["train"][0][2] = ("saw\x07", "O")


def slip(corpus: Corpus) -> None:
    corpus["train"][10][3] = ("London", "B-PER")


def run_on(corpus: Corpus) -> None:
    corpus["train"][0][:0] = [("Ada", "B-PER"), *[("Ada", "I-PER")] * 14]


PLANTED: dict[Callable[[Corpus], None], tuple[str, Severity, int]] = {
    inside_only: ("inside-tags-only", Severity.WARNING, 1),
    no_begin: ("inside-without-begin", Severity.WARNING, 1),
    other_scheme: ("mixed-schemes", Severity.WARNING, 1),
    malformed: ("unreadable", Severity.ERROR, 2),
    broken_ends: ("unreadable", Severity.ERROR, 3),
    no_pieces: ("word-without-pieces", Severity.WARNING, 1),
    leaked: ("leak", Severity.ERROR, 6),
    twice: ("duplicate", Severity.NOTE, 1),
    contradicting: ("contradiction", Severity.WARNING, 1),
    only_in_test: ("label-not-in-train", Severity.WARNING, 1),
    rare: ("rare-label", Severity.WARNING, 1),
    spelled_twice: ("label-spelling", Severity.WARNING, 2),
    lost_letter: ("replacement-character", Severity.WARNING, 1),
    misread: ("mojibake", Severity.WARNING, 1),
    bell: ("control-character", Severity.WARNING, 1),
    slip: ("unlikely-label", Severity.NOTE, 1),
    run_on: ("long-entity", Severity.NOTE, 1),
}


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_a_planted_fault_is_found(
    plant: Callable[[Corpus], None], tmp_path: Path, tiny: Callable[[str], Path]
) -> None:
    code, severity, count = PLANTED[plant]
    corpus = clean()
    plant(corpus)
    files = write(corpus, tmp_path)
    findings = found(examine(NERDataModule(backbone=str(tiny("bert")), **files)), code)  # type: ignore[arg-type]
    assert [str(one.severity) for one in findings] == [str(severity)] * len(findings)
    assert sum(one.count for one in findings) == count


def test_a_clean_corpus_has_none_of_them(tmp_path: Path, tiny: Callable[[str], Path]) -> None:
    examination = examine(
        NERDataModule(backbone=str(tiny("bert")), **write(clean(), tmp_path))  # type: ignore[arg-type]
    )
    # The tiny tokenizer was trained on a few sentences.
    assert {finding.code for finding in examination.findings} <= {"unknown-token"}


def test_a_finding_names_the_line_of_the_word(tmp_path: Path, tiny: Callable[[str], Path]) -> None:
    corpus = clean()
    no_begin(corpus)
    files = write(corpus, tmp_path)
    (finding,) = found(
        examine(NERDataModule(backbone=str(tiny("bert")), **files)),  # type: ignore[arg-type]
        "inside-without-begin",
    )
    # Two sentences of seven words with a blank line each are 16 lines.
    assert finding.places[0].where == f"{files['train']}:17"


def test_what_cannot_be_read_is_left_out_and_the_rest_examined(
    tmp_path: Path, tiny: Callable[[str], Path]
) -> None:
    corpus = clean()
    malformed(corpus)
    only_in_test(corpus)
    files = write(corpus, tmp_path)
    before = Path(files["train"]).read_bytes()
    examination = examine(NERDataModule(backbone=str(tiny("bert")), **files))  # type: ignore[arg-type]
    refused = found(examination, "unreadable")
    lines = {place.where.rsplit(":", 1)[1] for one in refused for place in one.places}
    assert lines == {"9", "41"}
    assert found(examination, "label-not-in-train")
    (sizes, _) = examination.facts
    assert sizes.rows[0][2] == "118"
    assert Path(files["train"]).read_bytes() == before


def test_the_doctor_leaves_no_mended_data_in_the_cache(
    tmp_path: Path, tiny: Callable[[str], Path]
) -> None:
    corpus = clean()
    malformed(corpus)
    files = write(corpus, tmp_path)
    examine(NERDataModule(backbone=str(tiny("bert")), **files))  # type: ignore[arg-type]
    from zoo.errors import DataError

    with pytest.raises(DataError, match=r"train\.conll:9: the tag 'PER'"):
        NERDataModule(backbone=str(tiny("bert")), **files).labels  # type: ignore[arg-type]  # noqa: B018


def test_a_span_inside_a_word_is_found_with_its_line(
    tmp_path: Path, tiny: Callable[[str], Path]
) -> None:
    def line(number: int, end: int) -> str:
        entity = {"start": 0, "end": end, "type": "PER"}
        return json.dumps({"text": f"Lovelace saw {number}", "entities": [entity]}) + "\n"

    files = {}
    for at, split in enumerate(SIZES):
        # Of the seventh entity of each file one letter is missing.
        lines = [line(1000 * at + n, 7 if n == 6 else 8) for n in range(SIZES[split])]
        path = tmp_path / f"{split}.jsonl"
        path.write_text("".join(lines), encoding="utf-8")
        files[split] = str(path)
    examination = examine(NERDataModule(backbone=str(tiny("bert")), **files))  # type: ignore[arg-type]
    findings = found(examination, "entity-inside-word")
    assert [one.split for one in findings] == list(SIZES)
    assert findings[0].places[0].where == f"{files['train']}:7"


def wikigold(root: Path) -> dict[str, str]:
    return {"train": str(root / "ner/wikigold/wikigold.conll.txt")}


def wnut17(root: Path) -> dict[str, str]:
    folder = root / "ner/wnut17"
    return {
        "train": str(folder / "wnut17train.conll"),
        "validation": str(folder / "emerging.dev.conll"),
        "test": str(folder / "emerging.test.annotated"),
    }


@pytest.mark.slow
def test_wikigold_has_inside_tags_only(real_data: Path) -> None:
    examination = examine(NERDataModule(**wikigold(real_data)))  # type: ignore[arg-type]
    assert found(examination, "inside-tags-only")
    assert examination.count(Severity.ERROR) == 0


@pytest.mark.slow
def test_wnut17_has_three_test_words_without_wordpieces(real_data: Path) -> None:
    examination = examine(NERDataModule(**wnut17(real_data)))  # type: ignore[arg-type]
    counts = {one.split: one.count for one in found(examination, "word-without-pieces")}
    assert counts["test"] == 3


@pytest.mark.slow
def test_ncbi_disease_has_no_error(real_data: Path) -> None:
    examination = examine(NERDataModule(str(real_data / "ner/ncbi_disease/IOBES")))
    assert examination.count(Severity.ERROR) == 0


def codes(examination: Examination, severities: Sequence[Severity]) -> list[str]:
    return [one.code for one in examination.findings if one.severity in severities]


@pytest.mark.slow
def test_the_sample_has_no_warning(tmp_path: Path) -> None:
    examination = examine(NERDataModule("ner-sample"))
    assert codes(examination, [Severity.ERROR, Severity.WARNING]) == []
