"""Matching what goes on inside two models: hidden states, attention, relations of values."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from zoo.distillation.inside import Inside, heads_of, projections_of
from zoo.distillation.layer_maps import LayerMap, layer_pairs
from zoo.distillation.objectives import (
    attention_mse,
    hidden_cosine,
    hidden_mse,
    relation,
    relation_divergence,
)
from zoo.distillation.settings import DistillationSettings
from zoo.errors import ZooError

#: Draws the projections, so that they are the same in all processes and in each run.
_SEED = 0


class Matching(nn.Module):
    """Losses between the insides of a student and a teacher.

    Where the student is narrower, a learned matrix takes its hidden states to the teacher's width
    (TinyBERT): one for the embeddings, one for all layers.

    Args:
        settings: Weights and layer map.
        student: The student's transformers model.
        teacher: The teacher's.

    Raises:
        ZooError: The two cannot be matched so.
    """

    def __init__(self, settings: DistillationSettings, student: Any, teacher: Any):
        super().__init__()
        self.settings = settings
        given = settings.layer_map
        self.pairs = [
            layer_pairs(given, student=own, teacher=its)
            for own, its in zip(depths(student), depths(teacher), strict=True)
        ]
        self.widths = (width_of(student), width_of(teacher))
        self.heads = (0, 0)
        if settings.attention or settings.minilm:
            projections_of(student), projections_of(teacher)
            self.heads = (heads_of(student), heads_of(teacher))
            _check_heads(self.heads, self.widths[0], exactly=bool(settings.attention))
        self.projections: nn.ModuleDict | None = None
        if settings.hidden and self.widths[0] != self.widths[1]:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(_SEED)
                self.projections = nn.ModuleDict(
                    {name: nn.Linear(*self.widths, bias=False) for name in ("embedding", "layer")}
                )

    def forward(
        self, student: Inside, teacher: Inside, batch: Mapping[str, Any]
    ) -> dict[str, Tensor]:
        """The losses that have a weight, by name, without it.

        Args:
            student: What was seen of the student's pass.
            teacher: What was seen of the teacher's pass on the same batch.
            batch: The batch.
        """
        masks = [batch["attention_mask"].bool()]
        if len(student.hidden) > 1:
            masks.append(batch["labels"] != -100)
        found: dict[str, Tensor] = {}
        if self.settings.hidden:
            parts = [
                self._hidden(own, its, mask, pairs)
                for own, its, mask, pairs in zip(
                    student.hidden, teacher.hidden, masks, self.pairs, strict=True
                )
            ]
            found["hidden"] = torch.stack(parts).mean()
        if self.settings.attention:
            losses = []
            for own, its in self.pairs[0]:
                scores = [
                    relation(*seen.projected[layer - 1][:2], heads=heads)
                    for seen, layer, heads in zip(
                        (student, teacher), (own, its), self.heads, strict=True
                    )
                ]
                losses.append(attention_mse(*scores, masks[0]))
            found["attention"] = torch.stack(losses).mean()
        if self.settings.minilm:
            found["minilm"] = self._minilm(student, teacher, masks[0])
        return found

    def _hidden(
        self,
        student: tuple[Tensor, ...],
        teacher: tuple[Tensor, ...],
        mask: Tensor,
        pairs: list[tuple[int, int]],
    ) -> Tensor:
        cosine = self.settings.hidden_loss == "cosine"
        # TinyBERT matches the embeddings too, DistilBERT the last layer alone.
        chosen = [(len(student) - 1, len(teacher) - 1)] if cosine else [(0, 0), *pairs]
        losses = []
        for own, its in chosen:
            states = student[own]
            if self.projections is not None:
                states = self.projections["layer" if own else "embedding"](states.float())
            loss = hidden_cosine if cosine else hidden_mse
            losses.append(loss(states, teacher[its], mask))
        return torch.stack(losses).mean()

    def _minilm(self, student: Inside, teacher: Inside, mask: Tensor) -> Tensor:
        losses = []
        for first, second in ((0, 1), (2, 2)):  # queries with keys, values with values
            scores = [
                # The teacher's number of heads, whatever the student's, as in MiniLMv2.
                relation(seen.projected[-1][first], seen.projected[-1][second], heads=self.heads[1])
                for seen in (student, teacher)
            ]
            losses.append(relation_divergence(*scores, mask))
        return losses[0] + losses[1]


def depths(model: Any) -> list[int]:
    """Layers of an encoder; of an encoder-decoder of both halves."""
    config = model.config
    if not getattr(config, "is_encoder_decoder", False):
        return [int(config.num_hidden_layers)]
    if hasattr(config, "encoder"):  # a warm start
        return [int(half.num_hidden_layers) for half in (config.encoder, config.decoder)]
    first = getattr(config, "encoder_layers", None) or config.num_layers
    second = getattr(config, "decoder_layers", None) or config.num_decoder_layers
    return [int(first), int(second)]


def width_of(model: Any) -> int:
    """Width of the hidden states."""
    config = model.config
    return int(getattr(config, "encoder", config).hidden_size)


def _check_heads(heads: tuple[int, int], width: int, *, exactly: bool) -> None:
    if exactly and heads[0] != heads[1]:
        raise ZooError(
            f"--distill.attention matches head with head, but the student has {heads[0]} and the "
            f"teacher {heads[1]}: leave it out, or use --distill.minilm."
        )
    if width % heads[1]:
        raise ZooError(
            f"--distill.minilm cuts the student's width of {width} into the teacher's {heads[1]} "
            "heads, which does not come out even: leave it out."
        )


__all__ = ["LayerMap", "Matching", "depths", "width_of"]
