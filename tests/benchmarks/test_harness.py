"""Turns, spreads, goals and tables of the benchmarks of speed."""

from pathlib import Path

import pytest
import torch

from benchmarks.speed import __main__ as speed
from benchmarks.speed import machine, picture, results
from benchmarks.speed.recipe import interval
from benchmarks.speed.results import Goal, Result
from benchmarks.speed.scores import made_tags
from benchmarks.speed.steps import widened
from benchmarks.speed.timing import Spread, in_turns, ratios, turns


def test_a_spread_is_median_and_quartiles() -> None:
    assert Spread.of([5.0, 1.0, 2.0, 4.0, 3.0]) == (3.0, 2.0, 4.0)
    assert Spread.of([2.0]) == (2.0, 2.0, 2.0)


def test_ratios_are_of_pairs_of_the_same_round() -> None:
    # The second round was twice as slow for both: the ratio does not see it.
    assert ratios([4.0, 8.0, 4.0], [2.0, 4.0, 1.0]) == (2.0, 2.0, 3.0)


def test_each_way_is_first_as_often_as_the_others() -> None:
    names = ["a", "b", "c"]
    first = [turns(names, number)[0] for number in range(6)]
    assert first == ["a", "b", "c", "a", "b", "c"]
    assert all(sorted(turns(names, number)) == names for number in range(6))


def test_ways_take_turns_and_warming_up_is_not_measured() -> None:
    said: list[str] = []
    ticks = iter(range(100))
    seconds = in_turns(
        {"a": lambda: said.append("a"), "b": lambda: said.append("b")},
        rounds=2,
        warm_up=1,
        clock=lambda: float(next(ticks)),
    )
    assert said == ["a", "b", "a", "b", "b", "a"]
    assert seconds == {"a": [1.0, 1.0], "b": [1.0, 1.0]}


def test_a_busy_machine_is_refused_unless_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.getloadavg", lambda: (0.2, 9.0, 9.0))
    machine.require_idle(anyway=False)
    monkeypatch.setattr("os.getloadavg", lambda: (0.5, 0.0, 0.0))
    with pytest.raises(SystemExit, match=r"0\.50, above 0\.3.*--anyway"):
        machine.require_idle(anyway=False)
    assert not capsys.readouterr().err
    machine.require_idle(anyway=True)
    assert "no measurement" in capsys.readouterr().err


def test_a_goal_is_met_by_the_median_from_its_side() -> None:
    found = Spread(2.0, 0.5, 3.0)
    assert Goal("a", found, 2.0, "at least").met
    assert not Goal("a", found, 2.1, "at least").met
    assert Goal("a", found, 2.0, "at most").met
    assert not Goal("a", found, 1.9, "at most").met


def test_what_is_written_is_read_again_and_shown(tmp_path: Path) -> None:
    result = Result("startup", {"rounds": 3}, checks={"loss": 1e-7})
    result.rows.append({"command": "python", "seconds": Spread(0.5, 0.25, 0.75), "n": 3})
    result.goals.append(Goal("import", Spread(0.1, 0.1, 0.2), 0.15, "at most"))
    assert result.write(tmp_path).name == "speed_startup.json"
    record = results.read(tmp_path)["startup"]
    assert {"processor", "threads", "versions", "load_average"} <= set(record["machine"])
    page = results.markdown(record)
    assert "| python | 0.500 (0.250-0.750) | 3 |" in page
    assert "| import | 0.100 (0.100-0.200) | at most 0.15 | yes |" in page
    assert "loss 1e-07" in page


def test_the_interval_of_paired_differences_is_students() -> None:
    # t for two degrees of freedom is 4.303; the standard error of 1, 2, 3 is 1 / sqrt(3).
    half = 4.303 / 3**0.5
    assert interval([1.0, 2.0, 3.0]) == f"+2.000 ({2 - half:+.3f} to {2 + half:+.3f})"
    assert interval([0.25]) == "+0.250"


