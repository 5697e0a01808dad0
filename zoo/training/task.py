"""The base of all tasks: builds the model, and finds trained weights again."""

import inspect
import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import torch
from lightning.pytorch.trainer.states import TrainerFn
from torchmetrics import MeanMetric

from zoo import backbones
from zoo.errors import RunError
from zoo.training.adaptation import Adaptation
from zoo.training.adaptation.prompts import has_prompt
from zoo.training.optimization import Schedule
from zoo.training.precision import NetworkInHalfPrecision, for_weights_alone
from zoo.training.sharing import EncoderSharingTask

if TYPE_CHECKING:
    from transformers import PreTrainedModel
    from transformers.tokenization_utils_tokenizers import TokenizersBackend

    from zoo.tracking.report import TaskReport


class FineTuningTask(EncoderSharingTask, NetworkInHalfPrecision):
    """A pretrained backbone with the head of a task family, fine-tuned with AdamW.

    The model is built when training or testing begins (`configure_model`), so that a strategy can
    shard it. Fitting starts from the backbone's weights; testing needs a trained head, from the
    backbone's folder or from a checkpoint.

    A family says which head it needs, what the loss is and how outputs become predictions.

    Args:
        backbone: Registered name (`zoo.backbones.names()`), Hub id, or folder with a model.
        labels: Labels in the order of their ids.
        learning_rate: Highest learning rate, reached after the warm-up.
        weight_decay: AdamW's, for matrices only; norms and biases have none.
        schedule: What follows the warm-up: `linear`, `cosine`, `constant`, `inverse_sqrt`,
            `warmup_stable_decay`, or `plateau`, which is lowered by the validation score.
        warmup: Share of all steps in which the learning rate rises from 0.
        betas: AdamW's averaging of the gradient and its square.
        packed: Whether batches go through the model without their padding, where it can be. None:
            on CPUs; on a GPU it takes longer so far.
        adaptation: What of the model is trained: a kind, or one with its settings.
        layer_decay: What the learning rate is multiplied by for each layer below the head.
        schedule_options: Of `warmup_stable_decay`: decay (0.2, share of all steps); of `plateau`:
            factor (0.5), patience (1, validations) and floor (0.01).
        compile: Whether training compiles the model's blocks (`torch.compile`) as it begins.
        freeze_embeddings: Whether the embeddings of words and positions are left as they are.
    """

    family: ClassVar[str]
    head: ClassVar[backbones.Head]

    def __init__(
        self,
        backbone: str,
        *,
        labels: list[str],
        learning_rate: float,
        weight_decay: float = 0.01,
        schedule: Schedule = "linear",
        warmup: float = 0.1,
        betas: tuple[float, float] = (0.9, 0.999),
        packed: bool | None = None,
        adaptation: str | Adaptation = "full",
        layer_decay: float = 1.0,
        schedule_options: dict[str, float] | None = None,
        compile: bool = False,  # noqa: A002  as the flag is called
        freeze_embeddings: bool = False,
    ):
        super().__init__(
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            schedule=schedule,
            warmup=warmup,
            betas=betas,
            layer_decay=layer_decay,
            schedule_options=schedule_options,
        )
        self.backbone = backbone
        self.packed = packed
        self.adaptation = Adaptation.of(adaptation)
        self.freeze_embeddings = freeze_embeddings
        self.check_frozen()
        self.compiles = compile
        self.labels = list(labels)
        self.losses = torch.nn.ModuleDict(
            # A loss that is no number must show; "disable" would not weigh the batches.
            {split: MeanMetric(nan_strategy=math.nan) for split in ("val", "test")}
        )
        #: Validation after fitting is to fit `calibration` too: other weights were put in.
        self.recalibrating = False
        self.model = None
        self._given: PreTrainedModel | None = None
        self._no_weights = None
        self._shared = []

    def __setattr__(self, name: str, value: Any) -> None:
        """As any module's, but for what Lightning notes dozens of times a step: a hook's name."""
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    @property
    def net(self) -> "PreTrainedModel":
        """The transformers model; built on first use.

        Raises:
            RunError: It is not built yet, and the backbone has no trained head to build.
        """
        if self.model is None or self._no_weights is not None:
            self.model = self._trained_model()
            self.model.eval()
        return self.model

    @property
    def packs(self) -> bool:
        """Whether batches go through the model without their padding, where it can be."""
        return self.net.device.type == "cpu" if self.packed is None else self.packed

    def outputs(self, inputs: "Mapping[str, torch.Tensor]") -> Any:
        """What the model gives for a padded batch.

        Args:
            inputs: `input_ids`, `attention_mask` and, where the model tells two texts apart,
                `token_type_ids`, each int64 `[batch, longest]`.

        Returns:
            The model's output. Where batches are packed, what it says of padding is 0.
        """
        if self.packs and not has_prompt(self.net):  # a prompt goes before each text's padding
            return backbones.packed_forward(self.net, inputs)
        return self.net(**inputs)

    def configure_model(self) -> None:
        """Build the model, once: Lightning calls this before fitting and again before testing."""
        fn = self._trainer.state.fn if self._trainer is not None else None
        evaluating = fn in (TrainerFn.VALIDATING, TrainerFn.TESTING, TrainerFn.PREDICTING)
        if self._trainer is not None:
            for_weights_alone(self.trainer.precision_plugin, self.trainer.strategy)
        if not evaluating:
            self.check_strategy()
        if self.model is not None and self._no_weights is None:
            if not evaluating:
                self.adapt_again()
                self.compile_model()
            return
        self._no_weights = None  # an evaluation that was refused leaves nothing to fit from
        # Lightning would build on the GPU, which draws another new head than the CPU does.
        with torch.device("cpu"):
            if evaluating:
                self._build_to_evaluate()
            else:
                self.model = self._new_model(weights=True)
        if not evaluating:
            self.compile_model()

    def _build_to_evaluate(self) -> None:
        try:
            self.model = self._trained_model()
        except RunError as error:
            # A checkpoint may bring the weights in a moment (on_load_checkpoint); Lightning does
            # not say yet whether one is given. If none comes, this is what is said.
            self._no_weights = error
            self.model = self._new_model(weights=False)

    def _require_weights(self) -> None:
        if self._no_weights is not None:
            raise self._no_weights

    def on_validation_start(self) -> None:
        """Refuse to evaluate a head that was never trained."""
        self._require_weights()

    on_test_start = on_validation_start
    on_predict_start = on_validation_start

    def _new_model(self, *, weights: bool) -> "PreTrainedModel":
        return self._built(self.labels, weights=weights)

    def _load(self, labels: Sequence[str], *, weights: bool = True) -> "PreTrainedModel":
        return backbones.load_model(self.backbone, self.head, labels=labels, weights=weights)

    def _trained_model(self) -> "PreTrainedModel":
        had = backbones.head_labels(self.backbone, self.head)
        if had is None:
            raise RunError(
                f"{self.backbone} has no trained {self.family} head, so there is nothing to "
                "evaluate. Give trained weights: --model.backbone RUN/model (or --ckpt_path "
                "RUN/checkpoints/FILE); in Python fit first, or use "
                f"{type(self).__name__}.from_run(FOLDER)."
            )
        if self.labels[: len(had)] != had:
            raise RunError(
                f"The head in {self.backbone} knows the labels {', '.join(had)}, but the task was "
                f"given {', '.join(self.labels)}."
            )
        # What it was trained with is part of its weights.
        return self._built(had, adapt=False) if self._given is None else self._given

    def use(self, model: "PreTrainedModel") -> None:
        """Predict and test with a model that is built already, such as one of another runtime.

        Args:
            model: Takes and gives what the model in `backbone` does, whose labels and calibration
                still count.
        """
        self._given, self.model = model, None

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Give the head the size it had when the checkpoint was saved."""
        labels = checkpoint.get("hyper_parameters", {}).get("labels")
        if labels is None or checkpoint["hyper_parameters"].get("backbone") is None:
            raise RunError("This is no checkpoint of a zoo task: it does not say its labels.")
        if self.labels[: len(labels)] != list(labels):
            raise RunError(
                f"The checkpoint knows the labels {', '.join(labels)}, but the task was given "
                f"{', '.join(self.labels)}."
            )
        self._no_weights = None
        # Of a folder of shards the weights are read elsewhere.
        self._require_shared(checkpoint.get("state_dict", {}))
        if self.model is not None and (
            self.model.config.num_labels != len(labels) or not self.is_adapted
        ):
            self.model = self._built(list(labels), weights=False)
        self.restore_adaptation(checkpoint)

    @property
    def known_labels(self) -> list[str]:
        """Labels that the model can predict: all of `labels`, but for those it never saw."""
        return self.labels[: self.net.config.num_labels]

    @cached_property
    def tokenizer(self) -> "TokenizersBackend":
        """The backbone's tokenizer."""
        return backbones.load_tokenizer(self.backbone)

    @cached_property
    def input_names(self) -> list[str]:
        """What the model reads of a batch: ids, mask, and types that tell two texts apart.

        The types are left out where model or tokenizer has none: RoBERTa takes them and knows only
        one; DistilBERT takes none.
        """
        taken = "token_type_ids" in inspect.signature(self.net.forward).parameters
        given = "token_type_ids" in self.tokenizer.model_input_names
        several = getattr(self.net.config, "type_vocab_size", 0) > 1
        types = ["token_type_ids"] if taken and given and several else []
        return ["input_ids", "attention_mask", *types]

    @classmethod
    def from_run(cls, folder: str | Path, *, labels: Sequence[str] | None = None) -> Self:
        """The trained task of a run folder or of an exported `model/` folder, ready to predict.

        Args:
            folder: A run's folder or a model's folder.
            labels: Labels of data to test on, where they are more than the model knows: its own,
                in order, then the others (`data.labels` gives them so).

        Raises:
            RunError: There is no trained model in the folder, or one of another family.
        """
        model = backbones.model_folder(folder)
        had = backbones.head_labels(str(model), cls.head)
        if had is None:
            raise RunError(f"The model in {model} has no head for {cls.family}.")
        known = backbones.metadata(str(model))
        if str(known.get("export", {}).get("format", "hf")) != "hf":
            raise RunError(
                f"{model} is an ONNX export: load it with zoo.shipping.load({str(model)!r})."
            )
        options = cls.options_of(known)
        task = cls(str(model), labels=list(labels or had), **options)
        task.net  # noqa: B018  a broken model shows now, not at the first prediction
        return task

    @classmethod
    def options_of(cls, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments of the task that an exported model was trained with, from its `zoo.json`."""
        return {}

    @contextmanager
    def exported(self) -> Iterator["PreTrainedModel"]:
        """The model as others should see it, for the time of saving it.

        What a family does to the model's outputs is folded into its last layer here, so that plain
        transformers gives our numbers.
        """
        yield self.net

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """The model without dropout while predicting; afterwards as it was."""
        was_training = self.net.training
        self.net.eval()
        try:
            yield
        finally:
            self.net.train(was_training)
            for part in [*self._shared, *self.still_parts]:
                part.eval()

    def on_device(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """A batch with its tensors where the model is."""
        return {
            key: value.to(self.net.device) if isinstance(value, torch.Tensor) else value
            for key, value in batch.items()
        }

    @abstractmethod
    def predict(self, inputs: Any, *, batch_size: int = 32) -> Sequence[Any]:
        """A prediction for each input, in order; each has `to_dict` for JSON."""

    @classmethod
    @abstractmethod
    def input_of(cls, record: Mapping[str, Any]) -> Any:
        """What `predict` takes, from an object of a .jsonl file.

        Raises:
            DataError: The object lacks what it should hold.
        """

    @classmethod
    def input_of_line(cls, line: str) -> Any:
        """What `predict` takes, from a line of text: the text itself. None skips the line.

        Raises:
            DataError: A family whose input is more than a text cannot read it.
        """
        return line

    @classmethod
    def inputs_of_file(cls, path: Path) -> Iterator[Any] | None:
        """What `predict` takes, from a file in a format of the family's own; None if it is not."""
        return None

    @property
    def calibration(self) -> dict[str, Any]:
        """What was fitted on validation beside the weights, such as thresholds: plain data.

        An exported model carries it in its `zoo.json`, as `calibration`.
        """
        return {}

    @abstractmethod
    def report(self, predictions: Sequence[Any], examples: Any) -> "TaskReport":
        """Tables and pictures of a test, from what `test_step` returned as `predictions`."""

    @property
    def calibrating(self) -> bool:
        """Whether what this validation sees is to fit what `calibration` holds."""
        fitting = self.trainer.state.fn == TrainerFn.FITTING and not self.trainer.sanity_checking
        return fitting or self.recalibrating

    def count_loss(self, split: Literal["val", "test"], loss: torch.Tensor, count: int) -> None:
        """Count the loss of an evaluation batch.

        Args:
            split: `val` or `test`.
            loss: Mean over the batch's examples, or words, or whatever is counted.
            count: How many there are.
        """
        # Lightning's own mean over processes rounds the number of examples of each down.
        metric: Any = self.losses[split]
        if count:
            metric.update(loss.detach().float(), count)

    def log_scores(self, split: Literal["val", "test"], scores: Mapping[str, torch.Tensor]) -> None:
        """Log the loss that was counted and the scores, which are of all processes already."""
        mean: Any = self.losses[split]
        found = {"loss": mean.compute(), **scores}
        mean.reset()
        if split == "val":
            self.observe({f"val/{name}": value for name, value in found.items()})
        for name, value in found.items():
            key = f"{split}/{name}"
            self.log(key, value.float(), prog_bar=key == self.monitor, rank_zero_only=True)
