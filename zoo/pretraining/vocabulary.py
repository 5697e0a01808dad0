"""A tokenizer trained on the text that a model from scratch is trained on."""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

NewTokenizer = Literal["wordpiece", "bpe"]

#: Characters that a vocabulary of word pieces begins with, at most: the most frequent ones.
ALPHABET = 1000
#: What a word is rarer than is not learned from.
RAREST = 2
_WORDPIECE = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
_BPE = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]

Texts = Callable[[], Iterable[str]]


def write_tokenizer(
    folder: Path, texts: Texts, *, kind: NewTokenizer, size: int, lowercase: bool
) -> None:
    """Train a tokenizer and write it as the folder of a backbone that has no weights.

    The same texts give the same file, byte for byte.

    Args:
        folder: An empty folder.
        texts: Gives the texts to learn from, anew at each call; they are not held.
        kind: Word pieces as BERT has them, or byte-level BPE as RoBERTa has it.
        size: Tokens of the vocabulary, special ones included; small texts give fewer.
        lowercase: Whether letters lose their case (and in word pieces their accents).
    """
    tokenizer = _wordpiece(texts, size, lowercase) if kind == "wordpiece" else _bpe(texts, size)
    tokenizer.save_pretrained(folder)
    # What a folder needs to be a backbone's.
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}), encoding="utf-8")


def _wordpiece(texts: Texts, size: int, lowercase: bool) -> Any:
    from transformers import BertTokenizer

    normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    letters: Counter[str] = Counter()
    for text in texts():
        letters.update(normalizer.normalize_str(text))
    ranked = sorted(letters, key=lambda letter: (-letters[letter], letter))
    alphabet = [letter for letter in ranked if not letter.isspace()][:ALPHABET]
    backend = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    backend.normalizer = normalizer
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    # The trainer numbers letters inside words as it comes across them, which is by chance, and
    # breaks ties by these numbers: given first, they have their place.
    inner = [f"##{letter}" for letter in alphabet]
    trainer = trainers.WordPieceTrainer(
        vocab_size=max(size, len(_WORDPIECE) + 2 * len(alphabet)),
        min_frequency=RAREST,
        special_tokens=[*_WORDPIECE, *inner],
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        show_progress=False,
    )
    backend.train_from_iterator(texts(), trainer)
    return BertTokenizer(vocab=backend.get_vocab(), do_lower_case=lowercase)


def _bpe(texts: Texts, size: int) -> Any:
    from transformers import RobertaTokenizer

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=RAREST,
        special_tokens=_BPE,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    backend.train_from_iterator(texts(), trainer)
    model = json.loads(backend.to_str())["model"]
    merges: Any = [tuple(merge) for merge in model["merges"]]
    return RobertaTokenizer(vocab=model["vocab"], merges=merges, add_prefix_space=True)
