"""Scored summaries and their means, in one process and in two."""

import random

import pytest
import torch
from torch.multiprocessing.spawn import spawn

from zoo.summarization.evaluation import ScoredSummary, scored
from zoo.summarization.metrics import SummaryScores
from zoo.summarization.rouge import ROUGE, rouge


def _summary(example: int, summary: str, *references: str) -> ScoredSummary:
    return scored(example, summary, references, rouge_in="words", language="en")


def _numbers(metric: SummaryScores) -> dict[str, float]:
    return {name: value.item() for name, value in metric.compute().items()}


def test_a_scored_summary_holds_its_scores_length_and_repetition() -> None:
    one = scored(
        7,
        "The cats sat. The cats sat.",
        ["The cat sat.", "No."],
        rouge_in="words",
        language="en",
        selected=[0, 2],
    )
    assert (one.example, one.tokens, one.selected) == (7, 6, (0, 2))
    assert one.references == ["The cat sat.", "No."]
    assert one.repeated == 1 / 4  # the cat sat, cat sat the, sat the cat, the cat sat
    assert one.scores["rouge1"] == pytest.approx((3 / 6, 1.0, 2 / 3))
    assert one.scores == rouge(one.summary, one.references)
    unstemmed = scored(0, "cats", ["cat"], rouge_in="words", language="en", stem=False)
    assert unstemmed.scores["rouge1"].f1 == 0.0


def test_a_scored_summary_in_characters_counts_characters() -> None:
    one = scored(0, "北京大学。", ["北京"], rouge_in="characters", language="zh")
    assert one.tokens == 4
    assert one.scores["rouge1"].f1 == pytest.approx(2 * 2 / 6)


def test_scores_are_means_over_the_summaries() -> None:
    metric = SummaryScores()
    metric.update([_summary(0, "a b c", "a b c"), _summary(1, "a b", "x y")])
    metric.update([])
    metric.update([_summary(2, "a a a a", "a b c d"), _summary(3, "", "a")])
    numbers = _numbers(metric)
    assert list(numbers) == [*ROUGE, "summary_words", "repeated_trigrams"]
    assert numbers["rouge1"] == pytest.approx((1 + 0 + 1 / 4 + 0) / 4)
    assert numbers["rouge2"] == pytest.approx(1 / 4)
    assert numbers["rougeL"] == numbers["rougeLsum"] == pytest.approx(1.25 / 4)
    assert numbers["summary_words"] == 9 / 4
    assert numbers["repeated_trigrams"] == pytest.approx((0 + 0 + 1 / 2 + 0) / 4)
    metric.reset()
    metric.update([])
    assert set(_numbers(metric).values()) == {0.0}


def _many() -> list[ScoredSummary]:
    draw = random.Random(0)
    texts = [" ".join(draw.choices("abcdef", k=draw.randrange(12))) for _ in range(400)]
    return [_summary(row, *texts[row : row + 3]) for row in range(0, 399, 3)]


@pytest.mark.parametrize("processes", [2, 3, 7])
def test_states_of_several_processes_sum_to_that_of_one(processes: int) -> None:
    summaries = _many()
    whole = SummaryScores()
    whole.update(summaries)
    parts = [SummaryScores() for _ in range(processes)]
    for rank, part in enumerate(parts):
        for one in summaries[rank::processes]:
            part.update([one])
    parts[0].sums = torch.stack([part.sums for part in parts]).sum(dim=0)
    assert _numbers(parts[0]) == pytest.approx(_numbers(whole), abs=1e-12, rel=0)


def _process(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2
    )
    summaries = _many()
    whole = SummaryScores(sync_on_compute=False)
    whole.update(summaries)
    metric = SummaryScores()
    # In the second round, the second process has no summaries.
    for of_first in (50, len(summaries)):
        metric.reset()
        metric.update(summaries[:of_first] if rank == 0 else summaries[of_first:])
        assert _numbers(metric) == pytest.approx(_numbers(whole), abs=1e-12, rel=0)
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_find_the_scores_of_one(tmp_path_factory: pytest.TempPathFactory) -> None:
    spawn(_process, args=(str(tmp_path_factory.mktemp("meet")),), nprocs=2)
