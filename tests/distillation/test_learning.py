"""Learning from a teacher, in every family."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, Trainer

from tests.distillation.families import FAMILIES, data_of, student_task, teacher_of
from tests.distillation.students import narrow
from zoo.distillation import Distillation, DistillationSettings, student_of
from zoo.errors import ZooError

Tiny = Callable[[str], Path]
Fit = Callable[..., None]
MakeTrainer = Callable[..., Trainer]


@pytest.fixture
def fit(trainer: MakeTrainer) -> Callable[..., None]:
    """A function that fits a task, without validations."""

    def run(task: Any, data: Any, *callbacks: Callback, epochs: int = 1) -> None:
        trainer(max_epochs=epochs, callbacks=list(callbacks), limit_val_batches=0).fit(task, data)

    return run


def slowly(*names: str) -> list[Any]:
    """Parameters of a test that is slow for some families."""
    quick = ("ner", "multi_label", "regression", "qa", "extractive")
    return [name if name in quick else pytest.param(name, marks=pytest.mark.slow) for name in names]


def strange(task: Any) -> Any:
    """The task with weights that are far from the teacher's, and without dropout."""
    still(task)
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in task.net.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return task


def falls(losses: list[float], *, epochs: int, to: float) -> bool:
    """Whether the mean of the last epoch is at most a share of the first one's."""
    steps = len(losses) // epochs
    return sum(losses[-steps:]) < to * sum(losses[:steps])


def backbone_of(family: str, tiny: Tiny) -> str:
    return str(tiny("t5" if family == "abstractive" else "bert"))


class Parts(Callback):
    """Keeps the parts of the loss of each step."""

    def __init__(self) -> None:
        self.of: dict[str, list[float]] = {}

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        for name, value in trainer.callback_metrics.items():
            if name.startswith("train/"):
                self.of.setdefault(name[6:], []).append(float(value))


def still(task: Any) -> Any:
    """The task without dropout in training, so that it says what it says in evaluation."""
    task.configure_model()
    for module in task.net.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        for name in ("dropout_prob", "dropout"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)
    return task


@pytest.mark.parametrize("family", slowly(*FAMILIES))
def test_a_student_equal_to_its_teacher_has_no_soft_loss_and_the_teacher_never_changes(
    family: str, tiny: Tiny, fit: Fit, tmp_path: Path
) -> None:
    teacher = teacher_of(family, tmp_path, backbone_of(family, tiny))
    before = copy.deepcopy(teacher.net.state_dict())
    data = data_of(family, tmp_path, str(tmp_path / "teacher"))
    student = still(student_task(family, str(tmp_path / "teacher"), data, learning_rate=0.0))
    parts = Parts()
    settings = DistillationSettings(alpha=0.5, temperature=2.0)
    distillation = Distillation(teacher, settings)
    fit(student, data, distillation, parts)
    assert max(parts.of["soft_loss"]) < 1e-5
    assert min(parts.of["hard_loss"]) > 1e-3
    half = [value / 2 for value in parts.of["hard_loss"]]
    assert parts.of["loss"] == pytest.approx(half, abs=1e-5)
    for name, tensor in teacher.net.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert all(one.requires_grad for one in teacher.net.parameters())
    assert student.teaching is None


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_soft_targets_alone_bring_a_student_near_its_teacher(
    family: str, tiny: Tiny, fit: Fit, tmp_path: Path
) -> None:
    teacher = teacher_of(family, tmp_path, backbone_of(family, tiny))
    folder = student_of(teacher, tmp_path / "student", layers=1)
    data = data_of(family, tmp_path, str(folder))
    student = strange(student_task(family, str(folder), data, learning_rate=5e-3))
    parts = Parts()
    distillation = Distillation(teacher, DistillationSettings(alpha=1.0, temperature=1.0))
    fit(student, data, distillation, parts, epochs=8)
    assert falls(parts.of["soft_loss"], epochs=8, to=0.7)


