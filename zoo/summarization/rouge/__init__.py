"""ROUGE-1, ROUGE-2, ROUGE-L and ROUGE-Lsum (Lin 2004), with values equal to rouge-score's."""

from zoo.summarization.rouge.bootstrap import bootstrap_interval
from zoo.summarization.rouge.scores import ROUGE, References, Score, rouge
from zoo.summarization.rouge.tokens import RougeIn, repeated_trigrams, tokens

__all__ = [
    "ROUGE",
    "References",
    "RougeIn",
    "Score",
    "bootstrap_interval",
    "repeated_trigrams",
    "rouge",
    "tokens",
]
