"""New models with random weights, for the tokenizer of a backbone."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch

from zoo.backbones.heads import AUTO_CLASS, Head, check_kind
from zoo.backbones.loading import load_config, load_tokenizer, longest_input

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Size = Literal["tiny", "mini", "small", "same"]

#: Layers and width of new models.
_SIZES = {"tiny": (2, 128), "mini": (4, 256), "small": (4, 512)}


def new_language_model(
    backbone: str, head: Head, size: Size, *, labels: Sequence[str], tokenizer: Any = None
) -> "PreTrainedModel":
    """A language model with random weights, for a backbone's tokenizer or another.

    Args:
        backbone: Registered name, folder or Hub id, whose tokenizer and longest input are kept.
        head: `masked-lm` or `causal-lm`.
        size: `same` is the backbone's own shape; the others are BERTs, or GPT-2s, of 2 layers of
            width 128 (`tiny`), 4 of 256 (`mini`) and 4 of 512 (`small`), as in Turc et al. 2019
            (arXiv 1908.08962).
        labels: The head's one label.
        tokenizer: Another tokenizer than the backbone's, if any.

    Raises:
        BackboneError: The backbone cannot be found or read, or its shape is of another kind.
    """
    import transformers
    from transformers import AutoConfig

    config = load_config(backbone)
    own = tokenizer or load_tokenizer(backbone)
    size_of_vocabulary = max(own.get_vocab().values()) + 1
    if size == "same" or head == "masked-lm":
        check_kind(backbone, head, config)
    if size != "same":
        layers, width = _SIZES[size]
        shape = {
            "vocab_size": size_of_vocabulary,
            "hidden_size": width,
            "num_hidden_layers": layers,
            "num_attention_heads": width // 64,
            "max_position_embeddings": longest_input(backbone),
            "pad_token_id": own.pad_token_id,
        }
        if head == "causal-lm":
            begin, end = (getattr(own, f"{name}_token_id", None) for name in ("bos", "eos"))
            shape |= {
                "bos_token_id": own.cls_token_id if begin is None else begin,
                "eos_token_id": own.sep_token_id if end is None else end,
            }
            config = AutoConfig.for_model("gpt2", **shape)
        else:
            config = AutoConfig.for_model("bert", intermediate_size=4 * width, **shape)
    elif tokenizer is not None:
        config.vocab_size = size_of_vocabulary
        for name in ("pad", "bos", "eos", "cls", "sep", "mask"):
            if getattr(config, f"{name}_token_id", None) is not None:
                setattr(config, f"{name}_token_id", getattr(own, f"{name}_token_id"))
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: index for index, label in enumerate(labels)}
    auto_class = getattr(transformers, AUTO_CLASS[head])
    model: PreTrainedModel = auto_class.from_config(config, dtype=torch.float32)
    model.train()
    return model


__all__ = ["Size", "new_language_model"]
