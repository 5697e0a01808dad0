"""Knowledge distillation: a small student learns what a trained teacher says of each example."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.distillation.callback import Distillation
    from zoo.distillation.settings import DistillationSettings
    from zoo.distillation.student import pretrained_student_of, student_of

__all__ = ["Distillation", "DistillationSettings", "pretrained_student_of", "student_of"]

_HOME = {
    "Distillation": "zoo.distillation.callback",
    "DistillationSettings": "zoo.distillation.settings",
    "pretrained_student_of": "zoo.distillation.student",
    "student_of": "zoo.distillation.student",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'zoo.distillation' has no attribute {name!r}")
