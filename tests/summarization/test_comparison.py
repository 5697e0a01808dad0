"""ROUGE of weighted texts is the mean of the texts written out as often."""

from typing import Any

import numpy as np
import pytest

from zoo.summarization.comparison import outcomes


def record(number: int, score: float) -> dict[str, Any]:
    rouge = {name: score + step for step, name in enumerate(("rouge1", "rouge2", "rougeLsum"), 1)}
    texts = {
        "example": number,
        "id": f"text-{number}",
        "summary": "Short.",
        "references": ["Long."],
    }
    return {**texts, **rouge, "rougeL": score}


def test_scores_are_weighted_means_and_rouge_l_decides() -> None:
    found = outcomes([record(0, 0.2), record(1, 0.5)], labels=[], scored=frozenset())
    assert found.main == "rougeL"
    assert found.values() == pytest.approx(
        {"rougeL": 0.35, "rouge1": 1.35, "rouge2": 2.35, "rougeLsum": 3.35}
    )
    assert found.scores(np.array([[3.0, 1.0]]))["rougeL"] == pytest.approx([0.275])


def test_a_summary_is_better_or_worse_but_never_right() -> None:
    found = outcomes([record(0, 0.2)], labels=[], scored=frozenset())
    assert found.perfect is None
    assert found.show(0).predicted == [("Short. (rougeL 0.200)", None)]
