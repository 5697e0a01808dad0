"""Where a model comes from, as W&B's artifacts: the data, the run that read it, the model."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.tracking.run_folder import write_atomically

if TYPE_CHECKING:
    import wandb


def data_artifact(name: str, facts: Mapping[str, Any], folder: Path) -> "wandb.Artifact":
    """The data as an artifact that holds no examples: fingerprint, sizes, where they come from.

    Args:
        name: The data's name.
        facts: What there is to say of it; other facts are another version.
        folder: Where the file with the facts is kept.
    """
    import wandb

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "data.json"
    write_atomically(path, json.dumps(facts, indent=2, ensure_ascii=False) + "\n")
    artifact = wandb.Artifact(f"data-{_slug(name)}", type="dataset", metadata=dict(facts))
    artifact.add_file(str(path), policy="immutable", skip_cache=True)
    return artifact


def model_artifact(
    name: str, folder: Path, facts: Mapping[str, Any], *, upload: bool
) -> "wandb.Artifact":
    """The model as an artifact, with what is known of it.

    Args:
        name: Models of one name are versions of one artifact.
        folder: The exported model.
        facts: Task, backbone, scores, data.
        upload: Whether the files go to W&B; else it only has their names, sizes and digests, and
            where they lie.
    """
    import wandb

    artifact = wandb.Artifact(f"model-{_slug(name)}", type="model", metadata=dict(facts))
    if upload:
        # Not copied: the run's folder keeps them until they are sent.
        artifact.add_dir(str(folder), policy="immutable", skip_cache=True)
    else:
        artifact.add_reference(folder.absolute().as_uri())
    return artifact


def _slug(name: str) -> str:
    """A name as W&B takes it."""
    return re.sub(r"[^a-zA-Z0-9_.-]+", "-", name).strip("-")[:100] or "unnamed"
