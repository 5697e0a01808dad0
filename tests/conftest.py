"""Shared fixtures: tiny random backbones with tokenizers trained on the spot, and no network."""

import json
import os
import random
import time
import zlib
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

# Before anything imports the Hub's client: a test must never wait for a network.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ.setdefault("WANDB_MODE", "offline")

import hypothesis
import pytest

# The same examples each time, and none that fails because the machine is slow.
hypothesis.settings.register_profile("zoo", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("zoo")

#: What tiny tokenizers are trained on: enough for every letter and some subwords.
CORPUS = [
    "Ada Lovelace lived in London and worked for the Analytical Engine Company .",
    "The quick brown fox jumps over the lazy dog , 0123456789 times ; isn't it ?",
    "同样 的 力 作用 在 不同 的 物体 上 。",
    "Ein Löwe und ein Bär aßen Käse .",
    "a b c d e f g h i j k l m n o p q r s t u v w x y z",
    "A B C D E F G H I J K L M N O P Q R S T U V W X Y Z",
] * 4

ARCHITECTURES = (
    "bert",
    "roberta",
    "xlm-roberta",
    "deberta-v2",
    "distilbert",
    "electra",
    "albert",
    "modernbert",
)

#: Encoder-decoders.
SEQ2SEQ = ("t5", "bart")


def pytest_configure(config: pytest.Config) -> None:
    """Only loopback sockets, and sockets of the same machine."""
    from pytest_socket import socket_allow_hosts

    socket_allow_hosts(["127.0.0.1", "::1", "localhost"], allow_unix_socket=True)


@pytest.fixture(autouse=True)
def _own_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test has a cache of its own and leaves no choice of a run folder behind."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setenv("ZOO_RUN_DIR", "")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    _seed(0)


def _seed(seed: int) -> None:
    """The same random numbers from here on, whatever ran before."""
    import torch

    random.seed(seed)
    torch.manual_seed(seed)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any]) -> Generator[None, object, object]:
    """What many tests share is the same, whichever of them asks for it first."""
    if fixturedef.scope != "function":
        _seed(0)
    return (yield)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real corpora; the test is skipped where it is missing."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("ZOO_REAL_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no real corpora in {folder} (ZOO_REAL_DATA names another folder)")
    return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A function from an architecture's name to the folder of a tiny random model of it."""
    import torch

    made: dict[str, Path] = {}

    def make(architecture: str) -> Path:
        if architecture not in made:
            folder = tmp_path_factory.mktemp(f"tiny-{architecture}")
            # A test's own random numbers must not depend on whether it is the first to ask.
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(zlib.crc32(architecture.encode()))
                make_tiny(architecture, folder)
            made[architecture] = folder
        return made[architecture]

    return make


def without_dropout(folder: Path, **changes: Any) -> None:
    """Let the model in a folder drop nothing, and change what else of its settings is given."""
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config |= {name: 0.0 for name in config if "dropout" in name} | changes
    path.write_text(json.dumps(config), encoding="utf-8")


