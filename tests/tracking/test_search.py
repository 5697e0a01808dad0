"""A search over a sweep's file: what is read, what is tried, and that a stop changes nothing."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from zoo.errors import DataError, ZooError
from zoo.tracking.search.results import picture, trials_table, write_results
from zoo.tracking.search.space import Choice, Range, Space, read_space, typed
from zoo.tracking.search.study import FailedTrialError, Search, StoppedTrialError

BASE: dict[str, Any] = {
    "method": "bayes",
    "metric": {"name": "val/f1", "goal": "maximize"},
    "parameters": {"rate": {"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-2}},
}


def _space(folder: Path, **changes: Any) -> Space:
    path = folder / "sweep.yaml"
    path.write_text(yaml.safe_dump({**BASE, **changes}), encoding="utf-8")
    return read_space(path)


def _score(settings: dict[str, str]) -> float:
    """Best at a rate of 1e-3."""
    return 1 - abs(math.log10(float(settings["rate"])) + 3) / 4


def _attempt(number: int, settings: dict[str, str], report: Callable[[float], bool]) -> float:
    return _score(settings)


def test_each_distribution_is_read_as_w_and_b_means_it(tmp_path: Path) -> None:
    space = _space(
        tmp_path,
        parameters={
            "a": {"values": [1, 0.1, "x", True, None]},
            "b": {"min": 1, "max": 9},
            "c": {"min": 0.0, "max": 9},
            "d": {"distribution": "int_uniform", "min": 2, "max": 3},
            "e": {"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-3},
            "f": {"distribution": "q_uniform", "min": 0.0, "max": 0.3, "q": 0.05},
            "g": {"distribution": "q_log_uniform_values", "min": 8, "max": 64, "q": 8},
            "h": {"value": 3},
        },
        early_terminate={"type": "hyperband", "min_iter": 2, "eta": 4},
    )
    assert space.parameters == {
        "a": Choice(["1", "0.1", "x", "true", "null"]),
        "b": Range(1, 9, whole=True),
        "c": Range(0.0, 9),
        "d": Range(2, 3, whole=True),
        "e": Range(1e-5, 1e-3, log=True),
        "f": Range(0.0, 0.3, quantum=0.05),
        "g": Range(8, 64, log=True, quantum=8),
    }
    assert space.fixed == {"h": "3"}
    assert (space.first_stop, space.reduction) == (2, 4)
    assert space.maximize


def test_what_is_tried_lies_in_its_range_and_on_its_grid(tmp_path: Path) -> None:
    import optuna

    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    tenths, eights = Range(0.0, 0.3, quantum=0.1), Range(8, 64, log=True, quantum=8)
    seen: set[str] = set()
    for _ in range(60):
        trial = study.ask()
        seen.add(typed(tenths.suggest(trial, "t")))
        eight = eights.suggest(trial, "e")
        assert eight in range(8, 65, 8)
        assert isinstance(eight, int)
    assert seen == {"0", "0.1", "0.2", "0.3"}


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"method": "magic"}, "none of bayes, random and grid"),
        ({"metric": {}}, "metric needs a `name`"),
        ({"metric": {"name": "val/f1", "goal": "up"}}, "neither maximize nor minimize"),
        ({"parameters": {"a": 3}}, "a needs `values`, or `min` and `max`"),
        ({"parameters": {"a": {"min": 3, "max": 1}}}, "min 3 and max 1 are no range"),
        ({"parameters": {"a": {"min": "1e-5", "max": "1e-3"}}}, "write 1.0e-5"),
        ({"parameters": {"a": {"values": []}}}, "`values` is a list"),
        ({"parameters": {"a": {"min": 0, "max": 1, "distribution": "normal"}}}, "'normal'"),
        (
            {"parameters": {"a": {"min": 0, "max": 1, "distribution": "log_uniform_values"}}},
            "min must be above 0",
        ),
        ({"method": "grid"}, "method grid takes parameters with `values` only"),
        ({"early_terminate": {"type": "hyperband"}}, "`min_iter`"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_the_file(
    changes: dict[str, Any], part: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError) as refused:
        _space(tmp_path, **changes)
    assert part in str(refused.value)
    assert str(tmp_path / "sweep.yaml") in str(refused.value)


def test_a_search_finds_better_settings_and_keeps_what_failed(tmp_path: Path) -> None:
    search = Search(_space(tmp_path), tmp_path / "journal", seed=1)

    def attempt(number: int, settings: dict[str, str], report: Callable[[float], bool]) -> float:
        if number == 2:
            raise FailedTrialError("out of memory")
        return _score(settings)

    after: list[int] = []
    search.run(20, attempt, lambda one: after.append(one.number))
    tried = search.tried()
    assert after == [one.number for one in tried] == list(range(20))
    assert (tried[2].state, tried[2].error, tried[2].value) == ("failed", "out of memory", None)
    best = search.best()
    assert best is not None
    assert best.value == max(one.value for one in tried if one.value is not None)
    assert best.value > 0.9
    assert trials_table(search).rows[0][0] == f"trial {best.number}"
    assert trials_table(search).rows[-1][0] == "trial 2"
    write_results(search, tmp_path / "search.json", {"recipe": "ner"})
    content = json.loads((tmp_path / "search.json").read_text(encoding="utf-8"))
    assert content["best"]["number"] == best.number
    assert len(content["trials"]) == 20
    assert picture(search, tmp_path / "search.png")


def test_a_search_that_was_interrupted_tries_the_same_as_one_that_was_not(tmp_path: Path) -> None:
    whole = Search(_space(tmp_path), tmp_path / "whole", seed=3)
    whole.run(14, _attempt, lambda one: None)

    def interrupted(
        number: int, settings: dict[str, str], report: Callable[[float], bool]
    ) -> float:
        if number in (3, 11) and number not in stops:
            stops.append(number)
            raise KeyboardInterrupt
        return _score(settings)

    stops: list[int] = []
    for expected in (3, 11):
        part = Search(_space(tmp_path), tmp_path / "parts", seed=3)
        with pytest.raises(KeyboardInterrupt):
            part.run(14, interrupted, lambda one: None)
        assert len(part.tried()) == expected
    part = Search(_space(tmp_path), tmp_path / "parts", seed=3)
    part.run(14, interrupted, lambda one: None)
    assert [one.settings for one in part.tried()] == [one.settings for one in whole.tried()]
    assert [one.value for one in part.tried()] == [one.value for one in whole.tried()]


def test_a_trial_that_is_worse_after_as_many_validations_is_stopped(tmp_path: Path) -> None:
    space = _space(
        tmp_path, method="random", early_terminate={"type": "hyperband", "min_iter": 1, "eta": 2}
    )
    search = Search(space, tmp_path / "journal", seed=1)
    # Each trial is worse than the one before, from its first validation on.
    validations: dict[int, int] = {}

    def attempt(number: int, settings: dict[str, str], report: Callable[[float], bool]) -> float:
        score = 0.9 - number / 10
        for _ in range(4):
            validations[number] = validations.get(number, 0) + 1
            if report(score):
                raise StoppedTrialError(score)
        return score

    search.run(6, attempt, lambda one: None)
    stopped = [one for one in search.tried() if one.state == "stopped"]
    assert stopped
    assert all(validations[one.number] < 4 for one in stopped)
    assert all(one.value == pytest.approx(0.9 - one.number / 10) for one in stopped)
    best = search.best()
    assert best is not None
    assert best.state == "complete"


def test_a_grid_is_gone_through_once_and_no_further(tmp_path: Path) -> None:
    space = _space(
        tmp_path,
        method="grid",
        parameters={"rate": {"values": [1e-4, 1e-3]}, "size": {"values": [8, 16, 32]}},
    )
    search = Search(space, tmp_path / "journal", seed=1)
    score = {"0.0001": 0.1, "0.001": 0.2}
    search.run(50, lambda number, given, report: score[given["rate"]], lambda one: None)
    tried = [tuple(one.settings.values()) for one in search.tried()]
    assert sorted(tried) == sorted((a, b) for a in ("0.0001", "0.001") for b in ("8", "16", "32"))


def test_a_parameter_that_is_set_is_not_searched(tmp_path: Path) -> None:
    space = _space(tmp_path, parameters={**BASE["parameters"], "size": {"values": [8, 16]}})
    search = Search(space, tmp_path / "journal", seed=1, fixed=["size"])
    search.run(1, _attempt, lambda one: None)
    assert list(search.tried()[0].settings) == ["rate"]
    with pytest.raises(ZooError, match="nothing to search"):
        Search(space, tmp_path / "other", seed=1, fixed=["size", "rate"])
