"""The greedy oracle against one that scores every choice anew."""

import itertools
import random
import time
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.summarization.oracle import greedy_oracle, sentence_rouge
from zoo.summarization.rouge import rouge


def _f1(said: Counter[tuple[str, ...]], right: Counter[tuple[str, ...]]) -> float:
    both = said.total() + right.total()
    return 2 * (said & right).total() / both if both else 0.0


def _score(chosen: Sequence[str], references: Sequence[str]) -> float:
    """Mean of ROUGE-1 and ROUGE-2 of sentences whose words are between spaces."""

    def grams(text: str, size: int) -> Counter[tuple[str, ...]]:
        words = text.split()
        return Counter(zip(*(words[start:] for start in range(size)), strict=False))

    best = []
    for size in (1, 2):
        said = sum((grams(one, size) for one in chosen), Counter())
        best.append(max((_f1(said, grams(one, size)) for one in references), default=0.0))
    return sum(best) / 2


def _slow_oracle(sentences: Sequence[str], references: Sequence[str], most: int) -> list[int]:
    chosen: list[int] = []
    best = 0.0
    while len(chosen) < most:
        scores = [
            -1.0 if at in chosen else _score([sentences[one] for one in [*chosen, at]], references)
            for at in range(len(sentences))
        ]
        if max(scores, default=0.0) <= best + 1e-9:
            break
        best = max(scores)
        chosen.append(next(at for at, score in enumerate(scores) if score >= best - 1e-9))
    return sorted(chosen)


_sentences = st.lists(st.sampled_from("abcdef"), max_size=6).map(" ".join)
_documents = st.lists(_sentences, max_size=7)
_references = st.lists(
    st.lists(st.sampled_from("abcdef"), max_size=10).map(" ".join), min_size=1, max_size=3
)


@settings(deadline=None, max_examples=300)
@given(_documents, _references, st.integers(0, 4))
def test_the_oracle_adds_the_sentence_that_makes_the_score_grow_most(
    sentences: list[str], references: list[str], most: int
) -> None:
    expected = _slow_oracle(sentences, references, most)
    assert greedy_oracle(sentences, references, most=most) == expected


@given(_documents, _references)
def test_without_a_limit_the_oracle_stops_where_no_sentence_helps(
    sentences: list[str], references: list[str]
) -> None:
    chosen = greedy_oracle(sentences, references)
    assert chosen == _slow_oracle(sentences, references, len(sentences))
    best = _score([sentences[at] for at in chosen], references)
    for other in set(range(len(sentences))) - set(chosen):
        assert _score([sentences[at] for at in [*chosen, other]], references) <= best + 1e-9


@given(_documents, _references)
def test_the_score_of_a_sentence_alone_is_the_mean_of_rouge_1_and_2(
    sentences: list[str], references: list[str]
) -> None:
    found = sentence_rouge(sentences, references)
    scores = [rouge(sentence, references) for sentence in sentences]
    assert found == pytest.approx([(one["rouge1"].f1 + one["rouge2"].f1) / 2 for one in scores])
    best = greedy_oracle(sentences, references, most=1)
    if max(found, default=0.0) > 0:
        assert found[best[0]] == pytest.approx(max(found))
    else:
        assert best == []


def test_the_oracle_by_hand() -> None:
    sentences = ["Nothing here.", "Cats sat on mats.", "A cat sat.", "Dogs ran away."]
    # Both have two of five words and one of four pairs: the first of equals.
    assert greedy_oracle(sentences, ["The cat sat. Dogs ran."], most=1) == [2]
    assert greedy_oracle(sentences, ["The cat sat. Dogs ran."], most=2) == [2, 3]
    assert greedy_oracle(sentences, ["The cat sat. Dogs ran."]) == [2, 3]
    # The same words again would only make it longer.
    assert greedy_oracle(["a b c", "a b c"], ["a b c"]) == [0]
    # By words as they stand, neither "Cats" nor "mats" is found.
    assert greedy_oracle(sentences[:2], ["A cat by a mat"], stem=True) == [1]
    assert greedy_oracle(sentences[:2], ["A cat by a mat"], stem=False) == []


def test_the_oracle_of_chinese_counts_characters() -> None:
    sentences = ["你好。", "今天天气很好。", "我们走吧。"]
    assert greedy_oracle(sentences, ["天气好"], rouge_in="characters", language="zh") == [1]
    assert greedy_oracle(sentences, ["天气好"]) == []


@pytest.mark.parametrize(
    ("sentences", "references"),
    [([], ["a"]), (["a"], []), (["a"], [""]), (["", "..."], ["a"]), ([], []), (["a"], ["b"])],
)
def test_where_nothing_is_shared_nothing_is_selected(
    sentences: list[str], references: list[str]
) -> None:
    assert greedy_oracle(sentences, references) == []
    assert sentence_rouge(sentences, references) == [0.0] * len(sentences)


def test_a_text_that_is_its_own_summary_is_selected_whole() -> None:
    sentences = [f"w{at} x{at} y{at}" for at in range(30)]
    assert greedy_oracle(sentences, [" ".join(sentences)]) == list(range(30))


@pytest.mark.slow
def test_many_documents_and_long_ones_take_seconds() -> None:
    draw = random.Random(0)
    words = [f"w{number}" for number in range(20_000)]
    often = list(itertools.accumulate(1 / (number + 1) for number in range(20_000)))

    def some(size: int) -> str:
        return " ".join(draw.choices(words, cum_weights=often, k=size))

    documents = [[some(25) for _ in range(10)] for _ in range(2000)]
    long = [some(20) for _ in range(5000)]  # 100,000 words
    start = time.perf_counter()
    for document in documents:
        greedy_oracle(document, [some(20)], most=3)
    many = time.perf_counter()
    assert len(greedy_oracle(long, [" ".join(long[7::500])], most=30)) == 10
    assert len(greedy_oracle(long, [" ".join(long)], most=30)) == 30  # a target like the source
    assert greedy_oracle([" ".join(long)], [" ".join(long)]) == [0]
    # Generous: other work may be going on.
    assert many - start < 30
    assert time.perf_counter() - many < 60
