"""The trained model in the format of transformers, for everything else in the world."""

import json
import shutil
from pathlib import Path
from typing import Any

import zoo
from zoo.backbones import METADATA_FILE, quiet_transformers


def export_model(task: Any, folder: Path, *, metadata: dict[str, Any]) -> None:
    """Write model, tokenizer and `zoo.json`; replaces the folder only when all is written.

    Args:
        task: A task with a trained `net` and its `tokenizer`.
        folder: Where the model goes.
        metadata: What `zoo.json` says beside family, backbone and version.
    """
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    with quiet_transformers():
        with task.exported() as model:
            task.write_model(model, unfinished, home=folder)
        task.tokenizer.save_pretrained(unfinished)
    content = {"family": task.family, "zoo_version": zoo.__version__, **metadata}
    (unfinished / METADATA_FILE).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)
