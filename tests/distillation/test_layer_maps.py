"""Which layers look at which."""

import pytest

from zoo.distillation.layer_maps import kept_layers, layer_pairs
from zoo.errors import ZooError


def test_uniform_is_tinyberts_map() -> None:
    assert layer_pairs("uniform", student=4, teacher=12) == [(1, 3), (2, 6), (3, 9), (4, 12)]
    assert layer_pairs("uniform", student=3, teacher=6) == [(1, 2), (2, 4), (3, 6)]


def test_last_takes_the_upper_layers() -> None:
    assert layer_pairs("last", student=3, teacher=6) == [(1, 4), (2, 5), (3, 6)]


def test_given_pairs_are_taken_in_order() -> None:
    assert layer_pairs({2: 6, 1: 3}, student=2, teacher=6) == [(1, 3), (2, 6)]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({4: 1}, "layer 4 of the student"),
        ({1: 0}, "layer 0 of the teacher"),
        ({}, "names no layer"),
        ("middle", "expected uniform"),
    ],
)
def test_what_is_no_map_is_refused(given: object, said: str) -> None:
    with pytest.raises(ZooError, match=said):
        layer_pairs(given, student=3, teacher=6)  # type: ignore[arg-type]


def test_a_student_with_more_layers_needs_a_map_of_its_own() -> None:
    with pytest.raises(ZooError, match="The student has 6 layers and the teacher 3"):
        layer_pairs("uniform", student=6, teacher=3)


def test_kept_layers_are_evenly_spaced_from_the_first_to_the_last() -> None:
    assert kept_layers(3, of=6) == [0, 2, 5]
    assert kept_layers(6, of=12) == [0, 2, 4, 7, 9, 11]
    assert kept_layers(6, of=6) == list(range(6))
    assert kept_layers(1, of=6) == [0]
    with pytest.raises(ZooError, match="give 1 to 6"):
        kept_layers(7, of=6)
