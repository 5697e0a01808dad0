"""What an encoder-decoder reads and learns, compared with what the tokenizer itself gives."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zoo import backbones
from zoo.summarization.abstractive import encoding
from zoo.summarization.abstractive.encoding import Ends, encode_sources, encode_targets

Tiny = Callable[[str], Path]

_TEXTS = [
    "Ada Lovelace lived in London .",
    " the quick brown  fox\njumps over the lazy dog , 0123456789 times",
    "Ein Löwe 🎉 und ein Bär",
    "",
    "a",
]
_PREFIX = "summarize: "
_LETTERS = [(f"▁{letter}", -3.0) for letter in "abcdefghijklmnopqrstuvwxyzALEB"]
_PIECES = [("▁", -2.0), *_LETTERS, *((piece[1:], score) for piece, score in _LETTERS)]


def _t5() -> Any:
    from transformers import T5Tokenizer

    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    return T5Tokenizer(vocab=[*special, *_PIECES], extra_ids=0)


def _mbart(fifty: bool) -> Any:
    from transformers import MBart50Tokenizer, MBartTokenizer
    from transformers.models.mbart50.tokenization_mbart50 import FAIRSEQ_LANGUAGE_CODES

    special = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    codes = [(code, 0.0) for code in FAIRSEQ_LANGUAGE_CODES]
    kind = MBart50Tokenizer if fifty else MBartTokenizer
    vocab = [*special, *_PIECES, *codes, ("<mask>", 0.0)]
    return kind(vocab=vocab, src_lang="en_XX", tgt_lang="de_DE")


def _tokenizer(name: str, tiny: Tiny) -> tuple[Any, int]:
    """A tokenizer, and the token that its model's decoder starts with."""
    tokenizer: Any
    if name == "t5":
        tokenizer = _t5()
        return tokenizer, tokenizer.pad_token_id
    if name.startswith("mbart"):
        tokenizer = _mbart(fifty=name == "mbart50")
        start = "</s>" if name == "mbart50" else "de_DE"
        return tokenizer, tokenizer.convert_tokens_to_ids(start)
    tokenizer = backbones.load_tokenizer(str(tiny("roberta" if name == "bart" else "bert")))
    return tokenizer, tokenizer.sep_token_id if name == "bart" else tokenizer.cls_token_id


NAMES = ("t5", "bart", "bert", "mbart", "mbart50")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("prefix", ["", _PREFIX])
def test_sources_that_fit_are_what_the_tokenizer_gives(name: str, prefix: str, tiny: Tiny) -> None:
    tokenizer, _ = _tokenizer(name, tiny)
    expected = tokenizer([prefix + text for text in _TEXTS])["input_ids"]
    found = encode_sources(_TEXTS, tokenizer=tokenizer, prefix=prefix, max_length=512)
    assert [one.ids for one in found] == expected
    assert {one.cut for one in found} == {0}


@pytest.mark.parametrize("name", NAMES)
def test_sources_that_do_not_fit_are_cut_as_the_tokenizer_cuts_them(name: str, tiny: Tiny) -> None:
    tokenizer, _ = _tokenizer(name, tiny)
    texts = [_PREFIX + text for text in _TEXTS]
    whole = tokenizer(texts)["input_ids"]
    size = len(tokenizer(_PREFIX)["input_ids"]) + 3
    expected = tokenizer(texts, truncation=True, max_length=size)["input_ids"]
    found = encode_sources(_TEXTS, tokenizer=tokenizer, prefix=_PREFIX, max_length=size)
    assert [one.ids for one in found] == expected
    assert [one.cut for one in found] == [max(0, len(ids) - size) for ids in whole]
    assert found[0].cut > 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [512, 6])
