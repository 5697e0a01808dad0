"""Errors written for the person who meets them.

Everything that a user can cause (a bad file, an unknown name) raises a `ZooError`. The command line
prints its message and exits with status 2; a notebook shows it as any exception. A `ZooError` says
what is wrong, where, and what to do about it.
"""

from pathlib import Path


class ZooError(Exception):
    """Base of all errors that a user can cause and mend."""


class BackboneError(ZooError):
    """A pretrained model cannot be found, verified or used for the task."""


class RunError(ZooError):
    """A run folder, checkpoint or exported model cannot be used."""


class TrainingStoppedError(RunError):
    """A training cannot go on; what was done is kept. The command line exits with status 1."""


class DataError(ZooError):
    """Data that cannot be read, with the place where reading stopped.

    Args:
        message: What is wrong and what to do, without the place.
        path: The file (or Hub id) at fault.
        line: The 1-based line in that file, where one is known.
    """

    def __init__(self, message: str, *, path: str | Path | None = None, line: int | None = None):
        self.path = path
        self.line = line
        place = "" if path is None else f"{path}: " if line is None else f"{path}:{line}: "
        super().__init__(place + message)


def check_at_least(name: str, value: float, least: float) -> None:
    """Refuse a setting below what makes sense.

    Args:
        name: The setting, as a person types it.
        value: What it was set to.
        least: The smallest value that makes sense.

    Raises:
        ZooError: The value is smaller.
    """
    if value < least:
        raise ZooError(f"{name} {value} is too small; it must be at least {least}.")
