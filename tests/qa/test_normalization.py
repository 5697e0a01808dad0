"""Pieces of text of several scripts; the forms of words and of Han are in test_metrics.py."""

import pytest

from zoo.qa.normalization import pieces, uses_characters


def test_other_words_within_characters_are_split_from_their_marks() -> None:
    text = "约3.5万元，e\u0301t\u00e9 (हिन्दी) a.b"
    expected = ["约", "3.5", "万", "元", "e\u0301t\u00e9", "(", "हिन्दी", ")", "a.b"]
    assert pieces(text, "characters") == expected


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["北京大学位于北京。"], True),
        (["東京タワーは1958年に完成した"], True),
        (["ｶﾀｶﾅ"], True),
        (["The Tokyo tower (東京タワー)"], False),
        (["서울은 한국의 수도이다"], False),
        (["IBM 公司", "北京"], True),
        (["1958"], False),
        ([], False),
    ],
)
def test_characters_are_used_where_most_letters_are_han_or_kana(
    texts: list[str], expected: bool
) -> None:
    assert uses_characters(texts) is expected
