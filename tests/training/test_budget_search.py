"""The search for a token budget, over memory that is made up."""

import math
from pathlib import Path

import pytest

from zoo.training.budget_search import Budget, NothingFitsError, Trial, find_budget
from zoo.training.memory import available


class Machine:
    """Memory is `idle` and so much more a token; speed grows until a budget, and no further.

    Args:
        a_token: Share of the memory that a token of a batch needs.
        idle: Share in use without any.
        fastest: The budget from which on nothing gets faster.
    """

    def __init__(self, a_token: float, *, idle: float = 0.2, fastest: float = math.inf):
        self.a_token, self.idle, self.fastest = a_token, idle, fastest
        self.asked: list[int] = []

    def attempt(self, budget: int) -> Trial:
        self.asked.append(budget)
        used = self.idle + self.a_token * budget
        return Trial(budget, used if used <= 1 else math.inf, float(min(budget, self.fastest)))

    def find(self, *, catchable: bool = True, while_faster: bool = False, **limits: int) -> Budget:
        options = {"smallest": 64, "largest": 1 << 30, **limits}
        return find_budget(
            self.attempt,
            idle=self.idle,
            catchable=catchable,
            while_faster=while_faster,
            **options,
        )


@pytest.mark.parametrize("most", [64, 65, 100, 1000, 5555])
def test_the_largest_budget_that_fits_is_found_to_a_sixteenth(most: int) -> None:
    found = Machine(0.8 / most).find()
    assert found.bound == "memory"
    assert most / (1 + 1 / 16) - 1 <= found.tokens <= most


def test_where_too_much_would_end_the_process_nothing_too_large_is_tried() -> None:
    machine = Machine(0.8 / 3000)
    found = machine.find(catchable=False)
    assert max(machine.asked) <= 3000
    assert 3000 / (1 + 1 / 16) - 1 <= found.tokens <= 3000
    careless = Machine(0.8 / 3000)
    careless.find(catchable=True)
    assert max(careless.asked) > 3000


def test_memory_that_grows_faster_than_the_batch_is_foreseen_as_it_steepens() -> None:
    asked = []

    def attempt(budget: int) -> Trial:
        asked.append(budget)
        return Trial(budget, 0.1 + (budget / 4000) ** 1.2, float(budget))

    options = {"smallest": 100, "largest": 10**6, "idle": 0.1}
    found = find_budget(attempt, catchable=False, while_faster=False, **options)  # type: ignore[arg-type]
    assert found.bound == "memory"
    # At the limit: (b / 4000) ** 1.2 = 0.9.
    assert max(asked) <= 1.2 * 3664
    assert 0.8 * 3664 < found.tokens <= 3664


def test_where_memory_is_plenty_the_search_ends_with_speed() -> None:
    machine = Machine(1e-9, fastest=900.0)
    found = machine.find(while_faster=True)
    assert (found.tokens, found.bound) == (1024, "speed")
    assert max(machine.asked) == 4096


def test_without_an_end_of_speed_or_memory_the_data_is_the_end() -> None:
    found = Machine(1e-9).find(largest=1500, while_faster=True)
    assert (found.tokens, found.bound) == (1500, "data")


def test_one_doubling_that_is_no_faster_may_be_chance() -> None:
    speeds = {64: 10.0, 128: 20.0, 256: 20.0, 512: 40.0, 1024: 40.0, 2048: 40.0}
    found = find_budget(
        lambda budget: Trial(budget, 0.1, speeds[budget]),
        smallest=64,
        largest=1 << 20,
        idle=0.0,
        catchable=False,
        while_faster=True,
    )
    assert (found.tokens, found.bound) == (512, "speed")


def test_if_the_smallest_does_not_fit_nothing_is_found() -> None:
    with pytest.raises(NothingFitsError):
        Machine(0.1).find()


def _system(folder: Path, *, free: int, group: str, limits: dict[str, tuple[str, int]]) -> None:
    (folder / "proc" / "self").mkdir(parents=True)
    (folder / "proc" / "meminfo").write_text(f"MemTotal: 99 kB\nMemAvailable: {free} kB\n")
    (folder / "proc" / "self" / "cgroup").write_text(f"0::{group}\n")
    for name, (limit, used) in limits.items():
        at = folder / "groups" / name.lstrip("/")
        at.mkdir(parents=True, exist_ok=True)
        (at / "memory.max").write_text(f"{limit}\n")
        (at / "memory.current").write_text(f"{used}\n")
        (at / "memory.stat").write_text("anon 5\ninactive_file 1000\n")


@pytest.mark.parametrize(
    ("limits", "room"),
    [
        ({}, 4096),
        ({"/": ("max", 1), "/a": ("max", 1), "/a/b": ("max", 1)}, 4096),
        ({"/a/b": ("3000", 2500)}, 1500),
        ({"/a": ("3000", 2900), "/a/b": ("9000", 100)}, 1100),
        ({"/": ("2000", 1900)}, 1100),  # in a container, whose own path is not there
        ({"/a/b": ("99999", 0)}, 4096),
    ],
    ids=str,
)
def test_memory_that_is_left_is_the_least_of_the_machine_and_the_groups_around(
    tmp_path: Path, limits: dict[str, tuple[str, int]], room: int
) -> None:
    _system(tmp_path, free=4, group="/a/b", limits=limits)
    assert available(proc=tmp_path / "proc", groups=tmp_path / "groups") == room


def test_of_this_machine_something_is_known() -> None:
    assert available() > 1 << 20
