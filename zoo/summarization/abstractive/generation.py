"""How summaries are written: the settings, all in one place, and the writing."""

import difflib
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from zoo import backbones
from zoo.errors import ZooError

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedConfig

#: Where neither the checkpoint nor the registry nor the user says it.
USUAL: Mapping[str, Any] = {"num_beams": 4, "max_new_tokens": 128, "no_repeat_ngram_size": 3}

#: Settings that can be chosen, with the least value that makes sense for numbers. Sampling is not
#: among them: a summary is the same each time.
SETTINGS: Mapping[str, float | None] = {
    "num_beams": 1,
    "max_new_tokens": 1,
    "min_new_tokens": 0,
    "length_penalty": None,
    "early_stopping": None,
    "no_repeat_ngram_size": 0,
    "encoder_no_repeat_ngram_size": 0,
    "repetition_penalty": 0,
    "encoder_repetition_penalty": 0,
    "exponential_decay_length_penalty": None,
    "bad_words_ids": None,
    "suppress_tokens": None,
    "forced_bos_token_id": 0,
    "forced_eos_token_id": 0,
}
_WHOLE = (
    *("num_beams", "max_new_tokens", "min_new_tokens"),
    *("no_repeat_ngram_size", "encoder_no_repeat_ngram_size"),
    *("forced_bos_token_id", "forced_eos_token_id"),
)
#: Numbers above 0; transformers refuses whole ones while it writes.
_FACTORS = ("repetition_penalty", "encoder_repetition_penalty")
#: What only beam search reads.
_OF_BEAMS = ("length_penalty", "early_stopping")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _are_ids(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(
        isinstance(one, int) and not isinstance(one, bool) and one >= 0 for one in value
    )


#: What the settings without a least value look like, and whether one does.
_SHAPES: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "length_penalty": ("a number", _is_number),
    "exponential_decay_length_penalty": (
        "a list of the number of tokens after which it begins, and a factor",
        lambda value: (
            isinstance(value, list | tuple)
            and len(value) == 2
            and isinstance(value[0], int)
            and all(map(_is_number, value))
        ),
    ),
    "suppress_tokens": ("a list of token ids", _are_ids),
    "bad_words_ids": (
        "a list of lists of token ids",
        lambda value: (
            isinstance(value, list | tuple)
            and bool(value)
            and all(one and _are_ids(one) for one in value)
        ),
    ),
}


def check_settings(settings: Mapping[str, Any]) -> None:
    """Refuse settings that are unknown or make no sense.

    Raises:
        ZooError: One does not.
    """
    for name, value in settings.items():
        if name not in SETTINGS:
            near = difflib.get_close_matches(name, SETTINGS, n=1)
            if name in ("max_length", "min_length"):
                near = [name.replace("_", "_new_").replace("length", "tokens")]
            hint = f"Did you mean {near[0]}? " if near else ""
            raise ZooError(
                f"--model.generation has no setting {name!r}. {hint}There are "
                f"{', '.join(SETTINGS)}."
            )
        least = SETTINGS[name]
        if (least is not None and (not _is_number(value) or value < least)) or (
            name in _WHOLE and not isinstance(value, int)
        ):
            what = "a whole number" if name in _WHOLE else "a number"
            raise ZooError(
                f"--model.generation.{name} {value!r} must be {what} from {least:g} upward."
            )
        if name in _FACTORS and value == 0:
            raise ZooError(f"--model.generation.{name} must be above 0; 1.0 is without effect.")
        shape = _SHAPES.get(name)
        if shape is not None and value is not None and not shape[1](value):
            raise ZooError(f"--model.generation.{name} {value!r} must be {shape[0]}.")
    try:
        from transformers import GenerationConfig

        GenerationConfig(**settings).validate()
    except (ValueError, TypeError) as error:
        first_line = str(error).strip().split("\n")[0]
        raise ZooError(f"--model.generation: {first_line}") from error