@pytest.mark.parametrize("family", slowly("ner", "abstractive"))
def test_the_teacher_is_asked_once_and_what_it_said_is_exact(
    family: str, tiny: Tiny, fit: Fit, tmp_path: Path
) -> None:
    teacher = teacher_of(family, tmp_path, backbone_of(family, tiny))
    folder = student_of(teacher, tmp_path / "student", layers=1)
    losses, passes = [], []
    for gib in (2.0, 2.0, 0.0):
        data = data_of(family, tmp_path, str(folder))
        student = still(student_task(family, str(folder), data))
        parts = Parts()
        distillation = Distillation(teacher, DistillationSettings(cache_gib=gib))
        fit(student, data, distillation, parts, epochs=2)
        losses.append(parts.of["soft_loss"])
        passes.append(distillation.passes)
    # All rows fit into one pass; the second run finds them; without a cache each step asks.
    assert passes[0] == 1
    assert passes[1] == 0
    assert passes[2] == len(losses[2])
    assert losses[0] == losses[1]
    assert losses[0] == pytest.approx(losses[2], rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "hidden_loss"), [("ner", "mse"), ("single_label", "cosine"), ("abstractive", "mse")]
)
def test_hidden_states_of_an_equal_student_match_and_those_of_others_come_nearer(
    family: str, hidden_loss: Any, tiny: Tiny, fit: Fit, tmp_path: Path
) -> None:
    teacher = teacher_of(family, tmp_path, backbone_of(family, tiny))
    settings = DistillationSettings(alpha=0.0, hidden=1.0, hidden_loss=hidden_loss)
    found = []
    for folder in (tmp_path / "teacher", student_of(teacher, tmp_path / "student", layers=1)):
        data = data_of(family, tmp_path, str(folder))
        equal = folder.name == "teacher"
        rate = 0.0 if equal else 2e-2
        student = student_task(family, str(folder), data, learning_rate=rate)
        student = still(student) if equal else strange(student)
        parts = Parts()
        fit(student, data, Distillation(teacher, settings), parts, epochs=6)
        found.append(parts.of["hidden_loss"])
    assert max(found[0]) < 1e-5
    assert falls(found[1], epochs=6, to=0.9)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "objective"),
    [("bert", "attention"), ("bert", "minilm"), ("distilbert", "minilm"), ("roberta", "attention")],
)
def test_attention_of_an_equal_student_matches_and_that_of_others_comes_nearer(
    architecture: str, objective: str, tiny: Tiny, fit: Fit, tmp_path: Path
) -> None:
    teacher = teacher_of("ner", tmp_path, str(tiny(architecture)))
    weights: dict[str, Any] = {objective: 1.0}
    settings = DistillationSettings(alpha=0.0, **weights)
    found = []
    for folder in (tmp_path / "teacher", student_of(teacher, tmp_path / "student", layers=1)):
        data = data_of("ner", tmp_path, str(folder))
        equal = folder.name == "teacher"
        rate = 0.0 if equal else 5e-3
        student = student_task("ner", str(folder), data, learning_rate=rate)
        student = still(student) if equal else strange(student)
        parts = Parts()
        fit(student, data, Distillation(teacher, settings), parts, epochs=6)
        found.append(parts.of[f"{objective}_loss"])
    assert max(found[0]) < 1e-5
    assert falls(found[1], epochs=6, to=0.9)


def test_a_narrower_student_is_projected_and_the_projection_learns_too(
    tiny: Tiny, fit: Fit, tmp_path: Path
) -> None:
    teacher = teacher_of("ner", tmp_path, str(tiny("bert")))
    backbone = narrow(tiny("bert"), tmp_path / "narrow")
    data = data_of("ner", tmp_path, backbone)
    student = student_task("ner", backbone, data, learning_rate=5e-3)
    settings = DistillationSettings(hidden=1.0, minilm=1.0, attention=1.0)
    distillation, parts = Distillation(teacher, settings), Parts()
    fit(student, data, distillation, parts, epochs=4)
    assert falls(parts.of["hidden_loss"], epochs=4, to=1.0)
    assert all(name.startswith("model.") for name in student.state_dict() if "weight" in name)
    state = distillation.state_dict()
    assert sorted(state["projections"]) == [
        "projections.embedding.weight",
        "projections.layer.weight",
    ]
    again = Distillation(teacher, settings)
    again.load_state_dict(state)
    other = student_task("ner", backbone, data, learning_rate=0.0)
    fit(other, data, again, epochs=1)
    for name, tensor in again.state_dict()["projections"].items():
        assert torch.equal(tensor, state["projections"][name])


def test_the_inside_of_a_student_with_adapters_is_matched(
    tiny: Tiny, fit: Fit, tmp_path: Path
) -> None:
    teacher = teacher_of("ner", tmp_path, str(tiny("bert")))
    folder = str(tmp_path / "teacher")
    data = data_of("ner", tmp_path, folder)
    targets = ["query", "key", "value"]
    adaptation = {"kind": "lora", "targets": targets}
    student = student_task("ner", folder, data, learning_rate=0.0, adaptation=adaptation)
    settings = DistillationSettings(attention=1.0, minilm=1.0)
    parts = Parts()
    fit(still(student), data, Distillation(teacher, settings), parts)
    # New adapters change nothing yet.
    assert max(parts.of["attention_loss"] + parts.of["minilm_loss"]) < 1e-5


