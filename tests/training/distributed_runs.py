"""What tests of several processes run in each of them."""

import json
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.distributed.tensor import DTensor

from zoo.training.strategies import FSDP2Strategy, RowwiseDDPStrategy

#: Strategies by the names that the tests give them.
STRATEGIES: Mapping[str, Any] = {
    "ddp": lambda: "ddp",
    "plain ddp": lambda: RowwiseDDPStrategy(exchange_rows=False, share_memory=False),
    "by rows": lambda: RowwiseDDPStrategy(fewest_rows=1000),
    "by rows alone": lambda: RowwiseDDPStrategy(fewest_rows=1000, share_memory=False),
    "fsdp2": lambda: "fsdp2",
    "recomputing": lambda: FSDP2Strategy(checkpoint_activations=True),
    "replicated": lambda: FSDP2Strategy(replicas=2),
    "in shards": lambda: FSDP2Strategy(sharded_checkpoints=True),
}


def make_task(family: str, backbone: str, data: Any, **options: Any) -> Any:
    """The task of a family for its data."""
    import zoo

    if family == "classification":
        return zoo.ClassificationTask(backbone, labels=data.labels, mode=data.mode, **options)
    classes: dict[str, Any] = {
        "ner": zoo.NERTask,
        "qa": zoo.QATask,
        "abstractive": zoo.SummarizationTask,
        "extractive": zoo.ExtractiveSummarizationTask,
        "pretraining": zoo.MaskedLMTask,
    }
    return classes[family](backbone, labels=data.labels, **options)


def make_data(family: str, **options: Any) -> Any:
    """The data of a family."""
    import zoo

    classes: dict[str, Any] = {
        "ner": zoo.NERDataModule,
        "classification": zoo.ClassificationDataModule,
        "qa": zoo.QADataModule,
        "abstractive": zoo.SummarizationDataModule,
        "extractive": zoo.ExtractiveSummarizationDataModule,
        "pretraining": zoo.MaskedLMDataModule,
    }
    return classes[family](**options)


def make_trainer(world: int, strategy: str, *callbacks: Callback, **options: Any) -> Trainer:
    """A trainer that writes and prints nothing, but what `options` ask for."""
    logging.getLogger("lightning").setLevel(logging.ERROR)
    logging.getLogger("zoo").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    settings: dict[str, Any] = {
        "accelerator": "cpu",
        "devices": world,
        "strategy": STRATEGIES[strategy](),
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "callbacks": list(callbacks),
        **options,
    }
    return Trainer(**settings)


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor, whoever holds its parts."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


class Watch(Callback):
    """Keeps what happens in training."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        #: Norms of the whole gradient before it is clipped, and of the clipped one.
        self.norms: list[float] = []
        self.clipped: list[float] = []
        self.gradients: dict[str, Tensor] = {}

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.losses.append(float(outputs["loss"]))

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        clip: Any = pl_module.configure_gradient_clipping

        def watched(optimizer: Any, *arguments: Any, **options: Any) -> None:
            # Not in a hook before: the task has scaled the gradient by then.
            self.norms.append(_norm(optimizer))
            clip(optimizer, *arguments, **options)

        pl_module.configure_gradient_clipping = watched  # type: ignore[method-assign]

    def on_before_zero_grad(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Any
    ) -> None:
        if self.norms:
            self.clipped.append(_norm(optimizer))


def _norm(optimizer: Any) -> float:
    # The optimizer's parameters: those of the modules may be gathered for a forward pass.
    parameters = [one for group in optimizer.param_groups for one in group["params"]]
    gradients = [whole(one.grad) for one in parameters if one.grad is not None]
    return float(torch.cat([one.double().flatten() for one in gradients]).norm())


def _elements(tensors: list[Tensor]) -> int:
    return sum((one.to_local() if isinstance(one, DTensor) else one).numel() for one in tensors)


def train(
    family: str,
    backbone: str,
    data: dict[str, Any],
    *,
    world: int,
    strategy: str,
    task: dict[str, Any] | None = None,
    seeds: tuple[int, ...] = (),
    fit: dict[str, Any] | None = None,
    resume: str | None = None,
    save: str | None = None,
) -> dict[str, Any]:
    """Fit; what was seen in this process.

    Args:
        family: The task's.
        backbone: The tiny model.
        data: Options of the datamodule.
        world: Number of processes.
        strategy: A key of `STRATEGIES`.
        task: Options of the task.
        seeds: The seed of each process; 0 for all by default.
        fit: Options of the trainer.
        resume: A checkpoint to go on from.
        save: Where to write a checkpoint at the end.
    """
    import os

    rank = int(os.environ["RANK"])
    torch.manual_seed(seeds[rank] if seeds else 0)
    module = make_data(family, backbone=backbone, **data)
    model = make_task(family, backbone, module, **(task or {}))
    watch = Watch()
    trainer = make_trainer(world, strategy, watch, **(fit or {}))
    trainer.fit(model, module, ckpt_path=resume, weights_only=True)
    optimizer = trainer.optimizers[0]
    if save is not None:
        trainer.save_checkpoint(save)
    parameters = list(model.net.parameters())
    state = [
        value
        for held in optimizer.state.values()
        for value in held.values()
        if isinstance(value, Tensor) and value.dim() > 0
    ]
    names = {name for name, _ in model.net.named_parameters()}
    return {
        "losses": watch.losses,
        "norms": watch.norms,
        "clipped": watch.clipped,
        "weights": {
            name: whole(tensor).detach().clone()
            for name, tensor in sorted(model.net.state_dict().items())
            if name in names
        },
        "optimizer": [
            {name: whole(value).clone() for name, value in sorted(optimizer.state[one].items())}
            for group in optimizer.param_groups
            for one in group["params"]
            if one in optimizer.state
        ],
        "step": trainer.global_step,
        "parameters": _elements(parameters) / sum(one.numel() for one in parameters),
        "state": _elements(state) / max(1, sum(one.numel() for one in state)),
        "groups": sum(type(one).__name__.startswith("FSDP") for one in model.net.modules()),
        "scores": {name: float(value) for name, value in trainer.callback_metrics.items()},
    }


def evaluate_all(
    jobs: list[tuple[str, str, str, dict[str, Any]]], *, world: int, strategy: str, batch_size: int
) -> dict[str, Any]:
    """Validate and test trained weights of several tasks, one after the other.

    Returns:
        For each job the scores, and the predictions in the order of the report.
    """
    from zoo.tracking.recorder import Recorder
    from zoo.tracking.run_folder import RunFolder

    results = {}
    for name, family, backbone, data in jobs:
        torch.manual_seed(0)
        module = make_data(family, backbone=backbone, **{**data, "batch_size": batch_size})
        options = {"generation": {"num_beams": 2, "max_new_tokens": 12}}
        model = make_task(family, backbone, module, **(options if family == "abstractive" else {}))
        recorder = Recorder(RunFolder(Path(backbone).with_name("run")))
        trainer = make_trainer(world, strategy, recorder)
        scores = dict(trainer.validate(model, module, verbose=False)[0])
        scores |= trainer.test(model, module, verbose=False)[0]
        report = model.report(recorder.outputs, module.examples("test"))
        predictions = [json.loads(json.dumps(record)) for record in report.predictions]
        results[name] = {"scores": scores, "predictions": predictions}
    return results


def refused(family: str, backbone: str, data: dict[str, Any], *, world: int, **options: Any) -> str:
    """What a training says that should not begin."""
    module = make_data(family, backbone=backbone, **data)
    try:
        make_trainer(world, "fsdp2", **options).fit(make_task(family, backbone, module), module)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""
