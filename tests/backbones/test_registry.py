"""The names of the registry: what is listed, what is found, what is refused."""

from collections.abc import Iterator

import pytest

from zoo.backbones import BackboneSpec, get, names, register, registry
from zoo.errors import BackboneError


@pytest.fixture(autouse=True)
def _registry_as_it_was() -> Iterator[None]:
    before = dict(registry._specs)
    yield
    registry._specs.clear()
    registry._specs.update(before)


def _spec(name: str, **changes: object) -> BackboneSpec:
    facts: dict[str, object] = {
        "name": name,
        "hub_id": f"some-lab/{name}",
        "kind": "encoder",
        "languages": ("tlh",),
        "licence": "GPL-3.0-only",
        "parameters": 1000,
        "max_length": 64,
        "description": "A test.",
        "block_class": "Block",
        "lora_targets": ("query",),
    }
    return BackboneSpec(**{**facts, **changes})  # type: ignore[arg-type]


def test_a_language_keeps_the_backbones_that_know_it_smallest_first() -> None:
    register(_spec("large", parameters=3000))
    register(_spec("small", parameters=10))
    register(_spec("medium", parameters=200, languages=("en", "tlh")))
    register(_spec("elsewhere", languages=("en",)))
    assert names(language="tlh") == ["small", "medium", "large"]


def test_a_kind_keeps_the_backbones_of_that_kind() -> None:
    register(_spec("one"))
    register(_spec("two", kind="encoder-decoder"))
    assert names(language="tlh", kind="encoder") == ["one"]
    assert names(language="tlh", kind="encoder-decoder") == ["two"]


def test_a_licence_is_compared_whatever_its_case() -> None:
    register(_spec("free"))
    assert names(licence="gpl-3.0-ONLY") == ["free"]
    assert names(licence="GPL-3.0") == []


def test_a_limit_on_the_parameters_includes_the_limit() -> None:
    register(_spec("below", parameters=999))
    register(_spec("at", parameters=1000))
    register(_spec("above", parameters=1001))
    assert names(language="tlh", max_parameters=1000) == ["below", "at"]


def test_equally_large_backbones_are_listed_by_name() -> None:
    register(_spec("b"))
    register(_spec("a"))
    assert names(language="tlh") == ["a", "b"]


def test_the_default_is_embedded_and_all_names_are_listed_smallest_first() -> None:
    assert names(source="embedded") == ["minilm-l6"]
    listed = names()
    sizes = [get(name).parameters for name in listed]
    assert sizes == sorted(sizes)
    assert {"minilm-l6", "roberta-base", "xlm-roberta-base", "bert-base-chinese"} <= set(listed)


def test_chinese_has_its_own_and_the_multilingual_backbones() -> None:
    chinese = names(language="zh")
    assert {"bert-base-chinese", "xlm-roberta-base"} <= set(chinese)
    assert not {"minilm-l6", "roberta-base"} & set(chinese)


def test_a_registered_backbone_is_got_by_its_name() -> None:
    spec = register(_spec("mine"))
    assert get("mine") is spec


@pytest.mark.parametrize("typed", ["robertabase", "Roberta-Base", "roberta-basee"])
def test_an_unknown_name_lists_near_names_and_says_how_to_register(typed: str) -> None:
    with pytest.raises(BackboneError) as caught:
        get(typed)
    said = str(caught.value)
    assert repr(typed) in said
    assert "roberta-base" in said.replace(repr(typed), "")
    assert "zoo.backbones.register(BackboneSpec(" in said
    assert "recipes backbones" in said


def test_a_name_like_no_other_still_says_what_to_do() -> None:
    with pytest.raises(BackboneError, match="lists all") as caught:
        get("zzzzzzzzzzzz")
    assert "Did you mean" not in str(caught.value)


def test_a_name_cannot_be_registered_twice() -> None:
    first = register(_spec("mine"))
    with pytest.raises(BackboneError, match=r"'mine' is registered already \(some-lab/mine\)"):
        register(_spec("mine", hub_id="other-lab/mine"))
    assert get("mine") is first


