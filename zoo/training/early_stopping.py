"""Early stopping that a resumed run remembers."""

from collections.abc import Mapping
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping

from zoo.errors import ZooError
from zoo.training.schedules import schedule_options


def check_patience(early_stopping: int, task: Mapping[str, Any]) -> None:
    """Refuse to stop before the schedule `plateau` has had its turn.

    Args:
        early_stopping: After how many validations without a better score a run stops.
        task: Arguments of the task.

    Raises:
        ZooError: The rate would never be lowered.
    """
    if task.get("schedule") != "plateau":
        return
    patience = schedule_options("plateau", task.get("schedule_options"))["patience"]
    if early_stopping <= patience:
        raise ZooError(
            f"--early_stopping {early_stopping} stops the run before --model.schedule plateau has "
            f"lowered the rate, after {patience:g} validations without a better score: give more "
            f"than {patience:g}, best several times as many."
        )


class PatientStopping(EarlyStopping):
    """Lightning's, for runs that are resumed.

    Lightning's forgets that it had already said stop, and takes the patience of before although
    another one was asked for.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the best score and how long ago it was; keep the patience asked for now."""
        super().load_state_dict({**state_dict, "patience": self.patience})

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop at once if the run had stopped, and the patience has not grown since."""
        if self.wait_count >= self.patience:
            trainer.should_stop = True
