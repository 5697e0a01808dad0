"""Distillation with two processes: replicated and sharded students learn the same."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import without_dropout
from tests.distillation.distributed import distil
from tests.distillation.families import teacher_of
from tests.distillation.students import narrow
from tests.training.workers import together

pytestmark = pytest.mark.slow


@pytest.fixture
def student(tiny: Callable[[str], Path], tmp_path: Path) -> str:
    """A narrower BERT without dropout, with a head that is the same in all processes."""
    folder = Path(narrow(tiny("bert"), tmp_path / "narrow"))
    without_dropout(folder)
    return str(folder)


def test_processes_learn_the_same_student_and_projections_under_ddp_and_fsdp2(
    student: str, tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    teacher = teacher_of("ner", tmp_path, str(tiny("bert")))
    before = {name: one.clone() for name, one in teacher.net.state_dict().items()}
    found: dict[str, list[dict[str, Any]]] = {}
    for strategy in ("ddp", "fsdp2"):
        answers = tmp_path / strategy
        shutil.rmtree(answers, ignore_errors=True)
        found[strategy] = together(
            2,
            distil,
            answers,
            "ner",
            str(tmp_path),
            student,
            options={"world": 2, "strategy": strategy},
        )
    first = found["ddp"][0]
    assert first["steps"] > 2
    for one in (one for ranks in found.values() for one in ranks):
        for name, tensor in one["teacher"].items():
            assert torch.equal(tensor, before[name]), name
        for kind in ("weights", "projections"):
            for name, tensor in one[kind].items():
                torch.testing.assert_close(tensor, first[kind][name], rtol=1e-3, atol=1e-4)