def test_targets_are_what_the_tokenizer_gives_but_for_the_decoders_start(
    name: str, size: int, tiny: Tiny
) -> None:
    tokenizer, start = _tokenizer(name, tiny)
    # One token more for the tokenizer where we leave one away.
    dropped = 1 if name == "bert" else 0
    whole = tokenizer(text_target=_TEXTS)["input_ids"]
    given = tokenizer(text_target=_TEXTS, truncation=True, max_length=size + dropped)["input_ids"]
    ends = Ends.of(tokenizer, decoder_start=start)
    found = encode_targets(_TEXTS, tokenizer=tokenizer, ends=ends, max_length=size)
    assert [one.ids for one in found] == [ids[dropped:] for ids in given]
    assert [one.cut for one in found] == [max(0, len(ids) - dropped - size) for ids in whole]
    # Targets leave the tokenizer as it was for sources.
    again = encode_sources(_TEXTS, tokenizer=tokenizer, prefix="", max_length=512)
    assert [one.ids for one in again] == tokenizer(_TEXTS)["input_ids"]


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("t5", [], ["</s>"]),
        ("bart", ["<s>"], ["</s>"]),
        ("bert", [], ["[SEP]"]),
        ("mbart", [], ["</s>", "de_DE"]),
        ("mbart50", ["de_DE"], ["</s>"]),
    ],
)
def test_labels_end_where_the_model_stops_and_never_begin_with_its_start(
    name: str, before: list[str], after: list[str], tiny: Tiny
) -> None:
    tokenizer, start = _tokenizer(name, tiny)
    ends = Ends.of(tokenizer, decoder_start=start)
    assert tokenizer.convert_ids_to_tokens(list(ends.before)) == before
    assert tokenizer.convert_ids_to_tokens(list(ends.after)) == after
    assert ends.size == len(before) + len(after)


def test_the_prefix_and_the_special_tokens_are_never_cut(tiny: Tiny) -> None:
    tokenizer, _ = _tokenizer("t5", tiny)
    (found,) = encode_sources(
        ["word " * 100_000], tokenizer=tokenizer, prefix=_PREFIX, max_length=20
    )
    assert len(found.ids) == 20
    assert tokenizer.decode(found.ids).startswith("summarize")
    assert found.ids[-1] == tokenizer.eos_token_id
    assert found.cut > 399_000
    taken = len(tokenizer(_PREFIX)["input_ids"])
    with pytest.raises(ValueError, match=f"max_length={taken} leaves 0 tokens for a text beside 1"):
        encode_sources(_TEXTS, tokenizer=tokenizer, prefix=_PREFIX, max_length=taken)


def test_a_summary_needs_room_beside_the_special_tokens(tiny: Tiny) -> None:
    tokenizer, start = _tokenizer("mbart50", tiny)
    ends = Ends.of(tokenizer, decoder_start=start)
    with pytest.raises(ValueError, match="max_target_length=2 leaves no room beside 2 special"):
        encode_targets(_TEXTS, tokenizer=tokenizer, ends=ends, max_length=2)


@pytest.mark.parametrize("name", NAMES)
def test_what_others_did_to_the_tokenizer_changes_nothing(name: str, tiny: Tiny) -> None:
    tokenizer, start = _tokenizer(name, tiny)
    expected = tokenizer(_TEXTS)["input_ids"], tokenizer(text_target=_TEXTS)["input_ids"]
    tokenizer(_TEXTS, padding="max_length", truncation=True, max_length=4)
    ends = Ends.of(tokenizer, decoder_start=start)
    sources = encode_sources(_TEXTS, tokenizer=tokenizer, prefix="", max_length=512)
    tokenizer(text_target=_TEXTS, padding="max_length", truncation=True, max_length=4)
    targets = encode_targets(_TEXTS, tokenizer=tokenizer, ends=ends, max_length=512)
    dropped = 1 if name == "bert" else 0
    assert [one.ids for one in sources] == expected[0]
    assert [one.ids for one in targets] == [ids[dropped:] for ids in expected[1]]


def test_long_texts_are_encoded_a_few_at_once_with_the_same_result(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer, start = _tokenizer("t5", tiny)
    ends = Ends.of(tokenizer, decoder_start=start)
    expected = (
        encode_sources(_TEXTS, tokenizer=tokenizer, prefix=_PREFIX, max_length=14),
        encode_targets(_TEXTS, tokenizer=tokenizer, ends=ends, max_length=14),
    )
    assert all(map(len, expected))
    for most in (1, 20, 70):
        monkeypatch.setattr(encoding, "_CHARACTERS_AT_ONCE", most)
        sources = encode_sources(_TEXTS, tokenizer=tokenizer, prefix=_PREFIX, max_length=14)
        targets = encode_targets(_TEXTS, tokenizer=tokenizer, ends=ends, max_length=14)
        assert (sources, targets) == expected
    assert encode_sources([], tokenizer=tokenizer, prefix="", max_length=14) == []
