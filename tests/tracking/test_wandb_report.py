"""The comparison as a report at W&B, saved at a stand-in of its server."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recipes.__main__ import main
from tests.recipes.compare.conftest import _classified, _write_run
from tests.tracking.wandb_stand_in import ENTITY, StandIn
from zoo.tracking.wandb_record import WandbRecord

Say = Callable[[], str]


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two runs that were logged; the second has 20 of 100 texts more right."""
    monkeypatch.chdir(tmp_path)
    folder = Path("runs/classification")
    for name, right, url in (("one", 60, "https://example.org/one"), ("two", 80, None)):
        run = _write_run(folder / name, _classified(right))
        WandbRecord(f"id-of-{name}", project="zoo", url=url).write(run)
    return folder


def _blocks(spec: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [block for block in spec["blocks"] if block["type"] == kind]


def test_the_report_has_the_verdict_the_scores_and_curves_of_just_these_runs(
    runs: Path, stand_in: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["compare", str(runs / "one"), str(runs / "two"), "--resamples=200"]
    assert main([*command, f"--wandb_report={ENTITY}/zoo"]) == 0
    said = capsys.readouterr().out
    assert f"/{ENTITY}/zoo/reports/" in said
    assert "two was kept on disk" in said
    assert "one was kept on disk" not in said
    (spec,) = stand_in.views
    text = "\n".join(block["content"] for block in _blocks(spec, "markdown-block"))
    assert "B is better: accuracy B - A = +0.200" in text
    assert "| accuracy | 0.600 [" in text
    (grid,) = _blocks(spec, "panel-grid")
    (runset,) = grid["metadata"]["runSets"]
    assert "id-of-one" in str(runset["filters"])
    assert "id-of-two" in str(runset["filters"])
    panels = str(grid["metadata"])
    for key in ("val/accuracy", "train/loss", "train/lr", "trainer/global_step", "test/accuracy"):
        assert key in panels, key
    assert stand_in.unknown == []


@pytest.mark.parametrize(
    ("place", "part"),
    [
        ("nobody", "give ENTITY/PROJECT"),
        ("a/b/c", "give ENTITY/PROJECT"),
        (f"{ENTITY}/other", "did not take the report for someone/other"),
    ],
)
def test_a_wrong_place_is_named_in_one_sentence(
    place: str, part: str, runs: Path, stand_in: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["compare", str(runs / "one"), str(runs / "two"), "--resamples=200"]
    assert main([*command, "--wandb_report", place]) == 2
    assert part in capsys.readouterr().err
    assert stand_in.views == []


@pytest.mark.usefixtures("nobodys_account")
def test_without_an_account_the_comparison_says_so_before_the_work(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["compare", str(runs / "one"), str(runs / "two")]
    assert main([*command, "--wandb_report=a/b"]) == 2
    captured = capsys.readouterr()
    assert "wandb login" in captured.err
    assert captured.out == ""


def test_a_run_that_was_not_logged_is_named(
    runs: Path, stand_in: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    WandbRecord.path(runs / "two").unlink()
    command = ["compare", str(runs / "one"), str(runs / "two"), "--resamples=200"]
    assert main([*command, f"--wandb_report={ENTITY}/zoo"]) == 2
    assert f"{runs / 'two'} has no run at W&B" in capsys.readouterr().err


def test_a_missing_package_is_named_with_what_installs_it(
    runs: Path,
    stand_in: StandIn,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "wandb_workspaces.reports.v2", None)
    assert main(["compare", str(runs), "--wandb_report=a/b"]) == 2
    assert "pip install 'lightning-text-zoo[search]'" in capsys.readouterr().err
