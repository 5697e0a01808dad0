"""What a person chooses of a distillation; it imports nothing heavy."""

from dataclasses import dataclass
from typing import Literal

from zoo.errors import ZooError, check_at_least

#: Where a student that is cut out of its teacher gets its layers and its head.
Start = Literal["teacher", "pretrained"]


@dataclass(frozen=True)
class DistillationSettings:
    """How a student learns from a teacher.

    The loss is `(1 - alpha) * hard + alpha * soft`, and on top of it the weighted losses of
    `hidden`, `attention` and `minilm`, each left out while its weight is 0.

    Args:
        teacher: Folder of a trained run, or of its model.
        layers: Cut the teacher's own backbone to so many layers; None takes --model.backbone as
            the student.
        start: Where a cut student's layers come from: the `teacher`, with its head, or the
            `pretrained` backbone behind it, with a new head.
        alpha: Share of the teacher's soft targets in the loss, from 0 to 1; the rest are the gold
            labels'.
        temperature: Divides the logits of both; higher shows more of what the teacher thinks of
            wrong answers.
        hidden: Weight of matching hidden states.
        hidden_loss: `mse` (TinyBERT) or `cosine` (DistilBERT).
        attention: Weight of matching attention scores (TinyBERT).
        minilm: Weight of matching the last layer's attention and value relation (MiniLM).
        layer_map: Which teacher layer a student layer looks at: `uniform`, `last`, or numbers from
            1, such as `{1: 2, 2: 4, 3: 6}`. For `hidden` and `attention`.
        unlabelled: A file of texts without labels, one a line, that the teacher labels.
        unlabelled_weight: Weight of those texts' soft targets.
        cache_gib: Most that the teacher's outputs may take on disk; if more they are computed anew
            in each step.
        baseline: Train the same student without a teacher as well, and show both.
    """

    teacher: str | None = None
    layers: int | None = None
    start: Start = "teacher"
    alpha: float = 0.5
    temperature: float = 2.0
    hidden: float = 0.0
    hidden_loss: Literal["mse", "cosine"] = "mse"
    attention: float = 0.0
    minilm: float = 0.0
    layer_map: Literal["uniform", "last"] | dict[int, int] = "uniform"
    unlabelled: str | None = None
    unlabelled_weight: float = 1.0
    cache_gib: float = 2.0
    baseline: bool = False

    def check(self) -> None:
        """Refuse values out of their range.

        Raises:
            ZooError: One of them is.
        """
        if not 0 <= self.alpha <= 1:
            raise ZooError(f"--distill.alpha {self.alpha} is a share: from 0 to 1.")
        if self.temperature <= 0:
            raise ZooError(f"--distill.temperature {self.temperature} must be above 0.")
        if self.layers is not None:
            check_at_least("--distill.layers", self.layers, 1)
        for name in ("hidden", "attention", "minilm", "unlabelled_weight", "cache_gib"):
            check_at_least(f"--distill.{name}", getattr(self, name), 0)
        if not (self.alpha or self.looks_inside or self.uses_unlabelled):
            raise ZooError(
                "Nothing is learned from the teacher: give --distill.alpha above 0, or a weight to "
                "--distill.hidden, --distill.attention or --distill.minilm."
            )

    @property
    def looks_inside(self) -> bool:
        """Whether more than the teacher's outputs is matched."""
        return bool(self.hidden or self.attention or self.minilm)

    @property
    def uses_unlabelled(self) -> bool:
        """Whether texts without labels are learned from."""
        return self.unlabelled is not None and self.unlabelled_weight > 0
