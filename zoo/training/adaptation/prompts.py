"""Learned vectors before each text (Lester et al. 2021, arXiv 2104.08691).

They stand before the text's first token, as in peft, and the model attends to them. What it gives
for them is cut off again, so that its outputs are as many as the tokens that it was given.
"""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from zoo import backbones
from zoo.errors import ZooError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

#: The name of the vectors' module in a model.
PROMPT = "prompt"
#: Outputs that have a value for each token of the input.
_PER_TOKEN = ("logits", "start_logits", "end_logits")


class Prompt(nn.Module):
    """The vectors, float `[tokens, width]`.

    Args:
        words: The model's word embeddings: the vectors begin as some of them.
        tokens: How many.
    """

    def __init__(self, words: nn.Embedding, tokens: int):
        super().__init__()
        rows = torch.randint(words.num_embeddings, (tokens,), device=words.weight.device)
        self.weight = nn.Parameter(words.weight.detach()[rows].clone())

    def forward(self, rows: int) -> Tensor:
        """The vectors for a batch of so many texts, float `[rows, tokens, width]`."""
        return self.weight.expand(rows, -1, -1)


def insert(model: "PreTrainedModel", tokens: int) -> None:
    """Put a prompt before what a model reads; in place."""
    words: Any = model.get_input_embeddings()
    model.add_module(PROMPT, Prompt(words, tokens))
    model.register_forward_pre_hook(_Reading(model), with_kwargs=True)
    if getattr(model.config, "is_encoder_decoder", False):
        # To write, it is called by itself.
        model.get_encoder().register_forward_pre_hook(_Reading(model), with_kwargs=True)
    else:
        model.register_forward_hook(_cut)


def has_prompt(model: "PreTrainedModel") -> bool:
    """Whether a model reads a prompt before its texts."""
    return hasattr(model, PROMPT)


def remove(model: "PreTrainedModel") -> None:
    """Take the prompt out of a model again; in place."""
    delattr(model, PROMPT)
    for module in model.modules():
        for hooks in (module._forward_pre_hooks, module._forward_hooks):
            for key, hook in list(hooks.items()):
                if hook is _cut or isinstance(hook, _Reading):
                    del hooks[key]
                    module._forward_pre_hooks_with_kwargs.pop(key, None)


class _Reading:
    """Before a model reads ids: their embeddings, after those of the prompt.

    Args:
        model: Holds prompt and word embeddings. A copy of it is given its own by `deepcopy`.
    """

    def __init__(self, model: "PreTrainedModel"):
        self.model = model

    def __call__(
        self, module: nn.Module, arguments: tuple[Any, ...], given: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        ids, mask = given.get("input_ids"), given.get("attention_mask")
        prompt: Any = self.model.get_submodule(PROMPT)
        tokens = len(prompt.weight)
        if arguments:
            raise ZooError("A model with a prompt takes its inputs by name.")
        if ids is None:
            states = given.get("encoder_outputs")
            if states is not None and mask is not None and mask.shape[1] < states[0].shape[1]:
                given = {**given, "attention_mask": _before(mask, tokens, 1)}
            return arguments, given
        limit = _positions(self.model)
        if limit is not None and tokens + ids.shape[1] > limit:
            raise ZooError(
                f"A text of {ids.shape[1]} tokens and a prompt of {tokens} are more than the "
                f"{limit} positions of the model: give --data.max_length {limit - tokens}."
            )
        embedded = self.model.get_input_embeddings()(ids)
        before = prompt(len(ids)).to(embedded.dtype)
        given = {**given, "input_ids": None, "inputs_embeds": torch.cat([before, embedded], dim=1)}
        mask = torch.ones_like(ids) if mask is None else mask
        given["attention_mask"] = _before(mask, tokens, 1)
        if given.get("token_type_ids") is not None:
            given["token_type_ids"] = _before(given["token_type_ids"], tokens, 0)
        return arguments, given


def room(model: "PreTrainedModel") -> int | None:
    """Most tokens of a text beside a model's prompt; None without a prompt or a limit."""
    limit = _positions(model) if has_prompt(model) else None
    prompt: Any = getattr(model, PROMPT, None)
    return None if limit is None else limit - len(prompt.weight)


def _positions(model: "PreTrainedModel") -> int | None:
    """Tokens that what reads can tell apart; None where there is no limit."""
    config: Any = model.config
    config = getattr(config, "encoder", config)  # of a warm start
    if not getattr(config, "position_biased_input", True):  # DeBERTa: distances alone
        return None
    return backbones.positions_of(config)


def _before(values: Tensor, tokens: int, value: int) -> Tensor:
    return torch.cat([values.new_full((len(values), tokens), value), values], dim=1)


def _cut(module: Any, arguments: tuple[Any, ...], output: Any) -> Any:
    tokens = len(module.get_submodule(PROMPT).weight)
    for name in _PER_TOKEN:
        values = output.get(name)
        per_token = name != "logits" or type(module).__name__.endswith(
            ("ForTokenClassification", "ForMaskedLM")
        )
        if values is not None and per_token:
            output[name] = values[:, tokens:]
    return output


__all__ = ["PROMPT", "has_prompt", "insert", "remove", "room"]
