"""What an adaptation leaves behind: a whole model, and the adapter alone in peft's own format."""

import shutil
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from zoo import backbones
from zoo.training.adaptation import prompts
from zoo.training.adaptation.adapters import NAME, merged

if TYPE_CHECKING:
    from transformers import PreTrainedModel

#: In the folder of a model with a prompt: the model without it.
BASE = "base"
_WEIGHTS = "adapter_model.safetensors"
#: peft's names for what a model with a prompt gives; by the end of its class's name.
_TASKS = {
    "ForTokenClassification": "TOKEN_CLS",
    "ForSequenceClassification": "SEQ_CLS",
    "ForQuestionAnswering": "QUESTION_ANS",
    "ForMaskedLM": "FEATURE_EXTRACTION",
}


#: Heads that peft expects in the file of a prompt.
_HEADS = {
    "TOKEN_CLS": ("classifier", "score"),
    "SEQ_CLS": ("classifier", "score"),
    "QUESTION_ANS": ("qa_outputs",),
}


def write_model(model: "PreTrainedModel", folder: Path, *, home: Path | None = None) -> None:
    """Write a model without adapters: they are merged into its weights.

    A prompt cannot be. Its model lies in `base`, and the prompt beside it in peft's format; the zoo
    loads both, and so does peft, given the base and this folder.

    Args:
        model: The model.
        folder: Where it is written.
        home: Where the folder will lie, if elsewhere: a prompt names its base by that.
    """
    if not prompts.has_prompt(model):
        merged(model).save_pretrained(folder)
        return
    plain = deepcopy(model)
    prompts.remove(plain)
    merged(plain).save_pretrained(folder / BASE)
    plain.config.save_pretrained(folder)
    _write_prompt(model, folder, of=str((home or folder).resolve() / BASE))


def write_adapter(model: "PreTrainedModel", tuner: Any, folder: Path, *, backbone: str) -> bool:
    """Write the adapter and the head alone, in peft's format; whether there is an adapter.

    Args:
        model: The trained model.
        tuner: What put the adapters in; None for a prompt.
        folder: Where they go; what was there is replaced.
        backbone: What the model is of.
    """
    shutil.rmtree(folder, ignore_errors=True)
    source = backbones.resolve(backbone)
    if tuner is None:
        if not prompts.has_prompt(model):
            return False
        # peft's prompts bring the last layer alone: all of the head lies in the base.
        _write_prompt(model, folder, of=str(folder.parent / "model" / BASE))
        return True
    folder.mkdir(parents=True)
    config = deepcopy(tuner.peft_config[NAME])
    config.base_model_name_or_path = source.spec.hub_id if source.spec else source.location
    config.inference_mode = True
    heads = backbones.head_modules(model)
    config.modules_to_save = [_seen(name) for name in heads] or None
    if hasattr(config, "rank_pattern") and not config.rank_pattern:
        config.rank_pattern = None if config.peft_type == "ADALORA" else {}
    if config.peft_type == "ADALORA":
        config.rank_pattern = None  # what was taken away is 0
        config.total_step = max(int(config.total_step), 1)
    config.save_pretrained(folder)
    starts = tuple(f"{name}." for name in heads)
    state = {}
    for name, tensor in model.state_dict().items():
        new = "lora_" in name or "ia3_" in name
        if new or name.startswith(starts):
            key = name.replace(f".{NAME}", "") if new else name
            state[f"base_model.model.{key}"] = _own(tensor)
    save_file(state, folder / _WEIGHTS, metadata={"format": "pt"})
    return True


def _seen(name: str) -> str:
    """The end of a module's name by which peft finds it, and others that are of the head too."""
    return name.rpartition(".")[2] if name.endswith((".crossattention", ".pooler")) else name


def read_prompt(backbone: str, model: "PreTrainedModel") -> None:
    """Put the prompt of a model's folder before what it reads; without one nothing is done."""
    folder = backbones.resolve(backbone).folder
    path = folder / _WEIGHTS if folder is not None else None
    if path is None or not path.is_file() or not (path.parent / BASE).is_dir():
        return
    values = load_file(path)["prompt_embeddings"]
    prompts.insert(model, len(values))
    own: Any = model.get_submodule(prompts.PROMPT)
    if not own.weight.is_meta:
        with torch.no_grad():
            own.weight.copy_(values)


def _write_prompt(model: "PreTrainedModel", folder: Path, *, of: str) -> None:
    from peft import PromptTuningConfig

    folder.mkdir(parents=True, exist_ok=True)
    prompt: Any = model.get_submodule(prompts.PROMPT)
    tokens, width = prompt.weight.shape
    written = bool(getattr(model.config, "is_encoder_decoder", False))
    kind = next(
        (value for end, value in _TASKS.items() if type(model).__name__.endswith(end)), None
    )
    config = PromptTuningConfig(
        task_type="SEQ_2_SEQ_LM" if written else kind,
        num_virtual_tokens=tokens,
        token_dim=width,
        num_transformer_submodules=1,
        num_attention_heads=1,
        num_layers=1,
        base_model_name_or_path=of,
        inference_mode=True,
    )
    config.save_pretrained(folder)
    state = {"prompt_embeddings": _own(prompt.weight)}
    for name in _HEADS.get(str(kind), ()):
        if hasattr(model, name):
            values = model.get_submodule(name).state_dict()
            state |= {f"base_model.{name}.{key}": _own(value) for key, value in values.items()}
    save_file(state, folder / _WEIGHTS, metadata={"format": "pt"})


def _own(tensor: torch.Tensor | nn.Parameter) -> torch.Tensor:
    return tensor.detach().cpu().clone().contiguous()


__all__ = ["read_prompt", "write_adapter", "write_model"]
