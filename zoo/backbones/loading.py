"""The only home of `from_pretrained`: tokenizers and models, with the traps handled once."""

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError

from zoo.backbones import warm_start
from zoo.backbones.alignment import align
from zoo.backbones.dropout import quicken_dropout
from zoo.backbones.heads import (
    ARCHITECTURE,
    AUTO_CLASS,
    FIXED_LABELS,
    WITH_CLASSIFIER,
    Head,
    ProblemType,
    check_kind,
)
from zoo.backbones.parts import head_layers
from zoo.backbones.sources import Source, metadata, resolve
from zoo.backbones.spaces import lead_with_space
from zoo.errors import BackboneError

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel
    from transformers.tokenization_utils_tokenizers import TokenizersBackend

#: Longest input used unless asked for more: attention's cost grows with the square.
USUAL_MAX_LENGTH = 512

log = logging.getLogger(__name__)


def load_config(backbone: str) -> "PreTrainedConfig":
    """The model's configuration; of a warm start `A-2-B` that of the encoder-decoder.

    Raises:
        BackboneError: It cannot be found, read or reached, or B cannot be a decoder.
    """
    from transformers import AutoConfig

    source = resolve(backbone)
    config: PreTrainedConfig = _load(AutoConfig, source)
    if source.decoder is None:
        return config
    decoder: PreTrainedConfig = _load(AutoConfig, source.decoder)
    return warm_start.joined_config(backbone, config, decoder)


def load_tokenizer(backbone: str) -> "TokenizersBackend":
    """The backbone's fast tokenizer, with nothing cut or padded behind the caller's back.

    Tokenizer files can carry a truncation length and padding of their own (MiniLM's cuts at 128
    tokens): both are switched off. Byte-level tokenizers of encoders get the leading space that
    words split beforehand need; those of encoder-decoders, which read and write whole texts, stay
    as they were pretrained.

    Raises:
        BackboneError: It cannot be found or read, there is no fast tokenizer, or the halves of a
            warm start have different ones.
    """
    source = resolve(backbone)
    tokenizer = _tokenizer(source)
    if source.decoder is not None and source.decoder.location != source.location:
        warm_start.check_tokenizers(backbone, tokenizer, _tokenizer(source.decoder))
    return tokenizer


def _tokenizer(source: Source) -> "TokenizersBackend":
    from transformers import AutoTokenizer

    options: dict[str, Any] = {}
    if source.spec is not None and source.spec.add_prefix_space:
        options["add_prefix_space"] = True
    if source.spec is not None and source.spec.language_code is not None:
        options |= dict.fromkeys(("src_lang", "tgt_lang"), source.spec.language_code)
    tokenizer = _load(AutoTokenizer, source, **options)
    if not getattr(tokenizer, "is_fast", False):
        raise BackboneError(
            f"{source.asked} has no fast tokenizer (tokenizer.json), needed to map words to "
            "subwords. Choose another backbone."
        )
    if not _is_encoder_decoder(source):
        lead_with_space(tokenizer)
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    return tokenizer  # type: ignore[no-any-return]


def max_length_of(backbone: str, *, usual: int = USUAL_MAX_LENGTH) -> int:
    """Longest input in tokens used unless asked for more: the longest there is, up to the usual.

    Of an exported model it is the length that it was trained with.
    """
    trained_with = metadata(backbone).get("max_length")
    return int(trained_with or min(longest_input(backbone), usual))


def longest_input(backbone: str) -> int:
    """Longest input in tokens that the model can take, special tokens included."""
    source = resolve(backbone)
    if source.spec is not None:
        return source.spec.max_length
    config = load_config(backbone)
    return positions_of(getattr(config, "encoder", config)) or USUAL_MAX_LENGTH


def positions_of(config: "PreTrainedConfig") -> int | None:
    """Positions in tokens that a model can tell apart; None where there is no limit."""
    positions = getattr(config, "max_position_embeddings", None)
    if positions and config.model_type in ("roberta", "xlm-roberta", "camembert"):
        positions -= 2  # their position ids start after the padding index
    return positions or None


