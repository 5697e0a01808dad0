"""Encoders warm-started into an encoder-decoder (Rothe et al. 2020, doi 10.1162/tacl_a_00313).

The encoder reads as it was pretrained to. The decoder begins with the same kind of weights, sees
only what is to its left, and gets attention to the encoder. The output matrix is the matrix of the
word embeddings.

What no checkpoint has begins at random, as in the paper. Attention to the encoder that begins as a
copy of the decoder's attention to itself is slower: after 20 steps of 8 texts of the sample corpus
the loss of `minilm-l6-2-minilm-l6` stood at 4.7, and at 2.9 from random numbers.
"""

import inspect
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from zoo.errors import BackboneError

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

#: Read with both tokenizers to tell whether they are the same.
_PROBE = "Zoë's 1,234 TESTS re-read: “naïve” 同样, isn't it?\n(Yes.)"


def joined_config(
    backbone: str, encoder: "PreTrainedConfig", decoder: "PreTrainedConfig"
) -> "PreTrainedConfig":
    """The configuration of the encoder-decoder that two encoders make.

    Raises:
        BackboneError: One is no encoder, or transformers has no decoder of that architecture.
    """
    from transformers import EncoderDecoderConfig

    for half in (encoder, decoder):
        if getattr(half, "is_encoder_decoder", False):
            raise BackboneError(
                f"{backbone} joins two encoders, but one half is an encoder-decoder "
                f"({half.model_type}): give that one alone."
            )
    decoder = deepcopy(decoder)
    decoder.is_decoder = decoder.add_cross_attention = True
    if not _can_decode(decoder):
        raise BackboneError(
            f"The second half of {backbone} cannot be a decoder: transformers has no "
            f"{decoder.model_type} with attention to an encoder. BERT, RoBERTa, XLM-RoBERTa and "
            "ELECTRA can."
        )
    return EncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder)


def _can_decode(config: "PreTrainedConfig") -> bool:
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING

    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        return False
    decoder: Any = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
    return "encoder_hidden_states" in inspect.signature(decoder.forward).parameters


def check_tokenizers(backbone: str, encoder: Any, decoder: Any) -> None:
    """Refuse halves that cut texts up differently.

    Raises:
        BackboneError: They do.
    """
    same = encoder.get_vocab() == decoder.get_vocab() and (
        encoder(_PROBE)["input_ids"] == decoder(_PROBE)["input_ids"]
    )
    if not same:
        raise BackboneError(
            f"The halves of {backbone} have different tokenizers. What is read and what is written "
            "are cut up by one, so both halves need the same; take two of one family, or the same "
            "one twice."
        )


def finish(model: Any, *, special: Any | None) -> None:
    """Make a joined model ready to train and to write.

    Args:
        model: An `EncoderDecoderModel`.
        special: Where it is a new one, the tokenizer whose special tokens begin and end a text.
    """
    pooler = getattr(model.encoder, "pooler", None)
    if pooler is not None:
        # Nothing reads it, and DDP refuses parameters that learn but get no gradient. It stays, as
        # plain transformers would otherwise miss it.
        pooler.requires_grad_(False)
    if special is None:
        return
    start = first_token(special)
    end = _first(special.sep_token_id, special.eos_token_id)
    for config in (model.config, model.generation_config):
        config.decoder_start_token_id = config.bos_token_id = start
        config.eos_token_id = end
        config.pad_token_id = special.pad_token_id


def first_token(tokenizer: Any) -> int:
    """The token that a decoder begins with."""
    return _first(tokenizer.cls_token_id, tokenizer.bos_token_id)


def _first(*ids: int | None) -> int:
    found = [one for one in ids if one is not None]
    if not found:
        raise BackboneError("The tokenizer has no tokens to begin and end a text with.")
    return found[0]


def tie(model: Any, *, backbone: str, equal: bool = True) -> None:
    """Let encoder and decoder share all weights that both have.

    Args:
        model: A joined model.
        backbone: What it is called in an error.
        equal: Whether the weights must be the same before.

    Raises:
        BackboneError: The halves are of different shapes, or not equal.
    """
    if model.config.model_type != "encoder-decoder":
        raise BackboneError(
            f"--model.tie_weights true is for a warm start A-2-A; {backbone} was pretrained as an "
            "encoder-decoder. Give --model.tie_weights false."
        )
    theirs = dict(model.decoder.base_model.named_parameters())
    for name, parameter in list(model.encoder.named_parameters()):
        if name.startswith("pooler."):
            continue
        shared = theirs.get(name)
        if shared is None or shared.shape != parameter.shape:
            raise BackboneError(
                f"--model.tie_weights needs the same architecture twice; the halves of {backbone} "
                f"differ ({name})."
            )
        if equal and not torch.equal(shared, parameter):
            raise BackboneError(
                f"--model.tie_weights needs the same weights twice; the halves of {backbone} "
                f"differ ({name})."
            )
        owner, _, own = name.rpartition(".")
        setattr(model.encoder.get_submodule(owner), own, shared)


def untied(model: Any) -> Any:
    """A copy in which encoder and decoder have weights of their own: plain transformers' form.

    A model whose halves share nothing is returned as it is.
    """
    if model.config.model_type != "encoder-decoder":
        return model
    theirs = {id(parameter) for parameter in model.decoder.parameters()}
    if not any(id(parameter) in theirs for parameter in model.encoder.parameters()):
        return model
    copy = deepcopy(model)
    for module in copy.encoder.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            own = nn.Parameter(parameter.detach().clone(), requires_grad=parameter.requires_grad)
            setattr(module, name, own)
    return copy


__all__ = ["check_tokenizers", "finish", "first_token", "joined_config", "tie", "untied"]
