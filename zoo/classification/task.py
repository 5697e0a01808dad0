"""Text classification: labels or a number for a text or a pair of texts."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from zoo import backbones
from zoo.classification.batches import collate
from zoo.classification.encoding import LongTexts, Text, encode_texts
from zoo.classification.modes import Mode
from zoo.classification.modes.choice import make_objective
from zoo.classification.prediction import ClassificationPredictions, Prediction
from zoo.errors import DataError, RunError, ZooError
from zoo.tracking.report import TaskReport
from zoo.training.adaptation import Adaptation
from zoo.training.optimization import Schedule
from zoo.training.sharding import most_of_all
from zoo.training.task import FineTuningTask

if TYPE_CHECKING:
    from transformers import PreTrainedModel

#: Texts encoded and predicted together, so that a stream of them is never held whole.
_TEXTS_AT_ONCE = 512
#: Windows that go through the model together outside training, however long a text is.
_WINDOWS_AT_ONCE = 64


class ClassificationTask(FineTuningTask):
    """Sequence classification for any encoder, in four modes.

    In a notebook::

        data = ClassificationDataModule("classification-sample")
        task = ClassificationTask("minilm-l6", labels=data.labels, mode=data.mode)
        Trainer(max_epochs=3).fit(task, data)
        task.predict(["My bin was not emptied."])

    The best checkpoint is the one with the highest `val/accuracy` (single-label; `val/f1_macro`
    with balanced class weights), `val/f1_macro` (multi-label), `val/qwk` (ordinal: quadratically
    weighted kappa) or `val/spearman` (regression). While fitting, each validation also fits the
    temperature with which probabilities are most likely, and the thresholds of multi-label.

    Args:
        backbone: Registered name, Hub id, or folder with a model.
        labels: Labels in the order of their ids (`data.labels`).
        mode: What a text has (`data.mode`): one of the labels, any number of them, one of labels
            that have an order, or a number.
        learning_rate: Highest learning rate.
        weight_decay: AdamW's, for matrices only.
        schedule: What follows the warm-up: `linear`, `cosine`, `constant`, `inverse_sqrt`,
            `warmup_stable_decay`, or `plateau`, which is lowered by the validation score.
        warmup: Share of all steps in which the learning rate rises.
        betas: AdamW's averaging of the gradient and its square.
        packed: Whether batches go through the model without their padding, where it can be. None:
            on CPUs; on a GPU it takes longer so far.
        adaptation: What of the model is trained: a kind (`lora`), or one with its settings.
        layer_decay: What the learning rate is multiplied by for each layer below the head.
        schedule_options: Of `warmup_stable_decay`: decay (0.2, share of all steps); of `plateau`:
            factor (0.5), patience (1, validations) and floor (0.01).
        compile: Whether training compiles the model's blocks (`torch.compile`) as it begins.
        freeze_embeddings: Whether the embeddings of words and positions are left as they are.
        class_weights: `balanced` weighs texts so that all labels of train count alike; with
            several labels, so that texts with a label and without it do.
        label_smoothing: Share of the target that is spread over all labels, from 0 to below 1.
        max_length: Longest text in tokens in `predict`. If None that of a run's training, where
            the backbone is its folder; else the backbone's own.
        long_texts: What `predict` reads of a longer one. If None as a run's training did, else
            its beginning.
    """

    family = "classification"
    head = "sequence-classification"

    def __init__(
        self,
        backbone: str = "minilm-l6",
        *,
        labels: list[str],
        mode: Mode = "single_label",
        learning_rate: float = 2e-4,
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
        class_weights: Literal["none", "balanced"] = "none",
        label_smoothing: float = 0.0,
        max_length: int | None = None,
        long_texts: LongTexts | None = None,
    ):
        super().__init__(
            backbone,
            labels=labels,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            schedule=schedule,
            warmup=warmup,
            betas=betas,
            packed=packed,
            adaptation=adaptation,
            layer_decay=layer_decay,
            schedule_options=schedule_options,
            compile=compile,
            freeze_embeddings=freeze_embeddings,
        )
        self.save_hyperparameters()
        self.mode = mode
        self.objective = make_objective(
            mode, labels, balanced=class_weights == "balanced", smoothing=label_smoothing
        )
        self.monitor = f"val/{self.objective.monitor}"
        self.max_length = max_length
        self.long_texts = long_texts
        self._fitted = False

    def forward(self, batch: Mapping[str, Any]) -> Tensor:
        """Logits, float `[texts, labels]`: of a text in several windows their mean."""
        inputs = {name: batch[name] for name in self.input_names}
        size = len(batch["input_ids"])
        at_once = size if torch.is_grad_enabled() else _WINDOWS_AT_ONCE
        places = list(range(0, size, at_once))
        passes = len(places)
        if self.in_step and not torch.is_grad_enabled():
            # A text of many windows takes several passes, in which no process may be alone.
            passes = most_of_all(passes, batch["input_ids"].device)
        parts = [
            self.outputs(
                {name: tensor[at : at + at_once] for name, tensor in inputs.items()}
            ).logits
            for at in [*places, *[0] * (passes - len(places))]
        ][: len(places)]
        logits = parts[0] if len(parts) == 1 else torch.cat(parts)
        texts = len(batch["example"])
        if size == texts:
            return logits
        logits = logits.float()  # a sum of many would be coarse in bf16
        summed = logits.new_zeros(texts, logits.shape[1]).index_add(0, batch["text_of"], logits)
        windows = torch.bincount(batch["text_of"], minlength=texts)
        return summed / windows[:, None]

    def training_step(
        self, batch: Mapping[str, Any], batch_index: int
    ) -> Tensor | dict[str, Tensor]:
        """The loss of a batch, as the mode has it."""
        self._check(batch["labels"])
        self.objective.begin(batch, backbones.output_layer(self.net), kept=self._kept)
        logits = self(batch)
        loss = self.objective.loss(logits, batch)
        return self.training_loss(loss, self.objective.weight(batch, known=logits.shape[-1]))

    @cached_property
    def _kept(self) -> bool:
        """Whether training goes on from a head that was trained before."""
        return backbones.head_labels(self.backbone, self.head) == self.labels

    def validation_step(self, batch: Mapping[str, Any], batch_index: int) -> None:
        """Count the texts of a validation batch."""
        self._evaluate(batch, "validate")

    def test_step(self, batch: Mapping[str, Any], batch_index: int) -> dict[str, Any]:
        """Count the texts of a test batch; `predictions` are its texts with what was found."""
        return {"predictions": self.objective.results(self._evaluate(batch, "test"), batch)}

    def predict_step(self, batch: Mapping[str, Any], batch_index: int) -> list[Any]:
        """What was found for the texts of a batch."""
        return self.objective.results(self(batch), batch)

    def _evaluate(self, batch: Mapping[str, Any], stage: str) -> Tensor:
        gold = batch["labels"]
        self._check(gold)
        logits: Tensor = self(batch)
        # While fitting to be compared with the loss of training, else with that of an export.
        fitting = self.trainer.state.fn == "fit"
        given = logits if fitting else self.objective.calibrated(logits)
        loss = self.objective.validation_loss(given, batch)
        self.count_loss("val" if stage == "validate" else "test", loss, len(gold))
        self.objective.count(stage, logits, batch)
        return logits

    def _check(self, gold: Tensor) -> None:
        """Refuse targets of another mode or of other labels than the task was made for."""
        shape = (2, True) if self.mode == "multi_label" else (1, self.mode == "regression")
        if (gold.dim(), gold.is_floating_point()) != shape:
            raise ZooError(
                f"The data was not read for the mode {self.mode}. Make the task with "
                "mode=data.mode."
            )
        size = len(self.labels)
        if self.mode == "multi_label":
            others = gold.shape[1] != size
        elif self.mode == "regression" or self.training:  # there to look would make a GPU wait
            others = False
        else:
            others = int(gold.max()) >= size
        if others:
            raise ZooError(
                "The data has other labels than the task was made for. Make it with "
                "ClassificationTask(..., labels=data.labels), or of a run with "
                "ClassificationTask.from_run(FOLDER, labels=data.labels)."
            )

    def on_validation_epoch_end(self) -> None:
        """Fit the calibration, while fitting, and log the scores."""
        if self.calibrating:
            self.objective.calibrate()
        self.log_scores("val", self.objective.scores("validate"))

    def on_test_epoch_end(self) -> None:
        """Log the scores."""
        self.log_scores("test", self.objective.scores("test"))

    def report(self, predictions: Sequence[Any], examples: Any) -> TaskReport:
        """Tables and pictures for the report of a test.

        Args:
            predictions: What `test_step` returned, of all processes, in any order.
            examples: The table of test examples, with `text` and `text2`.
        """
        return self.objective.report(predictions, examples)

    # Trained weights.

    @property
    def calibration(self) -> dict[str, Any]:
        """What was fitted on validation and is not folded into the weights: thresholds."""
        return self.objective.calibration

    @classmethod
    def options_of(cls, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """The mode that an exported model was trained in."""
        mode = metadata.get("encoding", {}).get("mode")
        return {} if mode is None else {"mode": mode}

    def _load(self, labels: Sequence[str], *, weights: bool = True) -> "PreTrainedModel":
        return backbones.load_model(
            self.backbone,
            self.head,
            labels=labels,
            weights=weights,
            problem_type=self.objective.problem_type,
        )

    def _trained_model(self) -> "PreTrainedModel":
        model = super()._trained_model()
        known = backbones.metadata(self.backbone)
        trained = self.options_of(known).get("mode", self.mode)
        if trained != self.mode:
            raise RunError(
                f"{self.backbone} was trained with the mode {trained}, not {self.mode}: leave "
                "--data.mode out, or train anew."
            )
        self.objective.restore(known.get("calibration", {}))
        return model

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Give head and thresholds the sizes that they had when the checkpoint was saved."""
        super().on_load_checkpoint(checkpoint)
        trained = checkpoint["hyper_parameters"].get("mode", self.mode)
        if trained != self.mode:
            raise RunError(f"The checkpoint has the mode {trained}, the task {self.mode}.")
        state = checkpoint["state_dict"]
        for name in ("objective.thresholds", "objective.offset"):
            if name in state:  # of labels that only the data has, none is ever given
                missing = len(self.labels) - len(state[name])
                state[name] = torch.nn.functional.pad(state[name], (0, missing))

    @contextmanager
    def exported(self) -> Iterator["PreTrainedModel"]:
        """The model with temperature, or mean and spread, folded into its last layer."""
        layer = backbones.output_layer(self.net)
        kept = {name: tensor.detach().clone() for name, tensor in layer.state_dict().items()}
        scale, shift = self.objective.affine()
        with torch.no_grad():
            layer.weight.mul_(scale)
            if layer.bias is not None:
                layer.bias.mul_(scale).add_(shift if shift.dim() == 0 else shift[: len(layer.bias)])
        try:
            yield self.net
        finally:
            layer.load_state_dict(kept)

    # Prediction.

    @classmethod
    def input_of(cls, record: Mapping[str, Any]) -> str | tuple[str, str]:
        """The text, or the pair, of an object of a .jsonl file.

        Raises:
            DataError: It holds neither.
        """
        text, text2 = record.get("text"), record.get("text2")
        if isinstance(text, str) and text2 is None:
            return text
        if isinstance(text, str) and isinstance(text2, str):
            return text, text2
        raise DataError(
            'Each object needs "text" (a string), and "text2" where the model reads pairs; this '
            f"one has {', '.join(record) or 'nothing'}."
        )

    @torch.inference_mode()
    def predict(
        self, inputs: str | Sequence[str | Sequence[str]], *, batch_size: int = 32
    ) -> ClassificationPredictions:
        """What is predicted of texts, or of pairs of texts, in the order of the input.

        Args:
            inputs: Texts, or pairs of them; one text alone is taken as a list of one.
            batch_size: Texts in a batch.

        Raises:
            DataError: There are pairs where the model was trained on single texts, or the reverse,
                or some of both.
            RunError: The task has no trained head.
        """
        inputs = [inputs] if isinstance(inputs, str) else inputs
        found: list[Prediction] = []
        with self.evaluating():
            for start in range(0, len(inputs), _TEXTS_AT_ONCE):
                texts = [self._text(one) for one in inputs[start : start + _TEXTS_AT_ONCE]]
                if len({text2 is None for _, text2 in texts}) > 1:
                    raise DataError("Some inputs are pairs of texts and others are single texts.")
                found += self._predict(texts, batch_size)
        return ClassificationPredictions(found)

    @property
    def _trained_with(self) -> dict[str, Any]:
        """How the texts of a run's model were read in training; nothing is known of others."""
        known = {} if self._fitted else backbones.metadata(self.backbone)
        if known.get("family") != self.family:
            return {}
        return {"max_length": known.get("max_length"), **known.get("encoding", {})}

    def on_fit_start(self) -> None:
        """Forget how the backbone's own training read texts: this one may do otherwise."""
        self._fitted = True

    def _text(self, given: str | Sequence[str]) -> Text:
        parts = [given] if isinstance(given, str) else given
        if not isinstance(parts, Sequence) or not all(isinstance(one, str) for one in parts):
            raise DataError(f"An input is a text, or a pair of texts; found {given!r}.")
        if not isinstance(given, str) and len(parts) != 2:
            raise DataError(f"A pair is two texts; this one has {len(parts)}.")
        pair: Text = (parts[0], None if isinstance(given, str) else parts[1])
        trained = self._trained_with.get("pairs")
        if trained is not None and trained != (pair[1] is not None):
            raise DataError(
                "This model was trained on pairs of texts: give two, (TEXT, TEXT2) in Python, "
                '{"text": ..., "text2": ...} a line in a .jsonl file.'
                if trained
                else "This model was trained on single texts; a pair was given."
            )
        return pair

    def _predict(self, texts: Sequence[Text], batch_size: int) -> list[Prediction]:
        trained = self._trained_with
        encoded = encode_texts(
            texts,
            tokenizer=self.tokenizer,
            max_length=self.max_length
            or trained.get("max_length")
            or backbones.max_length_of(self.backbone),
            long_texts=self.long_texts or trained.get("long_texts", "truncate"),
        )
        rows = [{**one._asdict(), "example": number} for number, one in enumerate(encoded)]
        rows.sort(key=lambda row: -len(row["input_ids"]))
        found: dict[int, Prediction] = {}
        for at in range(0, len(rows), batch_size):
            batch = self.on_device(
                collate(
                    rows[at : at + batch_size], pad_token_id=int(self.tokenizer.pad_token_id or 0)
                )
            )
            for one in self.objective.results(self(batch), batch):
                found[one.example] = self.objective.prediction(texts[one.example], one)
        return [found[number] for number in range(len(texts))]
