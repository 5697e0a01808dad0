"""What reading and writing need to know of an encoder-decoder."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zoo.backbones.heads import check_kind
from zoo.backbones.loading import load_config, load_tokenizer
from zoo.backbones.sources import metadata, resolve
from zoo.backbones.warm_start import first_token
from zoo.errors import BackboneError


@dataclass(frozen=True)
class TextToText:
    """What an encoder-decoder expects.

    Args:
        prefix: Written before each text that it reads.
        decoder_start_token_id: The token before the first one that it writes.
        generation: What the registry says of writing with it, by the names in transformers'
            `GenerationConfig`: this goes before what the checkpoint brings along. Empty where
            nothing is known, and for what the zoo exported, which brings its own.
    """

    prefix: str
    decoder_start_token_id: int
    generation: Mapping[str, Any]


def text_to_text(backbone: str) -> TextToText:
    """What a backbone that writes text expects: a registered one, a folder, a Hub id or `A-2-B`.

    Raises:
        BackboneError: It cannot be found or read, it is no encoder-decoder, or it does not say with
            which token it begins to write.
    """
    source = resolve(backbone)
    if source.decoder is not None:
        tokenizer = load_tokenizer(backbone)
        return TextToText("", first_token(tokenizer), {})
    config = load_config(backbone)
    check_kind(backbone, "text-to-text", config)
    start = getattr(config, "decoder_start_token_id", None)
    if start is None:
        raise BackboneError(
            f"The config.json of {backbone} does not say with which token it begins to write. "
            'Add its id there as "decoder_start_token_id"; in T5 it is that of <pad>, in BART of '
            "</s>."
        )
    exported = metadata(backbone)
    spec = source.spec
    prefix = exported.get("encoding", {}).get("prefix")
    if prefix is None:
        prefix = spec.prefix if spec is not None else ""
    known = {} if spec is None or exported else dict(spec.generation)
    if spec is not None and spec.language_code is not None and not exported:
        code = load_tokenizer(backbone).convert_tokens_to_ids(spec.language_code)
        known["forced_bos_token_id"] = code
    return TextToText(str(prefix), int(start), known)


__all__ = ["TextToText", "text_to_text"]
