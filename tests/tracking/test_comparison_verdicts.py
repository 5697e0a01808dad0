"""What is said of a difference, by its interval and p-value."""

from pathlib import Path

import pytest

from zoo.tracking.comparison.comparison import (
    Comparison,
    Difference,
    Estimate,
    ScoreRow,
    letters,
    shown_p,
)
from zoo.tracking.comparison.resampling import Interval
from zoo.tracking.comparison.runs import RecordedRun
from zoo.tracking.run_folder import RunFolder


@pytest.mark.parametrize(
    ("value", "low", "high", "p", "lower", "said"),
    [
        (0.1, 0.05, 0.15, 0.001, False, "B is better: "),
        (-0.1, -0.15, -0.05, 0.001, False, "A is better: "),
        (-0.1, -0.15, -0.05, 0.001, True, "B is better: "),
        (0.1, 0.05, 0.15, 0.001, True, "A is better: "),
        (0.1, 0.01, 0.15, 0.05, False, "The test cannot tell B from A: "),
        (0.1, -0.01, 0.15, 0.04, False, "The test cannot tell B from A: "),
        (0.0, -0.1, 0.1, 1.0, False, "A and B score the same: "),
    ],
)
def test_a_run_is_better_where_interval_and_p_value_say_so(
    value: float, low: float, high: float, p: float, lower: bool, said: str
) -> None:
    estimates = [Estimate(0.5), Estimate(0.5 + value)]
    row = ScoreRow("f1", estimates, [Difference(value, Interval(low, high), p)], lower)
    runs = [RecordedRun(RunFolder(Path(name))) for name in ("a", "b")]
    comparison = Comparison(runs, 10, "f1", [row], None, [], resamples=2000)
    (verdict,) = comparison.verdicts
    assert verdict.startswith(said)
    assert f"{value:+.3f} [{low:+.3f}, {high:+.3f}]" in verdict


def test_a_p_value_is_told_no_finer_than_the_shuffles_allow() -> None:
    assert shown_p(1 / 2001, 2000) == "< 0.001"
    assert shown_p(3 / 2001, 2000) == "= 0.001"
    assert shown_p(1 / 101, 100) == "< 0.02"
    assert shown_p(1.0, 100) == "= 1.000"


def test_runs_beyond_the_alphabet_have_names() -> None:
    assert letters(2) == ["A", "B"]
    assert letters(28)[25:] == ["Z", "R27", "R28"]
    assert len(set(letters(60))) == 60