def head_labels(backbone: str, head: Head) -> list[str] | None:
    """Labels of the fine-tuned head in a model folder, in order; None where there is no such head.

    Of a Hub model just the body is used, but for heads that are pretrained with it: an
    encoder-decoder can write, unless it is a warm start, and a language model knows its tokens.
    """
    source = resolve(backbone)
    if head == "text-to-text" and source.folder is None:
        return list(FIXED_LABELS[head]) if _is_encoder_decoder(source) else None
    if source.decoder is not None or (source.folder is None and not head.endswith("-lm")):
        return None
    config = _config_file(source.folder) if source.folder else load_config(backbone).to_dict()
    architectures = config.get("architectures") or [""]
    if not architectures[0].endswith(ARCHITECTURE[head]):
        return None
    if head in FIXED_LABELS:
        return list(FIXED_LABELS[head])
    id2label = config.get("id2label") or {}
    return [id2label[key] for key in sorted(id2label, key=int)]


def load_model(
    backbone: str,
    head: Head,
    *,
    labels: Sequence[str],
    weights: bool = True,
    problem_type: ProblemType = "single_label_classification",
    tie_weights: bool = False,
) -> "PreTrainedModel":
    """A model with the head for a task, in float32 and in training mode.

    The head of a fine-tuned folder is kept when its labels are exactly these; otherwise the head
    is new, and a line in the log says so where one was replaced.

    Args:
        backbone: Registered name, folder or Hub id.
        head: The kind of head.
        labels: The head's outputs, in order.
        weights: False builds the same shape with random weights, for a checkpoint to fill.
        problem_type: What a sequence classification is; the pipeline of transformers chooses
            softmax or sigmoid by it.
        tie_weights: Encoder and decoder share what they have in common, in a warm start or in what
            was exported of one.

    Raises:
        BackboneError: It cannot be found, verified or read, or it is an encoder where an
            encoder-decoder is needed, or the other way round.
    """
    import transformers

    source = resolve(backbone)
    auto_class = getattr(transformers, AUTO_CLASS[head])
    config = load_config(backbone)
    check_kind(backbone, head, config)
    had = head_labels(backbone, head)
    keep = had == list(labels)
    # Of a Hub model, or of one for another task, the head must not slip in with the body.
    replace = not keep and any(
        name.endswith(WITH_CLASSIFIER) for name in config.architectures or ()
    )
    if had is not None and not keep and weights:
        log.warning(
            "The head of %s has other labels (%s), so it is replaced by a new one.",
            backbone,
            ", ".join(had),
        )
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: index for index, label in enumerate(labels)}
    if head == "sequence-classification":
        config.problem_type = problem_type
    dtype = getattr(torch, source.spec.dtype if source.spec else "float32")
    if not weights:
        model = auto_class.from_config(config, dtype=dtype)
    elif source.decoder is not None:
        model = _joined(source, source.decoder, config, dtype)
    else:
        # `dtype`: the checkpoint's own would be used otherwise, half precision included.
        model = _load(
            auto_class,
            source,
            config=config,
            dtype=dtype,
            use_safetensors=True,
            ignore_mismatched_sizes=replace,
        )
        if replace:
            _renew_head(model)
    if config.model_type == "encoder-decoder":
        warm_start.finish(model, special=load_tokenizer(backbone) if source.decoder else None)
    if tie_weights:
        warm_start.tie(model, backbone=backbone, equal=weights)
    quicken_dropout(model)
    # from_pretrained returns a model in eval mode, in which Lightning keeps it: without dropout.
    model.train()
    return model  # type: ignore[no-any-return]


