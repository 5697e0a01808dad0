"""Models whose tokenizer has a token for each language: mBART-50, tiny, told to write German."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, MBart50Tokenizer, MBartConfig, MBartForConditionalGeneration

from zoo.backbones import get, load_model, load_tokenizer, registry, text_to_text


@pytest.fixture
def german(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    words = ["<s>", "<unk>", "</s>", "▁ein", "▁Bär", "▁Löwe", "▁und", "▁"]
    tokenizer = MBart50Tokenizer(vocab=[(word, -2.0) for word in words])
    config = MBartConfig(
        vocab_size=len(tokenizer),
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=48,
        decoder_ffn_dim=48,
        max_position_embeddings=64,
        decoder_start_token_id=2,
    )
    folder = tmp_path / "shipped_mbart" / "model"
    MBartForConditionalGeneration(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder.parent / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "shipped_mbart", raising=False)
    spec = replace(
        get("mbart-large-50"),
        name="german",
        hub_id="some-lab/german",
        package="shipped_mbart:model",
        language_code="de_DE",
    )
    monkeypatch.setitem(registry._specs, "german", spec)
    return "german"


def test_texts_and_summaries_carry_the_languages_token(german: str, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(german)
    expected = ["de_DE", "▁ein", "▁Bär", "</s>"]
    for ids in (tokenizer("ein Bär")["input_ids"], tokenizer(text_target="ein Bär")["input_ids"]):
        assert tokenizer.convert_ids_to_tokens(ids) == expected
    # It stays so where the tokenizer is exported.
    tokenizer.save_pretrained(tmp_path / "exported")
    plain = AutoTokenizer.from_pretrained(tmp_path / "exported")
    assert plain.convert_ids_to_tokens(plain("ein Bär")["input_ids"]) == expected
    assert plain.convert_ids_to_tokens(plain(text_target="ein Bär")["input_ids"]) == expected


def test_what_is_written_begins_with_the_languages_token(german: str) -> None:
    tokenizer, found = load_tokenizer(german), text_to_text(german)
    code = tokenizer.convert_tokens_to_ids("de_DE")
    assert found.generation["forced_bos_token_id"] == code
    assert found.decoder_start_token_id == 2
    model = load_model(german, "text-to-text", labels=["summary"]).eval()
    ids = torch.tensor([tokenizer("ein Bär")["input_ids"]])
    (written,) = model.generate(input_ids=ids, max_new_tokens=4, forced_bos_token_id=code)
    assert written[:2].tolist() == [2, code]
    labels = torch.tensor([tokenizer(text_target="ein Bär")["input_ids"]])
    before = model.prepare_decoder_input_ids_from_labels(labels)
    assert tokenizer.convert_ids_to_tokens(before[0]) == ["</s>", "de_DE", "▁ein", "▁Bär"]
