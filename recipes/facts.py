"""What is said of a run to those who were not there: its data, its model, its circumstances."""

import subprocess
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from typing import Any

import torch

from recipes.cli import RecipeCLI
from zoo import backbones


def data_facts(cli: RecipeCLI) -> dict[str, Any]:
    """What W&B is told of the data: never its examples."""
    data = cli.datamodule
    return {
        "fingerprint": data.fingerprint,
        "name": data.sources.name,
        "sizes": {split: len(table) for split, table in data.splits().items()},
        "sources": {split: str(data.sources.place(split)) for split in data.sources.splits},
    }


def log_model(cli: RecipeCLI, metrics: Mapping[str, float]) -> None:
    """The model at W&B, with its scores and the data that it was made of."""
    if cli.run_logger is None:
        return
    facts = metadata_of(cli)
    kept = ("backbone", "recipe", "labels", "data")
    facts = {name: value for name, value in facts.items() if name in kept}
    facts |= {"task": cli.model.family, "run": cli.folder.id, "scores": dict(metrics)}
    cli.run_logger.log_model(cli.recipe.name, cli.folder.model, facts)


def metadata_of(cli: RecipeCLI) -> dict[str, Any]:
    """What an exported model says of itself in `zoo.json`."""
    origin = backbones.metadata(cli.model.backbone).get("backbone", cli.model.backbone)
    # What has random weights at first has nothing of the backbone that it is named by.
    known = {} if getattr(cli.model, "from_scratch", None) else {"backbone": origin}
    return {
        **known,
        "recipe": cli.recipe.name,
        "labels": cli.model.known_labels,
        # What `predict` and a later test must know to cut texts as in training.
        "max_length": cli.datamodule.max_length,
        "encoding": cli.datamodule.encoding_key,
        "calibration": cli.model.calibration,
        "data": {"name": cli.datamodule.sources.name, "fingerprint": cli.datamodule.fingerprint},
    }


def circumstances(cli: RecipeCLI) -> dict[str, Any]:
    """What a run's result depends on beside its settings."""
    packages = ("lightning-text-zoo", "torch", "lightning", "transformers")
    found: dict[str, Any] = {
        "data_fingerprint": cli.datamodule.fingerprint,
        "versions": ", ".join(f"{name} {version(name)}" for name in packages),
        "threads": torch.get_num_threads(),
        "git_commit": _git_commit(),
    }
    return {key: value for key, value in found.items() if value is not None}


@cache
def _git_commit() -> str | None:
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


__all__ = ["circumstances", "data_facts", "log_model", "metadata_of"]
