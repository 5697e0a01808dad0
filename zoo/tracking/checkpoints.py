"""The two checkpoints of a run: the best, and the last."""

from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import ModelCheckpoint

from zoo.tracking.run_folder import RunFolder


class RunCheckpoint(ModelCheckpoint):
    """Lightning's, for a run folder that may be moved or copied between stop and resume.

    Lightning's own forgets the best score when the folder's path has changed, and then a worse
    epoch could take the best one's place.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore, with all paths in the folder as it is now."""
        folder = Path(str(self.dirpath))

        def here(path: str) -> str:
            return str(folder / Path(path).name) if path else path

        moved = dict(state_dict)
        moved["dirpath"] = self.dirpath
        for key in ("best_model_path", "kth_best_model_path", "last_model_path"):
            moved[key] = here(state_dict[key])
        moved["best_k_models"] = {
            here(path): score for path, score in state_dict["best_k_models"].items()
        }
        super().load_state_dict(moved)


def run_checkpoints(folder: RunFolder, *, monitor: str, mode: str) -> list[ModelCheckpoint]:
    """`best.ckpt` by a score, and `last.ckpt` after every validation.

    `save_last` of one callback would not do: it leaves the last alone when the best stays.
    """
    return [
        RunCheckpoint(
            dirpath=folder.checkpoints,
            filename=folder.best_checkpoint.stem,
            monitor=monitor,
            mode=mode,
            enable_version_counter=False,
        ),
        RunCheckpoint(
            dirpath=folder.checkpoints,
            filename=folder.last_checkpoint.stem,
            enable_version_counter=False,
        ),
    ]
