"""Small data to pretrain on."""

from pathlib import Path
from typing import Any

from zoo.pretraining.datamodule import MaskedLMDataModule


def masked_data(corpus: str, backbone: Path | str, **options: Any) -> MaskedLMDataModule:
    """One file as all three splits, in short blocks."""
    return MaskedLMDataModule(
        **{
            "train": corpus,
            "validation": corpus,
            "test": corpus,
            "backbone": str(backbone),
            "max_length": 32,
            "batch_size": 8,
            **options,
        }
    )


def paired_data(corpus: str, backbone: Path | str, **options: Any) -> MaskedLMDataModule:
    """The same in pairs of segments, whose partners may be of other documents."""
    return masked_data(corpus, backbone, **{"sentence_pairs": "next", **options})