def test_a_name_that_reads_like_a_hub_id_is_refused() -> None:
    with pytest.raises(BackboneError, match="may not contain '/'"):
        register(_spec("lab/mine"))


@pytest.mark.parametrize("name", names())
def test_every_preset_says_what_a_reader_needs(name: str) -> None:
    spec = get(name)
    assert spec.name == name == name.lower()
    assert spec.hub_id.count("/") == 1
    assert spec.languages
    assert all(code == "multilingual" or len(code) == 2 for code in spec.languages)
    assert spec.licence in {"Apache-2.0", "MIT"}
    assert 1_000_000 < spec.parameters < 1_000_000_000
    assert spec.max_length in {512, 1024, 8192}
    assert spec.description.endswith(".")
    assert "\n" not in spec.description
    assert spec.paper.startswith(("arXiv:", "doi:", "10."))
    assert spec.dtype == "float32"
    assert spec.block_class
    assert spec.lora_targets
    assert spec.revision is None or len(bytes.fromhex(spec.revision)) == 20
    assert all(len(bytes.fromhex(digest)) == 32 for digest in spec.sha256.values())


@pytest.mark.parametrize("name", names())
def test_the_block_and_the_lora_targets_of_a_preset_exist_in_its_architecture(name: str) -> None:
    import torch
    from transformers import AutoConfig, AutoModel

    spec = get(name)
    architectures = {
        "Bert": "bert",
        "Transformer": "distilbert",
        "Roberta": "roberta",
        "XLMRoberta": "xlm-roberta",
        "DebertaV2": "deberta-v2",
        "Electra": "electra",
        "Albert": "albert",
        "ModernBertEncoder": "modernbert",
        "T5": "t5",
        "MT5": "mt5",
        "BartEncoder": "bart",
        "PegasusEncoder": "pegasus",
        "MBartEncoder": "mbart",
    }
    kinds = (spec.block_class,) if isinstance(spec.block_class, str) else spec.block_class
    architecture = architectures[kinds[0].removesuffix("Layer").removesuffix("Block")]
    with torch.device("meta"):
        model = AutoModel.from_config(AutoConfig.for_model(architecture))
    assert (spec.kind == "encoder-decoder") == bool(model.config.is_encoder_decoder)
    for kind in kinds:
        blocks = [part for part in model.modules() if type(part).__name__ == kind]
        # ALBERT has one layer and goes through it again and again.
        assert len(blocks) == 1 if architecture == "albert" else len(blocks) >= 6
        inside = {
            path.rsplit(".", 1)[-1]
            for path, part in blocks[0].named_modules()
            if isinstance(part, torch.nn.Linear)
        }
        assert set(spec.lora_targets) <= inside
    # Every layer of an encoder-decoder is in a block of one of the kinds.
    lists = [part for part in model.modules() if isinstance(part, torch.nn.ModuleList)]
    deep = [part for part in lists if len(part) >= 6]
    if architecture != "albert":
        assert {type(block).__name__ for part in deep for block in part} == set(kinds)


@pytest.mark.parametrize("name", names(kind="encoder-decoder"))
def test_the_generation_settings_of_a_preset_are_known_to_transformers(name: str) -> None:
    from transformers import GenerationConfig

    spec = get(name)
    assert set(spec.generation) <= set(GenerationConfig().to_dict())
    assert spec.generation["num_beams"] >= 4
    assert 0 < spec.generation["max_new_tokens"] <= spec.max_length


def test_only_those_t5_that_were_taught_it_have_a_prefix() -> None:
    prefixes = {name: get(name).prefix for name in names() if get(name).prefix}
    assert set(prefixes.values()) == {"summarize: "}
    assert set(prefixes) == {f"{kind}-{size}" for kind in ("t5", "flan-t5") for size in _SIZES}


_SIZES = ("small", "base", "large")
