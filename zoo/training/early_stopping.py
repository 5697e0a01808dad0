"""Early stopping that a resumed run remembers."""

from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping


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
