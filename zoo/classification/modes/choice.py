"""From a mode's name to what it does."""

from collections.abc import Sequence

from zoo.classification.modes import MODES, Mode
from zoo.classification.modes.base import Objective
from zoo.classification.modes.multi_label import MultiLabel
from zoo.classification.modes.ordinal import Ordinal
from zoo.classification.modes.regression import Regression
from zoo.classification.modes.single_label import SingleLabel
from zoo.errors import ZooError

_CLASSES: dict[Mode, type[Objective]] = {
    "single_label": SingleLabel,
    "multi_label": MultiLabel,
    "ordinal": Ordinal,
    "regression": Regression,
}


def objective_class(mode: Mode) -> type[Objective]:
    """The class of a mode, for what needs no labels.

    Raises:
        ZooError: There is no such mode.
    """
    if mode not in _CLASSES:
        raise ZooError(f"There is no mode {mode!r}; there are {', '.join(MODES)}.")
    return _CLASSES[mode]


def make_objective(
    mode: Mode, labels: Sequence[str], *, balanced: bool, smoothing: float
) -> Objective:
    """The objective of a mode.

    Args:
        mode: The mode.
        labels: All labels, in the order of their ids.
        balanced: Whether rare labels count as much as frequent ones.
        smoothing: Share of the target that is spread over all labels.

    Raises:
        ZooError: The mode has no such labels or no such option.
    """
    objective_class(mode)
    least = 2 if mode in ("single_label", "ordinal") else 1
    if len(set(labels)) < max(len(labels), least):
        needed = "Two labels or more are needed" if least == 2 else "A label or more is needed"
        raise ZooError(f"{needed}, each once; given were {list(labels)}.")
    if not 0 <= smoothing < 1:
        raise ZooError(f"label_smoothing={smoothing} must be at least 0 and below 1.")
    if mode == "regression":
        if balanced or smoothing:
            raise ZooError("class_weights and label_smoothing are not for regression.")
        return Regression(labels)
    if mode == "ordinal":
        if smoothing:
            raise ZooError(
                "label_smoothing is not for ordinal labels: their targets are spread by distance."
            )
        return Ordinal(labels, balanced=balanced)
    if mode == "multi_label":
        return MultiLabel(labels, balanced=balanced, smoothing=smoothing)
    return SingleLabel(labels, balanced=balanced, smoothing=smoothing)
