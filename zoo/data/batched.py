"""Batches of encoded features, of so many examples or tokens: the lower half of a datamodule."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import datasets
import numpy as np
import torch
from lightning import LightningDataModule
from torchdata.stateful_dataloader import StatefulDataLoader

from zoo.data.batching import EvaluationSampler, LengthGroupedSampler, Lengths, check_longest
from zoo.data.sources import Split
from zoo.data.tables import Rows
from zoo.errors import check_at_least


class BatchedDataModule(LightningDataModule):
    """Features in batches: shuffled to learn from, each once to evaluate.

    Features hold at least `input_ids` and `example`, the row of the example that they are a part
    of.

    Args:
        batch_size: Examples in a batch of one process; evaluation takes up to four times as many
            where they are short.
        max_tokens: Tokens in a training batch of one process, padding included, instead of
            `batch_size`, which evaluation keeps.
        seed: Fixes the order of the training examples.
        num_workers: Processes that prepare batches.
    """

    #: How many times `batch_size` a batch to evaluate may hold where texts are short.
    fuller = 4

    def __init__(self, *, batch_size: int, max_tokens: int | None, seed: int, num_workers: int):
        super().__init__()
        check_at_least("--data.batch_size", batch_size, 1)
        if max_tokens is not None:
            check_at_least("--data.max_tokens", max_tokens, 1)
        check_at_least("--data.num_workers", num_workers, 0)
        check_at_least("--data.seed", seed, 0)
        #: Batches of the first epoch that were trained on before, where the loader cannot know.
        self.begin_at = 0
        self.batch_size = batch_size
        self.max_tokens = max_tokens
        self.seed = seed
        self.num_workers = num_workers

    @abstractmethod
    def features(self, split: Split) -> datasets.Dataset:
        """The encoded features of a split, with at least `input_ids` and `example`."""

    @abstractmethod
    def collate(self, features: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """A batch from some features."""

    def training_rows(self) -> Lengths:
        """Rows of the training features that are learned from: all, unless a family leaves some."""
        return np.arange(len(self.features("train")), dtype=np.int32)

    def collate_of(self, split: Split) -> Callable[[Sequence[Mapping[str, Any]]], dict[str, Any]]:
        """What makes batches of a split: `collate`, unless evaluation needs more than training."""
        return self.collate

    def rows(self, split: Split) -> Rows:
        """What gives the batch of some rows of a split."""
        return Rows(self.features(split), self.collate_of(split))

    def longest(self, split: Split) -> int:
        """Tokens of the longest input of a split, special tokens included."""
        return int(self._lengths(split).max(initial=0))

    def _lengths(self, split: Split) -> Lengths:
        import pyarrow.compute as pc

        table = self.features(split)
        lengths = pc.list_value_length(table.data.column("input_ids"))
        # Of a million rows, half the memory of int64.
        return np.asarray(lengths, dtype=np.int32)

    def train_dataloader(self) -> StatefulDataLoader:
        """Shuffled batches of near-equal lengths; resumes in the middle of an epoch."""
        sampler = self.training_sampler(self.max_tokens)
        check_longest(sampler)
        if self.trainer is not None:
            # Workers read ahead before Lightning tells the epoch that a resumed run begins with.
            progress: Any = self.trainer.fit_loop.epoch_progress.current
            epoch = progress.processed
            sampler.set_epoch(epoch)
            if self.begin_at:
                sampler.load_state_dict({"epoch": epoch, "done": self.begin_at})
                self.begin_at = 0
        return self._loader("train", sampler)

    def training_sampler(self, max_tokens: int | None) -> LengthGroupedSampler:
        """What chooses training batches, of so many tokens or (None) of `batch_size`."""
        rows = self.training_rows()
        return LengthGroupedSampler(
            self._lengths("train")[rows],
            batch_size=self.batch_size,
            max_tokens=max_tokens,
            seed=self.seed,
            rows=rows,
        )

    @property
    def examples_a_batch(self) -> float:
        """Examples in a training batch of one process; with `max_tokens` their mean."""
        if self.max_tokens is None:
            return self.batch_size
        if self.max_tokens not in self._means:
            self._means[self.max_tokens] = self.training_sampler(self.max_tokens).mean_size
        return self._means[self.max_tokens]

    @cached_property
    def _means(self) -> dict[int, float]:
        return {}

    def val_dataloader(self) -> StatefulDataLoader:
        """Every validation example once."""
        return self._evaluation_loader("validation")

    def test_dataloader(self) -> StatefulDataLoader:
        """Every test example once."""
        return self._evaluation_loader("test")

    def predict_dataloader(self) -> StatefulDataLoader:
        """Every test example once."""
        return self._evaluation_loader("test")

    def _evaluation_loader(self, split: Split) -> StatefulDataLoader:
        documents = np.asarray(self.features(split).data.column("example"), dtype=np.int64)
        sampler = EvaluationSampler(
            self._lengths(split),
            documents,
            batch_size=self.batch_size,
            most=self.batch_size * self.fuller,
        )
        return self._loader(split, sampler)

    def transfer_batch_to_device(
        self, batch: Any, device: torch.device, dataloader_idx: int
    ) -> dict[str, Any]:
        """A batch with its tensors where they are needed.

        Lightning's own looks at each number and each text of the lists beside the tensors.
        """
        if device.type == "cpu":  # where loaders make them
            return dict(batch)
        return {
            name: value
            if _is_plain(value)
            else super(BatchedDataModule, self).transfer_batch_to_device(
                value, device, dataloader_idx
            )
            for name, value in batch.items()
        }

    def _loader(self, split: Split, sampler: Any) -> StatefulDataLoader:
        return StatefulDataLoader(
            self.rows(split),
            sampler=sampler,
            batch_size=None,  # the sampler yields whole batches
            # What they hold is of the right types: torch's own looks at each number of each list.
            collate_fn=_as_it_is,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            # Of its own: each beginning of an epoch draws from it, and a resumed run begins fewer.
            generator=torch.Generator().manual_seed(self.seed),
        )


def _as_it_is(batch: Any) -> Any:
    return batch


def _is_plain(value: Any) -> bool:
    """Whether there is no tensor in a batch's value, as the first of a list tells for all."""
    while isinstance(value, (list, tuple)) and value:
        value = value[0]
    return value is None or isinstance(value, (str, int, float, list, tuple))
