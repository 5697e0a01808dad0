"""What the registry knows of one pretrained model: plain data, no behaviour."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["encoder", "encoder-decoder"]


@dataclass(frozen=True, kw_only=True)
class BackboneSpec:
    """One pretrained model, and what training it needs to know.

    Args:
        name: The name users type, such as `"roberta-base"`.
        hub_id: The model's id on the Hugging Face Hub.
        kind: The architecture's family of use.
        languages: ISO 639-1 codes; `("multilingual",)` beside the codes that matter most for models
            of dozens of languages.
        licence: SPDX identifier of the weights' licence.
        parameters: Number of parameters of the bare model, embeddings included, heads excluded.
        max_length: Longest input in tokens, special tokens included.
        description: One line for the table of backbones.
        paper: DOI or arXiv id of the source.
        cased: Whether the tokenizer keeps the case of letters.
        add_prefix_space: Whether words that are split beforehand need a leading space (byte-level
            BPE such as RoBERTa's).
        dtype: The dtype to train in. Checkpoints in half precision are widened to it.
        block_class: The class name of one transformer block, or of one in each half: the unit of
            sharding and of activation checkpointing.
        lora_targets: Names of the linear layers that LoRA adapts by default.
        revision: Pinned commit of the Hub repository, where known from two sources.
        package: An installed package that ships the weights, as `"module:folder"`.
        sha256: File name to SHA-256 of the files that must be exactly these.
        prefix: What an encoder-decoder was taught to read before a text to summarize.
        generation: An encoder-decoder's usual settings for writing a summary, by their names in
            transformers' `GenerationConfig`.
        language_code: The token that says in which language to read and to write, for models
            whose tokenizer has one for each language (mBART).
    """

    name: str
    hub_id: str
    kind: Kind
    languages: tuple[str, ...]
    licence: str
    parameters: int
    max_length: int
    description: str
    paper: str = ""
    cased: bool = True
    add_prefix_space: bool = False
    dtype: str = "float32"
    block_class: str | tuple[str, ...]
    lora_targets: tuple[str, ...]
    revision: str | None = None
    package: str | None = None
    sha256: Mapping[str, str] = field(default_factory=dict)
    prefix: str = ""
    generation: Mapping[str, Any] = field(default_factory=dict)
    language_code: str | None = None
