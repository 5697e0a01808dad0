"""The encoder-decoders that are registered from the start: facts about published checkpoints.

`parameters` counts what `AutoModel` builds, the output matrix excluded where it is one of its own.
`generation` is what the authors published for summaries, or else beams of four.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from zoo.backbones.languages import MULTILINGUAL
from zoo.backbones.spec import BackboneSpec

#: Where the authors published no settings for summaries.
_USUAL: Final[Mapping[str, Any]] = {
    "num_beams": 4,
    "max_new_tokens": 128,
    "no_repeat_ngram_size": 3,
}

#: The languages that mBART-50 was pretrained on.
_MBART_50: Final = (
    "multilingual",
    *("af", "ar", "az", "bn", "cs", "de", "en", "es", "et", "fa", "fi", "fr", "gl", "gu", "he"),
    *("hi", "hr", "id", "it", "ja", "ka", "kk", "km", "ko", "lt", "lv", "mk", "ml", "mn", "mr"),
    *("my", "ne", "nl", "pl", "ps", "pt", "ro", "ru", "si", "sl", "sv", "sw", "ta", "te", "th"),
    *("tl", "tr", "uk", "ur", "vi", "xh", "zh"),
)

# What the checkpoints of one architecture share; an entry below may say otherwise.
_t5 = partial(
    BackboneSpec,
    kind="encoder-decoder",
    licence="Apache-2.0",
    languages=("en",),
    max_length=512,
    paper="arXiv:1910.10683",
    block_class="T5Block",
    lora_targets=("q", "v"),
    prefix="summarize: ",
    generation={
        "num_beams": 4,
        "max_new_tokens": 200,
        "length_penalty": 2.0,
        "no_repeat_ngram_size": 3,
        "early_stopping": True,
    },
)
_flan_t5 = partial(_t5, paper="arXiv:2210.11416", generation=_USUAL)
_mt5 = partial(
    BackboneSpec,
    kind="encoder-decoder",
    licence="Apache-2.0",
    languages=MULTILINGUAL,
    max_length=1024,
    paper="arXiv:2010.11934",
    block_class="MT5Block",
    lora_targets=("q", "v"),
    generation=_USUAL,
)
_bart = partial(
    BackboneSpec,
    kind="encoder-decoder",
    licence="Apache-2.0",
    languages=("en",),
    max_length=1024,
    paper="arXiv:1910.13461",
    block_class=("BartEncoderLayer", "BartDecoderLayer"),
    lora_targets=("q_proj", "v_proj"),
    generation=_USUAL,
)
_CNN: Final[Mapping[str, Any]] = {
    "num_beams": 4,
    "max_new_tokens": 142,
    "min_new_tokens": 56,
    "length_penalty": 2.0,
    "no_repeat_ngram_size": 3,
    "early_stopping": True,
}
_pegasus = partial(
    BackboneSpec,
    kind="encoder-decoder",
    licence="Apache-2.0",
    languages=("en",),
    max_length=1024,
    parameters=570_797_056,
    paper="arXiv:1912.08777",
    block_class=("PegasusEncoderLayer", "PegasusDecoderLayer"),
    lora_targets=("q_proj", "v_proj"),
)

ENCODER_DECODERS: Final[tuple[BackboneSpec, ...]] = (
    _t5(
        name="t5-small",
        hub_id="google-t5/t5-small",
        parameters=60_506_624,
        description="Small and quick; was taught to summarize news among other tasks.",
    ),
    _t5(
        name="t5-base",
        hub_id="google-t5/t5-base",
        parameters=222_903_552,
        description="The classic reference for text to text in English.",
    ),
    _t5(
        name="t5-large",
        hub_id="google-t5/t5-large",
        parameters=737_668_096,
        description="Large reference for text to text in English.",
    ),
    _flan_t5(
        name="flan-t5-small",
        hub_id="google/flan-t5-small",
        parameters=60_511_616,
        description="Small, and taught to follow instructions.",
    ),
    _flan_t5(
        name="flan-t5-base",
        hub_id="google/flan-t5-base",
        parameters=222_903_552,
        description="A good start for summaries of dialogues and notes.",
    ),
    _flan_t5(
        name="flan-t5-large",
        hub_id="google/flan-t5-large",
        parameters=750_251_008,
        description="Taught to follow instructions, at large size.",
    ),
    _mt5(
        name="mt5-small",
        hub_id="google/mt5-small",
        parameters=172_119_424,
        description="101 languages; learns its first task here, so give it time.",
    ),
    _mt5(
        name="mt5-base",
        hub_id="google/mt5-base",
        parameters=390_315_264,
        description="101 languages at base size; learns its first task here.",
    ),
    _bart(
        name="bart-base",
        hub_id="facebook/bart-base",
        parameters=139_420_416,
        description="Solid all-round choice for summaries in English.",
    ),
    _bart(
        name="bart-large",
        hub_id="facebook/bart-large",
        parameters=406_291_456,
        description="High scores on summaries in English.",
    ),
    _bart(
        name="bart-large-cnn",
        hub_id="facebook/bart-large-cnn",
        licence="MIT",
        parameters=406_290_432,
        description="Summarizes news in a few sentences without training (CNN/DailyMail).",
        generation=_CNN,
    ),
    _bart(
        name="distilbart-cnn-12-6",
        hub_id="sshleifer/distilbart-cnn-12-6",
        parameters=305_510_400,
        description="Half the decoder of bart-large-cnn, for speed.",
        paper="arXiv:2010.13002",
        generation=_CNN,
    ),
    _bart(
        name="distilbart-xsum-12-6",
        hub_id="sshleifer/distilbart-xsum-12-6",
        parameters=305_510_400,
        description="Summarizes news in one sentence without training (XSum), fast.",
        paper="arXiv:2010.13002",
        generation={
            "num_beams": 6,
            "max_new_tokens": 62,
            "min_new_tokens": 11,
            "length_penalty": 0.5,
            "no_repeat_ngram_size": 3,
            "early_stopping": True,
        },
    ),
    _pegasus(
        name="pegasus-xsum",
        hub_id="google/pegasus-xsum",
        max_length=512,
        parameters=569_748_480,
        description="Summarizes news in one sentence without training (XSum).",
        generation={"num_beams": 8, "max_new_tokens": 64, "length_penalty": 0.6},
    ),
    _pegasus(
        name="pegasus-cnn_dailymail",
        hub_id="google/pegasus-cnn_dailymail",
        description="Summarizes news in a few sentences without training (CNN/DailyMail).",
        generation={
            "num_beams": 8,
            "max_new_tokens": 128,
            "min_new_tokens": 32,
            "length_penalty": 0.8,
        },
    ),
    _pegasus(
        name="pegasus-large",
        hub_id="google/pegasus-large",
        description="Pretrained for summaries: learns a new kind from few examples.",
        generation={"num_beams": 8, "max_new_tokens": 256, "length_penalty": 0.8},
    ),
    BackboneSpec(
        name="mbart-large-50",
        hub_id="facebook/mbart-large-50",
        kind="encoder-decoder",
        licence="MIT",
        languages=_MBART_50,
        max_length=1024,
        parameters=610_879_488,
        description="50 languages; set up for English, others by a spec with their code.",
        paper="arXiv:2008.00401",
        block_class=("MBartEncoderLayer", "MBartDecoderLayer"),
        lora_targets=("q_proj", "v_proj"),
        generation={"num_beams": 5, "max_new_tokens": 200, "early_stopping": True},
        language_code="en_XX",
    ),
)
