"""What of a model is trained: all of it, a part of it, or a few new weights."""

from zoo.training.adaptation.settings import Adaptation, Kind

__all__ = ["Adaptation", "Kind"]
