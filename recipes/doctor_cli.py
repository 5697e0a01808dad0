"""The command line of a recipe for its data alone: no model, no trainer, no run folder."""

from importlib import import_module

from recipes.cli import RecipeCLI
from zoo import backbones
from zoo.errors import ZooError


class DoctorCLI(RecipeCLI):
    """A recipe's settings, of which only the datamodule is built: `.datamodule`."""

    def before_instantiate_classes(self) -> None:
        """Refuse what needs a run.

        Raises:
            BackboneError: There is no such backbone.
        """
        for name in ("run_dir", "ckpt_path"):
            if getattr(self.config, name) is not None:
                raise ZooError(f"--{name} is for a run; the doctor leaves none behind.")
        backbones.resolve(self.config.model.init_args.backbone)

    def instantiate_classes(self) -> None:
        """Build the datamodule alone, as the recipe would."""
        module, _, name = self.config.data.class_path.rpartition(".")
        settings = self.config.data.init_args.as_dict()
        self.datamodule = getattr(import_module(module), name)(**settings)
