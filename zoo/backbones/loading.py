"""The only home of `from_pretrained`: tokenizers and models, with the traps handled once."""

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import torch
from safetensors import SafetensorError

from zoo.backbones.sources import Source, metadata, resolve
from zoo.errors import BackboneError

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel
    from transformers.tokenization_utils_tokenizers import TokenizersBackend

Head = Literal["token-classification", "sequence-classification", "question-answering"]
ProblemType = Literal["single_label_classification", "multi_label_classification", "regression"]

_AUTO_CLASS: dict[Head, str] = {
    "token-classification": "AutoModelForTokenClassification",
    "sequence-classification": "AutoModelForSequenceClassification",
    "question-answering": "AutoModelForQuestionAnswering",
}
_ARCHITECTURE: dict[Head, str] = {
    "token-classification": "ForTokenClassification",
    "sequence-classification": "ForSequenceClassification",
    "question-answering": "ForQuestionAnswering",
}
#: Architectures whose head has the same parameter names as ours, whatever its task.
_WITH_CLASSIFIER = tuple(_ARCHITECTURE.values())
#: Labels of heads whose outputs are the same in every model, whatever its config calls them.
_FIXED_LABELS: dict[Head, list[str]] = {"question-answering": ["start", "end"]}

#: Longest input used unless asked for more: attention's cost grows with the square.
USUAL_MAX_LENGTH = 512

log = logging.getLogger(__name__)


def load_config(backbone: str) -> "PreTrainedConfig":
    """The model's configuration.

    Raises:
        BackboneError: It cannot be found, read or reached.
    """
    from transformers import AutoConfig

    config: PreTrainedConfig = _load(AutoConfig, resolve(backbone))
    return config


def load_tokenizer(backbone: str) -> "TokenizersBackend":
    """The backbone's fast tokenizer, with nothing cut or padded behind the caller's back.

    Tokenizer files can carry a truncation length and padding of their own (MiniLM's cuts at 128
    tokens): both are switched off. Byte-level tokenizers get the leading space that words split
    beforehand need.

    Raises:
        BackboneError: It cannot be found or read, or there is no fast tokenizer.
    """
    from transformers import AutoTokenizer

    source = resolve(backbone)
    options: dict[str, Any] = {}
    if source.spec is not None and source.spec.add_prefix_space:
        options["add_prefix_space"] = True
    tokenizer = _load(AutoTokenizer, source, **options)
    if not getattr(tokenizer, "is_fast", False):
        raise BackboneError(
            f"{backbone} has no fast tokenizer (tokenizer.json), which is needed to map words to "
            "subwords. Choose another backbone."
        )
    _lead_with_space(tokenizer)
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    return tokenizer  # type: ignore[no-any-return]


def max_length_of(backbone: str, *, usual: int = USUAL_MAX_LENGTH) -> int:
    """Longest input in tokens used unless asked for more: the longest there is, up to the usual.

    Of an exported model it is the length that it was trained with.
    """
    trained_with = metadata(backbone).get("max_length")
    return int(trained_with or min(longest_input(backbone), usual))


def longest_input(backbone: str) -> int:
    """Longest input in tokens that the model can take, special tokens included."""
    source = resolve(backbone)
    if source.spec is not None:
        return source.spec.max_length
    config = load_config(backbone)
    positions = getattr(config, "max_position_embeddings", None) or USUAL_MAX_LENGTH
    if config.model_type in ("roberta", "xlm-roberta", "camembert"):
        positions -= 2  # their position ids start after the padding index
    return int(positions)


def head_labels(backbone: str, head: Head) -> list[str] | None:
    """Labels of the fine-tuned head in a model folder, in order; None where there is no such head.

    Only folders are asked: of a Hub model just the body is used.
    """
    source = resolve(backbone)
    if source.folder is None:
        return None
    path = source.folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BackboneError(f"{path} is damaged ({error}). Copy or download it again.") from error
    architectures = config.get("architectures") or [""]
    if not architectures[0].endswith(_ARCHITECTURE[head]):
        return None
    if head in _FIXED_LABELS:
        return list(_FIXED_LABELS[head])
    id2label = config.get("id2label") or {}
    return [id2label[key] for key in sorted(id2label, key=int)]