def configure(model: Any, *, usual: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Set `model.generation_config`; an exported model takes it along.

    Later ones win: what is usual for all, what the checkpoint brings, what the registry says of
    it, what was asked for.

    Args:
        model: An encoder-decoder.
        usual: The registry's settings (`backbones.text_to_text(...).generation`).
        asked: The user's.

    Raises:
        ZooError: A summary of as many tokens as asked for is more than the decoder can write, or a
            token id is none of its vocabulary.
    """
    vocabulary = int(getattr(model.config, "decoder", model.config).vocab_size)
    for name, token in _tokens_in(asked):
        if token >= vocabulary:
            raise ZooError(
                f"--model.generation.{name} has the token id {token}, but the model knows only "
                f"those below {vocabulary}."
            )
    own = model.generation_config
    # Lengths that count the decoder's first token, as older checkpoints have them.
    lengths = {
        new: value - 1
        for old, new in (("max_length", "max_new_tokens"), ("min_length", "min_new_tokens"))
        if (value := getattr(own, old, None)) and value > 1
    }
    brought = {name: value for name in SETTINGS if (value := getattr(own, name, None)) is not None}
    settings = {**USUAL, **lengths, **brought, **usual, **asked}
    most = _most_tokens(model.config)
    if most is not None and settings["max_new_tokens"] > most:
        if "max_new_tokens" in asked:
            raise ZooError(
                f"--model.generation.max_new_tokens {asked['max_new_tokens']} is more than the "
                f"decoder can write ({most} tokens)."
            )
        settings["max_new_tokens"] = most
    if settings.get("min_new_tokens", 0) > settings["max_new_tokens"]:
        if "min_new_tokens" in asked:
            raise ZooError(
                f"--model.generation.min_new_tokens {asked['min_new_tokens']} is more than "
                f"max_new_tokens {settings['max_new_tokens']}."
            )
        settings["min_new_tokens"] = 0
    special = {
        name: value
        for name in ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id")
        if (value := getattr(own, name, None)) is not None
    }
    start = getattr(model.config, "decoder_start_token_id", None)
    if start is not None:
        special.setdefault("decoder_start_token_id", start)
    model.generation_config = _config({**special, **settings})


def _config(settings: Mapping[str, Any]) -> "GenerationConfig":
    from transformers import GenerationConfig

    kept = {name: float(value) if name in _FACTORS else value for name, value in settings.items()}
    if kept["num_beams"] == 1:
        # Without beams they are without effect, and transformers refuses to save them.
        kept = {name: value for name, value in kept.items() if name not in _OF_BEAMS}
    try:
        return GenerationConfig(**kept)
    except ValueError as error:
        # Settings that each make sense, but not with those that the checkpoint brings.
        raise ZooError(f"--model.generation: {str(error).strip()}") from error


def _tokens_in(settings: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Token ids among settings, each with its setting's name."""
    for name in ("forced_bos_token_id", "forced_eos_token_id"):
        if settings.get(name) is not None:
            yield name, settings[name]
    yield from (("suppress_tokens", one) for one in settings.get("suppress_tokens") or ())
    for words in settings.get("bad_words_ids") or ():
        yield from (("bad_words_ids", one) for one in words)


def _most_tokens(config: "PreTrainedConfig") -> int | None:
    return backbones.positions_of(getattr(config, "decoder", config))


def greedy(config: "GenerationConfig") -> "GenerationConfig":
    """The same settings without beams."""
    one = deepcopy(config)
    one.num_beams = 1
    # Not None: that would be filled in from the model's settings again.
    one.length_penalty, one.early_stopping = 1.0, False
    return one


@torch.no_grad()
def write(net: Any, batch: Mapping[str, Any], *, beams: bool, in_step: bool = False) -> Tensor:
    """Summaries as token ids, int64 `[texts, longest]`, padded on the right.

    Args:
        net: An encoder-decoder.
        batch: `input_ids` and `attention_mask`.
        beams: Whether to search with as many beams as the settings say; else greedily.
        in_step: Whether to go on until all processes have written the last token of theirs.
    """
    config = net.generation_config if beams else greedy(net.generation_config)
    with backbones.quiet_transformers():
        found: Tensor = net.generate(
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            generation_config=config,
            synced_gpus=in_step,
        )
    return found


__all__ = ["SETTINGS", "USUAL", "check_settings", "configure", "greedy", "write"]