def test_a_prompt_and_a_look_inside_are_refused_together(
    tiny: Tiny, fit: Fit, tmp_path: Path
) -> None:
    teacher = teacher_of("ner", tmp_path, str(tiny("bert")))
    data = data_of("ner", tmp_path, str(tiny("bert")))
    student = student_task("ner", str(tiny("bert")), data, adaptation="prompt")
    with pytest.raises(ZooError, match="has a prompt"):
        fit(student, data, Distillation(teacher, DistillationSettings(hidden=1.0)))
    parts = Parts()
    fit(student, data, Distillation(teacher), parts)
    assert min(parts.of["soft_loss"]) > 0


def test_the_penalty_of_adalora_stays_where_gold_labels_count_for_nothing(
    tiny: Tiny, fit: Fit, tmp_path: Path
) -> None:
    teacher = teacher_of("ner", tmp_path, str(tiny("bert")))
    folder = str(tmp_path / "teacher")
    data = data_of("ner", tmp_path, folder)
    student = student_task("ner", folder, data, learning_rate=0.0, adaptation="adalora")
    parts = Parts()
    fit(still(student), data, Distillation(teacher, DistillationSettings(alpha=1.0)), parts)
    found = zip(parts.of["loss"], parts.of["soft_loss"], strict=True)
    assert min(loss - soft for loss, soft in found) > 1e-3


def test_labels_are_matched_by_name_whatever_their_order(
    tiny: Tiny, fit: Fit, tmp_path: Path
) -> None:
    teacher = teacher_of("single_label", tmp_path, str(tiny("bert")))
    names = list(reversed(teacher.known_labels))
    data = data_of("single_label", tmp_path, str(tiny("bert")), labels=names)
    student = student_task("single_label", str(tiny("bert")), data, learning_rate=0.0)
    student.configure_model()
    state = dict(teacher.net.state_dict())
    for name in ("classifier.weight", "classifier.bias"):
        state[name] = state[name].flip(0)
    student.net.load_state_dict(state)
    parts = Parts()
    fit(still(student), data, Distillation(teacher), parts)
    assert data.labels == names
    assert max(parts.of["soft_loss"]) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("family", ["ner", "single_label", "regression"])
def test_texts_without_labels_are_learned_from_too(
    family: str, tiny: Tiny, fit: Fit, tmp_path: Path
) -> None:
    teacher = teacher_of(family, tmp_path, str(tiny("bert")))
    folder = student_of(teacher, tmp_path / "student", layers=1)
    texts = tmp_path / "more.txt"
    texts.write_text("\n".join(f"a {'quick ' * at}bear !" for at in range(12)), encoding="utf-8")
    found = []
    for _ in range(2):
        data = data_of(family, tmp_path, str(folder))
        student = strange(student_task(family, str(folder), data, learning_rate=5e-3))
        settings = DistillationSettings(alpha=0.0, unlabelled=str(texts))
        distillation, parts = Distillation(teacher, settings), Parts()
        fit(student, data, distillation, parts, epochs=8)
        found.append(parts.of["unlabelled_loss"])
    assert distillation.passes == 0  # the second time the teacher is not asked
    assert found[0] == found[1]
    assert falls(found[0], epochs=8, to=0.7)


def test_what_does_not_match_is_refused_in_a_sentence(tiny: Tiny, fit: Fit, tmp_path: Path) -> None:
    for name in ("ner", "qa"):
        (tmp_path / name).mkdir()
    teacher = teacher_of("ner", tmp_path / "ner", str(tiny("bert")))

    def refused(family: str, backbone: str, **settings: Any) -> str:
        data = data_of(family, tmp_path / family, backbone)
        student = student_task(family, backbone, data)
        distillation = Distillation(teacher, DistillationSettings(**settings))
        with pytest.raises(ZooError) as caught:
            fit(student, data, distillation)
        assert student.teaching is None
        return str(caught.value)

    assert "was trained for ner and cannot teach qa" in refused("qa", str(tiny("bert")))
    assert "another tokenizer than the teacher" in refused("ner", str(tiny("roberta")))
    assert "layer 9 of the teacher" in refused(
        "ner", str(tiny("bert")), hidden=1.0, layer_map={1: 9}
    )


def test_labels_that_the_teacher_does_not_know_are_named(
    tiny: Tiny, fit: Fit, tmp_path: Path
) -> None:
    teacher = teacher_of("single_label", tmp_path, str(tiny("bert")))
    data = data_of(
        "single_label", tmp_path, str(tiny("bert")), labels=["dog", "fox", "bear", "yak"]
    )
    student = student_task("single_label", str(tiny("bert")), data)
    with pytest.raises(ZooError, match="does not know the labels yak"):
        fit(student, data, Distillation(teacher))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"alpha": 1.5}, "--distill.alpha 1.5 is a share"),
        ({"temperature": 0.0}, "--distill.temperature 0.0 must be above 0"),
        ({"alpha": 0.0}, "Nothing is learned from the teacher"),
        ({"layers": 0}, "--distill.layers 0"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ZooError, match=said):
        DistillationSettings(**settings).check()
