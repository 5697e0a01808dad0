"""The kinds of heads, and which kind of model each of them is for."""

from typing import TYPE_CHECKING, Literal

from zoo.errors import BackboneError

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

Head = Literal[
    "token-classification",
    "sequence-classification",
    "question-answering",
    "text-to-text",
    "masked-lm",
    "causal-lm",
]
ProblemType = Literal["single_label_classification", "multi_label_classification", "regression"]


#: The class of transformers that loads a model with such a head.
AUTO_CLASS: dict[Head, str] = {
    "token-classification": "AutoModelForTokenClassification",
    "sequence-classification": "AutoModelForSequenceClassification",
    "question-answering": "AutoModelForQuestionAnswering",
    "text-to-text": "AutoModelForSeq2SeqLM",
    "masked-lm": "AutoModelForMaskedLM",
    "causal-lm": "AutoModelForCausalLM",
}
#: How the class names of models with such a head end.
ARCHITECTURE: dict[Head, tuple[str, ...]] = {
    "token-classification": ("ForTokenClassification",),
    "sequence-classification": ("ForSequenceClassification",),
    "question-answering": ("ForQuestionAnswering",),
    "text-to-text": ("ForConditionalGeneration", "EncoderDecoderModel"),
    "masked-lm": ("ForMaskedLM",),
    "causal-lm": ("ForCausalLM", "LMHeadModel"),
}
#: Architectures whose head has the same parameter names as ours, whatever its task.
WITH_CLASSIFIER = (
    "ForTokenClassification",
    "ForSequenceClassification",
    "ForQuestionAnswering",
)
#: Labels of heads whose outputs are the same in every model, whatever its config calls them.
FIXED_LABELS: dict[Head, list[str]] = {
    "question-answering": ["start", "end"],
    "text-to-text": ["summary"],
    "masked-lm": ["token"],
    "causal-lm": ["token"],
}


def check_kind(backbone: str, head: Head, config: "PreTrainedConfig") -> None:
    """Refuse an encoder, an encoder-decoder or a decoder where another of them is needed.

    Raises:
        BackboneError: It is the wrong kind.
    """
    both = bool(getattr(config, "is_encoder_decoder", False))
    decoder = not both and _is_decoder(config)
    if decoder and head != "causal-lm":
        raise BackboneError(
            f"{backbone} is a decoder, whose tokens do not see what follows; {head} needs an "
            f"{'encoder-decoder' if head == 'text-to-text' else 'encoder'} "
            "(`python -m recipes backbones` lists them). Decoders are for --model CausalLMTask."
        )
    if head == "causal-lm" and not decoder:
        raise BackboneError(
            f"{backbone} is no decoder, so it cannot go on as a causal language model. Give a "
            "decoder such as GPT-2, or --model.from_scratch tiny (mini, small)."
        )
    if both and head != "text-to-text":
        raise BackboneError(
            f"{backbone} is an encoder-decoder, which writes text; {head} needs an encoder "
            "(`python -m recipes backbones --kind encoder` lists them)."
        )
    if not both and head == "text-to-text":
        raise BackboneError(
            f"{backbone} is no encoder-decoder, so it cannot write text. Use "
            f"{backbone}-2-{backbone}, which makes one of an encoder, or one that was pretrained "
            "as such (`python -m recipes backbones --kind encoder-decoder` lists them)."
        )


def _is_decoder(config: "PreTrainedConfig") -> bool:
    """Whether a model only reads from left to right: BERT can be made to, GPT-2 is."""
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    )

    kind = config.model_type
    causal: bool = kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    return causal and kind not in MODEL_FOR_MASKED_LM_MAPPING_NAMES


__all__ = [
    "ARCHITECTURE",
    "AUTO_CLASS",
    "FIXED_LABELS",
    "WITH_CLASSIFIER",
    "Head",
    "ProblemType",
    "check_kind",
]
