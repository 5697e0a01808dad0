"""`python -m recipes compare` on folders of several seeds."""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from scipy import stats  # type: ignore[import-untyped]

from recipes.__main__ import main
from zoo.tracking.comparison.groups import difference_of_means
from zoo.tracking.seed_group import SeedGroup

Records = list[dict[str, Any]]
MakeGroup = Callable[..., Path]


@pytest.fixture
def make_group(
    write_run: Callable[..., Path],
    classified: Callable[..., Records],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> MakeGroup:
    """A function that makes a group whose seeds have so many of 100 texts right."""
    monkeypatch.chdir(tmp_path)

    def make(name: str, *right: int, age: int = 0, settings: dict[str, Any] | None = None) -> Path:
        group = SeedGroup(Path("runs/classification") / name)
        for seed, count in enumerate(right, start=1):
            run = write_run(
                group.run(seed).path, classified(count), age=age + seed, settings=settings
            )
            config = yaml.safe_load((run / "config.yaml").read_text())
            config |= {"seed_everything": seed, "recipe": "classification/sample"}
            (run / "config.yaml").write_text(yaml.safe_dump(config))
        group.write({"seeds": list(range(1, len(right) + 1)), "settings": {}})
        return group.path

    return make


def test_two_groups_are_compared_by_their_means_over_seeds(
    make_group: MakeGroup,
    capsys: pytest.CaptureFixture[str],
    read_page: Callable[[Path], Any],
) -> None:
    one = make_group("one", 58, 60, 62, age=100)
    two = make_group("two", 79, 80, 81, 80, settings={"learning_rate": 1e-5})
    assert main(["compare", str(one), str(two)]) == 0
    out = capsys.readouterr().out
    assert re.search(r"A\s+runs/classification/one\s+classification/sample\s+1, 2, 3 ", out)
    assert "seed_everything" not in out
    assert re.search(r"--model.learning_rate\s+0.0003\s+1e-05", out)
    # 0.58, 0.60, 0.62 and 0.79, 0.80, 0.81, 0.80.
    row = next(line for line in out.splitlines() if line.strip().startswith("accuracy"))
    assert "0.600 ± 0.020" in row
    assert "0.800 ± 0.008" in row
    assert "+0.200 [+0.1" in row
    assert "B is better over seeds: mean accuracy B - A = +0.200" in out
    # Texts 62 to 78 are right in all seeds of B and in none of A; 58 to 61 and 79, 80 in some.
    assert re.search(r"more seeds of B right\s+23 ", out)
    assert re.search(r"more seeds of A right\s+0 ", out)
    page = read_page(Path("runs/classification/comparison.html"))
    assert "Welch" in page.text
    assert "0 of 3 seeds right" in page.text
    assert "4 of 4 seeds right" in page.text
    assert len([source for source in page.loaded if source.startswith("data:image/png")]) == 1


def test_groups_whose_seeds_differ_more_than_their_means_are_not_told_apart(
    make_group: MakeGroup, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = make_group("one", 50, 60, 70), make_group("two", 55, 65, 75)
    assert main(["compare", str(one), str(two)]) == 0
    assert "Seeds and test cannot tell B from A" in capsys.readouterr().out


def test_the_test_is_welch_s_where_the_examples_add_nothing() -> None:
    first, second = [0.58, 0.60, 0.65], [0.70, 0.71, 0.79, 0.72]
    found = difference_of_means(first, second, 0.0)
    expected = stats.ttest_ind(second, first, equal_var=False)
    assert found.p == pytest.approx(expected.pvalue)
    assert found.interval == pytest.approx(tuple(expected.confidence_interval(0.95)))


def test_the_test_is_the_bootstrap_s_where_seeds_do_not_differ() -> None:
    found = difference_of_means([0.5, 0.5], [0.6, 0.6], 0.04**2)
    assert found.interval == pytest.approx((0.1 - 1.959964 * 0.04, 0.1 + 1.959964 * 0.04))
    assert found.p == pytest.approx(math.erfc(2.5 / math.sqrt(2)))
    assert difference_of_means([0.5, 0.5], [0.5, 0.5], 0.0).p == 1.0


def test_groups_that_are_alike_are_called_different_about_once_in_twenty() -> None:
    # Seeds move a score by 0.03, the examples of a test by 0.02, the same for all seeds.
    chance, wrong = np.random.default_rng(3), 0
    for _ in range(2000):
        seeds = chance.normal(0.8, 0.03, size=(2, 5))
        of_test = chance.normal(0, 0.02)
        p = difference_of_means(seeds[0], seeds[1] + of_test, 0.02**2).p
        assert p is not None
        wrong += p < 0.05
    assert 0.03 < wrong / 2000 < 0.06


def test_one_group_alone_is_compared_seed_by_seed_with_its_spread(
    make_group: MakeGroup, capsys: pytest.CaptureFixture[str]
) -> None:
    group = make_group("one", 58, 60, 62)
    assert main(["compare", str(group)]) == 0
    out = capsys.readouterr().out
    assert re.search(r"--seed_everything\s+1\s+2\s+3", out)
    assert "C - A" in out
    assert re.search(r"test/accuracy\s+0.600\s+0.020\s+0.580\s+0.620\s+0.580  0.600  0.620", out)


def test_a_run_is_compared_with_each_seed_of_a_group(
    make_group: MakeGroup,
    write_run: Callable[..., Path],
    classified: Callable[..., Records],
    capsys: pytest.CaptureFixture[str],
) -> None:
    group = make_group("one", 58, 60)
    run = write_run(Path("runs/classification/run"), classified(80))
    assert main(["compare", str(run), str(group)]) == 0
    out = capsys.readouterr().out
    assert out.count("A is better: accuracy") == 2
    assert "Over the seeds of runs/classification/one" in out


def test_the_newest_are_two_groups_or_two_runs_as_they_were_run_last(
    make_group: MakeGroup,
    write_run: Callable[..., Path],
    classified: Callable[..., Records],
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_group("old", 50, 52, age=900)
    make_group("one", 58, 60, age=500)
    make_group("two", 80, 80, age=100)
    assert main(["compare"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"A\s+runs/classification/one .*\n\s*B\s+runs/classification/two ", out)
    write_run(Path("runs/classification/x"), classified(70), age=20)
    assert main(["compare"]) == 0
    out = capsys.readouterr().out
    # A single run has no group's peer: it is compared with a seed of the newest one.
    assert re.search(r"A\s+runs/classification/two/seed-1 .*\n\s*B\s+runs/classification/x ", out)
    write_run(Path("runs/classification/y"), classified(75), age=10)
    assert main(["compare", "runs/classification"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"A\s+runs/classification/x .*\n\s*B\s+runs/classification/y ", out)
    assert main(["compare", "--all"]) == 0
    assert "H - A" in capsys.readouterr().out


def test_seeds_that_were_not_tested_are_left_out_or_refused(
    make_group: MakeGroup, capsys: pytest.CaptureFixture[str], fails: Callable[..., str]
) -> None:
    one, two = make_group("one", 58, 60, 62), make_group("two", 80, 80)
    (one / "seed-3" / "metrics.json").write_text('{"val/accuracy": 0.5}')
    assert main(["compare", str(one), str(two)]) == 0
    assert re.search(r"one\s+classification/sample\s+1, 2 ", capsys.readouterr().out)
    (two / "seed-2" / "metrics.json").write_text('{"val/accuracy": 0.5}')
    assert "two has one tested seed, which has no spread" in fails(str(one), str(two))
    (two / "seed-1" / "metrics.json").write_text('{"val/accuracy": 0.5}')
    assert "two holds seeds of which none was tested" in fails(str(one), str(two))
