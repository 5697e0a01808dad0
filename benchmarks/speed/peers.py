"""Training steps to compare: a task of the zoo, and transformers' model in a bare PyTorch loop.

Both clip gradients at 1 and use PyTorch's fused AdamW, as transformers' Trainer does. Lightning is
in neither of them: what it adds is measured by `overhead`. The bare loop has the loss that the
model brings, but for questions (the task leaves the tokens of the question out of the choice) and
summaries (it scores sentences): there the loop computes the same by hand.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo import backbones
from zoo.summarization.extractive.dropout import without_attention_dropout
from zoo.summarization.extractive.targets import listwise_loss
from zoo.training.optimization import adamw, parameter_groups
from zoo.training.task import FineTuningTask

LEARNING_RATE = 2e-5

Batch = Mapping[str, Any]
Loss = Callable[[Batch], Tensor]


def make_task(
    kind: type[FineTuningTask], *, backbone: str, labels: list[str], seed: int = 0, **options: Any
) -> FineTuningTask:
    """A task with its model built."""
    torch.manual_seed(seed)  # the head's first weights
    task = kind(backbone, labels=labels, **options)
    task.configure_model()
    # Without a trainer there is nothing to log to, and Lightning would say so each time.
    task.log = _nothing  # type: ignore[method-assign]
    return task


def _nothing(*arguments: Any, **options: Any) -> None:
    return None


def task_loss(task: FineTuningTask) -> Loss:
    """The loss of a task's own training step."""

    def loss(batch: Batch) -> Tensor:
        found: Any = task.training_step(dict(batch), 0)
        value: Tensor = found["loss"] if isinstance(found, dict) else found
        return value

    return loss


def make_peer(
    family: str, backbone: str, *, labels: int, weights: Mapping[str, Tensor] | None = None
) -> nn.Module:
    """Transformers' own model, with the weights of a task if they are given."""
    import transformers

    auto = {
        "ner": transformers.AutoModelForTokenClassification,
        "classification": transformers.AutoModelForSequenceClassification,
        "qa": transformers.AutoModelForQuestionAnswering,
        "summarization": transformers.AutoModelForTokenClassification,
        "pretraining": transformers.AutoModelForMaskedLM,
    }[family]
    folder = backbones.resolve(backbone).location
    with backbones.quiet_transformers():
        model: nn.Module = auto.from_pretrained(folder, dtype=torch.float32, num_labels=labels)
    if weights is not None:
        model.load_state_dict(weights)
    if family == "summarization":
        without_attention_dropout(model)  # the task's choice; both do the same work
    return model


def peer_loss(family: str, model: nn.Module, names: list[str], batch: Batch) -> Tensor:
    """The loss of a padded batch by transformers' model."""
    inputs = {name: batch[name] for name in names if name in batch}
    if family == "pretraining":
        inputs["input_ids"] = batch["read"]
    if family == "summarization":
        return _of_sentences(model(**inputs).logits, batch)
    if family != "qa":
        loss: Tensor = model(**inputs, labels=batch["labels"]).loss
        return loss
    output = model(**inputs)
    others = ~batch["context_mask"]
    others[:, 0] = False
    least = torch.finfo(torch.float).min
    start = output.start_logits.float().masked_fill(others, least)
    end = output.end_logits.float().masked_fill(others, least)
    return (F.cross_entropy(start, batch["start"]) + F.cross_entropy(end, batch["end"])) / 2


def _of_sentences(logits: Tensor, batch: Batch) -> Tensor:
    """Cross-entropy over each window's sentences, each scored by the mean of its tokens."""
    most = batch["sentence_mask"].shape[1]
    # [windows, tokens, sentences]: which tokens are of which sentence.
    own = F.one_hot(batch["sentence_of"], most + 1)[..., :most].float()
    sums = torch.einsum("wt,wts->ws", logits[..., 0].float(), own)
    return listwise_loss(sums / own.sum(dim=1).clamp(min=1), batch)[0]


class Step:
    """A training step of some way: forward, backward, clipping, optimizer.

    Args:
        model: What is trained.
        loss: The loss of a batch.
        precision: `fp32`, or `bf16` for autocast.
        device: Where the model and its batches are.
        groups: Whether weight decay is the zoo's: none for norms and biases.
    """

    def __init__(
        self, model: nn.Module, loss: Loss, *, precision: str, device: torch.device, groups: bool
    ):
        self.model = model.to(device)
        self.loss = loss
        self.device = device
        self.autocast = partial(
            torch.autocast, device.type, dtype=torch.bfloat16, enabled=precision == "bf16"
        )
        self.parameters = [one for one in model.parameters() if one.requires_grad]
        self.optimizer = (
            adamw(
                parameter_groups(model, weight_decay=0.01),
                learning_rate=LEARNING_RATE,
                betas=(0.9, 0.999),
            )
            if groups
            else torch.optim.AdamW(self.parameters, lr=LEARNING_RATE, fused=True)
        )

    def __call__(self, batch: Batch) -> None:
        """Train on a batch, and wait until that is done."""
        if not self.model.training:  # to say it anew takes a walk through all modules
            self.model.train()
        self.backward(batch)
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def backward(self, batch: Batch) -> Tensor:
        """The loss of a batch, with its gradients."""
        with self.autocast():
            loss = self.loss(batch)
        loss.backward()
        return loss.detach()

    def judge(self, batch: Batch) -> tuple[float, float]:
        """Loss and norm of the gradient of a batch without dropout; nothing is learned."""
        self.model.eval()
        loss = self.backward(batch).item()
        squares = [one.grad.square().sum() for one in self.parameters if one.grad is not None]
        self.optimizer.zero_grad()
        return loss, float(torch.stack(squares).sum().sqrt())
