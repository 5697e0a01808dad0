"""`--auto_batch`: trial steps find how many tokens a batch may hold, before a run begins."""

import gc
from typing import Any

import torch
from lightning import Callback, Trainer

from recipes.cli import RecipeCLI
from zoo.data.token_budget import Extent, extent, largest_batches
from zoo.distillation import Distillation
from zoo.training.auto_batch import BudgetSearch
from zoo.training.budget_search import Budget
from zoo.training.memory import is_out_of_memory
from zoo.training.random_states import random_state, restore_random_state

#: Steps that an epoch keeps at least, however much memory there is.
_STEPS = 20
#: What a trial does not do: it leaves nothing behind, and its length is its own.
_QUIET = {
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
    "limit_val_batches": 0,
    "limit_train_batches": 1,
    "max_epochs": 1,
    "max_steps": -1,
    "min_epochs": None,
    "min_steps": None,
    "max_time": None,
    "fast_dev_run": False,
    "val_check_interval": None,
    "check_val_every_n_epoch": 1,
    "accumulate_grad_batches": 1,
}
_BOUNDS = {
    "memory": "more would not fit into memory",
    "speed": "larger batches are no faster here",
    "data": f"an epoch keeps about {_STEPS} steps",
}


def choose_batches(cli: RecipeCLI) -> str:
    """Set the budget of a recipe that is about to fit; a sentence on it. All processes call it.

    The trials are of a second task, trainer and datamodule, made of the same settings, and random
    numbers go on as if there had been none: the run is the one that `--data.max_tokens` with the
    found budget gives.

    Raises:
        ZooError: Not even one example fits into memory.
    """
    device = cli.trainer.strategy.root_device
    states = random_state(device)
    before = extent(cli.datamodule, cli.datamodule.max_tokens)
    steps = cli.trainer.world_size * cli.trainer.accumulate_grad_batches * _STEPS
    found = _search(cli, smallest=before.longest, largest=before.tokens // steps)
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    restore_random_state(states, device)
    cli.datamodule.max_tokens = found.tokens
    cli.config.data.init_args.max_tokens = found.tokens
    cli.config.auto_batch = False
    return _sentence(cli, found, before, extent(cli.datamodule, found.tokens))


def _search(cli: RecipeCLI, *, smallest: int, largest: int) -> Budget:
    parts = cli.parser.instantiate_classes(cli.config)
    data: Any = parts["data"]
    search = BudgetSearch(
        lambda budget: largest_batches(data, budget),
        smallest=smallest,
        largest=largest,
        ran_out=is_out_of_memory,
    )
    callbacks: list[Callback] = [search]
    if cli.teacher is not None:  # it takes memory too, and time
        callbacks.append(Distillation(cli.teacher, cli.distilling))
    trainer = Trainer(**{**parts["trainer"], **_QUIET, "callbacks": callbacks})
    trainer.fit(parts["model"], data)
    assert search.budget is not None
    return search.budget


def _sentence(cli: RecipeCLI, found: Budget, before: Extent, after: Extent) -> str:
    world = cli.trainer.world_size
    return (
        f"auto_batch: {found.tokens:,} tokens a batch, as {_BOUNDS[found.bound]} (about "
        f"{after.examples:.0f} examples, {after.batches // world:,} batches an epoch; it would "
        f"have been {before.examples:.0f} and {before.batches // world:,}). It is kept as "
        f"data.max_tokens. The learning rate stays {cli.model.learning_rate:g}: batches of another "
        "size may want another."
    )
