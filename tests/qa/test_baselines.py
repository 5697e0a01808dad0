"""The longest match of question and text, and what is said from it."""

import pytest

from zoo.qa.baselines import Rule, answer, choose_rule

_TEXT = "Bob ran. The old mill of Ada Lovelace stood in York (near Leeds)! Ada ran."


@pytest.mark.parametrize(
    ("question", "rule", "expected"),
    [
        ("Where did the mill of Ada Lovelace stand?", Rule(3, before=False), "stood in York"),
        ("Where did the mill of Ada Lovelace stand?", Rule(2, before=True), "The old"),
        ("Where did the mill of Ada Lovelace stand?", Rule(9, before=True), "The old"),
        # A match at the end of its sentence: what is left of it.
        ("What is near Leeds?", Rule(2, before=False), "in York"),
        ("Who flew?", Rule(2, before=False), ""),
        ("", Rule(2, before=False), ""),
    ],
)
def test_words_beside_the_longest_match_are_the_answer(
    question: str, rule: Rule, expected: str
) -> None:
    assert answer(question, _TEXT, rule) == expected


def test_marks_match_nothing_and_case_does_not_count() -> None:
    assert answer("?! (", _TEXT, Rule(3, before=False)) == ""
    assert answer("bob", _TEXT, Rule(1, before=False)) == "ran"


def test_chinese_is_matched_in_characters() -> None:
    assert answer("梵文的研究", "他学梵文的历史。", Rule(2, before=False)) == "历史"


def test_side_and_length_are_those_that_fit_the_training_answers() -> None:
    train = [
        ("Who ran to York ?", f"{name} Lovelace ran to York in May .", [f"{name} Lovelace"])
        for name in ("Ada", "Bob")
    ]
    assert choose_rule([*train, ("Who ?", "Nobody .", [])], "words") == Rule(2, before=True)
