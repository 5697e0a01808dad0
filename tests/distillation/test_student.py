"""Students that are cut out of a teacher."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.distillation.families import data_of, student_task, teacher_of
from zoo import backbones
from zoo.distillation import pretrained_student_of, student_of
from zoo.errors import ZooError

Tiny = Callable[[str], Path]

_SLOW = ("roberta", "deberta-v2", "distilbert", "electra")
_ENCODERS = ["bert", "modernbert", *(pytest.param(one, marks=pytest.mark.slow) for one in _SLOW)]


@pytest.mark.parametrize("architecture", _ENCODERS)
def test_a_student_has_the_first_layers_embeddings_and_head_of_its_teacher(
    architecture: str, tiny: Tiny, tmp_path: Path
) -> None:
    teacher = teacher_of("ner", tmp_path, str(tiny(architecture)))
    folder = student_of(teacher, tmp_path / "student", layers=1)
    student = backbones.load_model(str(folder), "token-classification", labels=teacher.labels)
    assert student.config.num_hidden_layers == 1
    theirs = teacher.net.state_dict()
    ours = student.state_dict()
    assert 0 < len(ours) < len(theirs)
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
    assert backbones.metadata(str(folder))["backbone"] == str(tiny(architecture))


@pytest.mark.parametrize("architecture", ["t5", pytest.param("bart", marks=pytest.mark.slow)])
def test_both_halves_of_an_encoder_decoder_are_cut(
    architecture: str, tiny: Tiny, tmp_path: Path
) -> None:
    teacher = teacher_of("abstractive", tmp_path, str(tiny(architecture)))
    folder = student_of(teacher, tmp_path / "student", layers=1)
    data = data_of("abstractive", tmp_path, str(folder))
    task = student_task("abstractive", str(folder), data)
    task.configure_model()
    theirs, ours = teacher.net.state_dict(), task.net.state_dict()
    assert len(ours) < len(theirs)
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
    # What is left out is the second layer of each half.
    gone = {name for name in theirs if name not in ours}
    assert any("encoder" in name for name in gone)
    assert any("decoder" in name for name in gone)


@pytest.mark.slow
def test_a_warm_start_is_cut_in_both_halves(tiny: Tiny, tmp_path: Path) -> None:
    bert = tiny("bert")
    teacher = teacher_of("abstractive", tmp_path, f"{bert}-2-{bert}")
    folder = student_of(teacher, tmp_path / "student", layers=1)
    config = backbones.load_config(str(folder))
    assert config.encoder.num_hidden_layers == config.decoder.num_hidden_layers == 1


def test_a_pretrained_student_has_nothing_of_its_teacher(tiny: Tiny, tmp_path: Path) -> None:
    teacher = teacher_of("ner", tmp_path, str(tiny("bert")))
    folder = pretrained_student_of(teacher, tmp_path / "student", layers=1)
    assert backbones.head_labels(str(folder), "token-classification") is None
    body = backbones.load_encoder(str(folder))
    origin = backbones.load_encoder(str(tiny("bert"))).state_dict()
    state = body.state_dict()
    assert body.config.num_hidden_layers == 1
    assert all(
        torch.equal(tensor, origin[name]) for name, tensor in state.items() if "pooler" not in name
    )


@pytest.mark.parametrize("kind", ["lora", "prompt"])
def test_a_student_of_a_teacher_in_memory_has_what_it_was_adapted_by(
    kind: str, tiny: Tiny, tmp_path: Path
) -> None:
    data = data_of("ner", tmp_path, str(tiny("bert")))
    teacher = student_task("ner", str(tiny("bert")), data, adaptation=kind)
    teacher.configure_model()
    with torch.no_grad():
        for number, parameter in enumerate(teacher.net.parameters()):
            generator = torch.Generator().manual_seed(number)
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    folder = student_of(teacher, tmp_path / "student", layers=2)  # all of them
    student = type(teacher).from_run(folder)
    batch = next(iter(data.val_dataloader()))
    real = batch["attention_mask"].bool()
    with torch.no_grad(), teacher.evaluating(), student.evaluating():
        torch.testing.assert_close(student(batch)[real], teacher(batch)[real], atol=1e-5, rtol=1e-5)


def test_layers_that_share_their_weights_cannot_be_cut(tiny: Tiny, tmp_path: Path) -> None:
    teacher = teacher_of("ner", tmp_path, str(tiny("albert")))
    with pytest.raises(ZooError, match="nothing to cut"):
        student_of(teacher, tmp_path / "student", layers=1)
    with pytest.raises(ZooError, match="give 1 to 2"):
        student_of(teacher_of("ner", tmp_path, str(tiny("bert"))), tmp_path / "student", layers=3)
