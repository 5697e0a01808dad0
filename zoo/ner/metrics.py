"""Entity F1 whose state is a sum of counts, so that it reduces exactly over processes."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from zoo.ner.encoding import types_of


class EntityF1(Metric):
    """Precision, recall and F1 of entities, micro-averaged and per type.

    An entity counts as found when its type and both ends are right. Tags are read strictly (an
    entity begins with `B-`), which equals seqeval with `mode="strict", scheme=IOB2`; a ratio
    without a denominator is 0.

    Args:
        labels: BIO labels, in the order of their ids. Types that only the gold tags have must be
            among them.
        ignored: Gold ids (and the tags beside them) that are left out.
    """

    full_state_update = False
    higher_is_better = True
    counts: Tensor

    def __init__(self, labels: Sequence[str], **kwargs: Any):
        super().__init__(**kwargs)
        self.types = types_of(labels)
        number = {name: index for index, name in enumerate(self.types)}
        # Of each label twice its type's number, and one more for `B-`. In 32 bits: all words are
        # looked up and compared, and gloo cannot send fewer bits but as bytes.
        codes = [2 * number.get(label[2:], -1) + label.startswith("B-") for label in labels]
        self.register_buffer("_codes", torch.tensor(codes, dtype=torch.int32), persistent=False)
        #: int64 `[types, 3]`: entities found, predicted, gold.
        self.add_state(
            "counts", torch.zeros(len(self.types), 3, dtype=torch.long), dist_reduce_fx="sum"
        )

    def update(self, predicted: Tensor, gold: Tensor, lengths: Tensor) -> None:
        """Count the entities of several documents.

        Args:
            predicted: Label ids, int64 `[words of all documents]`.
            gold: Label ids of the same words.
            lengths: Words of each document, int64 `[documents]`; an entity never crosses from one
                document into the next.

        Raises:
            ValueError: The lengths do not add up to the words.
        """
        if predicted.shape != gold.shape or int(lengths.sum()) != gold.numel():
            raise ValueError(
                f"{predicted.numel()} predicted and {gold.numel()} gold tags for documents of "
                f"{int(lengths.sum())} words."
            )
        if gold.numel() == 0:
            return
        first = torch.zeros(gold.numel(), dtype=torch.bool, device=gold.device)
        starts = lengths.cumsum(0) - lengths
        first[starts[lengths > 0]] = True
        found_start, found_end, found_type = self._spans(predicted, first)
        gold_start, gold_end, gold_type = self._spans(gold, first)
        size = len(self.types)
        # Per word: where the gold entity that starts here ends, and its type, as one number.
        entity_at = torch.full_like(gold, -1)
        entity_at[gold_start] = gold_end * size + gold_type
        right = entity_at[found_start] == found_end * size + found_type
        columns = (found_type[right], found_type, gold_type)
        self.counts += torch.stack([column.bincount(minlength=size) for column in columns], dim=1)

    def _spans(self, tags: Tensor, first: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Start, end (exclusive) and type of every entity of a flat tag sequence."""
        codes = self._codes.index_select(0, tags)  # type: ignore[operator]
        types, begins = codes >> 1, (codes & 1).bool()
        # A run is a stretch of one type in one document that no `B-` interrupts. It is an entity
        # exactly if its first tag is a `B-`: otherwise it is O, or `I-` without a beginning.
        cuts = begins | first
        cuts[1:] |= types[1:] != types[:-1]
        run_starts = torch.nonzero(cuts).squeeze(1)
        run_ends = torch.cat([run_starts[1:], run_starts.new_tensor([tags.numel()])])
        entity = torch.nonzero(begins[run_starts]).squeeze(1)
        starts = run_starts[entity]
        return starts, run_ends[entity], types[starts].long()

    def compute(self) -> dict[str, Tensor]:
        """`precision`, `recall`, `f1` over all entities, and `f1/TYPE` and so on for each type."""
        result = _scores(self.counts.sum(dim=0))
        for name, row in zip(self.types, self.counts, strict=True):
            result |= {f"{key}/{name}": value for key, value in _scores(row).items()}
            result[f"support/{name}"] = row[2].float()
        return result


def _scores(counts: Tensor) -> dict[str, Tensor]:
    right, predicted, gold = counts.double()
    precision = right / predicted.clamp(min=1)
    recall = right / gold.clamp(min=1)
    # 2PR / (P + R) in counts: exact, and 0 where nothing was predicted and nothing was there.
    f1 = 2 * right / (predicted + gold).clamp(min=1)
    return {"precision": precision, "recall": recall, "f1": f1}
