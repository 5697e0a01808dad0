"""What of a model is trained, and how: plain settings."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self, get_args

from zoo.errors import ZooError, check_at_least

Kind = Literal["full", "head", "gradual", "bitfit", "lora", "dora", "adalora", "ia3", "prompt"]
#: Kinds that put new weights into the model's layers, and can be merged into theirs.
ADAPTERS: tuple[Kind, ...] = ("lora", "dora", "adalora", "ia3")
#: Kinds after which all weights may be others: their checkpoints hold the whole model.
WHOLE: tuple[Kind, ...] = ("full", "gradual")


@dataclass(frozen=True)
class Adaptation:
    """What of a model is trained, and how.

    A learning rate that suits `full` is too low for few new weights: the others usually want one
    about ten times as high. None is changed behind your back.

    Args:
        kind: `full` trains all weights; `head` only the head, on a backbone without dropout;
            `gradual` at first the head, then one block more at a time from the head down (Howard &
            Ruder 2018, arXiv 1801.06146); `bitfit` biases and head (Ben Zaken et al. 2022, arXiv
            2106.10199); the others head and new weights: `lora` (Hu et al. 2022, arXiv 2106.09685),
            `dora` (Liu et al. 2024, arXiv 2402.09353), `adalora` (Zhang et al. 2023, arXiv
            2303.10512), `ia3` (Liu et al. 2022, arXiv 2205.05638), `prompt` (Lester et al. 2021,
            arXiv 2104.08691).
        rank: Rank of the new matrices of `lora`, `dora` and, at the end of training, `adalora`,
            which begins with one half more.
        alpha: The new matrices' product is scaled by alpha / rank; if None, alpha is twice the
            rank.
        dropout: Share of what enters the new matrices that is dropped in training.
        targets: Names of the linear layers that get new weights, as they end in the model; if None
            those of the registry, or of an unknown architecture those of its attention.
        virtual_tokens: Learned vectors that `prompt` puts before each text.
        unfreeze_by: Share of all steps after which `gradual` trains everything.
    """

    #: One of `Kind`; a task refuses others in a sentence of its own.
    kind: str = "full"
    rank: int = 8
    alpha: float | None = None
    dropout: float = 0.0
    targets: list[str] | None = None
    virtual_tokens: int = 20
    unfreeze_by: float = 0.5

    def checked(self) -> Self:
        """The same, if all settings are in their ranges.

        Not as it is made: who parses a command line would hide what is said then.

        Raises:
            ZooError: One is not.
        """
        if self.kind not in get_args(Kind):
            raise ZooError(
                f"--model.adaptation {self.kind!r} is none of {', '.join(get_args(Kind))}."
            )
        if self.kind == "full" and any(
            getattr(self, field.name) != field.default for field in fields(self)
        ):
            raise ZooError(
                "--model.adaptation has settings but no kind. Beside --model.adaptation.rank and "
                "its like give --model.adaptation.kind, such as lora."
            )
        check_at_least("--model.adaptation.rank", self.rank, 1)
        check_at_least("--model.adaptation.virtual_tokens", self.virtual_tokens, 1)
        if self.alpha is not None and self.alpha <= 0:
            raise ZooError(f"--model.adaptation.alpha {self.alpha} must be above 0.")
        if not 0 <= self.dropout < 1:
            raise ZooError(f"--model.adaptation.dropout {self.dropout} must be from 0 to below 1.")
        if not 0 < self.unfreeze_by <= 1:
            raise ZooError(
                f"--model.adaptation.unfreeze_by {self.unfreeze_by} is a share of all steps: "
                "above 0, at most 1."
            )
        if self.targets is not None and not self.targets:
            raise ZooError("--model.adaptation.targets names no layer. Leave it out, or name some.")
        return self

    @classmethod
    def of(cls, given: "str | Mapping[str, Any] | Adaptation") -> Self:
        """Settings of a kind's name, of what `plain` gave, or as they are.

        Raises:
            ZooError: It is none of these, or a setting is unknown or out of its range.
        """
        if isinstance(given, cls):
            return given.checked()
        if isinstance(given, str):
            return cls(kind=given).checked()
        if not isinstance(given, Mapping):
            raise ZooError(f"--model.adaptation takes a kind or its settings, not {given!r}.")
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(given) - known)
        if unknown:
            raise ZooError(
                f"--model.adaptation has no setting {', '.join(unknown)}; it has "
                f"{', '.join(sorted(known))}."
            )
        return cls(**given).checked()

    def plain(self) -> str | dict[str, Any]:
        """The same as plain data: the kind's name where all else is as usual."""
        return self.kind if self == type(self)(kind=self.kind) else asdict(self)

    @property
    def is_partial(self) -> bool:
        """Whether most weights stay those of the backbone, so that no checkpoint holds them."""
        return self.kind not in WHOLE

    @property
    def scale(self) -> float:
        """LoRA's alpha."""
        return 2.0 * self.rank if self.alpha is None else self.alpha


__all__ = ["ADAPTERS", "WHOLE", "Adaptation", "Kind"]