def make_tiny(architecture: str, folder: Path) -> None:
    """Write a tiny random model of an architecture, with the kind of tokenizer that it has."""
    import torch
    from transformers import AutoConfig, AutoModel, AutoModelForSeq2SeqLM

    tokenizer = _tokenizer(architecture)
    sizes: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 48,
        "max_position_embeddings": 130 if "roberta" in architecture else 128,
        "pad_token_id": tokenizer.pad_token_id,
    }
    if architecture == "distilbert":
        sizes = {
            "vocab_size": len(tokenizer),
            "dim": 32,
            "n_layers": 2,
            "n_heads": 2,
            "hidden_dim": 48,
            "max_position_embeddings": 128,
        }
    if architecture in ("electra", "albert"):
        sizes["embedding_size"] = 16
    if architecture == "t5":
        sizes = {
            "vocab_size": len(tokenizer),
            "d_model": 32,
            "d_kv": 16,
            "d_ff": 48,
            "num_layers": 2,
            "num_heads": 2,
            "pad_token_id": tokenizer.pad_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "decoder_start_token_id": tokenizer.pad_token_id,
        }
    if architecture == "bart":
        sizes = {
            "vocab_size": len(tokenizer),
            "d_model": 32,
            "encoder_layers": 2,
            "decoder_layers": 2,
            "encoder_attention_heads": 2,
            "decoder_attention_heads": 2,
            "encoder_ffn_dim": 48,
            "decoder_ffn_dim": 48,
            "max_position_embeddings": 128,
            "bos_token_id": tokenizer.bos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "decoder_start_token_id": tokenizer.eos_token_id,
            "forced_bos_token_id": tokenizer.bos_token_id,
            "forced_eos_token_id": tokenizer.eos_token_id,
        }
    torch.manual_seed(1)
    auto: Any = AutoModelForSeq2SeqLM if architecture in SEQ2SEQ else AutoModel
    auto.from_config(AutoConfig.for_model(architecture, **sizes)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _tokenizer(architecture: str) -> Any:
    from tokenizers import (
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        processors,
        trainers,
    )
    from transformers import (
        AlbertTokenizer,
        BertTokenizer,
        PreTrainedTokenizerFast,
        RobertaTokenizer,
    )

    if architecture in ("bert", "distilbert", "electra"):
        special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        piece = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        piece.normalizer = normalizers.BertNormalizer(lowercase=True)
        piece.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        # Trainers number pieces in an order that differs from process to process, and break ties
        # by it: what they find inside words is given a place first.
        lines = map(piece.normalizer.normalize_str, CORPUS)
        letters = sorted({letter for line in lines for letter in line} - {" "})
        piece.train_from_iterator(
            CORPUS,
            trainers.WordPieceTrainer(
                vocab_size=300,
                special_tokens=[*special, *(f"##{letter}" for letter in letters)],
                initial_alphabet=letters,
            ),
        )
        return BertTokenizer(vocab=piece.get_vocab(), do_lower_case=True)
    if architecture in ("roberta", "modernbert", "bart"):
        special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
        byte = Tokenizer(models.BPE())
        byte.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        byte.decoder = decoders.ByteLevel()
        byte.train_from_iterator(
            CORPUS,
            trainers.BpeTrainer(
                vocab_size=400,
                special_tokens=special,
                initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            ),
        )
        if architecture in ("roberta", "bart"):
            state = json.loads(byte.to_str())["model"]
            merges: Any = [tuple(merge) for merge in state["merges"]]
            return RobertaTokenizer(vocab=state["vocab"], merges=merges)
        byte.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>",
            pair="<s> $A </s> $B </s>",
            special_tokens=[("<s>", 0), ("</s>", 2)],
        )
        return PreTrainedTokenizerFast(
            tokenizer_object=byte,
            bos_token="<s>",
            eos_token="</s>",
            cls_token="<s>",
            sep_token="</s>",
            unk_token="<unk>",
            pad_token="<pad>",
            mask_token="<mask>",
        )
    # SentencePiece's unigram model, as XLM-R, DeBERTa, ALBERT and T5 have it.
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    if architecture == "t5":
        special = ["<pad>", "</s>", "<unk>"]
    if architecture == "albert":
        special = ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"]
    unigram = Tokenizer(models.Unigram())
    unigram.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC()])
    unigram.pre_tokenizer = pre_tokenizers.Metaspace()
    unigram.decoder = decoders.Metaspace()
    unigram.train_from_iterator(
        CORPUS, trainers.UnigramTrainer(vocab_size=300, special_tokens=special, unk_token="<unk>")
    )
    pieces = json.loads(unigram.to_str())["model"]["vocab"]
    # Equal scores come in any order, and equal but for rounding.
    rest = [(piece, round(score, 4)) for piece, score in pieces if piece not in special]
    ordered = [(piece, 0.0) for piece in special]
    ordered += sorted(rest, key=lambda one: (-one[1], one[0]))
    if architecture == "albert":
        return AlbertTokenizer(vocab=ordered)
    unigram.model = models.Unigram(ordered, unk_id=special.index("<unk>"), byte_fallback=False)
    if architecture == "t5":
        unigram.post_processor = processors.TemplateProcessing(
            single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
        )
        return PreTrainedTokenizerFast(
            tokenizer_object=unigram, eos_token="</s>", unk_token="<unk>", pad_token="<pad>"
        )
    unigram.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=unigram,
        bos_token="<s>",
        eos_token="</s>",
        cls_token="<s>",
        sep_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        mask_token="<mask>",
    )


@pytest.fixture
def wandb_records() -> Callable[[Path], list[Any]]:
    """A function from the `.wandb` file of a run that has ended to the records in it, in order."""

    def read(path: Path) -> list[Any]:
        # W&B's own process closes the file a moment after `finish` has returned.
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            records = _wandb_records(path) if path.stat().st_size else []
            if any(record.WhichOneof("record_type") == "exit" for record in records):
                return records
            time.sleep(0.1)
        raise AssertionError(f"{path} has no end")

    return read


def _wandb_records(path: Path) -> list[Any]:
    # The file is a LevelDB log: a 7-byte header, then blocks of 32 KiB. A record lies whole in a
    # block (type 1) or in pieces over several (2 first, 3 middle, 4 last), each with a header of
    # checksum (4 bytes), length (2) and type (1).
    from wandb.proto import wandb_internal_pb2

    data = path.read_bytes()
    assert data[:4] == b":W&B", "not a W&B file"
    found, piece, at, block = [], b"", 7, 32768
    while at + 7 <= len(data):
        if block - at % block < 7:  # too little room for a header: the rest of a block is filler
            at += block - at % block
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        piece += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            record = wandb_internal_pb2.Record()  # type: ignore[attr-defined]  # made at run time
            record.ParseFromString(piece)
            found.append(record)
            piece = b""
    return found


@pytest.fixture
def trainer() -> Callable[..., Any]:
    """A function that makes a plain trainer on the CPU that writes and prints nothing."""
    from lightning import Trainer

    def make(**options: Any) -> Any:
        settings: dict[str, Any] = {
            "accelerator": "cpu",
            "devices": 1,
            "max_epochs": 1,
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "num_sanity_val_steps": 0,
        }
        return Trainer(**{**settings, **options})

    return make
