"""What tests of distillation with several processes run in each of them."""

import os
from pathlib import Path
from typing import Any

import torch

from tests.distillation.families import data_of, student_task
from tests.training.distributed_runs import make_trainer, whole
from zoo.distillation import Distillation, DistillationSettings


def distil(family: str, folder: str, student: str, *, world: int, strategy: str) -> dict[str, Any]:
    """Fit a student for four epochs; what was seen in this process.

    Args:
        family: A key of the families' corpora.
        folder: Holds the corpus, and the teacher's model in `teacher`.
        student: The student's folder, of another width.
        world: Number of processes.
        strategy: A strategy's name.
    """
    torch.manual_seed(int(os.environ["RANK"]))
    data = data_of(family, Path(folder), student)
    task = student_task(family, student, data, learning_rate=1e-3)
    teacher = type(task).from_run(Path(folder, "teacher"))
    settings = DistillationSettings(hidden=1.0)
    distillation = Distillation(teacher, settings)
    trainer = make_trainer(world, strategy, distillation, max_epochs=4, limit_val_batches=0)
    trainer.fit(task, data)
    names = {name for name, _ in task.net.named_parameters()}
    return {
        "weights": {
            name: whole(tensor).detach().clone()
            for name, tensor in sorted(task.net.state_dict().items())
            if name in names
        },
        "teacher": {name: one.clone() for name, one in teacher.net.state_dict().items()},
        "projections": distillation.state_dict()["projections"],
        "steps": trainer.global_step,
    }
