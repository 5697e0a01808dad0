"""How the learning rate goes over the steps of a training."""

import difflib
import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from zoo.errors import ZooError

Schedule = Literal["linear", "cosine", "constant", "inverse_sqrt", "warmup_stable_decay", "plateau"]

#: What can be set of a schedule beside the warm-up, and what it is unless told.
_OPTIONS: Mapping[str, Mapping[str, float]] = {
    "warmup_stable_decay": {"decay": 0.2},
    "plateau": {"factor": 0.5, "patience": 1, "floor": 0.01},
}
#: Schedules that go down to 0 at the last step, and so must know which one that is.
_ENDING = ("linear", "cosine", "warmup_stable_decay")


def schedule_options(schedule: str, options: Mapping[str, float] | None) -> dict[str, float]:
    """The options of a schedule, with those that were not given as they are unless told.

    Args:
        schedule: Its name.
        options: Of `warmup_stable_decay`: `decay`, the share of all steps in which the rate goes
            down at the end (0.2). Of `plateau`: `factor` (0.5) by which the rate is multiplied
            after `patience` (1) validations without a better score, and `floor` (0.01), the
            smallest share of the highest rate that it is lowered to.

    Raises:
        ZooError: There is no such schedule or option, or one is out of its range.
    """
    names = get_args(Schedule)
    if schedule not in names:
        near = difflib.get_close_matches(str(schedule), names, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise ZooError(f"--model.schedule {schedule}: there are {', '.join(names)}.{hint}")
    known = dict(_OPTIONS.get(schedule, {}))
    for name, value in (options or {}).items():
        if name not in known:
            there = f"it has {', '.join(known)}" if known else "it has none"
            raise ZooError(
                f"--model.schedule_options {name}: the schedule {schedule} has no such option; "
                f"{there}."
            )
        known[name] = value
    for name, value in known.items():
        if name == "patience":
            if value < 1 or value != int(value):
                raise ZooError(
                    f"--model.schedule_options patience {value} counts validations: at least 1."
                )
        elif not 0 <= value <= 1:
            raise ZooError(f"--model.schedule_options {name} {value} is a share: from 0 to 1.")
    if known.get("factor") == 1:
        raise ZooError("--model.schedule_options factor 1 never lowers the rate: give less than 1.")
    return known


class PlateauLR(LambdaLR):
    """Lowers the learning rate where the validation score no longer gets better.

    Unlike torch's `ReduceLROnPlateau` it has a warm-up, in which nothing is lowered, keeps the
    ratio between groups, and is told of the score by the task at each validation, before the
    checkpoint of that validation is written, so that a resumed training goes on exactly.

    Args:
        optimizer: Whose learning rates are scaled.
        rising: The factor of the warm-up for each step; 1 from its end on.
        mode: Whether `max` or `min` of the score is best.
        factor: What the rate is multiplied by.
        patience: After how many validations without a better score.
        floor: The smallest share of the highest rate that it is lowered to.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        rising: Callable[[int], float],
        *,
        mode: str,
        factor: float,
        patience: float,
        floor: float,
    ):
        self._settings = (mode, factor, patience, floor)
        self.best: float | None = None
        #: Validations since the best score or the last lowering.
        self.waited = 0
        #: The share of the highest rate that is left.
        self.scale = 1.0
        super().__init__(optimizer, rising)

    def get_lr(self) -> list[Any]:
        """The rate of each group for the next step."""
        return [rate * self.scale for rate in super().get_lr()]

    def observe(self, score: float) -> None:
        """Take note of the score of a validation, and lower the rate if it is time."""
        mode, factor, patience, floor = self._settings
        sign = 1.0 if mode == "max" else -1.0
        if math.isfinite(score) and (self.best is None or sign * score > sign * self.best):
            self.best, self.waited = score, 0
            return
        rising = self.lr_lambdas[0](self.last_epoch)
        if rising < 1.0:
            return
        self.waited += 1
        if self.waited < patience:
            return
        self.scale, self.waited = max(min(self.scale, floor), self.scale * factor), 0
        self._last_lr = [base * self.scale for base in self.base_lrs]
        for group, rate in zip(self.optimizer.param_groups, self._last_lr, strict=True):
            group["lr"] = rate

    def state_dict(self) -> dict[str, Any]:
        """All but what was asked for, which a resumed run may ask for otherwise."""
        state: dict[str, Any] = super().state_dict()
        return {name: value for name, value in state.items() if name != "_settings"}


def scheduler(
    optimizer: Optimizer,
    *,
    schedule: Schedule,
    warmup: float,
    total_steps: Callable[[], float],
    options: Mapping[str, float] | None = None,
    mode: str = "max",
) -> LambdaLR:
    """Linear warm-up from 0, then what the schedule says.

    After the warm-up, `linear` and `cosine` go down to 0 at the last step; `constant` stays;
    `inverse_sqrt` goes down with the root of the step (Vaswani et al. 2017, arXiv 1706.03762;
    highest at the end of the warm-up); `warmup_stable_decay` stays and goes down to 0 in a
    straight line over the last share of all steps (Hu et al. 2024, arXiv 2404.06395); `plateau`
    is lowered where the validation score no longer gets better.

    Args:
        optimizer: Whose learning rates are scaled.
        schedule: Its name.
        warmup: Share of all steps, from 0 to 1, in which the learning rate rises; if it is not 0,
            at least one step.
        total_steps: Gives the optimizer steps of the whole training. It is asked after the first
            step only: Lightning sets its loaders up to answer, and when it is asked before, a
            resumed training no longer restores where they stood.
        options: The schedule's own, see `schedule_options`.
        mode: Whether `max` or `min` of the validation score is best (`plateau`).

    Raises:
        ZooError: A setting is wrong; at the first step, if the training has no end and the schedule
            needs one.
    """
    settings = schedule_options(schedule, options)
    known: list[int] = []

    def total() -> int:
        if not known:
            found = total_steps()
            if found == math.inf:
                raise ZooError(
                    "Give --trainer.max_epochs or --trainer.max_steps: the schedule needs an end."
                )
            known.append(int(found))
        return known[0]

    def factor(step: int) -> float:
        if step == 0:
            return 0.0 if warmup > 0 else 1.0
        rising = max(1, round(warmup * total())) if warmup > 0 else 0
        if step < rising:
            return step / rising
        if schedule == "inverse_sqrt":
            return math.sqrt(max(1, rising) / step)
        if schedule not in _ENDING:
            return 1.0
        begin = rising
        if schedule == "warmup_stable_decay":
            begin = max(rising, total() - round(settings["decay"] * total()))
        done = min(1.0, max(0.0, (step - begin) / max(1, total() - begin)))
        return 0.5 * (1.0 + math.cos(math.pi * done)) if schedule == "cosine" else 1.0 - done

    if schedule == "plateau":
        return PlateauLR(
            optimizer,
            factor,
            mode=mode,
            factor=settings["factor"],
            patience=settings["patience"],
            floor=settings["floor"],
        )
    return LambdaLR(optimizer, factor)


__all__ = ["PlateauLR", "Schedule", "schedule_options", "scheduler"]
