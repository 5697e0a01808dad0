"""Real corpora with default options, against counts by plain string handling."""

from collections import Counter
from pathlib import Path

import pytest
from seqeval.metrics.sequence_labeling import get_entities

from zoo.ner.reading import read_sentences
from zoo.ner.reading.schemes import Scheme, SchemeDetector, to_iob2

pytestmark = pytest.mark.slow

_ZH = "uner_zh_gsdsimp/zh_gsdsimp-ud"

# File, sentences, scheme, position of the token and of the tag.
_FILES = [
    ("wnut17/wnut17train.conll", 3394, Scheme.IOB2, 0, 1),
    ("wnut17/emerging.dev.conll", 1009, Scheme.IOB2, 0, 1),
    ("wnut17/emerging.test.annotated", 1287, Scheme.IOB2, 0, 1),
    ("wikigold/wikigold.conll.txt", 1696, Scheme.IO, 0, 1),
    ("ncbi_disease/IOBES/train.tsv", 5424, Scheme.BIOES, 0, 1),
    ("ncbi_disease/IOBES/devel.tsv", 923, Scheme.BIOES, 0, 1),
    ("ncbi_disease/IOBES/test.tsv", 940, Scheme.BIOES, 0, 1),
    (f"{_ZH}-train.iob2", 3997, Scheme.IOB2, 1, 2),
    (f"{_ZH}-dev.iob2", 500, Scheme.IOB2, 1, 2),
    (f"{_ZH}-test.iob2", 500, Scheme.IOB2, 1, 2),
]


def _plain(path: Path, token: int, tag: int) -> list[tuple[str, str]]:
    """The file's tokens with tags, a blank pair for everything that ends a sentence."""
    pairs = []
    for line in path.read_bytes().decode("utf-8").split("\n"):
        fields = line.replace(" ", "\t").split("\t")
        if line.startswith("-DOCSTART-") or len(fields) <= tag or not fields[tag]:
            pairs.append(("", ""))
        elif not (line.startswith("# ") and len(fields) > 2):
            pairs.append((fields[token], fields[tag]))
    return pairs


def _count_entities(pairs: list[tuple[str, str]]) -> Counter[str]:
    """Entities by type: a B or S starts one, and so does an I after something else."""
    counts: Counter[str] = Counter()
    before = ""
    for _, tag in pairs:
        starts = tag[:1] in ("B", "S") or (tag[:1] == "I" and before[1:] != tag[1:])
        if starts and not (tag[:1] == "I" and before == "B" + tag[1:]):
            counts[tag[2:]] += 1
        before = "I" + tag[1:] if tag[:1] in ("B", "I") else tag
    return counts


@pytest.mark.parametrize(("name", "count", "scheme", "token", "tag"), _FILES)
def test_sentences_scheme_entities_and_tokens_are_those_of_the_file(
    real_data: Path, name: str, count: int, scheme: Scheme, token: int, tag: int
) -> None:
    path = real_data / "ner" / name
    sentences = list(read_sentences(path))
    assert len(sentences) == count

    detector = SchemeDetector()
    for sentence in sentences:
        detector.add(sentence)
    assert detector.scheme(path) is scheme

    pairs = _plain(path, token, tag)
    read = [pair for s in sentences for pair in zip(s.tokens, s.tags, strict=True)]
    assert read == [pair for pair in pairs if pair != ("", "")]
    converted = [to_iob2(sentence.tags, scheme) for sentence in sentences]
    entities = Counter(name for tags in converted for name, _, _ in get_entities(tags))
    assert entities == _count_entities(pairs)
