"""What a task says of a batch, in one form for all families: values at places of rows.

A place is a word, a text, a token of the text that is searched, a sentence or a token that is
written. Only the places that the family's own loss counts are there, so that a teacher's values can
be kept and put back row by row.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from zoo.distillation.objectives import soft_labels, soft_targets, squared_error
from zoo.errors import ZooError

#: How values become a distribution: over their last dimension, each alone, not at all, or over the
#: places of a row.
Kind = Literal["classes", "labels", "numbers", "places"]


@dataclass(frozen=True)
class Signal:
    """Logits of a batch.

    Args:
        values: Float `[rows, places, width]`.
        places: True where there is a place, bool `[rows, places]`.
        kind: How values become a distribution.
        rest: For `places`: the rows where everything outside them competes, with a logit of 0;
            bool `[rows]`.
        scale: For `numbers`: what a difference is told in, the spread of train.
    """

    values: Tensor
    places: Tensor
    kind: Kind
    rest: Tensor | None = None
    scale: Tensor | float = 1.0

    def by_row(self) -> list[Tensor]:
        """The values of each row, float `[its places, width]`."""
        counts: list[int] = self.places.sum(dim=1).tolist()
        return list(self.values[self.places].split(counts))

    def filled(self, values: Tensor) -> "Signal":
        """The same places with other values.

        Args:
            values: Of all places of all rows behind each other, float `[places, width]`.
        """
        full = values.new_zeros(*self.places.shape, values.shape[-1])
        full[self.places] = values
        return replace(self, values=full)


def signal_of(task: Any, output: Any, batch: Mapping[str, Any]) -> Signal:
    """What a task said of a batch.

    Args:
        task: The task.
        output: What its `forward` gave for the batch.
        batch: The batch.

    Raises:
        ZooError: The family has no outputs that are learned from here.
    """
    if task.head == "text-to-text":
        return Signal(output, batch["labels"] != -100, "classes")
    if task.family == "ner":
        return Signal(output, batch["word_mask"], "classes")
    if task.family == "summarization":
        several = torch.tensor([count > 1 for count in batch["windows"]], device=output.device)
        return Signal(output[..., None], batch["sentence_mask"], "places", rest=several)
    if task.family == "qa":
        places = batch["context_mask"].clone()
        places[:, 0] = True  # "no answer"
        return Signal(torch.stack(output, dim=-1), places, "places")
    if task.family == "classification":
        values = _calibrated(task, output)[:, None]
        every = torch.ones(values.shape[:2], dtype=torch.bool, device=values.device)
        kinds: dict[str, Kind] = {"multi_label": "labels", "regression": "numbers"}
        scale = task.objective.spread if task.mode == "regression" else 1.0
        return Signal(values, every, kinds.get(task.mode, "classes"), scale=scale)
    raise ZooError(
        f"Distillation is for ner, classification, qa and summarization, not for {task.family}. A "
        "smaller masked language model is trained by `python -m recipes pretraining`."
    )


def soft_loss(student: Signal, teacher: Signal, *, temperature: float) -> Tensor:
    """How far a student is from a teacher: a mean over what the family's own loss is a mean of.

    Args:
        student: What the student said.
        teacher: What the teacher said of the same places.
        temperature: Divides the logits of both.
    """
    if student.kind == "places":
        found, wanted = (_over_places(one) for one in (student, teacher))
        return soft_targets(found, wanted, temperature=temperature)
    found, wanted = (one.values[one.places] for one in (student, teacher))
    if student.kind == "numbers":
        return squared_error(found / student.scale, wanted / student.scale)
    loss = soft_labels if student.kind == "labels" else soft_targets
    return loss(found, wanted, temperature=temperature)


def _over_places(signal: Signal) -> Tensor:
    """Logits with the places as classes, float `[items, places]`: an item is a column of a row."""
    lowest = torch.finfo(torch.float).min
    values = signal.values.float().masked_fill(~signal.places[..., None], lowest)
    values = values.transpose(1, 2)
    if signal.rest is not None:
        none = values.new_zeros(*values.shape[:2], 1)
        none = none.masked_fill(~signal.rest[:, None, None], lowest)
        values = torch.cat([values, none], dim=-1)
    # A row without a place says nothing.
    return values[signal.places.any(dim=1)].flatten(0, 1)


def _calibrated(task: Any, logits: Tensor) -> Tensor:
    """Logits that mean the same in two tasks, whatever each keeps beside its weights."""
    objective = task.objective
    if task.mode == "multi_label":  # what weights of classes add to the odds is taken off
        return logits.float() + objective.offset[: logits.shape[-1]]
    if task.mode == "regression":
        # In the units of the data: an exported model's are 1, those of one in training its own.
        return logits.float() * objective.spread + objective.mean
    return logits.float()


__all__ = ["Signal", "signal_of", "soft_loss"]