def load_model(
    backbone: str,
    head: Head,
    *,
    labels: Sequence[str],
    weights: bool = True,
    problem_type: ProblemType = "single_label_classification",
) -> "PreTrainedModel":
    """A model with the head for a task, in float32 and in training mode.

    The head of a fine-tuned folder is kept when its labels are exactly these; otherwise the head
    is new, and a line in the log says so where one was replaced.

    Args:
        backbone: Registered name, folder or Hub id.
        head: The kind of head.
        labels: The head's outputs, in order.
        weights: False builds the same shape with random weights, for a checkpoint to fill.
        problem_type: What a sequence classification is; the pipeline of transformers chooses
            softmax or sigmoid by it.

    Raises:
        BackboneError: It cannot be found, verified or read.
    """
    import transformers

    source = resolve(backbone)
    auto_class = getattr(transformers, _AUTO_CLASS[head])
    config = load_config(backbone)
    had = head_labels(backbone, head)
    keep = had == list(labels)
    # Of a Hub model, or of one for another task, the head must not slip in with the body.
    replace = not keep and any(
        name.endswith(_WITH_CLASSIFIER) for name in config.architectures or ()
    )
    if had is not None and not keep and weights:
        log.warning(
            "The head of %s has other labels (%s), so it is replaced by a new one.",
            backbone,
            ", ".join(had),
        )
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: index for index, label in enumerate(labels)}
    if head == "sequence-classification":
        config.problem_type = problem_type
    dtype = getattr(torch, source.spec.dtype if source.spec else "float32")
    if not weights:
        model = auto_class.from_config(config, dtype=dtype)
    else:
        # `dtype`: the checkpoint's own would be used otherwise, half precision included.
        model = _load(
            auto_class,
            source,
            config=config,
            dtype=dtype,
            use_safetensors=True,
            ignore_mismatched_sizes=replace,
        )
        if replace:
            _renew_head(model)
    # from_pretrained returns a model in eval mode and Lightning would keep it there, so that
    # dropout never worked.
    model.train()
    return model  # type: ignore[no-any-return]


def output_layer(model: "PreTrainedModel") -> torch.nn.Linear:
    """The last linear layer of a model with a head: what gives the logits."""
    inside = {id(module) for module in model.base_model.modules()}
    layers = [
        module
        for module in model.modules()
        if isinstance(module, torch.nn.Linear) and id(module) not in inside
    ]
    return layers[-1]


def _renew_head(model: "PreTrainedModel") -> None:
    # A head of the same size but other labels loads without a mismatch: draw it anew all the same.
    body = model.base_model
    inside = {id(module) for module in body.modules()}
    for module in model.modules():
        if isinstance(module, torch.nn.Linear) and id(module) not in inside:
            torch.nn.init.normal_(
                module.weight, std=getattr(model.config, "initializer_range", 0.02)
            )
            if module.bias is not None:
                torch.nn.init.zeros_(module.bias)


def _lead_with_space(tokenizer: Any) -> None:
    # Asking from_pretrained for `add_prefix_space` is silently without effect for tokenizers that
    # have no class of their own (ModernBERT's), so the backend is changed where it still lacks it.
    from tokenizers import Tokenizer

    state = json.loads(tokenizer.backend_tokenizer.to_str())
    changed = False
    for name, kinds, inner in (
        ("pre_tokenizer", ("ByteLevel",), "pretokenizers"),
        # It takes the leading space off the offsets again, if it knows of one: otherwise the first
        # word of a text would seem to begin at its second letter.
        ("post_processor", ("ByteLevel", "RobertaProcessing"), "processors"),
    ):
        outer = state.get(name) or {}
        for part in outer.get(inner, [outer]):
            if part.get("type") in kinds and not part.get("add_prefix_space", False):
                part["add_prefix_space"] = changed = True
    if changed:
        backend = Tokenizer.from_str(json.dumps(state))
        tokenizer.backend_tokenizer.pre_tokenizer = backend.pre_tokenizer
        tokenizer.backend_tokenizer.post_processor = backend.post_processor
        # Some classes rebuild the backend from this when an exported folder is loaded elsewhere.
        tokenizer.add_prefix_space = True


def _load(auto_class: Any, source: Source, **options: Any) -> Any:
    if source.revision is not None:
        options["revision"] = source.revision
    try:
        with quiet_transformers():
            return auto_class.from_pretrained(source.location, **options)
    except SafetensorError as error:
        raise BackboneError(
            f"The weights in {source.location} are damaged ({error}). Copy or fetch them again."
        ) from error
    except (OSError, ValueError, KeyError) as error:
        raise BackboneError(_why(source, error)) from error
    except RuntimeError as error:
        if "mismatch" not in str(error):
            raise
        raise BackboneError(
            f"The weights in {source.location} have other sizes than its config.json says."
        ) from error


def _why(source: Source, error: Exception) -> str:
    first_line = str(error).strip().split("\n")[0]
    if source.folder is not None:
        return f"The model in {source.folder} cannot be loaded: {first_line}"
    return (
        f"Backbone {source.asked} ({source.location}) is not in the Hub's cache on this machine "
        f"and could not be fetched: {first_line} A private or gated model needs HF_TOKEN; without "
        "a network use a folder with the model, or `minilm-l6`, which ships with the installation."
    )


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence its table of missing head weights and its bars: no user can act on them."""
    from transformers.utils import logging as hf_logging

    level = hf_logging.get_verbosity()
    bars = hf_logging.is_progress_bar_enabled()
    hf_logging.set_verbosity_error()
    hf_logging.disable_progress_bar()
    try:
        yield
    finally:
        hf_logging.set_verbosity(level)
        if bars:
            hf_logging.enable_progress_bar()


__all__ = [
    "Head",
    "ProblemType",
    "head_labels",
    "load_config",
    "load_model",
    "load_tokenizer",
    "longest_input",
    "max_length_of",
    "output_layer",
    "quiet_transformers",
]
