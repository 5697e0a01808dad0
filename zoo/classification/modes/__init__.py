"""The modes of classification: what a text's target is, and all that follows from it."""

from typing import Literal, get_args

#: One of several labels; any number of them; one of several labels that have an order; a number.
Mode = Literal["single_label", "multi_label", "ordinal", "regression"]
MODES: tuple[Mode, ...] = get_args(Mode)
