"""After a fit: the averaged weights, kept only if validation says that they are better."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from zoo.errors import ZooError
from zoo.tracking.averaging import SHARDED, put_weights
from zoo.tracking.console import console

if TYPE_CHECKING:
    from recipes.cli import RecipeCLI


def check_can_average(trainer: Any, *, checkpoints: bool) -> None:
    """Refuse a run that could not average, before anything is built.

    Args:
        trainer: The trainer's settings.
        checkpoints: Whether the run writes checkpoints.

    Raises:
        ZooError: It writes none, or its strategy shards the weights.
    """
    if not checkpoints:
        raise ZooError("--average needs checkpoints: leave --trainer.enable_checkpointing out.")
    strategy = getattr(trainer.strategy, "class_path", trainer.strategy)
    if any(name in str(strategy).lower() for name in ("fsdp", "modelparallel")):
        raise ZooError(SHARDED)


def keep_average(cli: "RecipeCLI") -> dict[str, float] | None:
    """Put the average into the task if it beats the best checkpoint; all processes must call it.

    Returns:
        Its validation scores, the same in all processes; None where the best checkpoint stays.
    """
    if cli.average is None or cli.checkpoints is None:
        return None
    trainer, task, monitor = cli.trainer, cli.model, cli.model.monitor
    weights = cli.average.weights(trainer)
    best = cli.checkpoints.best_score
    if not weights or best is None:
        _note(cli, "No average was taken: the training ended before there were two of them.")
        return None
    before = _copied(task, weights)
    put_weights(task, weights)
    # The scores of the average are no part of the training's curves.
    loggers, trainer.loggers = list(trainer.loggers), []
    task.recalibrating = True
    try:
        found = trainer.validate(task, cli.datamodule, verbose=False)[0]
    finally:
        task.recalibrating = False
        trainer.loggers = loggers
    scores: dict[str, float] = trainer.strategy.broadcast(
        {name: float(value) for name, value in found.items() if name.startswith("val/")}
    )
    sign = 1.0 if task.monitor_mode == "max" else -1.0
    score = scores[monitor]
    kept = sign * score > sign * best
    _note(
        cli,
        f"Averaged weights ({cli.average.described}): {monitor} {score:.4f}, of the best "
        f"checkpoint {best:.4f}. The {'average' if kept else 'best checkpoint'} is the model.",
    )
    if trainer.is_global_zero:
        cli.folder.add_metrics({f"average/{monitor.removeprefix('val/')}": score})
    if not kept:
        _put_back(task, before)  # there may be no best checkpoint that can be read
        return None
    trainer.save_checkpoint(cli.folder.checkpoints / "average.ckpt", weights_only=True)
    return scores


def _copied(task: Any, names: Mapping[str, Any]) -> dict[str, Any]:
    """What an average takes the place of, and what is fitted beside the weights."""
    return {
        name: tensor.detach().to("cpu", copy=True)
        for name, tensor in task.state_dict().items()
        if name in names or not name.startswith("model.")
    }


@torch.no_grad()
def _put_back(task: Any, copied: Mapping[str, Any]) -> None:
    for name, tensor in task.state_dict().items():
        if name in copied:
            tensor.copy_(copied[name])


def _note(cli: "RecipeCLI", sentence: str) -> None:
    if cli.trainer.is_global_zero:
        cli.datamodule.notes.append(sentence)  # it goes into the report
        console().print(sentence, markup=False)
