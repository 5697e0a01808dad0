"""Causal language modelling: which token comes next."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from zoo import backbones
from zoo.errors import check_at_least
from zoo.pretraining.encoding import frame_of_decoder
from zoo.pretraining.language_model import LanguageModelTask
from zoo.pretraining.prediction import Continuation, Continuations
from zoo.training.adaptation import Adaptation
from zoo.training.optimization import Schedule


class CausalLMTask(LanguageModelTask):
    """A decoder that predicts each token from those before it, gone on with or from scratch.

    In a notebook::

        data = CausalLMDataModule("pretraining-sample", max_length=128, new_tokenizer="bpe")
        task = CausalLMTask(from_scratch="tiny", tokenizer_folder=data.tokenizer_folder)
        Trainer(max_epochs=1).fit(task, data)
        task.predict(["They met in"])

    Every token of the text is asked for once, and sees those before it in its own document. The
    loss is the mean cross-entropy in nats. Recipes for encoders refuse the result: a token of a
    decoder does not see what follows.

    Args:
        backbone: Registered name, Hub id, or folder with a model: a decoder, or, from scratch,
            whatever has the tokenizer.
        labels: The one label that there is, `["token"]` (`data.labels`).
        from_scratch: Random weights in place of the backbone's, with its tokenizer: of its own
            shape (`same`), or a GPT-2 that is `tiny`, `mini` or `small`. None goes on from it.
        learning_rate: Highest learning rate.
        weight_decay: AdamW's, for matrices only.
        schedule: What follows the warm-up: `linear`, `cosine`, `constant`, `inverse_sqrt`,
            `warmup_stable_decay`, or `plateau`, which is lowered by the validation score.
        warmup: Share of all steps in which the learning rate rises.
        betas: AdamW's averaging of the gradient and its square.
        adaptation: What of the model is trained: a kind (`lora`), or one with its settings.
        layer_decay: What the learning rate is multiplied by for each layer below the head.
        schedule_options: Of `warmup_stable_decay`: decay (0.2, share of all steps); of `plateau`:
            factor (0.5), patience (1, validations) and floor (0.01).
        compile: Whether training compiles the model's blocks (`torch.compile`) as it begins.
        freeze_embeddings: Whether the embeddings of words and positions are left as they are.
        tokenizer_folder: Folder of a tokenizer that takes the place of the backbone's, from scratch
            (`data.tokenizer_folder`).
    """

    head = "causal-lm"

    def __init__(
        self,
        backbone: str = "minilm-l6",
        *,
        labels: list[str] | None = None,
        from_scratch: backbones.Size | None = None,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.01,
        schedule: Schedule = "linear",
        warmup: float = 0.1,
        betas: tuple[float, float] = (0.9, 0.98),
        adaptation: str | Adaptation = "full",
        layer_decay: float = 1.0,
        schedule_options: dict[str, float] | None = None,
        compile: bool = False,  # noqa: A002  as the flag is called
        freeze_embeddings: bool = False,
        tokenizer_folder: str | None = None,
    ):
        super().__init__(
            backbone,
            labels=["token"] if labels is None else list(labels),
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            schedule=schedule,
            warmup=warmup,
            betas=betas,
            packed=False,  # decoders are not
            adaptation=adaptation,
            layer_decay=layer_decay,
            schedule_options=schedule_options,
            compile=compile,
            freeze_embeddings=freeze_embeddings,
        )
        labels = self.labels
        self.save_hyperparameters()
        self.use_settings(from_scratch, tokenizer_folder, unigrams_first=False)

    def ask(self, batch: Mapping[str, Any], batch_index: int) -> tuple[Tensor, Tensor]:
        """The text as it is, and all of its tokens."""
        return batch["input_ids"], batch["labels"]

    def answering(self, asked: Tensor) -> Tensor:
        """The token before each."""
        before = torch.zeros_like(asked)
        before[:, :-1] = asked[:, 1:]
        return before

    @torch.inference_mode()
    def predict(
        self, texts: str | Sequence[str], *, batch_size: int = 1, max_new_tokens: int = 40
    ) -> Continuations:
        """The most probable continuation of each text, token by token, in the order of the input.

        Args:
            texts: Beginnings; one alone is taken as a list of one.
            batch_size: Without effect: texts of unequal length are continued one by one.
            max_new_tokens: Tokens to write, at most as many as the model has positions for.

        Raises:
            RunError: The task has no trained head.
        """
        check_at_least("max_new_tokens", max_new_tokens, 1)
        frame = frame_of_decoder(self.tokenizer)
        longest = backbones.longest_input(self.backbone)
        found = []
        with self.evaluating():
            for text in [texts] if isinstance(texts, str) else texts:
                own = self.tokenizer(text, add_special_tokens=False)["input_ids"]
                # What is far back is forgotten, so that something can be written.
                room = max(1, longest - len(frame.parts[0]) - max_new_tokens)
                ids = torch.tensor([[*frame.parts[0], *own[-room:]]], device=self.net.device)
                written: Any = self.net.generate(  # type: ignore[operator]
                    ids,
                    attention_mask=torch.ones_like(ids),
                    do_sample=False,
                    max_new_tokens=min(max_new_tokens, longest - ids.shape[1]),
                    pad_token_id=self.tokenizer.pad_token_id or self.tokenizer.eos_token_id,
                )
                new = written[0, ids.shape[1] :].tolist()
                text_of_new = str(self.tokenizer.decode(new, skip_special_tokens=True))
                found.append(Continuation(text, text_of_new))
        return Continuations(found)
