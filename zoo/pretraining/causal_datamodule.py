"""Plain text as blocks of tokens, all of which a decoder is asked for."""

from collections.abc import Mapping, Sequence
from typing import Any

from zoo.data.frames import Frame
from zoo.pretraining.datamodule import MaskedLMDataModule
from zoo.pretraining.encoding import IGNORED, frame_of_decoder


class CausalLMDataModule(MaskedLMDataModule):
    """Documents of plain text in blocks for a causal language model.

    Around each document stand the tokenizer's own special tokens, or, where it puts none (GPT-2's),
    the token that ends a text on both sides. Every token of the text is asked for, in evaluation as
    in training. The arguments are those of `MaskedLMDataModule`.
    """

    head = "causal-lm"

    def find_frame(self) -> Frame:
        """The special tokens around a document."""
        return frame_of_decoder(self.tokenizer)

    def collate(self, features: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """A batch with all tokens of the text as `labels`."""
        batch = super().collate(features)
        asked = batch["words"] >= 0
        # Nothing stands before the first of a block, where the tokenizer puts no special token.
        first = batch["pieces"].diff(dim=1, prepend=batch["pieces"].new_zeros(len(asked), 1)) != 0
        return {**batch, "labels": batch["input_ids"].masked_fill(~asked | first, IGNORED)}

    def collate_fixed(self, features: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The same in evaluation: there is no chance in it."""
        return self.collate(features)

    @property
    def predict_example(self) -> tuple[str, str]:
        """The beginning of a text to pipe in."""
        return "They met in", ""
