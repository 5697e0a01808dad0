"""A trained task from its folder, of whichever family it is."""

from pathlib import Path
from typing import TYPE_CHECKING

from recipes.catalog import FAMILIES
from zoo.errors import RunError

if TYPE_CHECKING:
    from zoo.training.task import FineTuningTask


def trained_task(folder: str) -> "FineTuningTask":
    """The task of a run's folder, of a model's or of an export's, ready to predict.

    Raises:
        RunError: There is no trained model in it, or one of a family that is not known here.
    """
    from zoo import backbones, shipping

    model = backbones.model_folder(folder)
    if shipping.export_of(model):
        return shipping.load(model)
    return task_class(model).from_run(model)


def task_class(model: Path) -> "type[FineTuningTask]":
    """The task of a model's folder, by its family and its head.

    Raises:
        RunError: Its family is not known.
    """
    import zoo
    from zoo import backbones

    family = backbones.metadata(str(model)).get("family")
    if family is not None and family not in FAMILIES:
        raise RunError(
            f"The model in {model} is of the family {family!r}, which is not known here."
        )
    # A folder from elsewhere does not say its family: its head does.
    names = [name for one in ([family] if family else FAMILIES) for name in FAMILIES[one]]
    classes: list[type[FineTuningTask]] = [getattr(zoo, name) for name in names]
    heads = (one for one in classes if backbones.head_labels(str(model), one.head) is not None)
    return next(heads, classes[0])
