"""The command line of a recipe for its task and data alone: no trainer, no run folder."""

from typing import Any

from recipes.cli import RecipeCLI
from zoo import backbones
from zoo.errors import ZooError


class PartsCLI(RecipeCLI):
    """A recipe's settings, of which only `.model` and `.datamodule` are built."""

    def before_instantiate_classes(self) -> None:
        """Refuse what needs a run.

        Raises:
            ZooError: A flag is of a run, or there is no such backbone.
        """
        for name in ("run_dir", "resume", "ckpt_path"):
            if getattr(self.config, name) is not None:
                raise ZooError(f"--{name} is for a run; this command leaves none behind.")
        backbones.resolve(self.config.model.init_args.backbone)

    def instantiate_trainer(self, **kwargs: Any) -> Any:
        """Build none."""
        return None
