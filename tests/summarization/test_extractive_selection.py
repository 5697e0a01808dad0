"""Which sentences are taken, worked by hand."""

import math

import pytest

from zoo.summarization.extractive.selection import joined, select, words_of

SENTENCES = [
    "The cat sat on the mat.",
    "A dog barked loudly at night.",
    "The cat sat on a chair.",
    "Rain fell.",
]


def test_the_best_are_taken_in_the_order_of_the_document() -> None:
    assert select([0.1, 0.9, -2.0, 0.5], SENTENCES, max_sentences=2) == [1, 3]
    assert select([0.1, 0.9, -2.0, 0.5], SENTENCES, max_sentences=1) == [1]
    assert select([0.5, 0.5, 0.4, 0.5], SENTENCES, max_sentences=2) == [0, 1]
    assert select([], [], max_sentences=3) == []


def test_a_sentence_that_shares_three_words_in_a_row_is_passed_over() -> None:
    # "the cat sat" stands in 0 and 2.
    scores = [0.9, 0.1, 0.8, 0.2]
    assert select(scores, SENTENCES, max_sentences=2) == [0, 3]
    assert select(scores, SENTENCES, max_sentences=4) == [0, 1, 3]
    assert select(scores, SENTENCES, max_sentences=2, block_trigrams=False) == [0, 2]
    # Case and punctuation make no difference, two words in a row none either.
    assert select([2.0, 1.0], ["A b, c.", "x A B C"], max_sentences=2) == [0]
    assert select([2.0, 1.0], ["a b c", "a b d"], max_sentences=2) == [0, 1]
    # A sentence may repeat itself.
    assert select([1.0], ["no no no no no no"], max_sentences=2) == [0]


def test_a_sentence_beyond_the_words_left_is_passed_over() -> None:
    # 6 + 6 words are too many for 8, 6 + 2 are not.
    assert select([0.9, 0.8, 0.1, 0.2], SENTENCES, max_sentences=3, max_words=8) == [0, 3]
    assert select([0.9, 0.8, 0.1, 0.2], SENTENCES, max_sentences=1, max_words=5) == [3]
    assert select([0.9, 0.8, 0.1, 0.2], SENTENCES, max_sentences=3, max_words=1) == []


def test_a_score_that_is_no_number_is_never_taken() -> None:
    assert select([math.nan, 0.1, -math.inf], SENTENCES[:3], max_sentences=3) == [1, 2]


def test_words_are_characters_where_there_are_no_spaces() -> None:
    assert words_of("Isn't it 12 km?") == ["isn", "t", "it", "12", "km"]
    assert words_of("本文提出,BERT 模型。") == ["本", "文", "提", "出", "bert", "模", "型"]


def test_chinese_is_blocked_by_five_characters_in_a_row() -> None:
    sentences = ["我们提出新的方法。", "作者提出新的模型。", "我们提出新的想法。"]
    # 提出新的 is four in a row, 我们提出新的 six.
    assert select([3.0, 2.0, 1.0], sentences, max_sentences=3) == [0, 1]


@pytest.mark.parametrize(
    ("sentences", "text"),
    [
        (["One here.", "Two there!"], "One here. Two there!"),
        (["本文提出。", "结果好。"], "本文提出。结果好。"),
        (["これはA。", "B です"], "これはA。B です"),
        ([], ""),
    ],
)
def test_sentences_are_joined_as_their_script_is_written(sentences: list[str], text: str) -> None:
    assert joined(sentences) == text