def test_rows_are_filled_up_to_a_fixed_length() -> None:
    batch = {
        "input_ids": torch.tensor([[4, 5]]),
        "labels": torch.tensor([[1, 2]]),
        "attention_mask": torch.tensor([[1, 1]]),
        "context_mask": torch.tensor([[False, True]]),
        "start": torch.tensor([1]),
        "tokens": 2,
    }
    wide = widened(batch, 4, 9)
    assert wide["input_ids"].tolist() == [[4, 5, 9, 9]]
    assert wide["labels"].tolist() == [[1, 2, -100, -100]]
    assert wide["attention_mask"].tolist() == [[1, 1, 0, 0]]
    assert wide["context_mask"].tolist() == [[False, True, False, False]]
    assert (wide["start"].tolist(), wide["tokens"]) == ([1], 2)


def test_made_tags_have_as_many_tokens_as_asked_for_and_some_are_wrong() -> None:
    gold, said = made_tags(500, seed=1)
    assert sum(map(len, gold)) == 500
    assert [len(row) for row in gold] == [len(row) for row in said]
    pairs = [pair for a, b in zip(gold, said, strict=True) for pair in zip(a, b, strict=True)]
    entities = [pair for pair in pairs if pair[0] != "O"]
    assert 20 < len(entities) < 200
    assert any(a != b for a, b in entities)
    assert any(a == b for a, b in entities)


def test_what_cannot_be_measured_is_said_and_the_rest_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = Result("steps", {})
    for name, error in (("a", None), ("b", ValueError("no weights")), ("c", SystemExit("off"))):
        with result.part(name, tmp_path):
            if error is not None:
                raise error
            result.rows.append({"way": name})
        assert len(results.read(tmp_path)["steps"]["errors"]) == len(result.errors)
    record = results.read(tmp_path)["steps"]
    assert record["rows"] == [{"way": "a"}]
    assert record["errors"] == ["b: ValueError: no weights", "c: SystemExit: off"]
    assert "**Not measured:** b: ValueError: no weights" in results.markdown(record)
    assert "Traceback" in capsys.readouterr().err
    assert "**Unfinished:**" in results.markdown(record)


def test_a_part_that_fails_does_not_lose_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(options: object) -> Result:
        raise RuntimeError("no such model")

    def find(options: object) -> Result:
        return Result("metrics", {}, rows=[{"way": "a"}])

    monkeypatch.setattr("benchmarks.speed.startup.measure", fail)
    monkeypatch.setattr("benchmarks.speed.scores.measure", find)
    parts = {"startup": ("startup", "measure"), "metrics": ("scores", "measure")}
    monkeypatch.setattr(speed, "PARTS", parts)
    flags = ["--anyway", f"--out={tmp_path}", f"--picture={tmp_path / 'speed.png'}"]
    assert speed.main(["all", *flags]) == 1
    assert set(results.read(tmp_path)) == {"metrics"}
    assert "startup" in capsys.readouterr().err.splitlines()[-1]
    page = (tmp_path / "speed.md").read_text(encoding="utf-8")
    assert "| a |" in page
    assert "Unfinished" not in page
    monkeypatch.setattr(speed, "PARTS", {"metrics": parts["metrics"]})
    assert speed.main(["all", *flags]) == 0


def test_the_picture_has_a_panel_for_each_precision_and_one_for_trainings() -> None:
    steps = [
        {"corpus": "a", "precision": precision, "way": way, "real tokens/s": [2.0, 1.0, 3.0]}
        for precision in ("fp32", "bf16")
        for way in ("zoo", "transformers")
    ]
    trainings = [{"way": "recipe, bf16", "real tokens/s": [2.0, 1.0, 3.0]}]
    panels = list(picture._panels({"steps": {"rows": steps}, "recipe": {"rows": trainings}}))
    assert [len(panel.groups) for panel in panels] == [1, 1, 1]
    assert [way for way, _ in panels[0].groups["a"]] == ["zoo", "transformers"]
    assert not list(picture._panels({"startup": {"rows": [{"command": "python"}]}}))
