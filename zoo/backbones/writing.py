"""What reading and writing need to know of an encoder-decoder."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zoo.backbones.loading import check_kind, load_config, load_tokenizer
from zoo.backbones.sources import metadata, resolve
from zoo.backbones.warm_start import first_token

#: How a summary is written where neither the registry nor the checkpoint says it.
USUAL_GENERATION: Mapping[str, Any] = {
    "num_beams": 4,
    "max_new_tokens": 128,
    "no_repeat_ngram_size": 3,
}


@dataclass(frozen=True)
class TextToText:
    """What an encoder-decoder expects.

    Args:
        prefix: Written before each text that it reads.
        decoder_start_token_id: The token before the first one that it writes.
        generation: Its usual settings for writing, by their names in transformers'
            `GenerationConfig`; they go before those that the checkpoint brings along. Empty for
            what the zoo exported: such a model brings its own.
    """

    prefix: str
    decoder_start_token_id: int
    generation: Mapping[str, Any]


def text_to_text(backbone: str) -> TextToText:
    """What a backbone that writes text expects: a registered one, a folder, a Hub id or `A-2-B`.

    Raises:
        BackboneError: It cannot be found or read, or it is no encoder-decoder.
    """
    source = resolve(backbone)
    if source.decoder is not None:
        tokenizer = load_tokenizer(backbone)
        return TextToText("", first_token(tokenizer), USUAL_GENERATION)
    config = load_config(backbone)
    check_kind(backbone, "text-to-text", config)
    exported = metadata(backbone)
    spec = source.spec
    prefix = exported.get("encoding", {}).get("prefix")
    if prefix is None:
        prefix = spec.prefix if spec is not None else ""
    generation: Mapping[str, Any] = {}
    if not exported:
        generation = USUAL_GENERATION if spec is None else spec.generation
    return TextToText(str(prefix), int(config.decoder_start_token_id), generation)


__all__ = ["USUAL_GENERATION", "TextToText", "text_to_text"]
