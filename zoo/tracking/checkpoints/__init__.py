"""Checkpoints of a run: written whole or not at all, found again, and damaged ones passed over."""

from zoo.tracking.checkpoints.finding import Found, newest_complete, why_damaged
from zoo.tracking.checkpoints.intervals import Interval
from zoo.tracking.checkpoints.saving import RunCheckpoints, resumable_here
from zoo.tracking.checkpoints.writing import CheckpointWriter, remove_unfinished

__all__ = [
    "CheckpointWriter",
    "Found",
    "Interval",
    "RunCheckpoints",
    "newest_complete",
    "remove_unfinished",
    "resumable_here",
    "why_damaged",
]