def load_encoder(backbone: str) -> "PreTrainedModel":
    """A backbone without a head, in float32: for several tasks that share it in memory.

    Args:
        backbone: Registered name, folder or Hub id.

    Raises:
        BackboneError: It cannot be found, verified or read, or it is an encoder-decoder.
    """
    from transformers import AutoModel

    source = resolve(backbone)
    if source.decoder is not None or _is_encoder_decoder(source):
        raise BackboneError(f"{backbone} is an encoder-decoder; only encoders are shared.")
    dtype = getattr(torch, source.spec.dtype if source.spec else "float32")
    encoder = _load(AutoModel, source, dtype=dtype, use_safetensors=True)
    quicken_dropout(encoder)
    return encoder  # type: ignore[no-any-return]


def _joined(
    encoder: Source, decoder: Source, config: "PreTrainedConfig", dtype: torch.dtype
) -> "PreTrainedModel":
    """The encoder-decoder of a warm start, with the weights of both halves."""
    from transformers import AutoModel, AutoModelForCausalLM, EncoderDecoderModel

    options: dict[str, Any] = {"dtype": dtype, "use_safetensors": True}
    first = _load(AutoModel, encoder, config=config.encoder, **options)
    second = _load(AutoModelForCausalLM, decoder, config=config.decoder, **options)
    with quiet_transformers():
        return EncoderDecoderModel(config=config, encoder=first, decoder=second)


def _is_encoder_decoder(source: Source) -> bool:
    """Whether a model was made to write; a warm start is none yet."""
    if source.decoder is not None:
        return False
    if source.folder is not None:
        return bool(_config_file(source.folder).get("is_encoder_decoder"))
    if source.spec is not None:
        return source.spec.kind == "encoder-decoder"
    return bool(getattr(load_config(source.asked), "is_encoder_decoder", False))


def _config_file(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BackboneError(f"{path} is damaged ({error}). Copy or download it again.") from error
    return config


def _renew_head(model: "PreTrainedModel") -> None:
    # A head of the same size but other labels loads without a mismatch: draw it anew all the same.
    for layer in head_layers(model):
        torch.nn.init.normal_(layer.weight, std=getattr(model.config, "initializer_range", 0.02))
        if layer.bias is not None:
            torch.nn.init.zeros_(layer.bias)


def _load(auto_class: Any, source: Source, **options: Any) -> Any:
    if source.revision is not None:
        options["revision"] = source.revision
    try:
        with quiet_transformers():
            found = auto_class.from_pretrained(_place(auto_class, source), **options)
    except SafetensorError as error:
        raise BackboneError(
            f"The weights in {source.location} are damaged ({error}). Copy or fetch them again."
        ) from error
    except (OSError, ValueError, KeyError) as error:
        raise BackboneError(_why(source, error)) from error
    except RuntimeError as error:
        if "mismatch" not in str(error):
            raise
        raise BackboneError(
            f"The weights in {source.location} have other sizes than its config.json says."
        ) from error
    if isinstance(found, torch.nn.Module):
        align(found)
    return found


def _place(auto_class: Any, source: Source) -> str:
    return source.location if auto_class.__name__ == "AutoTokenizer" else source.weights


def _why(source: Source, error: Exception) -> str:
    first_line = str(error).strip().split("\n")[0]
    if source.folder is not None:
        return f"The model in {source.folder} cannot be loaded: {first_line}"
    return (
        f"Backbone {source.asked} ({source.location}) is not in the Hub's cache on this machine "
        f"and could not be fetched: {first_line} A private or gated model needs HF_TOKEN; without "
        "a network use a folder with the model, or `minilm-l6`, which ships with the installation."
    )


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence its table of missing head weights and its bars: no user can act on them."""
    from transformers.utils import logging as hf_logging

    level = hf_logging.get_verbosity()
    bars = hf_logging.is_progress_bar_enabled()
    hf_logging.set_verbosity_error()
    hf_logging.disable_progress_bar()
    try:
        yield
    finally:
        hf_logging.set_verbosity(level)
        if bars:
            hf_logging.enable_progress_bar()


__all__ = [
    "head_labels",
    "load_config",
    "load_encoder",
    "load_model",
    "load_tokenizer",
    "longest_input",
    "max_length_of",
    "positions_of",
    "quiet_transformers",
]
