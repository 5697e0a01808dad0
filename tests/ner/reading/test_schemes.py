"""Recognising and converting tagging schemes, with seqeval as the judge of entities."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval import scheme as seqeval
from seqeval.metrics.sequence_labeling import get_entities

from zoo.errors import DataError
from zoo.ner.reading import TaggedSentence
from zoo.ner.reading.schemes import Scheme, SchemeDetector, from_iob2, to_iob2

_JUDGES = {
    Scheme.IOB2: seqeval.IOB2,
    Scheme.IOB1: seqeval.IOB1,
    Scheme.BIOES: seqeval.IOBES,
    Scheme.BILOU: seqeval.BILOU,
}


def _detector(*sentences: str) -> SchemeDetector:
    detector = SchemeDetector()
    line = 1
    for sentence in sentences:
        tags = sentence.split()
        detector.add(TaggedSentence(tags, tags, list(range(line, line + len(tags)))))
        line += len(tags) + 1
    return detector


@st.composite
def _iob2(draw: st.DrawFn, neighbours: bool = True) -> list[str]:
    tags: list[str] = []
    for name in draw(st.lists(st.sampled_from(["O", "PER", "work-of-art"]), max_size=8)):
        length = draw(st.integers(1, 3))
        if not neighbours and tags and name != "O" and tags[-1][2:] == name:
            tags.append("O")
        tags += ["O"] * length if name == "O" else [f"B-{name}"] + [f"I-{name}"] * (length - 1)
    return tags


@pytest.mark.parametrize("scheme", [s for s in Scheme if s is not Scheme.IO])
@given(tags=_iob2())
def test_tags_survive_the_way_to_a_scheme_and_back(scheme: Scheme, tags: list[str]) -> None:
    assert to_iob2(from_iob2(tags, scheme), scheme) == tags


@given(_iob2(neighbours=False))
def test_tags_without_neighbours_of_one_type_survive_io(tags: list[str]) -> None:
    assert to_iob2(from_iob2(tags, Scheme.IO), Scheme.IO) == tags


@pytest.mark.parametrize("scheme", list(_JUDGES))
@given(tags=_iob2())
def test_seqeval_finds_the_same_entities_in_every_scheme(scheme: Scheme, tags: list[str]) -> None:
    judged = seqeval.Entities([from_iob2(tags, scheme)], scheme=_JUDGES[scheme])
    found = [(e.tag, e.start, e.end - 1) for e in judged.entities[0]]
    assert found == get_entities(tags)


@given(st.lists(st.sampled_from(["O", "B-X", "I-X", "B-Y", "I-Y"])))
def test_seqeval_finds_the_same_entities_in_sloppy_iob2(tags: list[str]) -> None:
    assert get_entities(to_iob2(tags, Scheme.IOB2)) == get_entities(tags)


@pytest.mark.parametrize("scheme", list(Scheme))
@given(sentences=st.lists(_iob2(), max_size=4))
def test_a_recognised_scheme_reads_the_entities_that_were_written(
    scheme: Scheme, sentences: list[list[str]]
) -> None:
    written = [from_iob2(tags, scheme) for tags in sentences]
    found = _detector(*(" ".join(tags) for tags in written)).scheme("x")
    for tags in written:
        assert to_iob2(tags, found) == to_iob2(tags, scheme)


@pytest.mark.parametrize(
    ("scheme", "tags"),
    [
        (Scheme.IOB2, "B-X I-X B-X O B-Y"),
        (Scheme.IOB1, "I-X I-X B-X O I-Y"),
        (Scheme.IO, "I-X I-X I-X O I-Y"),
        (Scheme.BIOES, "B-X E-X S-X O S-Y"),
        (Scheme.BILOU, "B-X L-X U-X O U-Y"),
        (Scheme.BMES, "B-X E-X S-X O S-Y"),
    ],
)
def test_each_scheme_writes_one_example_as_worked_by_hand(scheme: Scheme, tags: str) -> None:
    assert from_iob2(["B-X", "I-X", "B-X", "O", "B-Y"], scheme) == tags.split()


@pytest.mark.parametrize(
    ("sentences", "scheme"),
    [
        (["O O"], Scheme.IOB2),
        ([""], Scheme.IOB2),
        (["B-X I-X O", "B-X"], Scheme.IOB2),
        (["I-X O I-Y I-Y"], Scheme.IO),
        (["I-X I-X B-X", "O I-X"], Scheme.IOB1),
        # An orphan I-, but a B- that continues nothing: sloppy IOB2.
        (["I-X I-X B-X", "O B-X"], Scheme.IOB2),
        (["B-X I-Y B-Y"], Scheme.IOB2),
        (["S-X O"], Scheme.BIOES),
        (["B-X I-X E-X"], Scheme.BIOES),
        (["B-X I-X L-X O U-X"], Scheme.BILOU),
        (["U-X"], Scheme.BILOU),
        (["B-X M-X E-X S-Y"], Scheme.BMES),
        (["B-creative-work E-creative-work"], Scheme.BIOES),
    ],
)
def test_schemes_are_recognised_by_prefixes_and_steps(sentences: list[str], scheme: Scheme) -> None:
    assert _detector(*sentences).scheme("x") is scheme


def test_orphans_are_counted() -> None:
    # At a start, after O, and after another type; the last I-X goes on.
    assert _detector("I-X O I-X B-Y I-X", "B-X I-X").orphans == 3


@pytest.mark.parametrize(
    ("sentences", "line", "message"),
    [
        (["O", "O E-X S-X"], 4, r"BIOES .* E-X cannot follow O"),
        (["S-X", "E-X"], 3, "E-X cannot follow the start of the sentence"),
        (["S-X B-X", "O"], 2, "the end of the sentence cannot follow B-X"),
        (["S-X B-X E-Y"], 3, "E-Y cannot follow B-X"),
        (["B-X I-X B-X E-X"], 3, "B-X cannot follow I-X"),
        (["U-X I-X L-X"], 2, "BILOU .* I-X cannot follow U-X"),
        (["S-X O", "B-X I-X L-X"], 6, "'L-X' does not belong to BIOES"),
        (["B-X M-X", "B-X I-X"], 5, "'I-X' does not belong to BMES"),
    ],
)
def test_the_first_tag_that_breaks_the_scheme_is_placed(
    sentences: list[str], line: int, message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        _detector(*sentences).scheme("data.conll")
    assert str(caught.value).startswith(f"data.conll:{line}: ")


@pytest.mark.parametrize(
    ("tag", "message"),
    [
        ("X-PER", "unknown prefix 'X'"),
        ("B", "has no type"),
        ("B-", "has no type"),
        ("ES", "has no prefix"),
        ("PER", "write I-PER"),
        ("b-PER", "upper case: B-PER"),
        ("o", "upper case: O"),
        ("B_PER", "hyphen after its prefix: B-PER"),
        ("PER-B", "prefix first: B-PER"),
        ("-", "unknown prefix ''"),
    ],
)
def test_a_malformed_tag_is_placed_and_explained(tag: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        _detector("O", f"O {tag} X-LATER").scheme("data.conll")
    assert str(caught.value).startswith("data.conll:4: ")
    with pytest.raises(DataError, match=message):
        to_iob2([tag], Scheme.IOB2)


def test_a_blank_tag_is_malformed() -> None:
    with pytest.raises(DataError, match="is blank"):
        to_iob2([""], Scheme.IOB2)


def test_a_forced_scheme_is_checked() -> None:
    assert _detector("I-X O").scheme("x", force=Scheme.IOB1) is Scheme.IOB1
    assert _detector("B-X E-X").scheme("x", force=Scheme.BMES) is Scheme.BMES
    with pytest.raises(DataError, match=r"x:2: .*'B-X' does not belong to IO "):
        _detector("O B-X").scheme("x", force=Scheme.IO)
    with pytest.raises(DataError, match=r"x:1: .*end of the sentence cannot follow B-X"):
        _detector("B-X").scheme("x", force=Scheme.BIOES)
    with pytest.raises(DataError, match="'E-X' does not belong to IOB2"):
        to_iob2(["E-X"], Scheme.IOB2)


def test_schemes_have_their_other_names() -> None:
    assert [Scheme(name) for name in ("bio", "IOBES", "iob", "BMESO", "bilou")] == [
        Scheme.IOB2,
        Scheme.BIOES,
        Scheme.IOB1,
        Scheme.BMES,
        Scheme.BILOU,
    ]
    with pytest.raises(ValueError, match="nonsense"):
        Scheme("nonsense")
