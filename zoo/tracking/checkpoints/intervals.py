"""How often a checkpoint is due between validations."""

import re
from dataclasses import dataclass
from typing import Self

from zoo.errors import ZooError

#: At most this share of the time goes into checkpoints that nobody asked a number for.
SHARE = 0.02
#: No sooner than after so many seconds, however fast the disk.
SOONEST = 60.0

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Interval:
    """Optimizer steps, or seconds, or neither: then as often as costs next to nothing.

    Args:
        steps: Optimizer steps between two checkpoints; 0 for none but after validations.
        seconds: Time between two checkpoints.
    """

    steps: int | None = None
    seconds: float | None = None

    @classmethod
    def parse(cls, text: str | int) -> Self:
        """What a person typed: `50` (steps), `10m`, `90s` or `1h`, or `auto`.

        Raises:
            ZooError: It is none of these.
        """
        text = str(text).strip().lower()
        if text == "auto":
            return cls()
        if re.fullmatch(r"\d+", text):
            return cls(steps=int(text))
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text)
        if found is None or float(found[1]) == 0:
            raise ZooError(
                f"--checkpoint_every {text} is no interval: give optimizer steps (50), a time (90s,"
                " 10m, 1h), 0 for none between validations, or auto."
            )
        return cls(seconds=float(found[1]) * _UNITS[found[2]])

    def wait(self, cost: float) -> float:
        """Seconds to wait after a checkpoint, where time and not steps decides.

        Args:
            cost: Seconds that the last checkpoint took.
        """
        return max(SOONEST, cost / SHARE) if self.seconds is None else self.seconds
