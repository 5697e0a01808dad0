"""Several tasks on one encoder in memory: what is shared, what is trained, what is kept."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from zoo import ClassificationTask, NERTask, QATask, backbones
from zoo.errors import BackboneError, RunError, ZooError
from zoo.tracking.export import export_model

LABELS = ["O", "B-PER", "I-PER"]
TEXTS = ["Ada lived in London .", "The quick brown fox", "a b c"]


def addresses(model: nn.Module) -> set[int]:
    return {parameter.data_ptr() for parameter in model.parameters()}


def body_of(task: Any) -> dict[str, torch.Tensor]:
    return {
        name: tensor.clone()
        for name, tensor in task.net.base_model.state_dict().items()
        if not name.startswith("pooler")
    }


def steps(task: Any, batch: dict[str, Any], count: int = 3) -> None:
    trained = [parameter for parameter in task.net.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=0.1)
    for _ in range(count):
        optimizer.zero_grad()
        task.training_step(batch, 0).backward()
        optimizer.step()


@pytest.fixture(params=["bert", "roberta", "deberta-v2", "distilbert", "electra", "modernbert"])
def folder(request: pytest.FixtureRequest, tiny: Callable[[str], Path]) -> str:
    return str(tiny(request.param))


@pytest.fixture
def pair(folder: str) -> tuple[Any, NERTask, ClassificationTask]:
    encoder = backbones.load_encoder(folder)
    entities = NERTask(folder, labels=LABELS).use_encoder(encoder)
    topics = ClassificationTask(folder, labels=["no", "yes"]).use_encoder(encoder)
    return encoder, entities, topics


def batch_of(task: ClassificationTask) -> dict[str, Any]:
    encoded = task.tokenizer(TEXTS, padding=True, return_tensors="pt")
    return {
        "token_type_ids": torch.zeros_like(encoded["input_ids"]),
        **encoded,
        "labels": torch.tensor([1, 0, 1]),
        "example": [0, 1, 2],
    }


def test_the_weights_of_the_encoder_are_the_very_same_tensors(
    pair: tuple[Any, NERTask, ClassificationTask],
) -> None:
    encoder, entities, topics = pair
    ours, theirs = addresses(entities.net), addresses(topics.net)
    of_encoder = {
        tensor.data_ptr()
        for name, tensor in encoder.named_parameters()
        if not name.startswith("pooler")
    }
    assert of_encoder <= ours & theirs
    assert ours & theirs == of_encoder, "heads are their own"
    assert not any(tensor.is_meta for tensor in (*entities.net.parameters(), *topics.buffers()))


def test_a_task_on_a_shared_encoder_predicts_as_one_that_loaded_its_own(
    folder: str, pair: tuple[Any, NERTask, ClassificationTask]
) -> None:
    _, _, topics = pair
    alone = ClassificationTask(folder, labels=["no", "yes"])
    alone.configure_model()
    mine, theirs = body_of(alone), body_of(topics)
    assert mine.keys() == theirs.keys()
    for name, tensor in mine.items():
        assert torch.equal(tensor, theirs[name]), name
    # With the same head the same logits.
    alone.net.load_state_dict(topics.net.state_dict())
    batch = batch_of(topics)
    with torch.inference_mode(), alone.evaluating(), topics.evaluating():
        assert torch.equal(alone(batch), topics(batch))


def test_training_one_task_changes_nothing_of_the_other(
    pair: tuple[Any, NERTask, ClassificationTask],
) -> None:
    _, entities, topics = pair
    before = {name: tensor.clone() for name, tensor in entities.net.state_dict().items()}
    head = backbones.output_layer(topics.net).weight.clone()
    steps(topics, batch_of(topics))
    assert not torch.equal(backbones.output_layer(topics.net).weight, head)
    for name, tensor in entities.net.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_a_shared_encoder_has_no_dropout_and_a_head_has(
    pair: tuple[Any, NERTask, ClassificationTask],
) -> None:
    _, entities, topics = pair
    topics.predict(TEXTS)
    for task in (entities, topics):
        parts = task._shared
        assert parts
        assert not any(module.training for part in parts for module in part.modules())
        assert backbones.output_layer(task.net).training


def test_an_exported_model_is_whole(
    pair: tuple[Any, NERTask, ClassificationTask], tmp_path: Path
) -> None:
    _, entities, topics = pair
    steps(topics, batch_of(topics))
    for task, name in ((entities, "entities"), (topics, "topics")):
        export_model(task, tmp_path / name, metadata={})
        again = type(task).from_run(tmp_path / name)
        assert again.net.state_dict().keys() == task.net.state_dict().keys()
        assert [str(one) for one in again.predict(TEXTS)] == [
            str(one) for one in task.predict(TEXTS)
        ]
        assert not addresses(again.net) & addresses(task.net)


def test_a_copy_is_trained_whole_and_leaves_the_encoder_alone(tiny: Callable[[str], Path]) -> None:
    folder = str(tiny("bert"))
    encoder = backbones.load_encoder(folder)
    kept = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    entities = NERTask(folder, labels=LABELS).use_encoder(encoder)  # frozen, and then copied
    topics = ClassificationTask(folder, labels=["no", "yes"]).use_encoder(encoder, copy=True)
    assert not addresses(entities.net) & addresses(topics.net)
    assert all(parameter.requires_grad for parameter in topics.net.parameters())
    assert all(module.training for module in topics.net.modules())
    before = body_of(topics)
    steps(topics, batch_of(topics))
    assert not torch.equal(
        before["embeddings.word_embeddings.weight"],
        body_of(topics)["embeddings.word_embeddings.weight"],
    )
    for name, tensor in encoder.state_dict().items():
        assert torch.equal(tensor, kept[name]), name


def test_an_encoder_that_takes_the_place_of_another_is_adapted_too(
    tiny: Callable[[str], Path],
) -> None:
    folder = str(tiny("bert"))
    encoder = backbones.load_encoder(folder)
    once = NERTask(folder, labels=LABELS, adaptation="lora").use_encoder(encoder, copy=True)
    twice = NERTask(folder, labels=LABELS, adaptation="lora").use_encoder(encoder, copy=True)
    twice.use_encoder(encoder, copy=True)
    trained = [
        [name for name, own in task.net.named_parameters() if own.requires_grad]
        for task in (once, twice)
    ]
    assert trained[0] == trained[1]
    assert any("lora_A" in name for name in trained[0])


def test_a_fit_of_lightning_keeps_the_encoder_frozen_and_its_checkpoint_whole(
    tiny: Callable[[str], Path], tmp_path: Path, trainer: Callable[..., Any]
) -> None:
    from zoo import ClassificationDataModule

    folder = str(tiny("bert"))
    words = [("a", "yes") if number % 2 else ("b", "no") for number in range(40)]
    lines = [f"w{number} {word},{label}\n" for number, (word, label) in enumerate(words)]
    rows = "".join(["text,label\n", *lines])
    (tmp_path / "train.csv").write_text(rows)
    data = ClassificationDataModule(
        train=str(tmp_path / "train.csv"), backbone=folder, batch_size=4
    )
    encoder = backbones.load_encoder(folder)
    entities = NERTask(folder, labels=LABELS).use_encoder(encoder)
    topics = ClassificationTask(folder, labels=data.labels, learning_rate=0.1)
    topics.use_encoder(encoder)
    before, head = body_of(entities), backbones.output_layer(topics.net).weight.clone()
    fitting = trainer()
    fitting.fit(topics, data)
    fitting.test(topics, data, verbose=False)
    assert not torch.equal(backbones.output_layer(topics.net).weight, head)
    assert all(torch.equal(tensor, before[name]) for name, tensor in body_of(entities).items())
    assert not any(module.training for part in topics._shared for module in part.modules())
    fitting.save_checkpoint(tmp_path / "own.ckpt")
    alone = ClassificationTask.load_from_checkpoint(tmp_path / "own.ckpt", weights_only=True)
    assert [str(one) for one in alone.predict(TEXTS)] == [str(one) for one in topics.predict(TEXTS)]
    # Its own checkpoint fits; one of an encoder that was trained would change the other task.
    fitting.test(topics, data, ckpt_path=tmp_path / "own.ckpt", weights_only=True, verbose=False)
    other = ClassificationTask(folder, labels=data.labels, learning_rate=0.1)
    training = trainer()
    training.fit(other, data)
    training.save_checkpoint(tmp_path / "other.ckpt")
    with pytest.raises(RunError, match="another encoder than the one that this task shares"):
        fitting.test(topics, data, ckpt_path=tmp_path / "other.ckpt", weights_only=True)
    assert all(torch.equal(tensor, before[name]) for name, tensor in body_of(entities).items())


def test_a_task_that_shares_its_encoder_does_not_compile_it(tiny: Callable[[str], Path]) -> None:
    encoder = backbones.load_encoder(str(tiny("bert")))
    with pytest.raises(ZooError, match=r"compile compiles the encoder in place"):
        QATask(str(tiny("bert")), compile=True).use_encoder(encoder)
    QATask(str(tiny("bert")), compile=True).use_encoder(encoder, copy=True)


def test_an_encoder_of_another_backbone_or_kind_is_refused(tiny: Callable[[str], Path]) -> None:
    encoder = backbones.load_encoder(str(tiny("bert")))
    with pytest.raises(BackboneError, match="both must be of one backbone"):
        QATask(str(tiny("roberta"))).use_encoder(encoder)
    with pytest.raises(BackboneError, match="only encoders are shared"):
        backbones.load_encoder(str(tiny("t5")))
