"""Tokenizers trained on the text: what they hold, and that they are the same each time."""

from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import CORPUS
from zoo.backbones import load_tokenizer
from zoo.errors import ZooError
from zoo.pretraining.datamodule import MaskedLMDataModule
from zoo.pretraining.task import MaskedLMTask
from zoo.pretraining.vocabulary import write_tokenizer

TEXTS = [*CORPUS, "Ünder the wíde blue sky , wider and wider ."]


def _made(folder: Path, kind: Any, *, size: int = 320, lowercase: bool = False) -> Any:
    folder.mkdir()
    write_tokenizer(folder, lambda: TEXTS, kind=kind, size=size, lowercase=lowercase)
    return load_tokenizer(str(folder))


@pytest.mark.parametrize("kind", ["wordpiece", "bpe"])
def test_the_same_texts_give_the_same_tokenizer(kind: str, tmp_path: Path) -> None:
    files = []
    for name in ("a", "b", "c"):  # within, letters are numbered by chance each time
        _made(tmp_path / name, kind)
        files.append((tmp_path / name / "tokenizer.json").read_bytes())
    assert files[0] == files[1] == files[2]


def test_word_pieces_have_every_letter_and_end_at_the_size(tmp_path: Path) -> None:
    tokenizer = _made(tmp_path / "a", "wordpiece", size=320)
    vocabulary = tokenizer.get_vocab()
    assert sorted(vocabulary.values()) == list(range(len(vocabulary)))
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert [vocabulary[token] for token in special] == [0, 1, 2, 3, 4]
    assert tokenizer.all_special_ids == [1, 3, 0, 2, 4]
    letters = {letter for text in TEXTS for letter in text if not letter.isspace()}
    assert letters <= set(vocabulary)
    for text in TEXTS:
        assert tokenizer.unk_token_id not in tokenizer(text)["input_ids"]
    # Frequent words are whole; sizes are kept where the letters have room.
    assert tokenizer.tokenize("the quick fox") == ["the", "quick", "fox"]
    assert len(_made(tmp_path / "b", "wordpiece", size=250)) == 250


def test_lowercase_word_pieces_know_no_case_and_no_accents(tmp_path: Path) -> None:
    tokenizer = _made(tmp_path / "a", "wordpiece", lowercase=True)
    assert not any(token != token.lower() for token in tokenizer.get_vocab() if token[0] != "[")
    assert tokenizer.tokenize("Ünder") == tokenizer.tokenize("under")


def test_byte_level_pairs_are_merged_by_their_frequency(tmp_path: Path) -> None:
    tokenizer = _made(tmp_path / "a", "bpe", size=300)
    assert len(tokenizer) == 300
    # The first merge is of the most frequent pair, counted here by hand over words with a space.
    pairs: Counter[tuple[str, str]] = Counter()
    backend = tokenizer.backend_tokenizer
    for text in TEXTS:
        for word, _ in backend.pre_tokenizer.pre_tokenize_str(text):
            pairs.update(pairwise(word))
    first = next(token for token, at in tokenizer.get_vocab().items() if at == 5 + 256)
    assert pairs[first[0], first[1]] == max(pairs.values())
    for text in TEXTS:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert tokenizer.decode(ids).strip() == text


def test_it_is_trained_on_train_alone_and_kept(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("\n".join(["alpha beta"] * 40), encoding="utf-8")
    (tmp_path / "test.txt").write_text("gamma gamma gamma gamma\n" * 9, encoding="utf-8")
    options: dict[str, Any] = {"train": str(tmp_path / "train.txt"), "max_length": 16}
    options |= {"test": str(tmp_path / "test.txt"), "new_tokenizer": "wordpiece"}
    data = MaskedLMDataModule(**options)
    vocabulary = data.tokenizer.get_vocab()
    assert {"alpha", "beta"} <= set(vocabulary)
    assert not {token for token in vocabulary if "g" in token}
    assert MaskedLMDataModule(**options).tokenizer_folder == data.tokenizer_folder
    other = MaskedLMDataModule(**options, vocabulary=301)
    assert other.tokenizer_folder != data.tokenizer_folder
    folder = data.tokenizer_folder
    again = MaskedLMDataModule(**{**options, "new_tokenizer": folder})
    assert again.tokenizer.get_vocab() == vocabulary
    task = MaskedLMTask("minilm-l6", from_scratch="tiny", tokenizer_folder=folder)
    task.configure_model()
    batch = next(iter(data.train_dataloader()))
    assert task(batch).shape == (*batch["input_ids"].shape, len(vocabulary))
    same = MaskedLMTask("minilm-l6", from_scratch="same", tokenizer_folder=folder)
    with torch.device("meta"):
        same.configure_model()
    assert same.net.config.vocab_size == len(vocabulary)
    assert same.net.config.pad_token_id == data.tokenizer.pad_token_id


def test_what_does_not_fit_together_is_refused() -> None:
    with pytest.raises(ZooError, match="weights belong to its own tokenizer"):
        MaskedLMTask(tokenizer_folder="somewhere")
    with pytest.raises(ZooError, match=r"lowercase is for --data\.new_tokenizer wordpiece"):
        MaskedLMDataModule(new_tokenizer="bpe", lowercase=True)
    with pytest.raises(ZooError, match=r"vocabulary 10 .*300"):
        MaskedLMDataModule(new_tokenizer="bpe", vocabulary=10)
