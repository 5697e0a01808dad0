"""Students for tests, beside those that are cut out of a teacher."""

from pathlib import Path

import torch


def narrow(origin: Path, folder: Path) -> str:
    """A random model of half the width of a tiny BERT, with its tokenizer."""
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    config = AutoConfig.from_pretrained(origin)
    config.hidden_size, config.intermediate_size = 16, 24
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        AutoModel.from_config(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(origin).save_pretrained(folder)
    return str(folder)
