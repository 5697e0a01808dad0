"""Blocks of several pieces of text, none of which sees another."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from zoo.backbones.packed import can_pack, packed_forward
from zoo.training.adaptation.prompts import has_prompt

if TYPE_CHECKING:
    from transformers import PreTrainedModel

#: Architectures that take a mask of pairs and position ids, and where the positions begin.
_BEGINS = {
    "bert": 0,
    "electra": 0,
    "albert": 0,
    "gpt2": 0,
    "llama": 0,
    "roberta": None,
    "xlm-roberta": None,
    "camembert": None,
}
_CAUSAL = ("gpt2", "llama")


def piece_numbers(lengths: Sequence[Sequence[int]]) -> Tensor:
    """Which piece of its block each token is of, counted from 1; 0 is padding.

    Args:
        lengths: Tokens of each piece of each block.

    Returns:
        int64 `[blocks, longest]`.
    """
    width = max((sum(row) for row in lengths), default=0)
    found = torch.zeros(len(lengths), width, dtype=torch.long)
    for row, own in zip(found, lengths, strict=True):
        numbers = torch.arange(1, len(own) + 1)
        row[: sum(own)] = numbers.repeat_interleave(torch.tensor(list(own), dtype=torch.long))
    return found


def positions(pieces: Tensor) -> Tensor:
    """The place of each token in its own piece, from 0; int64, shape of `pieces`."""
    places = torch.arange(pieces.shape[1], device=pieces.device).expand_as(pieces)
    begins = torch.ones_like(pieces, dtype=torch.bool)
    begins[:, 1:] = pieces[:, 1:] != pieces[:, :-1]
    return places - torch.where(begins, places, 0).cummax(dim=1).values


def attention(pieces: Tensor, *, causal: bool) -> Tensor:
    """Which token may look at which: those of its own piece, with `causal` those before it.

    Padding looks at padding, so that no row is empty.

    Returns:
        bool `[blocks, 1, longest, longest]`, the looking ones in the third place.
    """
    same = pieces[:, None, :, None] == pieces[:, None, None, :]
    return same.tril() if causal else same


def inputs_of(
    net: "PreTrainedModel", batch: Mapping[str, Any], *, as_rows: bool = False
) -> tuple[dict[str, Tensor], Tensor]:
    """What a model reads of a batch so that no piece sees another.

    A block of one piece is read as it is. Of several, models that take a mask of pairs read the
    block whole, with positions that begin anew in each piece; others read each piece as a row.

    Args:
        net: A model of transformers.
        batch: `input_ids`, `attention_mask` and `pieces`, int64 `[blocks, longest]`; without
            `pieces` each block is one. Where all are, `token_type_ids` are read too.
        as_rows: Whether each piece becomes a row for any model.

    Returns:
        Arguments of the model; and the row and the column in which it reads each token, int64
        `[2, blocks, longest]`.
    """
    ids, mask, pieces = batch["input_ids"], batch["attention_mask"], batch.get("pieces")
    rows = torch.arange(len(ids), device=ids.device)[:, None].expand_as(ids)
    columns = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
    if pieces is None or not bool((pieces > 1).any()):
        types = {name: batch[name] for name in ("token_type_ids",) if name in batch}
        inputs = {"input_ids": ids, "attention_mask": mask, **types}
        return inputs, torch.stack([rows, columns])
    places = positions(pieces)
    kind, implementation = net.config.model_type, net.config._attn_implementation
    if kind in _BEGINS and implementation in ("sdpa", "eager") and not as_rows:
        begin = _BEGINS[kind]
        begin = int(net.config.pad_token_id) + 1 if begin is None else begin
        seen = attention(pieces, causal=kind in _CAUSAL)
        if implementation == "eager":  # which adds the mask to its scores
            hidden = torch.zeros(seen.shape, dtype=net.dtype, device=ids.device)
            seen = hidden.masked_fill(~seen, torch.finfo(net.dtype).min)
        inputs = {"input_ids": ids, "attention_mask": seen, "position_ids": places + begin}
        return inputs, torch.stack([rows, columns])
    real = pieces > 0
    begins = (places == 0) & real
    # Padding, of no row of its own, is looked up where the last piece before it begins.
    own = (begins.flatten().cumsum(0) - 1).view_as(pieces).clamp(min=0)
    places = places.masked_fill(~real, 0)
    size = (int(begins.sum()), int(places.max()) + 1)
    read = torch.full(size, int(net.config.pad_token_id or 0), dtype=ids.dtype, device=ids.device)
    read[own[real], places[real]] = ids[real]
    there = torch.zeros(size, dtype=mask.dtype, device=ids.device)
    there[own[real], places[real]] = 1
    return {"input_ids": read, "attention_mask": there}, torch.stack([own, places])


def logits_at(
    net: "PreTrainedModel",
    batch: Mapping[str, Any],
    asked: Tensor,
    *,
    packed: bool = False,
    first: Callable[[Tensor], None] | None = None,
) -> Tensor:
    """Logits of some tokens: the head, often half of the work, is spared the others.

    Args:
        net: A model of transformers.
        batch: As `inputs_of` takes it.
        asked: Which tokens, bool `[blocks, longest]`.
        packed: Whether pieces go through the model behind each other, without padding.
        first: Is given the body's output at the first token of each block, `[blocks, width]`,
            within the model's own pass: where weights are shared out, they are whole there.

    Returns:
        float `[asked tokens, vocabulary]`, in the order of the blocks.
    """
    if has_prompt(net):  # which moves the body's rows
        return logits_of(net, batch)[asked]
    packed = packed and can_pack(net)
    inputs, where = inputs_of(net, batch, as_rows=packed)
    with _only(net, where[:, asked], where[:, :, 0], first):
        output: Any = packed_forward(net, inputs, repad_body=True) if packed else net(**inputs)
    logits: Tensor = output.logits
    return logits.squeeze(0)


def logits_of(net: "PreTrainedModel", batch: Mapping[str, Any]) -> Tensor:
    """Logits of all tokens, float `[blocks, longest, vocabulary]`; 0 at padding."""
    # A prompt stands before each piece: it is read by rows.
    inputs, (rows, columns) = inputs_of(net, batch, as_rows=has_prompt(net))
    logits: Tensor = net(**inputs).logits
    own = logits[:, -inputs["input_ids"].shape[1] :]
    padding = batch["attention_mask"] == 0
    return own[rows, columns].masked_fill(padding[..., None], 0)


@contextmanager
def _only(
    net: "PreTrainedModel",
    where: Tensor,
    begins: Tensor,
    first: Callable[[Tensor], None] | None,
) -> Iterator[None]:
    """Let the head see the body's output at some rows and columns alone, and `first` at others."""

    def chosen(module: torch.nn.Module, given: Any, output: Any) -> Any:
        if first is not None:
            first(output["last_hidden_state"][begins[0], begins[1]])
        rows, columns = where
        output["last_hidden_state"] = output["last_hidden_state"][rows, columns][None]
        return output

    body, handles = net.base_model, []

    def last_of_all(module: torch.nn.Module, given: Any) -> None:
        # What gives a packed body its rows back may be added as late as the first pass.
        handles.append(body.register_forward_hook(chosen))

    handles.append(body.register_forward_pre_hook(last_of_all))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
