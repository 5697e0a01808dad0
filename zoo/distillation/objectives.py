"""What a student may learn from a teacher, as pure functions of tensors.

All give a mean over what is counted and are 0 where both agree. Where nothing is counted they are
0.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def soft_targets(student: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
    """Divergence of the student's softened distribution from the teacher's, times `T^2`.

    Hinton et al. 2015 (arXiv 1503.02531): gradients of soft targets shrink with the square of the
    temperature, so that it takes `T^2` to keep their weight beside the hard ones'. The divergence
    differs from their cross-entropy by the teacher's entropy alone, which has no gradient.

    Args:
        student: Logits, float `[items, classes]`; a class that is out of the choice has the least
            float.
        teacher: Logits of the same shape.
        temperature: Divides both.
    """
    wanted = F.log_softmax(teacher.float() / temperature, dim=-1)
    found = F.log_softmax(student.float() / temperature, dim=-1)
    # Where a class is out of the choice both are about minus infinity: 0 times their difference.
    terms = wanted.exp() * (wanted - found).masked_fill(wanted.exp() == 0, 0.0)
    return terms.sum() * temperature**2 / max(1, len(student))


def soft_labels(student: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
    """As `soft_targets`, of each label alone: of having it and not having it.

    The mean over labels too, as the hard loss of several labels is.

    Args:
        student: Logits, float `[items, labels]`.
        teacher: Logits of the same shape.
        temperature: Divides both.
    """
    found, wanted = student.float() / temperature, teacher.float() / temperature
    likely = wanted.sigmoid()
    terms = likely * (F.logsigmoid(wanted) - F.logsigmoid(found))
    terms = terms + (1 - likely) * (F.logsigmoid(-wanted) - F.logsigmoid(-found))
    return terms.sum() * temperature**2 / max(1, terms.numel())


def squared_error(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference: of numbers that are predicted there is nothing to soften.

    Args:
        student: Numbers, float `[items, 1]`.
        teacher: Numbers of the same shape.
    """
    return (student.float() - teacher.float()).square().sum() / max(1, student.numel())


def hidden_cosine(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """One less the cosine of the two hidden states of each token (DistilBERT).

    Sanh et al. 2019 (arXiv 1910.01108).

    Args:
        student: Hidden states, float `[rows, tokens, width]`.
        teacher: Hidden states of the same shape.
        mask: True at tokens that count, bool `[rows, tokens]`.
    """
    cosine = F.cosine_similarity(student.float(), teacher.float(), dim=-1)
    return ((1 - cosine) * mask).sum() / mask.sum().clamp(min=1)


def hidden_mse(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Mean squared difference of hidden states (TinyBERT, eq. 8; the student's are projected).

    Jiao et al. 2020 (arXiv 1909.10351).

    Args:
        student: Hidden states, float `[rows, tokens, width]`, projected to the teacher's width.
        teacher: Hidden states of the same shape.
        mask: True at tokens that count, bool `[rows, tokens]`.
    """
    errors = (student.float() - teacher.float()).square().mean(dim=-1)
    return (errors * mask).sum() / mask.sum().clamp(min=1)


def relation(vectors: Tensor, other: Tensor, *, heads: int) -> Tensor:
    """Scaled products of all tokens with all others, float `[rows, heads, tokens, tokens]`.

    Args:
        vectors: Queries (or keys, or values), float `[rows, tokens, width]`.
        other: Keys (or the same again), of the same shape.
        heads: How many parts the width has.
    """
    first, second = (
        one.float().unflatten(-1, (heads, -1)).transpose(1, 2) for one in (vectors, other)
    )
    return first @ second.transpose(-1, -2) / math.sqrt(first.shape[-1])


def attention_mse(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Mean squared difference of attention scores before the softmax (TinyBERT, eq. 7).

    Args:
        student: Scores, float `[rows, heads, tokens, tokens]`.
        teacher: Scores of the same shape.
        mask: True at tokens that count, bool `[rows, tokens]`.
    """
    pairs = mask[:, None, :, None] & mask[:, None, None, :]
    errors = (student - teacher).square() * pairs
    return errors.sum() / (pairs.sum() * student.shape[1]).clamp(min=1)


def relation_divergence(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Divergence of the softmax of one relation from another's, mean over tokens and heads.

    MiniLM (Wang et al. 2020, arXiv 2002.10957) takes it of attention (eq. 6) and of values with
    values (eq. 7).

    Args:
        student: Scores, float `[rows, heads, tokens, tokens]`.
        teacher: Scores of the same shape.
        mask: True at tokens that count, bool `[rows, tokens]`.
    """
    outside = ~mask[:, None, None, :]
    lowest = torch.finfo(torch.float).min
    found, wanted = (
        scores.masked_fill(outside, lowest).log_softmax(dim=-1) for scores in (student, teacher)
    )
    terms = wanted.exp() * (wanted - found).masked_fill(outside, 0.0)
    of_tokens = terms.sum(dim=-1) * mask[:, None, :]
    return of_tokens.sum() / (mask.sum() * student.shape[1]).clamp(min=1)


__all__ = [
    "attention_mse",
    "hidden_cosine",
    "hidden_mse",
    "relation",
    "relation_divergence",
    "soft_labels",
    "soft_targets",
    "squared_error",
]
