"""CoNLL-style columns."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.errors import DataError
from zoo.ner.reading import TaggedSentence, read_sentences

Pairs = list[list[tuple[str, str]]]


def _file(folder: Path, content: str, name: str = "data.conll") -> Path:
    path = folder / name
    path.write_bytes(content.encode("utf-8"))
    return path


def _pairs(path: Path, columns: dict[str, str | int] | None = None) -> Pairs:
    return [
        list(zip(sentence.tokens, sentence.tags, strict=True))
        for sentence in read_sentences(path, columns=columns)
    ]


@pytest.mark.parametrize("gap", ["\t", " ", "   "])
@pytest.mark.parametrize("blank", ["", " ", "\t", " \t "])
def test_blank_lines_of_any_kind_end_a_sentence(tmp_path: Path, gap: str, blank: str) -> None:
    path = _file(tmp_path, f"{blank}\nAda{gap}B-PER\nran{gap}O\n{blank}\n{blank}\nBob{gap}B-PER")
    assert list(read_sentences(path)) == [
        TaggedSentence(["Ada", "ran"], ["B-PER", "O"], [2, 3]),
        TaggedSentence(["Bob"], ["B-PER"], [6]),
    ]


def test_docstart_is_skipped_and_ends_a_sentence(tmp_path: Path) -> None:
    path = _file(tmp_path, "-DOCSTART- -X- O O\na X O B-PER\n-DOCSTART- -X- -X- O O\nb X O O\n")
    assert _pairs(path) == [[("a", "B-PER")], [("b", "O")]]


def test_odd_spaces_and_invisible_characters_are_tokens(tmp_path: Path) -> None:
    path = _file(tmp_path, "\u00a0\tO\n\ufe0f\tO\na\u00a0b\tO\n\u3000\tB-X\n")
    assert _pairs(path) == [
        [("\u00a0", "O"), ("\ufe0f", "O"), ("a\u00a0b", "O"), ("\u3000", "B-X")]
    ]
    path = _file(tmp_path, "a\u00a0b O\n\u2028 B-X\n")
    assert _pairs(path) == [[("a\u00a0b", "O"), ("\u2028", "B-X")]]


def test_with_tabs_a_hash_line_is_a_token_if_it_has_a_tab(tmp_path: Path) -> None:
    path = _file(tmp_path, "# sent_id = 1 O\n#\tO\n#nlp\tB-TAG\n#alone\nx\tO\n# a O\n")
    assert _pairs(path) == [[("#", "O"), ("#nlp", "B-TAG"), ("x", "O")]]


def test_with_spaces_a_hash_line_is_a_token_if_its_columns_fit(tmp_path: Path) -> None:
    path = _file(
        tmp_path, "# text = a b\n# O\n#nlp B-creative-work\n# remark\n#\n# of O\nx O\n# B-X\n"
    )
    assert _pairs(path) == [[("#", "O"), ("#nlp", "B-creative-work"), ("x", "O"), ("#", "B-X")]]


def test_hash_lines_alone_are_tokens_only_if_they_have_tags(tmp_path: Path) -> None:
    assert _pairs(_file(tmp_path, "# O\n#a B-X\n# a remark\n")) == [[("#", "O"), ("#a", "B-X")]]
    with pytest.raises(DataError, match="no line with a token and a tag"):
        _pairs(_file(tmp_path, "# a remark\n#\n\n"))


def test_the_tag_column_is_the_last_that_holds_tags(tmp_path: Path) -> None:
    path = _file(tmp_path, "EU NNP I-NP B-ORG x\nran VB I-VP O y\n")
    assert _pairs(path) == [[("EU", "B-ORG"), ("ran", "O")]]
    assert _pairs(path, {"tags": 2}) == [[("EU", "I-NP"), ("ran", "I-VP")]]
    assert _pairs(path, {"tokens": -4, "tags": "-1"}) == [[("NNP", "x"), ("VB", "y")]]


def test_a_column_that_counts_words_is_not_the_tokens(tmp_path: Path) -> None:
    path = _file(
        tmp_path,
        "# sent_id = 1\n1-2\tdu\t_\t-\n1\tde\tO\t-\n2\tle\tB-X\t-\n2.1\t_\t_\t-\n\n1\t7\tO\t-\n",
    )
    assert _pairs(path) == [[("de", "O"), ("le", "B-X")], [("7", "O")]]


def test_numbers_that_do_not_count_are_tokens(tmp_path: Path) -> None:
    assert _pairs(_file(tmp_path, "3\tCD\tO\n1\tCD\tB-X\n")) == [[("3", "O"), ("1", "B-X")]]
    assert _pairs(_file(tmp_path, "1\tO\n2\tB-X\n")) == [[("1", "O"), ("2", "B-X")]]


def test_an_odd_tag_is_left_for_the_scheme_to_judge(tmp_path: Path) -> None:
    path = _file(tmp_path, "a O\nb O\nc PER\n")
    assert _pairs(path) == [[("a", "O"), ("b", "O"), ("c", "PER")]]


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        ("a O\nb c O\n", 2, r"expected 2 columns \(separated by spaces\).*found 3"),
        ("a\tO\nb\n", 2, r"expected 2 columns \(separated by tabs\).*found 1"),
        ("a\tx\tO\n\nb\tO\n", 3, "expected 3 columns.*found 2"),
        ("alone\nb O\n", 1, "at least 2 columns"),
        ("a\tO\n\tO\n", 2, "the token is empty"),
        ("a b\nc d\n", 1, "no column looks like tags"),
    ],
)
def test_lines_that_do_not_fit_are_placed(
    tmp_path: Path, content: str, line: int, message: str
) -> None:
    path = _file(tmp_path, content)
    with pytest.raises(DataError, match=message) as caught:
        _pairs(path)
    assert str(caught.value).startswith(f"{path}:{line}: ")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"tags": 2}, "no column 2; there are 2"),
        ({"tags": "ner"}, "no header"),
        ({"labels": 1}, "knows tokens and tags; found 'labels'"),
    ],
)
def test_columns_that_are_not_there_are_refused(
    tmp_path: Path, columns: dict[str, str | int], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        _pairs(_file(tmp_path, "a O\n"), columns)


@pytest.mark.parametrize("name", ["a.conll", "a.iob2", "a.txt", "a.tsv", "a.bio", "a.odd", "a"])
def test_any_other_suffix_is_columns(tmp_path: Path, name: str) -> None:
    assert _pairs(_file(tmp_path, "a\tO\nb\tB-X\n", name)) == [[("a", "O"), ("b", "B-X")]]


_TOKEN = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters=" \t\r\n\0"), min_size=1
).filter(lambda token: not token.startswith(("\ufeff", "-DOCSTART-")))
_TAGGED = st.tuples(_TOKEN, st.sampled_from(["O", "B-a-b", "I-X"]))


@given(st.lists(st.lists(_TAGGED, min_size=1), min_size=1), st.sampled_from("\t "))
def test_no_token_is_lost(
    tmp_path_factory: pytest.TempPathFactory, sentences: Pairs, gap: str
) -> None:
    blocks = ["".join(f"{token}{gap}{tag}\n" for token, tag in pairs) for pairs in sentences]
    assert _pairs(_file(tmp_path_factory.mktemp("conll"), "\n".join(blocks))) == sentences
