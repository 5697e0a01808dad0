"""Learning to write: fit, test, predict and checkpoints of tiny encoder-decoders."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from lightning import Trainer

from zoo.backbones import load_model, load_tokenizer
from zoo.errors import DataError, RunError, ZooError
from zoo.summarization.abstractive.datamodule import SummarizationDataModule
from zoo.summarization.abstractive.task import SummarizationTask

Tiny = Callable[[str], Path]
MakeTrainer = Callable[..., Trainer]

#: Encoder-decoders, and a BERT that is made one.
WRITERS = ("t5", "bart", "bert")

_TEXTS = [
    ("The quick brown fox lived in London . It jumps over the lazy dog .", "a fox in london"),
    ("Ada Lovelace worked for the Analytical Engine Company .", "ada worked"),
    ("The dog is lazy . The fox is quick . Isn't it ?", "the lazy dog"),
    ("A bear and a lion lived in London . The dog jumps over it .", "a bear and a lion"),
]


def _backbone(tiny: Tiny, architecture: str) -> str:
    folder = tiny(architecture)
    return f"{folder}-2-{folder}" if architecture == "bert" else str(folder)


def _data(folder: Path, backbone: str, **options: Any) -> SummarizationDataModule:
    file = folder / "texts.jsonl"
    lines = [json.dumps({"source": source, "target": target}) for source, target in _TEXTS]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    files = dict.fromkeys(("train", "validation", "test"), str(file))
    settings = {"batch_size": 4, "max_length": 64, "max_target_length": 32}
    return SummarizationDataModule(**files, backbone=backbone, **{**settings, **options})  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("architecture", WRITERS)
def test_a_tiny_model_learns_its_examples_by_heart_and_writes_them(
    architecture: str, tiny: Tiny, trainer: MakeTrainer, tmp_path: Path
) -> None:
    data = _data(tmp_path, _backbone(tiny, architecture))
    task = SummarizationTask(
        data.backbone,
        learning_rate=1e-2,
        label_smoothing=0.0,
        generation={"max_new_tokens": 24, "num_beams": 2, "no_repeat_ngram_size": 0},
    )
    task.configure_model()
    for module in task.net.modules():  # to learn by heart, forget nothing
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    fit = trainer(max_epochs=300, check_val_every_n_epoch=300, gradient_clip_val=1.0)
    fit.fit(task, data)
    scores = {name: float(value) for name, value in fit.callback_metrics.items()}
    assert scores["val/rougeL"] > 0.99, scores
    assert scores["val/loss"] < 0.1
    words = [len(target.split()) for _, target in _TEXTS]
    assert scores["val/summary_words"] == pytest.approx(sum(words) / len(words))
    assert scores["val/repeated_trigrams"] == 0.0
    assert {f"val/{name}" for name in ("rouge1", "rouge2", "rougeL", "rougeLsum")} <= set(scores)

    found = task.predict([source for source, _ in _TEXTS])
    # What it writes is the target, but for what the tokenizer cannot tell apart.
    assert [one.summary.lower() for one in found] == [target for _, target in _TEXTS]

    (tested,) = trainer().test(task, data, verbose=False)
    assert tested["test/rougeL"] > 0.99
    fit.save_checkpoint(tmp_path / "x.ckpt")
    again = SummarizationTask(data.backbone, generation=task.generation)
    (same,) = trainer().test(again, data, ckpt_path=str(tmp_path / "x.ckpt"), verbose=False)
    assert same == tested


@pytest.mark.parametrize("architecture", WRITERS)
def test_fitting_reduces_the_loss(
    architecture: str, tiny: Tiny, trainer: MakeTrainer, tmp_path: Path
) -> None:
    data = _data(tmp_path, _backbone(tiny, architecture))
    tie = architecture == "bert"
    task = SummarizationTask(data.backbone, learning_rate=5e-3, tie_weights=tie)
    losses = []
    for epochs in (1, 30):
        fit = trainer(max_epochs=epochs, check_val_every_n_epoch=epochs)
        fit.fit(task, data)
        losses.append(float(fit.callback_metrics["val/loss"]))
    assert losses[1] < 0.8 * losses[0]
    if tie:
        net: Any = task.net
        assert net.encoder.get_input_embeddings().weight is net.get_output_embeddings().weight


@pytest.mark.parametrize("architecture", WRITERS)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_a_mean_over_the_target_tokens_of_the_batch(
    architecture: str, smoothing: float, tiny: Tiny, tmp_path: Path
) -> None:
    data = _data(tmp_path, _backbone(tiny, architecture))
    task = SummarizationTask(data.backbone, label_smoothing=smoothing)
    task.configure_model()
    task.eval()
    (batch,) = data.train_dataloader()
    with torch.no_grad():
        found = float(cast("torch.Tensor", task.training_step(batch, 0)))
        # One text at a time, and one token after the other, without the padding of a batch.
        total, count = 0.0, 0
        config: Any = task.net.generation_config
        start = int(config.decoder_start_token_id)
        for row in range(len(batch["labels"])):
            target = [one for one in batch["labels"][row].tolist() if one != -100]
            real = int(batch["attention_mask"][row].sum())
            for at, right in enumerate(target):
                before = torch.tensor([[start, *target[:at]]])
                logits = task.net(
                    input_ids=batch["input_ids"][row : row + 1, :real], decoder_input_ids=before
                ).logits[0, -1]
                log = logits - logits.exp().sum().log()
                spread = smoothing / len(log)
                total -= float((1 - smoothing) * log[right] + spread * log.sum())
                count += 1
    assert found == pytest.approx(total / count, rel=1e-4)


def test_a_loss_in_evaluation_is_not_smoothed_and_weighs_batches_by_their_tokens(
    tiny: Tiny, trainer: MakeTrainer, tmp_path: Path
) -> None:
    backbone = str(tiny("t5"))
    losses = []
    for size, smoothing in ((1, 0.3), (4, 0.0), (3, 0.1)):
        data = _data(tmp_path, backbone, batch_size=size)
        task = SummarizationTask(backbone, label_smoothing=smoothing)
        (found,) = trainer().validate(task, data, verbose=False)
        losses.append(found["val/loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5) == pytest.approx(losses[2], rel=1e-5)


@pytest.mark.parametrize("architecture", WRITERS)
def test_every_example_is_tested_once_and_in_its_own_words(
    architecture: str, tiny: Tiny, trainer: MakeTrainer, tmp_path: Path
) -> None:
    data = _data(tmp_path, _backbone(tiny, architecture), batch_size=3)
    task = SummarizationTask(data.backbone, generation={"max_new_tokens": 8})
    task.configure_model()
    task.eval()
    found = []
    with torch.inference_mode():
        for number, batch in enumerate(data.test_dataloader()):
            found += task.test_step(batch, number)["predictions"]
    assert sorted(one.example for one in found) == [0, 1, 2, 3]
    for one in found:
        assert one.references == [_TEXTS[one.example][1]]
    written = task.predict([source for source, _ in _TEXTS], batch_size=2)
    for one in found:
        assert one.summary == written[one.example].summary
    report = task.report(found, data.examples("test"))
    assert report.main_table in report.tables


def test_prediction_takes_texts_and_dicts_and_keeps_their_order(tiny: Tiny) -> None:
    task = SummarizationTask(str(tiny("bart")), generation={"max_new_tokens": 6})
    long, short = "Ada lived in London . " * 20, "A fox ."
    given: list[Any] = [
        short,
        {"source": long, "id": 7},
        {"text": ["A fox .", "A dog ."]},
        {"source": ""},
        " \n",
    ]
    found = task.predict(given, batch_size=2)
    alone = [task.predict(one)[0] for one in given]
    assert [one.to_dict() for one in found] == [one.to_dict() for one in alone]
    assert found[1].id == "7"
    assert found[1].cut > 0
    assert found[1].to_dict().keys() == {"id", "summary", "cut"}
    assert found[2].source == "A fox . A dog ."
    assert found[3].summary == ""
    assert found[0].cut == 0
    assert len(found[:2]) == 2
    assert "London" in found._repr_html_()
    with pytest.raises(DataError, match=r"needs .source."):
        task.predict([{"body": "x"}])
    with pytest.raises(ZooError, match="batch_size 0"):
        task.predict([short], batch_size=0)


def test_a_blank_text_has_an_empty_summary_whatever_prefix_the_data_has(
    tiny: Tiny, tmp_path: Path
) -> None:
    data = _data(tmp_path, str(tiny("bart")), prefix="fox: ", max_length=24)
    lines = [json.dumps({"source": source, "target": "a"}) for source in ("", " \n ", "A fox .")]
    (tmp_path / "texts.jsonl").write_text("\n".join(lines), encoding="utf-8")
    task = SummarizationTask(data.backbone, generation={"max_new_tokens": 6, "min_new_tokens": 5})
    task.configure_model()
    task.eval()
    (batch,) = data.test_dataloader()
    found = {one.example: one.summary for one in task.test_step(batch, 0)["predictions"]}
    assert (found[0], found[1]) == ("", "")
    assert found[2] != ""


def test_a_text_of_a_hundred_thousand_words_is_cut_and_said_to_be(tiny: Tiny) -> None:
    task = SummarizationTask(str(tiny("t5")), generation={"max_new_tokens": 4})
    (found,) = task.predict("fox dog " * 50_000)
    tokens = len(load_tokenizer(str(tiny("t5"))).encode("fox dog " * 50_000))
    assert found.cut == tokens - 512


def test_the_prefix_and_the_length_are_the_tasks_own_in_prediction(tiny: Tiny) -> None:
    task = SummarizationTask(str(tiny("t5")), prefix="fox and ", max_length=12)
    tokenizer = load_tokenizer(str(tiny("t5")))
    (first,) = task._encoded(["dog dog"])
    assert tokenizer.decode(first[0], skip_special_tokens=True) == "fox and dog dog"
    ((ids, cut),) = task._encoded(["dog " * 50])
    assert len(ids) == 12
    assert cut > 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"labels": ["a"]}, "label of summarization is summary"),
        ({"label_smoothing": 1.0}, "label_smoothing 1.0 must be"),
        ({"label_smoothing": -0.1}, "label_smoothing -0.1 must be"),
        ({"generation": {"beams": 3}}, r"no setting 'beams'\. Did you mean num_beams\?"),
        ({"generation": {"max_length": 3}}, "Did you mean max_new_tokens"),
        ({"generation": {"do_sample": True}}, "no setting 'do_sample'"),
        ({"generation": {"num_beams": 0}}, "num_beams 0 must be a whole number from 1"),
        ({"generation": {"num_beams": 1.5}}, "num_beams 1.5 must be a whole number"),
        ({"generation": {"max_new_tokens": "x"}}, "max_new_tokens 'x' must be"),
        ({"generation": {"repetition_penalty": -1}}, "repetition_penalty -1 must be a number"),
        ({"generation": {"early_stopping": "soon"}}, "early_stopping"),
        ({"generation": {"repetition_penalty": 0}}, "repetition_penalty must be above 0"),
        ({"generation": {"length_penalty": "abc"}}, "length_penalty 'abc' must be a number"),
        ({"generation": {"forced_bos_token_id": 1.5}}, "forced_bos_token_id 1.5 must be a whole"),
        ({"generation": {"suppress_tokens": 3}}, "suppress_tokens 3 must be a list of token ids"),
        ({"generation": {"bad_words_ids": [3]}}, "bad_words_ids .3. must be a list of lists"),
        (
            {"generation": {"exponential_decay_length_penalty": 2}},
            "exponential_decay_length_penalty 2 must be a list",
        ),
    ],
)
def test_settings_that_make_no_sense_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ZooError, match=said):
        SummarizationTask("minilm-l6-2-minilm-l6", **options)


def test_an_encoder_that_was_never_trained_to_write_is_not_tested(
    tiny: Tiny, trainer: MakeTrainer, tmp_path: Path
) -> None:
    data = _data(tmp_path, _backbone(tiny, "bert"))
    task = SummarizationTask(data.backbone)
    with pytest.raises(RunError, match="no trained summarization head"):
        trainer().test(task, data, verbose=False)
    with pytest.raises(RunError, match="no trained summarization head"):
        task.predict("A fox .")
    # One that was pretrained to write may be tried as it is.
    data = _data(tmp_path, str(tiny("bart")))
    (found,) = trainer().test(SummarizationTask(data.backbone), data, verbose=False)
    assert math.isfinite(found["test/rougeL"])


def test_a_checkpoint_of_an_encoder_is_refused(tiny: Tiny) -> None:
    task = SummarizationTask(str(tiny("bart")))
    net = load_model(str(tiny("bert")), "token-classification", labels=["summary"])
    checkpoint: Mapping[str, Any] = {
        "hyper_parameters": {"labels": ["summary"], "backbone": "bert-base-cased"},
        "state_dict": {f"model.{name}": one for name, one in net.state_dict().items()},
    }
    with pytest.raises(RunError, match=r"no encoder-decoder.*bert-base-cased"):
        task.on_load_checkpoint(dict(checkpoint))
